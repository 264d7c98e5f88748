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
from seednb.examples import Examples
from seednb.model import add_adapter, decoder_layers, n_trainable
from seednb.teacher_cache import TeacherCache
from seednb.trainer import Run
from seednb.versions import RECIPES

N_ROUNDS = 5
SEED_LOOP = "seed loop, 4 pairs a picture"
ENDLESS = 1000  # epochs of 16 examples, one step each


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
    for layer in decoder_layers(model):
        layer.compile(dynamic=True)
    compiled_form = {layer: layer._compiled_call_impl for layer in decoder_layers(model)}
    kept = {"noise": "per_image_seed", "compiled": True}
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 2e-6)
    optimisers: list[torch.optim.Optimizer] = [optimiser]

    def ours(
        examples: Examples,
        compiled: bool = False,
        cache: TeacherCache | None = None,
        **changes: Any,
    ) -> Callable[[], int]:
        params = replace(TrainParams(batch_size=16, grad_accum=1), **changes)
        recipe = replace(RECIPES["v5"], epochs=ENDLESS)
        run = Run(model, bundle, examples, recipe, params, folder / "run", cache)
        optimisers.append(run.optimiser.optimizer)
        groups = run.groups.from_step(0, device)

        def step() -> int:
            use_compiled(compiled)
            run.set_checkpointing(params.gradient_checkpointing == "always")
            run.student.train()
            run.step_on(next(groups))
            if cache:
                cache.write()
            return 16

        return step

    counting = False  # operations inside compiled code cannot be counted

    def use_compiled(wanted: bool) -> None:
        """Call each decoder layer in its compiled form, or as it is."""
        for layer, form in compiled_form.items():
            layer._compiled_call_impl = form if wanted and not counting else None

    def baseline(examples: Examples) -> Callable[[], int]:
        def step() -> int:
            use_compiled(False)
            model.train()
            model.gradient_checkpointing_enable({"use_reentrant": False})
            model.enable_input_require_grads()
            seed_loop(model, optimiser, examples, list(range(4)))
            model.disable_input_require_grads()
            return 4

        return step

    variants = {
        SEED_LOOP: baseline(four),
        "ours, 4 pairs a picture": ours(four),
        "ours, 4 pairs a picture, one a pass, checkpointing": ours(
            four, gradient_checkpointing="always", batch_size=4, grad_accum=4
        ),
        "ours, 4 pairs a picture, compiled": ours(four, compiled=True),
        "ours, 4 pairs a picture, compiled, teacher cached": ours(
            four, **kept, cache=TeacherCache(folder / "cache", 2**34)
        ),
        "ours, 1 pair a picture, compiled": ours(one, compiled=True),
    }
    tflop, first_steps = {}, {}
    for name, step in variants.items():
        started = time.perf_counter()
        step()
        step()
        first_steps[name] = round(time.perf_counter() - started, 1)
        counting = True
        with FlopCounterMode(display=False) as counter:
            n = step()
        counting = False
        tflop[name] = counter.get_total_flops() / n / 1e12
        print(name, first_steps[name], "s for the first two steps", flush=True)
    rows = measure(variants, optimisers, tflop, ceiling)
    for row in rows:
        row["first_two_steps_s"] = first_steps[row["name"]]
    rate = {row["name"]: row["samples_per_s"] for row in rows}
    seed_rate = rate[SEED_LOOP]
    for row in rows:
        row["times_seed_loop"] = round(row["samples_per_s"] / seed_rate, 2)
        print(row, flush=True)
    headline = {"matmul_tflops": round(ceiling)} | {
        f"{row['name']}: times the seed's loop": row["times_seed_loop"] for row in rows
    }
    print(write_result("train_step", rows, headline))


def measure(
    variants: dict[str, Callable[[], int]],
    optimisers: list[torch.optim.Optimizer],
    tflop: dict[str, float],
    ceiling: float,
) -> list[dict[str, Any]]:
    """Median rate of each variant over rounds in which they alternate; peak memory of each."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    peak: dict[str, float] = {}
    for _ in range(N_ROUNDS):
        for name, step in variants.items():
            for optimiser in optimisers:
                optimiser.state.clear()  # of other variants; a run has one
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            step()  # untimed: takes memory again
            torch.cuda.synchronize()
            started = time.perf_counter()
            n = step() + step()
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
