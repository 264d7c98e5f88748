"""Times variants in turn, round by round, in one process: what disturbs one disturbs the others."""

import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from peft import PeftModel
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask
from torch.utils.flop_counter import FlopCounterMode

from seednb.core.errors import SeedError
from seednb.core.params import TrainParams
from seednb.method.recipes import RECIPES
from seednb.model import attention
from seednb.model.compile import CompiledLayers
from seednb.model.loading import Bundle
from seednb.training.examples import Examples
from seednb.training.teacher_cache import TeacherCache
from seednb.training.trainer import Run

N_ROUNDS = 5
ENDLESS = replace(RECIPES["v5"], epochs=1000)  # of one step each
Work = Callable[[], int]  # does something and returns how many units of it


class Training:
    """Each call takes a run's next optimiser step, of all examples, and returns their number."""

    def __init__(
        self,
        model: PeftModel,
        bundle: Bundle,
        examples: Examples,
        cache: TeacherCache | None = None,
        **changes: Any,
    ) -> None:
        """`changes` are training parameters; without them the examples are one micro-batch."""
        self.n_examples = len(examples.rows)
        one_batch = {"batch_size": self.n_examples, "grad_accum": 1, "sample_every": 0}
        params, folder = TrainParams(**one_batch | changes), Path(tempfile.mkdtemp())
        run = self.run = Run(model, bundle, examples, ENDLESS, params, folder, cache)
        self.checkpoints = params.gradient_checkpointing == "always"
        self.layers = run.fallback.layers or CompiledLayers(model)
        self.steps = self._steps()

    def __call__(self) -> int:
        """Set the model up as this run needs it, for others may share it, and take the step."""
        self.layers.use(self.run.fallback.layers is not None)
        self.run.fallback.set_checkpointing(self.checkpoints)
        next(self.steps)
        return self.n_examples

    def forget(self) -> None:
        """Drop the optimiser's moments."""
        self.run.step.optimiser.optimizer.state.clear()

    def _steps(self) -> Iterator[None]:
        """Steps as `train` takes them; one's numbers are awaited once the next is queued."""
        step, before = self.run.step, None
        for group, following in self.run.groups.from_step(0, step.targets.device):
            step.student.train()
            if following and step.asynchronous:
                step.targets.read_cached(following)
            result = self.run.fallback.within_limits(step.take, group)
            if following:
                step.targets.of(following)
            if before:
                before.row(0)
            before = result
            yield


def alternate(
    variants: Mapping[str, Work],
    unit: str,
    device: torch.device,
    n_rounds: int = N_ROUNDS,
    n_timed: int = 2,
    n_untimed: int = 1,
    before: Callable[[], None] = lambda: None,
    beside: Mapping[str, float] | None = None,
) -> list[dict[str, Any]]:
    """Median rate of each variant in units a second, and its peak memory on a GPU.

    In each round a variant works `n_untimed` times, to take its memory, and then `n_timed` times.
    `before` frees what the other variants keep. A variant that runs out of memory is a row without
    figures: that it does not fit is a result too. `beside`: GiB on the card, of each variant, that
    belong to the models of others, and are no part of its peak.
    """
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    peak: dict[str, float] = {}
    too_large: set[str] = set()
    for _ in range(n_rounds):
        for name, work in variants.items():
            if name in too_large:
                continue
            before()
            if device.type == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            try:
                for _ in range(n_untimed):
                    work()
                _wait(device)
                started = time.perf_counter()
                n = sum(work() for _ in range(n_timed))
                _wait(device)
            except (torch.OutOfMemoryError, SeedError) as error:
                if not isinstance(error.__cause__ or error, torch.OutOfMemoryError):
                    raise
                too_large.add(name)
                continue
            seconds[name].append((time.perf_counter() - started) / n)
            if device.type == "cuda":
                peak[name] = torch.cuda.max_memory_allocated() / 2**30
    rows: list[dict[str, Any]] = []
    for name, times in seconds.items():
        row: dict[str, Any] = {"name": name, "rounds": len(times)}
        if name in too_large:
            row["failure"] = "out of memory"
        else:
            row[f"{unit}_per_s"] = significant(1 / statistics.median(times))
        if name in peak:
            row["peak_gib"] = round(peak[name] - (beside or {}).get(name, 0), 1)
        rows.append(row)
    return rows


def tflop_a_unit(work: Work) -> float:
    """Operations that one unit of the work executes, in 10^12 (matrix products and attention).

    Nothing can be counted inside the kernel that skips blocks. In its place stands a sum, and what
    the kernel would execute follows from the blocks of its mask: with d numbers a head, 4 d
    operations a query-key pair and head forwards, and as torch counts it 10 d backwards.
    """
    counted = 0

    def stand_in(
        query: Tensor, key: Tensor, value: Tensor, allowed: BlockMask, scaling: float | None = None
    ) -> Tensor:
        nonlocal counted
        n_blocks = int(allowed.kv_num_blocks.sum() + allowed.full_kv_num_blocks.sum())
        _, n_heads, _, d = query.shape
        n_products = n_blocks * math.prod(allowed.BLOCK_SIZE) * n_heads * d
        counted += 4 * n_products
        groups = n_heads // key.shape[1]
        mixed = query + key.repeat_interleave(groups, 1) + value.repeat_interleave(groups, 1)

        def count_backward(gradient: Tensor) -> None:
            nonlocal counted
            counted += 10 * n_products

        if mixed.requires_grad:
            mixed.register_hook(count_backward)
        return mixed.transpose(1, 2).contiguous()

    with (
        patch.object(attention, "fused", stand_in),
        FlopCounterMode(display=False) as counter,
    ):
        n = work()
    return (counter.get_total_flops() + counted) / n / 1e12


def significant(value: float) -> float:
    """Four digits: timings hold no more."""
    return float(f"{value:.4g}")


def matmul_tflops(device: torch.device, size: int = 8192, repeats: int = 20) -> float:
    """Rate of a plain bfloat16 matrix product: the ceiling of this card, now."""
    size, repeats = (size, repeats) if device.type == "cuda" else (256, 2)
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        left @ right
    _wait(device)
    started = time.perf_counter()
    for _ in range(repeats):
        left @ right
    _wait(device)
    return repeats * 2 * size**3 / (time.perf_counter() - started) / 1e12


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
