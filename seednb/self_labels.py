"""Labels from the model itself: self-supervised SEED needs questions only."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from seednb.config import EvaluationParams
from seednb.data.batches import in_chunks
from seednb.data.instruct import Pair
from seednb.data.pictures import Pictures
from seednb.decoding import generate
from seednb.evaluation.answer_files import answers_to
from seednb.model import Bundle


def self_labelled(
    bundle: Bundle,
    pairs: Sequence[Pair],
    pictures: Pictures,
    params: EvaluationParams,
    template: str,
    kept: Path | None = None,
) -> list[Pair]:
    """The pairs with the model's own greedy answers, in the same order.

    Cross-entropy with one's own greedy answer only sharpens the model, so such pairs are meant for
    distillation alone. An answer that comes out empty leaves its pair out. `kept`: as in `answers_to`.
    """

    def answer(chunk: Sequence[Pair]) -> list[dict[str, Any]]:
        names, rows = bundle.layout.rows([pair.image for pair in chunk])
        questions, pixels = [pair.question for pair in chunk], pictures.batch(names)
        decoded = generate(bundle, questions, pixels, template, params.max_new_tokens, rows=rows)
        return [asdict(one) for one in decoded]

    chunks = in_chunks(pairs, params.eval_batch_size)
    answered = zip(pairs, answers_to(chunks, answer, "label", "pair", kept), strict=True)
    return [
        Pair(pair.image, pair.question, said["text"]) for pair, said in answered if said["text"]
    ]
