"""The rate that a curve follows, and the line that a log shows of it."""

import math
from collections.abc import Mapping
from typing import Any


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
