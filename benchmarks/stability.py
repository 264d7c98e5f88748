"""Does training on 4-bit weights end in NaN?  2,000 steps at the reproduction's settings, on 7B.

python benchmarks/stability.py                  (one GPU with bitsandbytes; about 8 minutes)
python benchmarks/stability.py --weights fp8 --seconds 120
python benchmarks/stability.py --tiny           (any machine, seconds; writes nothing)

Random weights in LLaVA-1.5-7B's shape, quantised, whose head is scaled until logits spread as a
trained model's do. Eight examples a step, rate 2e-6, rank 64, v7's losses. The control is the form
that the reproduction began with, `kl_div` of a differentiable softmax in half precision: its loss and
gradient are taken of the same logits at every step, for logits as they are and spread further, so one
training shows where each form fails. The teacher's states are remembered after the first epoch.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from llava_shapes import build_bundle, make_examples
from measure import significant
from results import write_result
from torch import Tensor
from torch.nn import functional as F

from seednb.core.params import ModelParams, TrainParams
from seednb.method.losses import reverse_kl
from seednb.method.objective import Objective
from seednb.method.recipes import RECIPES
from seednb.model.lora import add_adapter
from seednb.training.teacher_cache import TeacherCache
from seednb.training.trainer import Run

N_IMAGES, N_PAIRS, A_STEP = 64, 4, 8
HEAD_SCALE = 3.0  # logits of 7B models spread over some 30 nats, of these weights over 10
SPREADS = (1, 1.5, 2, 4, 8)  # times that the control's logits are spread
TEMPERATURES = (1.0, 2.0)  # of the reproduction's first script, and of v5 to v7
LOG_SPACE = "log space, float32"


class Control:
    """Both forms of the divergence on the logits of every step; nothing is awaited until the end."""

    def __init__(self, objective: Objective) -> None:
        """Listen to an objective."""
        self.objective, self.take = objective, objective.token_losses
        self.finite: dict[tuple[str, float, float], list[Tensor]] = defaultdict(list)
        self.ranges: list[Tensor] = []
        objective.token_losses = self.token_losses  # type: ignore[method-assign]

    def token_losses(
        self, student: Tensor, ids: Tensor, clean: Any, noisy: Any, beta: Tensor
    ) -> Any:
        """The losses themselves, and the control beside them."""
        self._examine(student.detach(), clean, noisy, beta)
        return self.take(student, ids, clean, noisy, beta)

    def _examine(self, student: Tensor, clean: Tensor, noisy: Tensor, beta: Tensor) -> None:
        head = self.objective.head
        with torch.no_grad():
            logits = head(student).float()
            target = self.objective.purification(head(clean), head(noisy), beta).float()
            self.ranges.append((logits.amax(-1) - logits.amin(-1)).mean())
        for spread in SPREADS:
            for temperature in TEMPERATURES:
                for dtype in (torch.float16, torch.bfloat16):
                    name = f"kl_div, {str(dtype).removeprefix('torch.')}"
                    left, right = ((spread * each).to(dtype) for each in (logits, target))
                    loss = naive(left.requires_grad_(), right, temperature)
                    self._note((name, temperature, spread), loss, left)
                left = (spread * logits).requires_grad_()
                loss = reverse_kl(left, spread * target, temperature).mean()
                self._note((LOG_SPACE, temperature, spread), loss, left)

    def _note(self, key: tuple[str, float, float], loss: Tensor, logits: Tensor) -> None:
        (gradient,) = torch.autograd.grad(loss, logits)
        self.finite[key].append(loss.isfinite() & gradient.isfinite().all())

    def rows(self) -> list[dict[str, Any]]:
        """When each form failed first, and how often."""
        spread_now = float(torch.stack(self.ranges).mean())
        rows = []
        for (name, temperature, spread), flags in self.finite.items():
            failed = (~torch.stack(flags)).nonzero().flatten().tolist()
            rows.append(
                {
                    "name": name,
                    "temperature": temperature,
                    "logit_range_nats": significant(spread * spread_now),
                    "steps": len(flags),
                    "first_failure": failed[0] + 1 if failed else None,
                    "failures": len(failed),
                }
            )
        return rows


def naive(student: Tensor, target: Tensor, temperature: float) -> Tensor:
    """Reverse KL as `kl_div` of a differentiable softmax, in the precision of the logits."""
    log_target = (target / temperature).log_softmax(-1)
    return F.kl_div(log_target, (student / temperature).softmax(-1), reduction="batchmean")


def main(tiny: bool = False, weights: str = "nf4", steps: int = 2000, seconds: int = 500) -> None:
    """Train until `steps` or `seconds` are over and write `results/stability-WEIGHTS.json`."""
    device = torch.device("cpu" if tiny else "cuda")
    steps, n_images = (2, 2) if tiny else (steps, N_IMAGES)
    weights = "fp8" if tiny else weights  # which needs no library
    bundle = build_bundle(device, "tiny" if tiny else "7b", weights)
    bundle.model.get_output_embeddings().weight.data *= HEAD_SCALE
    model = add_adapter(bundle.model, ModelParams(), seed=0)
    examples = make_examples(bundle, n_images, N_PAIRS, longest=100)
    params = TrainParams(
        batch_size=A_STEP, grad_accum=1, sample_every=0, noise="per_image_seed",
        compile_layers=not tiny,
    )  # fmt: skip
    a_epoch = n_images * N_PAIRS // A_STEP
    recipe = replace(RECIPES["v7"], epochs=-(-steps // a_epoch))
    cache = TeacherCache(Path(tempfile.mkdtemp()), 2**34)
    run = Run(model, bundle, examples, recipe, params, Path(tempfile.mkdtemp()), cache)
    control = Control(run.step.objective)
    started, results = time.perf_counter(), []
    for number, (group, _) in enumerate(run.groups.from_step(0, device), 1):
        results.append(run.fallback.within_limits(run.step.take, group))
        if number % 200 == 0:
            print(number, "steps,", round(time.perf_counter() - started), "s", flush=True)
        if number == steps or time.perf_counter() - started > seconds:
            break
    curve = []
    for result in results:
        curve.append(result.row(curve[-1]["nan_count"] if curve else 0))
    norms = [row["gradient_norm"] for row in curve]
    trained = {
        "name": f"training, {weights}",
        "temperature": recipe.temperature,
        "steps": len(curve),
        "failures": curve[-1]["nan_count"],
        "first_loss": significant(curve[0]["loss"]),
        "last_loss": significant(curve[-1]["loss"]),
        "largest_gradient_norm": significant(max(norms)),
        "seconds": round(time.perf_counter() - started),
    }
    rows = [trained, *control.rows()]
    for row in rows:
        print(row, flush=True)
    if not tiny:
        headline = {"steps": len(curve), "not_finite": trained["failures"]}
        print(write_result(f"stability-{weights}", rows, headline))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--weights", default="nf4", choices=("bfloat16", "fp8", "nf4"))
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seconds", type=int, default=500)
    main(**vars(parser.parse_args()))
