"""Metric rows as tables that people read: points instead of fractions, intervals in brackets."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from seednb.stats import Interval

Row = dict[str, Any]
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


def interval_text(row: Mapping[str, Any], signed: bool) -> str:
    """ "−2.9 [−3.4, −2.5]" in points; mentions stay mentions a caption."""
    return Interval.of(row).text(row["metric"], signed)


def metric_table(
    rows: Sequence[Row],
    columns: dict[str, tuple[str, str | None, str]],
    versus: str | None,
    models: Sequence[str] = (),
) -> pd.DataFrame:
    """One row a model, one column a metric: levels (`versus` None) or paired differences.

    Models that have none of the metrics are left out.
    """
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
    table = pd.DataFrame(cells).reindex(order).dropna(how="all")
    return table.astype(object).fillna("–").rename_axis("model")


def reading(
    rows: Sequence[Row],
    columns: dict[str, tuple[str, str | None, str]],
    model: str,
    versus: str,
) -> str:
    """A row of differences in words: "v6 against v5: CHAIRi lower, recall not resolved"."""
    words = []
    for heading, (benchmark, split, metric) in columns.items():
        names: Row = {"model": model, "versus": versus, "benchmark": benchmark}
        names |= {"split": split, "metric": metric}
        for row in rows:
            if all(row[name] == value for name, value in names.items()):
                words.append(f"{heading} {_direction(row)}")
    return f"{model} against {versus}: {', '.join(words) or 'not compared'}."


def readable(frame: pd.DataFrame, formats: Any = None) -> Styler:
    """A frame for reading: no row numbers, text escaped and never cut; `formats` by column."""
    return frame.style.hide(axis="index").format(formats, escape="html", na_rep="–")


def as_command(text: str) -> str:
    """An escaped command line as HTML that breaks between words only, never after a hyphen."""
    words = (f'<span style="white-space: nowrap">{word}</span>' for word in text.split())
    return f"<code>{' '.join(words)}</code>"


def _direction(row: Row) -> str:
    found = Interval.of(row)
    words = {"down": "lower", "up": "higher", "flat": "not resolved"}
    return words[found.direction] if found.is_defined else "unknown"


def as_text(frame: pd.DataFrame) -> str:
    """A table for the terminal."""
    return frame.to_string(index=False)
