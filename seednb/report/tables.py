"""Metric rows as tables that people read: points instead of fractions, intervals in brackets."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from seednb.evaluation.benchmarks.registry import BENCHMARKS
from seednb.evaluation.comparison import MENTIONS, THRESHOLD
from seednb.evaluation.parsers import parser_named
from seednb.evaluation.records import KINDS, Answers, kinds_asked
from seednb.evaluation.stats import Interval

Row = dict[str, Any]
PLACE = ["benchmark", "split", "rule", "metric"]
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


def columns(rows: Sequence[Row], metric: str) -> dict[str, tuple[str, str | None, str]]:
    """Columns of a metric table: the same metric of each kind that the rows hold."""
    found = dict.fromkeys(row["split"] for row in rows if row["benchmark"] == KINDS)
    return {kind: (KINDS, kind, metric) for kind in found}


def telling_image(answers: Mapping[str, Answers], model: str, parser: str) -> str | None:
    """File name of the image that is asked about in every kind and answered worst by a model.

    None if no image has a question of every kind.
    """
    read = parser_named(parser)
    kinds = kinds_asked(answers.values())
    asked: dict[str, set[str]] = {}
    wrong: Counter[str] = Counter()
    for row in answers[model].questions:
        asked.setdefault(row["image"], set()).add(row["kind"])
        wrong[row["image"]] += read(row["answer"]) != row["label"]
    whole = [image for image, found in asked.items() if kinds and found >= set(kinds)]
    return max(whole, key=wrong.__getitem__, default=None)


def questions_about(answers: Mapping[str, Answers], image: str | None) -> pd.DataFrame:
    """An image's questions with the truth, what is typical, and what each model answers."""
    first, *_ = answers
    rows = [
        {"kind": row["kind"], "question": row["text"], "truth": row["label"].capitalize()}
        | ({"typical": row["typical"].capitalize()} if "typical" in row else {})
        | {name: each.questions[number]["answer"] for name, each in answers.items()}
        for number, row in enumerate(answers[first].questions)
        if row["image"] == image
    ]
    return pd.DataFrame(rows)


def typical_errors(
    answers: Mapping[str, Answers], models: Sequence[str], parser: str
) -> pd.DataFrame:
    """By model and kind: wrong answers, and the share of them that tells what is typical.

    Questions that carry no typical answer do not count; without any, the frame is empty.
    """
    read = parser_named(parser)
    columns = ["kind", "model", "questions", "wrong", "typical, % of wrong"]
    rows = []
    for kind in kinds_asked(answers.values()):
        for model in models:
            asked = [r for r in answers[model].questions if r["kind"] == kind and "typical" in r]
            wrong = [r for r in asked if read(r["answer"]) != r["label"]]
            typical = sum(read(r["answer"]) == r["typical"] for r in wrong)
            share = 100 * typical / len(wrong) if wrong else None
            rows.append((kind, model, len(asked), len(wrong), share))
    return pd.DataFrame(rows, columns=columns)


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
