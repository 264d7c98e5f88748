"""Probes a second on LLaVA-1.5-7B's architecture: one forward a probe, and pictures read once.

python benchmarks/score_pope.py            (one GPU with 24 GB or more; about a minute)
python benchmarks/score_pope.py --tiny     (any machine, seconds; writes nothing)
"""

import sys

import torch
from llava_shapes import N_SYSTEM, RandomPictures, build_bundle, random_tokens
from measure import alternate
from results import write_result

from seednb.data.batches import collate
from seednb.data.prompts import Encoded
from seednb.model import AnswerLogits

N_PROBES = 18  # a picture: three splits of six
N_PICTURES = 16  # of one pass
N_ALONE = 36  # probes of the slow way
ALONE, PACKED = "one forward a probe", "pictures read once"


@torch.inference_mode()
def main(tiny: bool = False) -> None:
    """Alternate both ways on the same probes; check that they agree; write the figures."""
    device = torch.device("cpu" if tiny else "cuda")
    bundle = build_bundle(device, "tiny" if tiny else "7b")
    generator = torch.Generator().manual_seed(1)
    start = [*random_tokens(N_SYSTEM, generator), *bundle.picture_tokens.ids]
    rows = [picture for picture in range(N_PICTURES) for _ in range(N_PROBES)]
    lengths = torch.randint(12, 18, (len(rows),), generator=generator).tolist()
    prompts = [(*start, *random_tokens(n, generator)) for n in lengths]
    probes = [Encoded(prompt, len(prompt)) for prompt in prompts]
    pixels = RandomPictures(bundle).batch([str(n) for n in range(N_PICTURES)])
    answers = AnswerLogits(bundle.model)
    found: dict[str, torch.Tensor] = {}

    def packed() -> int:
        batch = collate(probes, rows, pixels, bundle.layout)
        found[PACKED] = answers(batch.to(device))[:, :8].float().cpu()
        return len(probes)

    def alone() -> int:
        one_by_one = []
        for probe, row in zip(probes[:N_ALONE], rows, strict=False):
            batch = collate([probe], [0], pixels[row : row + 1], bundle.layout)
            one_by_one.append(answers(batch.to(device))[0, :8].float().cpu())
        found[ALONE] = torch.stack(one_by_one)
        return N_ALONE

    figures = alternate({ALONE: alone, PACKED: packed}, "probes", device)
    rate = {row["name"]: row["probes_per_s"] for row in figures}
    headline = {
        "times_one_forward": round(rate[PACKED] / rate[ALONE], 1),
        "largest_logit_difference_bf16": round(
            (found[PACKED][:N_ALONE] - found[ALONE]).abs().max().item(), 4
        ),
    }
    print(figures, headline)
    if not tiny:
        print(write_result("score_pope", figures, headline))


if __name__ == "__main__":
    main("--tiny" in sys.argv)
