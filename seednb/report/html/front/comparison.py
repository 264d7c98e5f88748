"""Two finished reports side by side, and the page that lists all reports."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seednb.evaluation.stats import Interval, figure_text
from seednb.report.html.front.overview import forest_plot, overview_table
from seednb.report.html.page import write_page
from seednb.report.html.runs import PAGE, ReportedRun, all_runs

NAMES = ("model", "versus", "benchmark", "split", "variant", "metric")
FOLDER = "compare"  # below reports/


@dataclass(frozen=True)
class ComparedFigure:
    """One figure in both runs; `apart` says that their 95% intervals do not touch.

    `moved` is second minus first, as text in the figure's own unit; `value` the same as a fraction.
    """

    names: tuple[str, ...]
    first: str
    second: str
    moved: str
    value: float | None
    apart: bool


def build_comparison(first: ReportedRun, second: ReportedRun, reports: Path) -> Path:
    """Write `reports/compare/FIRST--SECOND.html` and return its path."""
    runs = (first, second)
    tables = [overview_table(run.rows) for run in runs]
    every = list(pairs(first, second))
    return write_page(
        reports / FOLDER / f"{_slug(first.name)}--{_slug(second.name)}.html",
        "comparison.html.j2",
        runs=runs,
        tables=tables,
        forest=forest_plot(*tables),
        changed=list(changed_parameters(first.values, second.values)),
        pairs=every,
        apart=[pair for pair in every if pair.apart],
        n_only=[_n_only(first, second), _n_only(second, first)],
    )


def pairs(first: ReportedRun, second: ReportedRun) -> Iterator[ComparedFigure]:
    """Every figure that both runs hold, in the first one's order."""
    others = {_key(row): row for row in second.rows}
    for row in first.rows:
        other = others.get(_key(row))
        if other is not None:
            yield _pair(row, other)


def changed_parameters(
    first: Mapping[str, Any], second: Mapping[str, Any]
) -> Iterator[tuple[str, str, str]]:
    """(name, first value, second value) of each parameter that differs."""
    for name in sorted(first.keys() | second.keys()):
        values = [str(each.get(name, "–")) for each in (first, second)]
        if values[0] != values[1]:
            yield name, values[0], values[1]


def _pair(row: Mapping[str, Any], other: Mapping[str, Any]) -> ComparedFigure:
    a, b = Interval.of(row), Interval.of(other)
    names = tuple(str(row.get(name) or "") for name in NAMES)
    both = a.is_defined and b.is_defined
    value = b.value - a.value if both else None
    moved = figure_text(b.value - a.value, row["metric"], signed=True) if both else "–"
    apart = both and (a.high < b.low or b.high < a.low)
    first, second = (each.text(row["metric"], row["versus"] is not None) for each in (a, b))
    return ComparedFigure(names, first, second, moved, value, apart)


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row.get(name) for name in NAMES)


def _n_only(run: ReportedRun, other: ReportedRun) -> int:
    """How many figures of one run the other lacks."""
    return len({_key(row) for row in run.rows} - {_key(row) for row in other.rows})


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-")


def write_index(reports: Path) -> Path:
    """Write `reports/index.html`, with a line for every report and comparison; return its path."""
    runs = all_runs(reports)
    pages = sorted((reports / FOLDER).glob("*.html"))
    return write_page(
        reports / PAGE,
        "listing.html.j2",
        runs=runs,
        n_images={run.name: overview_table(run.rows).n_images for run in runs},
        addresses={run.name: f"{run.folder.name}/{PAGE}" for run in runs},
        comparisons={page.stem.replace("--", " and "): f"{FOLDER}/{page.name}" for page in pages},
    )
