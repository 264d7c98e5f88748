"""Peak memory and speed of training by size of a micro-batch, checkpointing and model.

python benchmarks/memory.py                (one GPU; about 4 minutes; what does not fit is a row, too)
python benchmarks/memory.py --tiny         (any machine, seconds; writes nothing)
"""

import gc
import math
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from llava_shapes import build_bundle, make_examples
from measure import Work, alternate, significant, steps_of, tflop_a_unit
from results import write_result

from seednb.core.errors import SeedError
from seednb.core.params import ModelParams, TrainParams
from seednb.method.recipes import RECIPES
from seednb.model.lora import add_adapter
from seednb.training.trainer import Run

CARDS_GIB = (16, 24, 40, 80, 141)
USABLE = 0.92  # the rest goes to the driver and to fragments
ENDLESS = 1000
PICTURES = {"7b": (1, 2, 4), "13b": (1, 4), "34b": (1,)}  # of one pass


def main(tiny: bool = False) -> None:
    """Measure settings of three models; name the smallest card that holds each."""
    device = torch.device("cpu" if tiny else "cuda")
    rows: list[dict[str, Any]] = []
    for size, images in {"tiny": (1, 2)}.items() if tiny else PICTURES.items():
        rows += measure_model(size, images, ModelParams(), device)
        gc.collect()  # the next model needs the memory
    small = replace(ModelParams(), lora_r=16, lora_alpha=32, lora_scope="language_model")
    rows += measure_model("tiny" if tiny else "7b", (0,), small, device)
    for row in rows:
        fitting = [card for card in CARDS_GIB if row.get("peak_gib", math.inf) <= USABLE * card]
        row["fits_gib"] = min(fitting, default=None)
        print(row, flush=True)
    if not tiny:
        headline = {row["name"]: row["peak_gib"] for row in rows if "peak_gib" in row}
        print(write_result("memory", rows, headline))


def measure_model(
    size: str, images: Sequence[int], adapter: ModelParams, device: torch.device
) -> list[dict[str, Any]]:
    """Micro-batches of some numbers of images with 4 pairs each; 0 stands for a single pair."""
    torch.compiler.reset()  # kernels of other sizes count towards the most that torch compiles
    bundle = build_bundle(device, size)
    model = add_adapter(bundle.model, adapter, seed=0)
    optimisers: list[torch.optim.Optimizer] = []

    def step_of(n_images: int, checkpointing: str) -> Work:
        examples = make_examples(bundle, max(1, n_images), 4 if n_images else 1)
        n = len(examples.rows)
        params = replace(
            TrainParams(sample_every=0),
            batch_size=n,
            grad_accum=1,
            gradient_checkpointing=checkpointing,
        )
        recipe = replace(RECIPES["v5"], epochs=ENDLESS)
        run = Run(model, bundle, examples, recipe, params, Path(tempfile.mkdtemp()))
        optimisers.append(run.step.optimiser.optimizer)
        steps = steps_of(run)

        def step() -> int:
            run.fallback.set_checkpointing(checkpointing == "always")
            next(steps)
            return n

        return step

    def forget() -> None:
        for optimiser in optimisers:
            optimiser.state.clear()

    variants = {
        f"{size}, LoRA r {adapter.lora_r}, {_texts(n)}, checkpointing {mode}": step_of(n, mode)
        for n in images
        for mode in ("never", "always")
    }
    rows = alternate(variants, "samples", device, n_rounds=3, n_timed=1, before=forget)
    for row in rows:
        if "failure" not in row:
            with suppress(SeedError):  # counting takes memory of its own
                tflop = tflop_a_unit(variants[row["name"]])
                row["executed_tflops"] = significant(row["samples_per_s"] * tflop)
    return rows


def _texts(n_images: int) -> str:
    if n_images == 0:
        return "one pair"
    return f"{n_images} {'image' if n_images == 1 else 'images'} of 4 pairs"


if __name__ == "__main__":
    main("--tiny" in sys.argv)
