"""Captions a second on LLaVA-1.5-7B's architecture, no image twice; answers a second of questions.

python benchmarks/caption.py               (one GPU with 48 GB or more; about 4 minutes)
python benchmarks/caption.py --tiny        (any machine, seconds; writes nothing)
"""

import sys
from functools import partial
from typing import Any

import torch
from llava_shapes import EOS, RandomImages, build_bundle
from measure import Work, alternate, significant
from results import write_result
from torch import Tensor
from transformers import LogitsProcessor

from seednb.model.generation import ContrastiveLogits, Decoded, generate

N_TOKENS = 128
N_SHORT = 10  # tokens of an answer to a question
N_QUESTIONS = 16  # about one image
BATCHES = {  # name: images a batch, batches a time; five rounds time 500 captions of the third
    "one at a time": (1, 1),
    "16 a batch": (16, 1),
    "50 a batch": (50, 2),
}
N_IMAGES = 1000  # as many again as are timed: each time is warmed up
QUESTION = "Please describe this image in detail."


class NeverEnd(LogitsProcessor):
    """Captions of one length: random weights would end them anywhere."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores without the end-of-text token."""
        scores[:, EOS] = float("-inf")
        return scores


def main(tiny: bool = False) -> None:
    """Alternate batch sizes, greedy and contrastive, and questions; write the figures."""
    where = torch.device("cpu" if tiny else "cuda")
    bundle = build_bundle(where, "tiny" if tiny else "7b")
    n_tokens, n_short = (4, 2) if tiny else (N_TOKENS, N_SHORT)
    images = RandomImages(bundle).batch([str(n) for n in range(N_IMAGES)])
    written: dict[str, list[str]] = {}

    def write(
        name: str, n_of_batch: int, n_batches: int, contrast: ContrastiveLogits | None = None
    ) -> Work:
        texts = written.setdefault(name, [])

        def work() -> int:
            for _ in range(n_batches):
                rules = [NeverEnd()] if contrast is None else [contrast, NeverEnd()]
                pixels = images[len(texts) : len(texts) + n_of_batch]
                if contrast:
                    pixels = torch.cat([pixels, pixels.flip(0)])
                decoded = decode(QUESTION, pixels, n_tokens, rules)[:n_of_batch]
                texts.extend(caption.text for caption in decoded)
            return n_of_batch * n_batches

        return work

    def answer(rows: list[int]) -> int:
        """Questions about as many copies of one image as there are different rows."""
        copies = images[:1][[0] * len(set(rows))]
        decode([QUESTION] * N_QUESTIONS, copies, n_short, [NeverEnd()], rows)
        return N_QUESTIONS

    def decode(
        questions: str | list[str], pixels: Tensor, n: int, rules: list[Any], rows: Any = None
    ) -> list[Decoded]:
        answers = generate(bundle, questions, pixels, n, rules, rows=rows)
        assert all(text.n_tokens == n for text in answers)
        return answers

    captions = {name: write(name, *sizes) for name, sizes in BATCHES.items()}
    contrastive = "16 a batch, contrastive"
    captions[contrastive] = write(contrastive, 16, 1, ContrastiveLogits(0.7))
    rows = alternate(captions, "captions", where, n_timed=1)
    for row in rows:
        row["tokens_per_s"] = significant(n_tokens * row["captions_per_s"])
    rate = {row["name"]: row["captions_per_s"] for row in rows}
    headline: dict[str, float] = {
        f"{name}: times one": round(rate[name] / rate["one at a time"], 1) for name in rate
    }
    for name, texts in written.items():
        headline[f"{name}: different captions"] = len(set(texts))
    questions = {
        "16 questions an image, read for each": partial(answer, list(range(N_QUESTIONS))),
        "16 questions an image, read once": partial(answer, [0] * N_QUESTIONS),
    }
    of_questions = alternate(questions, "answers", where)
    slow, fast = (row["answers_per_s"] for row in of_questions)
    headline["read once: times read for each"] = round(fast / slow, 1)
    print(rows, of_questions, headline)
    if not tiny:
        print(write_result("caption", rows + of_questions, headline))


if __name__ == "__main__":
    main("--tiny" in sys.argv)
