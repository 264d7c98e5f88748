"""The rate that a curve follows, the line that a log shows of it, and its file while it grows."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

CURVE = "curve.parquet"  # of a finished run
GROWING = "curve.jsonl"  # of a run at work: a row is added at each step


def cosine_with_warmup(step: int, n_warmup: int, n_steps: int) -> float:
    """Share of the peak learning rate: a linear rise, then half a cosine to zero."""
    if step < n_warmup:
        return (step + 1) / n_warmup
    progress = (step - n_warmup) / max(1, n_steps - n_warmup)
    return 0.5 * (1 + math.cos(math.pi * progress))


def log_line(row: Mapping[str, Any]) -> str:
    """One line in the seed's log format, from a row of the curve."""
    return (
        f"Ep{row['epoch']} Step{row['step']} | Batch{row['examples']}/{row['n_examples']} | "
        f"Loss{row['loss']:.4f} | Dist{row['distillation']:.4f} | Sup{row['supervision']:.4f} | "
        f"Beta{row['beta']:.2f} | Conf{row['confidence']:.2f} | LR{row['learning_rate']:.2e} | "
        f"NaN{row['nan_count']} | {row['examples_per_s']:.1f}it/s | ETA{row['eta_s'] / 3600:.1f}h"
    )


def append_row(folder: Path, row: Mapping[str, Any]) -> None:
    """Add a step to the growing curve, for whoever watches; a number that is none becomes null."""
    numbers = {key: None if value != value else value for key, value in row.items()}
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / GROWING).open("a", encoding="utf-8") as file:
        file.write(json.dumps(numbers) + "\n")


def read_curve(folder: Path) -> tuple[pd.DataFrame, bool]:
    """(the curve of a run so far, is the run finished); an empty frame before its first step.

    A run that went on from a checkpoint wrote some steps twice: the later row counts. A line that is
    only half there yet is left for the next time.
    """
    if (folder / CURVE).is_file():
        return pd.read_parquet(folder / CURVE), True
    if not (folder / GROWING).is_file():
        return pd.DataFrame(), False
    lines = (folder / GROWING).read_text(encoding="utf-8").splitlines(keepends=True)
    rows = [json.loads(line) for line in lines if line.endswith("\n")]
    by_step = {row["step"]: row for row in rows}
    return pd.DataFrame([by_step[step] for step in sorted(by_step)]), False
