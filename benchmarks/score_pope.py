"""Probes a second on LLaVA-1.5-7B's architecture: one forward a probe, and pictures read once.

python benchmarks/score_pope.py            (one GPU with 24 GB or more; about 2 minutes)
"""

import statistics
import time

import torch
from llava_7b import IMAGE_TOKEN, N_IMAGE_TOKENS, RandomPictures, build_bundle
from results import write_result

from seednb.data.batches import collate
from seednb.data.prompts import Encoded
from seednb.model import AnswerLogits

N_PROBES = 18  # a picture: three splits of six
N_PICTURES = 16  # of one pass
N_ROUNDS = 5


@torch.inference_mode()
def main() -> None:
    """Alternate both ways on the same probes; check that they agree; write the figures."""
    device = torch.device("cuda")
    bundle = build_bundle(device)
    generator = torch.Generator().manual_seed(1)
    system = torch.randint(5, 31000, (35,), generator=generator).tolist()
    probes, rows = [], []
    for picture in range(N_PICTURES):
        for _ in range(N_PROBES):
            n = int(torch.randint(12, 18, (1,), generator=generator))
            question = torch.randint(5, 31000, (n,), generator=generator).tolist()
            ids = (*system, *[IMAGE_TOKEN] * N_IMAGE_TOKENS, *question)
            probes.append(Encoded(ids, len(ids)))
            rows.append(picture)
    pixels = RandomPictures().batch([str(n) for n in range(N_PICTURES)])
    answers = AnswerLogits(bundle.model)

    def packed() -> torch.Tensor:
        batch = collate(probes, rows, pixels, bundle.layout)
        return answers(batch.to(device))[:, :8].float().cpu()

    def alone(n: int = 36) -> torch.Tensor:
        found = []
        for probe, row in zip(probes[:n], rows[:n], strict=True):
            batch = collate([probe], [0], pixels[row : row + 1], bundle.layout)
            found.append(answers(batch.to(device))[0, :8].float().cpu())
        return torch.stack(found)

    difference = (packed()[:36] - alone()).abs().max().item()
    seconds: dict[str, list[float]] = {"one forward a probe": [], "pictures read once": []}
    for _ in range(N_ROUNDS):
        for name, way, n in (
            ("one forward a probe", alone, 36),
            ("pictures read once", packed, len(probes)),
        ):
            torch.cuda.synchronize()
            started = time.perf_counter()
            way()
            torch.cuda.synchronize()
            seconds[name].append((time.perf_counter() - started) / n)
    rate = {name: 1 / statistics.median(values) for name, values in seconds.items()}
    figures = [
        {"name": name, "probes_per_s": round(value, 1), "rounds": N_ROUNDS}
        for name, value in rate.items()
    ]
    headline = {
        "times_one_forward": round(rate["pictures read once"] / rate["one forward a probe"], 1),
        "largest_logit_difference_bf16": round(difference, 4),
        "peak_gib": round(torch.cuda.max_memory_allocated() / 2**30, 1),
    }
    print(figures, headline)
    print(write_result("score_pope", figures, headline))


if __name__ == "__main__":
    main()
