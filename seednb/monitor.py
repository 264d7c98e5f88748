"""Training-health rules: each names the failure, its evidence in the curve, and the fix."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

TAIL = 0.25  # share of the run that counts as its end


@dataclass(frozen=True)
class Finding:
    """What a rule saw."""

    failure: str
    evidence: str
    fix: str


def check(curve: pd.DataFrame) -> list[Finding]:
    """Apply every rule to a training curve; an empty list is a healthy run."""
    return [finding for rule in RULES if (finding := rule(curve)) is not None]


def as_frame(findings: list[Finding]) -> pd.DataFrame:
    """Findings as a table; one reassuring row if there are none."""
    rows = [vars(finding) for finding in findings]
    return pd.DataFrame(
        rows or [{"failure": "none", "evidence": f"{len(RULES)} rules passed", "fix": ""}]
    )


def not_finite(curve: pd.DataFrame) -> Finding | None:
    """Losses that were NaN or infinite and had to be skipped."""
    n_nan = int(curve["nan_count"].iloc[-1])
    if n_nan == 0:
        return None
    first = int(curve.loc[curve["nan_count"] > 0, "step"].iloc[0])
    return Finding(
        "loss not finite",
        f"{n_nan} losses were skipped, the first at step {first}",
        "train in bfloat16 or float32, not in 4 bits or float16; lower learning_rate",
    )


def never_purified(curve: pd.DataFrame) -> Finding | None:
    """Distillation without contrast: beta is zero throughout (the silent bug of v4)."""
    if curve["distillation"].abs().max() == 0 or curve["beta"].max() > 0:
        return None
    median = curve["distillation"].median()
    return Finding(
        "distillation signal absent",
        f"beta is 0 at all {len(curve)} steps and the median distillation loss is {median:.4f}: "
        "the target is the student's own output",
        "call purify() on clean and noisy logits of a teacher whose adapter is off (v5)",
    )


def beta_stuck(curve: pd.DataFrame) -> Finding | None:
    """One beta for every example, although confidences differ."""
    late = curve[curve["step"] > 10]
    if len(late) < 10 or late["beta"].max() == 0 or late["beta"].nunique() > 1:
        return None
    return Finding(
        "beta stuck",
        f"beta is {late['beta'].iloc[0]:.2f} at all of {len(late)} steps",
        "check that confidences enter the history (beta_window) and that beta_values differ",
    )


def no_gradient(curve: pd.DataFrame) -> Finding | None:
    """The adapter receives nothing to learn from."""
    if curve["gradient_norm"].max() > 0:
        return None
    return Finding(
        "gradient is zero",
        f"the gradient norm is 0 at all {len(curve)} steps",
        "check that the adapter is on while the student runs and that lora_scope fits the model",
    )


def diverging(curve: pd.DataFrame) -> Finding | None:
    """The supervised loss ends well above where it began."""
    n = max(1, round(TAIL * len(curve)))
    start, end = curve["supervision"].head(n).mean(), curve["supervision"].tail(n).mean()
    if end <= 1.5 * start + 0.1:
        return None
    return Finding(
        "supervised loss rises",
        f"its mean goes from {start:.2f} in the first quarter to {end:.2f} in the last",
        "lower learning_rate or distill_weight",
    )


RULES: tuple[Callable[[pd.DataFrame], Finding | None], ...] = (
    not_finite,
    never_purified,
    beta_stuck,
    no_gradient,
    diverging,
)
