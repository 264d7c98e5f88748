"""A run's history: the numbers of a step, its learning rate, its log line, and the curve on disk."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd
from accelerate.utils import gather_object

from seednb.core.devices import HostCopy

CURVE = "curve.parquet"  # of a finished run
GROWING = "curve.jsonl"  # of an unfinished run: a row is added at each step


@dataclass(frozen=True)
class StepResult:
    """The numbers of one step; they arrive from the device while the next step is queued."""

    figures: list[dict[str, HostCopy]]  # of each micro-batch: one number an example
    n_skipped: int  # micro-batches of this process whose loss was not finite
    gradient_norm: HostCopy  # before clipping
    learning_rate: float
    n_history: int  # confidences that were remembered by then

    def row(self, nan_count: int) -> dict[str, Any]:
        """The step's row of the curve: means over the examples of all processes; awaits the device.

        `nan_count` is the number of micro-batches that were skipped before this step.
        """
        own = [{k: v.values.tolist() for k, v in each.items()} for each in self.figures]
        every = gather_object(own)
        numbers = {key: [n for each in every for n in each.get(key, ())] for key in every[0]}
        return {key: fmean(values) for key, values in numbers.items()} | {
            "beta_low": min(numbers["beta"]),
            "beta_high": max(numbers["beta"]),
            "learning_rate": self.learning_rate,
            "gradient_norm": float(self.gradient_norm.values),
            "nan_count": nan_count + sum(gather_object([self.n_skipped])),
            "history": self.n_history,
        }


def cosine_with_warmup(step: int, n_warmup: int, n_steps: int) -> float:
    """Share of the peak learning rate: a linear rise, then half a cosine to zero.

    transformers' schedule of that name has rate 0 in its first step, which then teaches nothing.
    """
    if step < n_warmup:
        return (step + 1) / n_warmup
    progress = (step - n_warmup) / max(1, n_steps - n_warmup)
    return 0.5 * (1 + math.cos(math.pi * progress))


def log_line(row: Mapping[str, Any]) -> str:
    """One line in the log format of the reproduction, from a row of the curve."""
    return (
        f"Ep{row['epoch']} Step{row['step']} | Batch{row['examples']}/{row['n_examples']} | "
        f"Loss{row['loss']:.4f} | Dist{row['distillation']:.4f} | Sup{row['supervision']:.4f} | "
        f"Beta{row['beta']:.2f} | Conf{row['confidence']:.2f} | LR{row['learning_rate']:.2e} | "
        f"NaN{row['nan_count']} | {row['examples_per_s']:.1f}it/s | ETA{row['eta_s'] / 3600:.1f}h"
    )


def append_row(folder: Path, row: Mapping[str, Any]) -> None:
    """Add a step to the growing curve; NaN becomes null."""
    numbers = {key: None if value != value else value for key, value in row.items()}
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / GROWING).open("a", encoding="utf-8") as file:
        file.write(json.dumps(numbers) + "\n")


def read_curve(folder: Path) -> tuple[pd.DataFrame, bool]:
    """(the curve of a run so far, is the run finished); an empty frame before its first step.

    A resumed run wrote some steps twice: the later row counts. A line that is not complete yet is
    left out.
    """
    if (folder / CURVE).is_file():
        return pd.read_parquet(folder / CURVE), True
    if not (folder / GROWING).is_file():
        return pd.DataFrame(), False
    lines = (folder / GROWING).read_text(encoding="utf-8").splitlines(keepends=True)
    rows = [json.loads(line) for line in lines if line.endswith("\n")]
    by_step = {row["step"]: row for row in rows}
    return pd.DataFrame([by_step[step] for step in sorted(by_step)]), False
