"""What the numbers can tell: tests corrected for their number, and the images that they need."""

from collections.abc import Mapping, Sequence

import pandas as pd

from seednb.data.probes import SPLITS
from seednb.evaluation.benchmarks import pope
from seednb.evaluation.records import Answers, Record, kinds_asked
from seednb.evaluation.stats import Interval, holm, images_to_resolve, mcnemar_exact

MARKS = ((0.001, "***"), (0.01, "**"), (0.05, "*"))


def mcnemar_table(
    answers: Mapping[str, Answers], models: Sequence[str], versus: str, parser: str
) -> pd.DataFrame:
    """Exact McNemar tests of POPE accuracy, every model and split, Holm-corrected over the table.

    Probes of one image are not independent, so these p-values are a little too small; the
    intervals resample images and are not. Columns: model, split, the probes that only one of both
    has right, p, p (Holm), and stars for .05, .01 and .001 after correction.
    """
    records = {name: answers[name].probes for name in (versus, *models)}
    return _tests(records, "split", SPLITS, models, versus, parser)


def kinds_table(
    answers: Mapping[str, Answers], models: Sequence[str], versus: str, parser: str
) -> pd.DataFrame:
    """The same of the questions by kind: one image has at most one of each kind."""
    records = {name: answers[name].questions for name in (versus, *models)}
    return _tests(records, "kind", kinds_asked(answers.values()), models, versus, parser)


def _tests(
    records: Mapping[str, Sequence[Record]],
    column: str,
    parts: Sequence[str],
    models: Sequence[str],
    versus: str,
    parser: str,
) -> pd.DataFrame:
    """A test for each model and each part of the records, that is value of `column`."""
    rows: list[Record] = []
    for part in parts:
        right = {
            name: _right([row for row in asked if row[column] == part], parser)
            for name, asked in records.items()
        }
        before = right[versus]
        for model in models:
            after = right[model].reindex(before.index)
            rows.append(
                {
                    "model": model,
                    column: part,
                    f"only {versus} right": int((before & ~after).sum()),
                    "only model right": int((~before & after).sum()),
                    "p": mcnemar_exact(before, after),
                }
            )
    columns = ["model", column, f"only {versus} right", "only model right", "p"]
    table = pd.DataFrame(rows, columns=columns)
    table["p (Holm)"] = holm(table["p"])
    table["mark"] = table["p (Holm)"].map(stars)
    return table


def stars(p: float) -> str:
    """ "***" below .001, "**" below .01, "*" below .05."""
    return next((mark for limit, mark in MARKS if p < limit), "")


def resolution_table(rows: Sequence[Record], differences: Sequence[float]) -> pd.DataFrame:
    """How many images it takes to resolve some differences (fractions), from measured intervals.

    One line a metric row, which must be a paired difference: its half width with the images that it
    had, and the images at which the half width is the wanted difference.
    """
    lines = []
    for row in rows:
        measured = Interval.of(row)
        line = {
            "benchmark": row["benchmark"],
            "metric": row["metric"],
            "images": row["n"],
            "half width": 100 * (measured.high - measured.low) / 2,
        }
        for difference in differences:
            needed = images_to_resolve(measured, difference)
            line[f"images for {100 * difference:g} points"] = needed
        lines.append(line)
    return pd.DataFrame(lines)


def _right(records: Sequence[Record], parser: str) -> pd.Series:
    """Whether each question is answered rightly."""
    counts = pope.outcomes(pd.DataFrame(records).set_index(["image", "text"]), parser)
    right: pd.Series = (counts["TP"] + counts["TN"]) == 1
    return right
