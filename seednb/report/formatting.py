"""Rows of metrics.json as figures with an interval, and their numbers as text."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from seednb.evaluation.stats import Interval, figure_text


def find_change(
    metrics: Sequence[Mapping[str, Any]],
    model: str,
    versus: str | None,
    benchmark: str,
    metric: str,
    split: str | None = None,
) -> Interval | None:
    """The row with these names as a figure, or None if there is none with an interval."""
    wanted = {
        "model": model,
        "versus": versus,
        "benchmark": benchmark,
        "metric": metric,
        "split": split,
    }
    rows = (row for row in metrics if all(row.get(name) == wanted[name] for name in wanted))
    found = (Interval.of(row) for row in rows)
    return next((interval for interval in found if interval.is_defined), None)


def as_text(row: Mapping[str, Any], name: str) -> str:
    """One number of a metrics row for reading: points or percent, or a plain count."""
    number = row.get(name)
    number = math.nan if number is None else float(number)
    return figure_text(number, row.get("metric", ""), row.get("versus") is not None)
