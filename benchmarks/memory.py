"""Peak memory and speed of training by size of a pass, checkpointing and model.

python benchmarks/memory.py                (one GPU with 80 GB or more; about 4 minutes)
python benchmarks/memory.py --tiny         (any machine, seconds; writes nothing)
"""

import gc
import math
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from llava_shapes import build_bundle, make_examples
from measure import Work, alternate
from results import write_result

from seednb.config import ModelParams, TrainParams
from seednb.model import add_adapter
from seednb.trainer import Run
from seednb.versions import RECIPES

CARDS_GIB = (16, 24, 40, 80, 141)
USABLE = 0.92  # the rest goes to the driver and to fragments
ENDLESS = 1000


def main(tiny: bool = False) -> None:
    """Measure settings of the 7B and the 13B model; name the smallest card that holds each."""
    device = torch.device("cpu" if tiny else "cuda")
    rows: list[dict[str, Any]] = []
    for size in ("tiny",) if tiny else ("7b", "13b"):
        rows += measure_model(size, device)
        gc.collect()  # the next model needs the memory
    for row in rows:
        fitting = [card for card in CARDS_GIB if row.get("peak_gib", math.inf) <= USABLE * card]
        row["fits_gib"] = min(fitting, default=None)
        print(row, flush=True)
    if not tiny:
        headline = {row["name"]: row["peak_gib"] for row in rows if "peak_gib" in row}
        print(write_result("memory", rows, headline))


def measure_model(size: str, device: torch.device) -> list[dict[str, Any]]:
    """Passes of 1 to 4 pictures with 4 pairs each, with and without checkpointing."""
    bundle = build_bundle(device, size)
    model = add_adapter(bundle.model, ModelParams(), seed=0)
    optimisers: list[torch.optim.Optimizer] = []

    def step_of(n_pictures: int, checkpointing: str) -> Work:
        examples = make_examples(bundle, n_pictures, 4)
        n = len(examples.rows)
        params = replace(
            TrainParams(), batch_size=n, grad_accum=1, gradient_checkpointing=checkpointing
        )
        recipe = replace(RECIPES["v5"], epochs=ENDLESS)
        run = Run(model, bundle, examples, recipe, params, Path(tempfile.mkdtemp()))
        optimisers.append(run.optimiser.optimizer)
        groups = run.groups.from_step(0, device)

        def step() -> int:
            run.set_checkpointing(checkpointing == "always")
            run.student.train()
            run.step_on(next(groups))
            return n

        return step

    def forget() -> None:
        for optimiser in optimisers:
            optimiser.state.clear()

    variants = {
        f"{size}, {n} pictures of 4 pairs, checkpointing {checkpointing}": step_of(n, checkpointing)
        for n in (1, 2, 4)
        for checkpointing in ("never", "always")
    }
    return alternate(variants, "samples", device, n_rounds=3, n_timed=1, before=forget)


if __name__ == "__main__":
    main("--tiny" in sys.argv)
