"""Rows of metrics.json to read: tables and sentences, fractions in percent or points, intervals in brackets."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import pandas as pd
from IPython.display import Markdown
from pandas.io.formats.style import Styler

from seednb.evaluation.benchmarks.registry import BENCHMARKS
from seednb.evaluation.comparison import MENTIONS, THRESHOLD
from seednb.evaluation.parsers import parser_named
from seednb.evaluation.records import KINDS, Answers, kinds_asked
from seednb.evaluation.stats import COUNTED, Direction, Interval, figure_text

Row = Mapping[str, Any]
Rows = Sequence[Row]
Columns = Mapping[str, tuple[str, str | None, str]]  # heading -> benchmark, split, metric

CHAIR_COLUMNS: Columns = {
    "CHAIRi": ("chair", None, "CHAIRi"),
    "CHAIRs": ("chair", None, "CHAIRs"),
    "recall": ("chair", None, "recall"),
    "mentions": ("chair", None, "mentions"),
}
ADVERSARIAL_COLUMNS: Columns = {
    "accuracy": ("pope", "adversarial", "accuracy"),
    "F1": ("pope", "adversarial", "f1"),
    "yes ratio": ("pope", "adversarial", "yes_ratio"),
    "AUC": ("pope", "adversarial", "auc"),
}
SIDES: dict[Direction, str] = {"down": "lower with", "up": "higher with", "flat": "not told apart:"}
PLACE = ["benchmark", "split", "rule", "metric"]
LEVEL = 0.05  # of a corrected p
DIRECTIONS: dict[Direction, str] = {"down": "lower", "up": "higher", "flat": "not resolved"}


def find_interval(
    rows: Rows,
    model: str,
    versus: str | None,
    benchmark: str,
    metric: str,
    split: str | None = None,
) -> Interval | None:
    """The first row with these names that has an interval; None if there is none."""
    intervals = map(Interval.of, _named(rows, model, versus, benchmark, metric, split))
    return next((interval for interval in intervals if interval.is_defined), None)


def metric_table(
    rows: Rows, columns: Columns, versus: str | None, models: Sequence[str] = ()
) -> pd.DataFrame:
    """One row a model, one column a metric: levels (`versus` None) or paired differences.

    Models that have none of the metrics are left out.
    """
    chosen = [row for row in rows if row["versus"] == versus]
    texts = {
        (row["model"], row["benchmark"], row["split"], row["metric"]): interval_text(
            row, signed=versus is not None
        )
        for row in chosen
    }
    names = list(dict.fromkeys(models or [row["model"] for row in chosen]))
    cells = {
        heading: [texts.get((name, *place)) for name in names] for heading, place in columns.items()
    }
    table = pd.DataFrame(cells, index=names, dtype=object).dropna(how="all")
    return table.fillna("–").rename_axis("model")


def reading(rows: Rows, columns: Columns, model: str, versus: str) -> str:
    """A row of differences in words: "v6 against v5: CHAIRi lower (−1.2 [−1.9, −0.5])."."""
    words = []
    for heading, (benchmark, split, metric) in columns.items():
        for row in _named(rows, model, versus, benchmark, metric, split):
            found = Interval.of(row)
            way = DIRECTIONS[found.direction] if found.is_defined else "unknown"
            words.append(f"{heading} {way} ({found.text(metric, signed=True)}{_unit(metric)})")
    return f"{model} against {versus}: {', '.join(words) or 'not compared'}."


def ladder(rows: Rows, columns: Columns, models: Sequence[str]) -> pd.DataFrame:
    """Each model's difference to the one before it: columns step, model (the metric), value, low, high."""
    steps = [
        {"step": f"{before} → {after}", "model": heading, **asdict(found)}
        for before, after in pairwise(models)
        for heading, (benchmark, split, metric) in columns.items()
        if (found := find_interval(rows, after, before, benchmark, metric, split))
    ]
    return pd.DataFrame(steps, columns=["step", "model", "value", "low", "high"])


def spread(rows: Rows, columns: Columns, models: Sequence[str], versus: str) -> str:
    """Differences of several models, lowest to highest: "CHAIRi +3.1 to +3.4 points, …"."""
    words = []
    for heading, (benchmark, split, metric) in columns.items():
        found = [
            row["value"]
            for model in models
            for row in _named(rows, model, versus, benchmark, metric, split)
            if row["value"] is not None
        ]
        if found:
            ends = (figure_text(end, metric, signed=True) for end in (min(found), max(found)))
            words.append(f"{heading} {' to '.join(dict.fromkeys(ends))}{_unit(metric)}")
    return ", ".join(words) or "not compared"


def sides(rows: Rows, columns: Columns, models: Sequence[str], versus: str) -> str:
    """Which models differ from another: "CHAIRi: higher with a, b; not told apart: c.", a sentence a column.

    Of names with a slash the last part is shown.
    """
    sentences = []
    for heading, (benchmark, split, metric) in columns.items():
        found: dict[Direction, list[str]] = {"down": [], "up": [], "flat": []}
        for model in models:
            for row in _named(rows, model, versus, benchmark, metric, split):
                found[Interval.of(row).direction].append(model.rpartition("/")[2])
        words = [f"{SIDES[way]} {', '.join(names)}" for way, names in found.items() if names]
        sentences.append(f"{heading}: {'; '.join(words) or 'not compared'}.")
    return " ".join(sentences)


