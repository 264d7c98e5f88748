"""Metric rows as tables that people read: points instead of fractions, intervals in brackets."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

MINUS = "\u2212"
UNSCALED = ("mentions",)  # counts a caption, not shares
# Columns of the main tables: heading -> (benchmark, split, metric)
CHAIR_COLUMNS = {
    "CHAIRi": ("chair", None, "CHAIRi"),
    "CHAIRs": ("chair", None, "CHAIRs"),
    "recall": ("chair", None, "recall"),
    "mentions": ("chair", None, "mentions"),
}
ADVERSARIAL_COLUMNS = {
    "accuracy": ("pope", "adversarial", "accuracy"),
    "F1": ("pope", "adversarial", "f1"),
    "yes ratio": ("pope", "adversarial", "yes_ratio"),
    "AUC": ("pope", "adversarial", "auc"),
}


def interval_text(row: pd.Series, signed: bool) -> str:
    """\"−2.9 [−3.4, −2.5]\" in points; mentions stay mentions a caption."""
    if pd.isna(row["value"]):
        return "–"
    scale, digits = (1, 2) if row["metric"] in UNSCALED else (100, 1)
    sign = "+" if signed else ""
    value, low, high = (
        f"{scale * row[name]:{sign}.{digits}f}".replace("-", MINUS)
        for name in ("value", "low", "high")
    )
    return f"{value} [{low}, {high}]"


def metric_table(
    rows: Sequence[dict[str, Any]],
    columns: dict[str, tuple[str, str | None, str]],
    versus: str | None,
    models: Sequence[str] = (),
) -> pd.DataFrame:
    """One row a model, one column a metric: levels (`versus` None) or paired differences."""
    frame = pd.DataFrame(rows)
    chosen = frame[frame["versus"].isna() if versus is None else frame["versus"] == versus]
    cells = {}
    for heading, (benchmark, split, metric) in columns.items():
        same_split = chosen["split"].isna() if split is None else chosen["split"] == split
        found = chosen[
            (chosen["benchmark"] == benchmark) & same_split & (chosen["metric"] == metric)
        ]
        cells[heading] = found.set_index("model").apply(
            interval_text, axis=1, signed=versus is not None
        )
    order = [model for model in models or chosen["model"].unique() if model in set(chosen["model"])]
    return pd.DataFrame(cells).reindex(order).fillna("–").rename_axis("model")


def as_text(frame: pd.DataFrame) -> str:
    """A table for the terminal."""
    return frame.to_string(index=False)
