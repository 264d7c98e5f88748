"""Rows of metrics.json as typed figures, and figures as text: points, signs, brackets."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Direction = Literal["up", "flat", "down"]
MINUS = "\u2212"
PLAIN_COUNTS = ("mentions",)  # objects a caption; every other metric is a fraction


@dataclass(frozen=True)
class Change:
    """A figure with its 95% interval, as fractions; `n` is the number of images or probes."""

    value: float
    low: float
    high: float
    n: int

    @property
    def direction(self) -> Direction:
        """Where the whole interval lies; an interval that touches zero is "flat"."""
        return "down" if self.high < 0 else "up" if self.low > 0 else "flat"

    @property
    def points(self) -> str:
        """The signed value in percent points, without the unit."""
        return as_points(self.value, signed=True)

    @property
    def interval(self) -> str:
        """The interval in percent points, in brackets."""
        return f"[{as_points(self.low, signed=True)}, {as_points(self.high, signed=True)}]"


def find_change(
    metrics: Sequence[Mapping[str, Any]],
    model: str,
    versus: str | None,
    benchmark: str,
    metric: str,
    split: str | None = None,
) -> Change | None:
    """The row with these names as a figure, or None if there is none with an interval."""
    wanted = {
        "model": model,
        "versus": versus,
        "benchmark": benchmark,
        "metric": metric,
        "split": split,
    }
    for row in metrics:
        if all(row.get(name) == value for name, value in wanted.items()):
            value, low, high = (_number(row.get(name)) for name in ("value", "low", "high"))
            if not math.isnan(value + low + high):
                return Change(value, low, high, n=int(row.get("n") or 0))
    return None


def as_points(fraction: float, signed: bool) -> str:
    """A fraction in percent (points), with one digit and a typographic minus sign."""
    return _typeset(100 * fraction, signed, digits=1)


def as_text(row: Mapping[str, Any], name: str) -> str:
    """One number of a metrics row for reading: points or percent, or a plain count."""
    number = _number(row.get(name))
    if math.isnan(number):
        return "–"
    signed = row.get("versus") is not None
    if row.get("metric") in PLAIN_COUNTS:
        return _typeset(number, signed, digits=2)
    return as_points(number, signed)


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _typeset(number: float, signed: bool, digits: int) -> str:
    sign = "+" if signed and number else ""  # an exact zero has no sign
    return f"{number:{sign}.{digits}f}".replace("-", MINUS)