def mcnemar_reading(table: pd.DataFrame, model: str, part: str) -> str:
    """A table of McNemar tests in words; `part` is its column of splits or of kinds of question."""
    is_resolved = table["p (Holm)"] < LEVEL
    is_better = (
        table["only model right"] > table[table.columns[2]]
    )  # the rows only the other has right
    ways = {
        "more often right": is_resolved & is_better,
        "less often right": is_resolved & ~is_better,
        "not told apart": ~is_resolved,
    }
    words = [
        f"{way} on {', '.join(names)}"
        for way, chosen in ways.items()
        if len(names := table.loc[chosen & (table["model"] == model), part])
    ]
    return (
        f"{is_resolved.sum()} of {len(table)} tests stay below {LEVEL:g} after the correction. "
        f"{model} is {'; '.join(words) or 'in none of them'}."
    )


def headlines(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that papers print; all splits of MME's tasks, question types and so on are left out."""
    return [row for row in rows if BENCHMARKS[row["benchmark"]].headline.has(row)]


def level_table(rows: Rows) -> pd.DataFrame:
    """One line a figure, one column a model: percent with intervals; mentions and MME's score as they are."""
    return _by_model(rows, versus=None)


def difference_table(rows: Rows, versus: str = "base") -> pd.DataFrame:
    """The same for paired differences, in points."""
    return _by_model(rows, versus)


def compact(rows: Rows, versus: str | None = None) -> pd.DataFrame:
    """For a page: benchmark, split and rule in one column; a benchmark's control is `control`.

    Levels, or differences to `versus`.
    """
    wide = _by_model([{**row, "model": _short(row["model"])} for row in rows], versus)
    wide["benchmark"] = [
        f"{' '.join(filter(None, (benchmark, split)))} ({rule})"
        for benchmark, split, rule in wide[["benchmark", "split", "rule"]].itertuples(index=False)
    ]
    return wide.drop(columns=["split", "rule"])


def columns(rows: Rows, metric: str) -> dict[str, tuple[str, str | None, str]]:
    """Columns of a metric table: the same metric of each kind of question that the rows hold."""
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
    first, *_ = answers.values()
    rows = [
        {"kind": row["kind"], "question": row["text"], "truth": row["label"].capitalize()}
        | ({"typical": row["typical"].capitalize()} if "typical" in row else {})
        | {name: each.questions[number]["answer"] for name, each in answers.items()}
        for number, row in enumerate(first.questions)
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
    rows = []
    for kind in kinds_asked(answers.values()):
        for model in models:
            asked = [r for r in answers[model].questions if r["kind"] == kind and "typical" in r]
            wrong = [r for r in asked if read(r["answer"]) != r["label"]]
            typical = sum(read(r["answer"]) == r["typical"] for r in wrong)
            share = 100 * typical / len(wrong) if wrong else None
            rows.append((kind, model, len(asked), len(wrong), share))
    return pd.DataFrame(
        rows, columns=["kind", "model", "questions", "wrong", "typical, % of wrong"]
    )


def interval_text(row: Row, signed: bool) -> str:
    """ "−2.9 [−3.4, −2.5]" in points; mentions stay mentions a caption."""
    return Interval.of(row).text(row["metric"], signed)


def prose(*sentences: str) -> Markdown:
    """Computed sentences as one paragraph of a chapter's prose, instead of lines of a log.

    What stands in the sentences is Markdown: `**bold**`, `` `code` ``; empty ones are left out.
    """
    return Markdown(" ".join(filter(None, sentences)))


def bullets(*sentences: str) -> Markdown:
    """The same as a list, for what a chapter has found."""
    return Markdown("\n".join(f"- {sentence}" for sentence in filter(None, sentences)))


def readable(frame: pd.DataFrame, formats: Any = None) -> Styler:
    """A frame for reading: no row numbers, text escaped and never cut; `formats` by column."""
    return frame.style.hide(axis="index").format(formats, escape="html", na_rep="–")


def as_command(text: str) -> str:
    """An escaped command line as HTML that breaks between words only, never after a hyphen."""
    words = (f'<span style="white-space: nowrap">{word}</span>' for word in text.split())
    return f"<code>{' '.join(words)}</code>"


def as_text(frame: pd.DataFrame) -> str:
    """A table for the terminal."""
    return frame.to_string(index=False)


def _unit(metric: str) -> str:
    """ " points" of a difference of fractions; counts have none."""
    return "" if metric in COUNTED else " points"


def _named(
    rows: Rows, model: str, versus: str | None, benchmark: str, metric: str, split: str | None
) -> list[Row]:
    """The rows with these names, of every variant."""
    names = {
        "model": model,
        "versus": versus,
        "benchmark": benchmark,
        "metric": metric,
        "split": split,
    }
    return [row for row in rows if all(row.get(name) == names[name] for name in names)]


def _by_model(rows: Rows, versus: str | None) -> pd.DataFrame:
    """One line a figure of the rows against `versus`, one column a model."""
    chosen = [row for row in rows if row["versus"] == versus]
    if not chosen:
        return pd.DataFrame(columns=PLACE)
    frame = pd.DataFrame(chosen).rename(columns={"variant": "rule"}).fillna({"split": ""})
    frame["text"] = [interval_text(row, signed=versus is not None) for row in chosen]
    wide = frame.pivot_table(
        index=PLACE, columns="model", values="text", aggfunc="first", sort=False
    )
    return wide[frame["model"].unique()].fillna("–").rename_axis(columns=None).reset_index()


def _short(model: str) -> str:
    """`control` for the name of a benchmark's control, whatever follows it kept."""
    control = next((name for name in (THRESHOLD, MENTIONS) if model.startswith(name)), None)
    return f"control{model.removeprefix(control)}" if control else model
