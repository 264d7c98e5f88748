"""Labels from the model itself: self-supervised SEED needs questions only."""

from collections.abc import Sequence

from tqdm import tqdm

from seednb.config import EvaluationParams
from seednb.data.batches import in_chunks
from seednb.data.instruct import Pair
from seednb.data.pictures import Pictures
from seednb.decoding import generate
from seednb.model import Bundle
from seednb.terminal import hides_progress


def self_labelled(
    bundle: Bundle,
    pairs: Sequence[Pair],
    pictures: Pictures,
    params: EvaluationParams,
) -> list[Pair]:
    """The pairs with the model's own greedy answers, in the same order.

    Cross-entropy with one's own greedy answer only sharpens the model, so such pairs are meant for
    distillation alone. An answer that comes out empty leaves its pair out.
    """
    answered: list[Pair] = []
    with tqdm(total=len(pairs), desc="label", unit="pair", disable=hides_progress()) as bar:
        for chunk in in_chunks(pairs, params.eval_batch_size):
            questions = [pair.question for pair in chunk]
            names, rows = bundle.layout.rows([pair.image for pair in chunk])
            pixels = pictures.batch(names)
            decoded = generate(bundle, questions, pixels, params.max_new_tokens, rows=rows)
            answered += [
                Pair(pair.image, pair.question, answer.text)
                for pair, answer in zip(chunk, decoded, strict=True)
                if answer.text
            ]
            bar.update(len(chunk))
    return answered
