"""Numbers behind the curve widgets: one or more training curves as lines in a common frame."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from matplotlib.ticker import MaxNLocator

from seednb.core.errors import SeedError
from seednb.report.widgets.face import minus
from seednb.training.monitor import Bands
from seednb.training.monitor.bands import NO_BANDS

QUANTITIES = {
    "loss": "loss (nats)",
    "distillation": "distillation (nats)",
    "supervision": "supervision (nats)",
    "beta": "beta",
    "confidence": "confidence (nats)",
    "gradient_norm": "gradient norm",
    "learning_rate": "learning rate",
}
WINDOWS = {"single steps": 1, "mean of 5 steps": 5, "mean of 20 steps": 20}
SIDE = 1000  # units of the drawing, both ways
N_POINTS = 240  # of a line; more cannot be told apart on a screen
FLAT = 1e-9  # a range below that is drawn as a line in the middle


@dataclass(frozen=True)
class RunLine:
    """One run: its path, and its last value in words."""

    name: str
    path: str
    last: str
    area: str = ""  # path around the values of a step's examples, where they are known


@dataclass(frozen=True)
class Chart:
    """A quantity of all runs. Ticks are (position in percent, label); y runs from the top.

    `band` is where the quantity lies in healthy runs: top and height in percent, and in words.
    """

    label: str
    lines: tuple[RunLine, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    reading: str
    band: tuple[float, float, str] | None = None


def quantities(curves: Mapping[str, pd.DataFrame]) -> list[str]:
    """What all the curves hold, in the order of QUANTITIES.

    Raises SeedError for a curve without steps, and if they have nothing in common.
    """
    for name, curve in curves.items():
        if "step" not in curve.columns and not curve.empty:
            raise SeedError(f"the curve of {name!r} has no column 'step'; read it with read_curve")
    filled = [set(curve.columns) for curve in curves.values() if not curve.empty]
    found = [q for q in QUANTITIES if all(q in columns for columns in filled)]
    if not found:
        raise SeedError(f"curves of {', '.join(curves)} have no quantity in common")
    return found


def chart(
    curves: Mapping[str, pd.DataFrame], quantity: str, window: int, bands: Bands = NO_BANDS
) -> Chart:
    """Running means over `window` steps, on common axes, with the healthy band if there is one.

    Of a single run's beta also the range over each step's examples.
    """
    smooth = {name: _smooth(curve, quantity, window) for name, curve in curves.items()}
    filled = [values for values in smooth.values() if len(values)]
    label = QUANTITIES[quantity]
    if not filled:
        lines = tuple(RunLine(name, "", "no step yet") for name in smooth)
        return Chart(label, lines, (), (), "No step has been taken yet.")
    ranges = _ranges(curves, quantity)
    band = [bands[quantity].low, bands[quantity].high] if quantity in bands else []
    every = pd.concat([*filled, *ranges])
    end = float(max(every.index.max(), 2))
    low, high = min(every.min(), *band, math.inf), max(every.max(), *band, -math.inf)
    if high - low < FLAT:
        low, high = low - 0.5, high + 0.5
    y_ticks = tuple((100 - place, text) for place, text in _ticks(low, high))
    area = _area([_path(edge, end, low, high) for edge in ranges])
    lines = tuple(
        RunLine(name, _path(values, end, low, high), _last(values), area)
        for name, values in smooth.items()
    )
    reading = " ".join(_sentence(name, label, smooth[name], curves[name]) for name in smooth)
    return Chart(label, lines, tuple(_ticks(1, end)), y_ticks, reading, _band(band, low, high))


def _smooth(curve: pd.DataFrame, quantity: str, window: int) -> pd.Series:
    """Values by step; a step whose value is no number is left out."""
    if curve.empty:
        return pd.Series(dtype=float)
    values = curve.set_index("step")[quantity].astype(float)
    return values[values.abs() < math.inf].rolling(window, min_periods=1).mean()


def _ranges(curves: Mapping[str, pd.DataFrame], quantity: str) -> list[pd.Series]:
    """Lowest and highest beta of each step's examples, of a single run; else nothing."""
    names = [f"{quantity}_low", f"{quantity}_high"]
    curve, *more = curves.values()
    return [] if more or not {*names} <= {*curve} else [_smooth(curve, name, 1) for name in names]


def _area(edges: list[str]) -> str:
    """A path along the lower edge and back along the upper one."""
    if not all(edges) or not edges:
        return ""
    lower, upper = (edge.removeprefix("M").split("L") for edge in edges)
    return "M" + "L".join([*lower, *reversed(upper)]) + "Z"


def _band(band: list[float], low: float, high: float) -> tuple[float, float, str] | None:
    if not band:
        return None
    top, bottom = (100 * (high - end) / (high - low) for end in reversed(band))
    words = " to ".join(minus(f"{end:.3g}") for end in band)
    return round(top, 2), round(bottom - top, 2), f"healthy runs: {words}"


def _path(values: pd.Series, end: float, low: float, high: float) -> str:
    """An SVG path through at most N_POINTS of the values, the last one always among them."""
    kept = values.iloc[:: -max(1, -(-len(values) // N_POINTS))][::-1]
    points = (
        f"{SIDE * (step - 1) / (end - 1):.0f} {SIDE * (high - value) / (high - low):.0f}"
        for step, value in zip(kept.index, kept, strict=True)
    )
    return "M" + "L".join(points) if len(kept) else ""


def _ticks(low: float, high: float) -> list[tuple[float, str]]:
    places = MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    inside = [float(tick) for tick in places if low <= tick <= high]
    return [(round(100 * (t - low) / (high - low), 2), minus(f"{t:.4g}")) for t in inside]


def _last(values: pd.Series) -> str:
    return minus(f"{values.iloc[-1]:.4g}") if len(values) else "no step yet"


def _sentence(name: str, label: str, values: pd.Series, curve: pd.DataFrame) -> str:
    """One run's line in words, with the time that it still takes."""
    if not len(values):
        return f"{name}: no step yet."
    first, last = (minus(f"{value:.4g}") for value in (values.iloc[0], values.iloc[-1]))
    sentence = f"{name}: {label} from {first} to {last} at step {values.index[-1]:g}"
    left = float(curve["eta_s"].iloc[-1]) if "eta_s" in curve else 0.0
    return f"{sentence}, {_duration(left)} left." if left > 1 else f"{sentence}."


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
