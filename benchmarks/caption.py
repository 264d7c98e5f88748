"""Captions a second on LLaVA-1.5-7B's architecture: one at a time, in batches, and contrastively.

python benchmarks/caption.py               (one GPU with 48 GB or more; about 2 minutes)
python benchmarks/caption.py --tiny        (any machine, seconds; writes nothing)
"""

import sys
from collections.abc import Sequence

import torch
from llava_shapes import EOS, RandomPictures, build_bundle
from measure import Work, alternate, significant
from results import write_result
from torch import Tensor
from transformers import LogitsProcessor

from seednb.data.prompts import VICUNA_V1
from seednb.decoding import Contrast, Decoded, generate

N_TOKENS = 128
QUESTION = "Please describe this image in detail."


class NeverEnd(LogitsProcessor):
    """Captions of one length: random weights would end them anywhere."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores without the end-of-text token."""
        scores[:, EOS] = float("-inf")
        return scores


def main(tiny: bool = False) -> None:
    """Alternate batch sizes, greedy and contrastive, and write the figures."""
    where = torch.device("cpu" if tiny else "cuda")
    bundle = build_bundle(where, "tiny" if tiny else "7b")
    pictures = RandomPictures(bundle)
    n_tokens = 4 if tiny else N_TOKENS

    def greedy(n: int) -> Work:
        pixels = pictures.batch([str(number) for number in range(n)])

        def write() -> int:
            check(generate(bundle, QUESTION, pixels, VICUNA_V1, n_tokens, [NeverEnd()]))
            return n

        return write

    def contrastive(n: int) -> Work:
        clean = pictures.batch([str(number) for number in range(n)])
        noisy = pictures.batch([str(number) for number in range(n, 2 * n)])

        def write() -> int:
            both, rule = torch.cat([clean, noisy]), Contrast(0.7)
            check(generate(bundle, QUESTION, both, VICUNA_V1, n_tokens, [rule, NeverEnd()]))
            return n

        return write

    def check(captions: Sequence[Decoded]) -> None:
        assert all(caption.n_tokens == n_tokens for caption in captions)

    variants = {
        "one at a time": greedy(1),
        "16 a batch": greedy(16),
        "32 a batch": greedy(32),
        "64 a batch": greedy(64),
        "16 a batch, contrastive": contrastive(16),
    }
    rows = alternate(variants, "captions", where, n_timed=1)
    for row in rows:
        row["tokens_per_s"] = significant(n_tokens * row["captions_per_s"])
    rate = {row["name"]: row["captions_per_s"] for row in rows}
    headline = {f"{name}: times one": round(rate[name] / rate["one at a time"], 1) for name in rate}
    print(rows, headline)
    if not tiny:
        print(write_result("caption", rows, headline))


if __name__ == "__main__":
    main("--tiny" in sys.argv)
