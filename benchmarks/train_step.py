"""Training speed on LLaVA-1.5-7B's architecture: the seed's loop, and this project's trainer.

python benchmarks/train_step.py            (one GPU with 80 GB or more; about 6 minutes)
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from llava_7b import build_bundle, make_examples, matmul_tflops
from results import write_result
from seed_loop import seed_loop
from torch.utils.flop_counter import FlopCounterMode

from seednb.config import ModelParams, TrainParams
from seednb.model import add_adapter, n_trainable
from seednb.trainer import Run
from seednb.versions import RECIPES

N_ROUNDS = 5


def main() -> None:
    """Time every variant in turn, round by round, and write `results/train_step.json`."""
    device = torch.device("cuda")
    bundle = build_bundle(device)
    model = add_adapter(bundle.model, ModelParams(), seed=0)
    print("trainable parameters", n_trainable(model))
    four, one = make_examples(4, 4), make_examples(16, 1)
    ceiling = matmul_tflops(device)
    print(f"matmul {ceiling:.0f} TFLOP/s", flush=True)
    folder = Path(tempfile.mkdtemp())
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 2e-6)

    def ours(examples: Any, **changes: Any) -> Callable[[], int]:
        params = replace(TrainParams(batch_size=16, grad_accum=1), **changes)
        run = Run(model, bundle, examples, RECIPES["v5"], params, folder / "run")

        def step() -> int:
            run.set_checkpointing(params.gradient_checkpointing)
            run.student.train()
            run.step_on(0, list(range(16)))
            return 16

        return step

    def baseline(examples: Any) -> Callable[[], int]:
        def step() -> int:
            model.train()
            model.gradient_checkpointing_enable({"use_reentrant": False})
            model.enable_input_require_grads()
            seed_loop(model, optimiser, examples, list(range(4)))
            model.disable_input_require_grads()
            return 4

        return step

    variants = {
        "seed loop, 4 pairs a picture": baseline(four),
        "ours, 4 pairs a picture": ours(four),
        "ours, 4 pairs a picture, checkpointing": ours(four, gradient_checkpointing=True),
        "ours, 1 pair a picture": ours(one),
        "ours, 1 pair a picture, batch 2, checkpointing": ours(
            one, gradient_checkpointing=True, batch_size=2, grad_accum=8
        ),
    }
    tflop = {}
    for name, step in variants.items():
        step()
        with FlopCounterMode(display=False) as counter:
            n = step()
        tflop[name] = counter.get_total_flops() / n / 1e12
    rows = measure(variants, tflop, ceiling)
    started = time.perf_counter()
    compiled = ours(four, compile_layers=True)
    compiled()
    compiled()
    compile_s = time.perf_counter() - started
    name = "ours, 4 pairs a picture, compiled layers"
    tflop[name] = tflop["ours, 4 pairs a picture"]
    rows += measure({name: compiled}, tflop, ceiling)
    rows[-1]["compile_s"] = round(compile_s, 1)
    rate = {row["name"]: row["samples_per_s"] for row in rows}
    seed_rate = rate["seed loop, 4 pairs a picture"]
    for row in rows:
        row["times_seed_loop"] = round(row["samples_per_s"] / seed_rate, 2)
        print(row, flush=True)
    headline = {"matmul_tflops": round(ceiling)} | {
        f"{row['name']}: times the seed's loop": row["times_seed_loop"] for row in rows
    }
    print(write_result("train_step", rows, headline))


def measure(
    variants: dict[str, Callable[[], int]], tflop: dict[str, float], ceiling: float
) -> list[dict[str, Any]]:
    """Median rate of each variant over rounds in which they alternate; peak memory of each."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    peak: dict[str, float] = {}
    for _ in range(N_ROUNDS):
        for name, step in variants.items():
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            torch.cuda.synchronize()
            started = time.perf_counter()
            n = step()
            torch.cuda.synchronize()
            seconds[name].append((time.perf_counter() - started) / n)
            peak[name] = torch.cuda.max_memory_allocated() / 2**30
    rows = []
    for name in variants:
        rate = 1 / statistics.median(seconds[name])
        rows.append(
            {
                "name": name,
                "samples_per_s": round(rate, 2),
                "executed_tflops": round(rate * tflop[name], 1),
                "share_of_matmul": round(rate * tflop[name] / ceiling, 3),
                "peak_gib": round(peak[name], 1),
                "rounds": N_ROUNDS,
            }
        )
    return rows


if __name__ == "__main__":
    main()
