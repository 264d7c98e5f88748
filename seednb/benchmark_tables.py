"""Rows of published benchmarks as tables: the figures that papers print, models side by side."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from seednb.comparing import MENTIONS, THRESHOLD
from seednb.evaluation.benchmarks.registry import BENCHMARKS
from seednb.tables import interval_text

Row = dict[str, Any]
PLACE = ["benchmark", "split", "rule", "metric"]


def headlines(rows: Sequence[Row]) -> list[Row]:
    """The rows that papers print; all splits of MME's tasks, question types and so on are left out."""
    return [row for row in rows if BENCHMARKS[row["benchmark"]].headline.has(row)]


def level_table(rows: Sequence[Row]) -> pd.DataFrame:
    """One line a figure, one column a model: percent with intervals; mentions and MME's score as they are."""
    return _by_model([row for row in rows if row["versus"] is None], signed=False)


def difference_table(rows: Sequence[Row], versus: str = "base") -> pd.DataFrame:
    """The same for paired differences, in points."""
    return _by_model([row for row in rows if row["versus"] == versus], signed=True)


def compact(rows: Sequence[Row], versus: str | None = None) -> pd.DataFrame:
    """For a page: benchmark, split and rule in one column; a benchmark's control is `control`.

    Levels, or differences to `versus`.
    """
    short = [row | {"model": _short(row["model"])} for row in rows if row["versus"] == versus]
    wide = _by_model(short, signed=versus is not None)
    if wide.empty:
        return wide[["benchmark", "metric"]]
    named = [
        " ".join(filter(None, pair)) for pair in zip(wide["benchmark"], wide["split"], strict=True)
    ]
    rules = [f"{name} ({rule})" for name, rule in zip(named, wide["rule"], strict=True)]
    return wide.drop(columns=["split", "rule"]).assign(benchmark=rules)


def _short(model: str) -> str:
    return "control" + model.removeprefix(name) if (name := _control(model)) else model


def _control(model: str) -> str | None:
    return next((name for name in (THRESHOLD, MENTIONS) if model.startswith(name)), None)


def _by_model(rows: Sequence[Row], signed: bool) -> pd.DataFrame:
    if not rows:
        return pd.DataFrame(columns=PLACE)
    frame = pd.DataFrame(rows).rename(columns={"variant": "rule"})
    frame["text"] = frame.apply(interval_text, axis=1, signed=signed)
    models = list(dict.fromkeys(frame["model"]))
    frame["split"] = frame["split"].fillna("")
    wide = frame.pivot_table(
        index=PLACE, columns="model", values="text", aggfunc="first", sort=False
    )
    return wide[models].fillna("–").rename_axis(columns=None).reset_index()
