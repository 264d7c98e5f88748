"""Training speed on several GPUs of one machine, each with four pictures of four pairs a step.

accelerate launch --num_processes 2 benchmarks/scaling.py           (about 2 minutes)
torchrun --standalone --nproc_per_node 2 benchmarks/scaling.py --tiny
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from llava_shapes import build_bundle, make_examples
from measure import alternate
from results import write_result

from seednb.config import ModelParams, TrainParams
from seednb.model import add_adapter, default_device, one_card_each
from seednb.trainer import Run
from seednb.versions import RECIPES

ENDLESS = 1000


def main(tiny: bool = False) -> None:
    """Time steps whose examples all processes share; the first process writes the figure."""
    device, processes = default_device(), one_card_each()
    bundle = build_bundle(device, "tiny" if tiny else "7b")
    model = add_adapter(bundle.model, ModelParams(), seed=0)
    n = processes.num_processes
    examples = make_examples(bundle, 4 * n, 4)
    params = replace(TrainParams(), batch_size=16 * n, grad_accum=1, gradient_checkpointing="never")
    recipe = replace(RECIPES["v5"], epochs=ENDLESS)
    run = Run(model, bundle, examples, recipe, params, Path(tempfile.mkdtemp()))
    groups = run.groups.from_step(0, device)
    run.student.train()

    def step() -> int:
        run.step_on(next(groups))
        return 16 * n

    rows = alternate({f"{n} processes": step}, "samples", device)
    if processes.is_main_process:
        print(rows)
        if not tiny:
            print(write_result(f"scaling-{n}", rows, {"samples_per_s": rows[0]["samples_per_s"]}))
    processes.destroy_process_group()


if __name__ == "__main__":
    main("--tiny" in sys.argv)
