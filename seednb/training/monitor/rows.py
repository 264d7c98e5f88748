"""Numbers out of a curve's rows; a step that lacks a number holds None or NaN there."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import pandas as pd

Row = Mapping[str, Any]


def rows_of(curve: pd.DataFrame) -> list[Row]:
    """The rows of a curve, one a step."""
    return [{str(k): v for k, v in row.items()} for row in curve.to_dict("records")]


def number(row: Row, column: str) -> float | None:
    """A finite number of a row; None where the step has none."""
    value = row.get(column)
    return None if value is None or not math.isfinite(value) else float(value)


def numbers(rows: Sequence[Row], column: str) -> list[float]:
    """The finite numbers of a column."""
    found = (number(row, column) for row in rows)
    return [value for value in found if value is not None]


def mean(rows: Sequence[Row], column: str, at_least: int = 1) -> float | None:
    """Mean of a column; None with fewer than `at_least` numbers."""
    found = numbers(rows, column)
    return fmean(found) if len(found) >= at_least else None


def supervised_weight(rows: Sequence[Row]) -> float | None:
    """The weight of supervision, recovered from what was optimised; None where it does not show.

    loss = w distillation + (1 - w) supervision at every step, so 1 - w is the slope of (loss -
    distillation) over (supervision - distillation), by least squares through the origin.
    """
    columns = ("loss", "distillation", "supervision")
    parts = [[number(row, column) for column in columns] for row in rows]
    known = [(a - b, c - b) for a, b, c in parts if None not in (a, b, c)]  # type: ignore[operator]
    square = sum(x * x for _, x in known)
    return sum(y * x for y, x in known) / square if len(known) >= 3 and square > 0 else None


def supervised_share(rows: Sequence[Row]) -> float | None:
    """Supervision's share of the loss, (1 - w) supervision / loss; None where it does not show."""
    weight, loss = supervised_weight(rows), mean(rows, "loss")
    supervision = mean(rows, "supervision")
    if weight is None or supervision is None or not loss:
        return None
    return weight * supervision / loss
