"""The first screen's table and forest plot: what to draw and where, no HTML."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.ticker import MaxNLocator

from seednb.evaluation.stats import Interval, figure_text
from seednb.method.recipes import CONTROLS, REPORTED
from seednb.report.formatting import find_change

Rows = Sequence[Mapping[str, Any]]
Mark = Literal["better", "worse", "open", ""]

GROUPS = {
    "SEED, by version": tuple(recipe.name for recipe in REPORTED),
    "Controls": (*(recipe.name for recipe in CONTROLS), "contrastive", "mention_control"),
    "Truthful labels": ("sft_truthful", "v7_truthful"),
}
GLOSSES = {
    "v4 … v7": "the seed’s versions; v7 is the final recipe",
    "sft": "v7’s adapter trained by supervision alone",
    "distill_only": "v7’s adapter trained by distillation alone",
    "contrastive": "the base model decoded from purified logits, without training",
    "mention_control": "the base model made to mention as many objects as v7",
    "… truthful": "trained on labels built from the annotations, which do not invent",
}
PAIR_GAP = 13.0  # between the lines of one model's runs


@dataclass(frozen=True)
class Column:
    """A metric of the table and which way is good."""

    title: str
    subtitle: str
    benchmark: str
    metric: str
    split: str | None
    better: Literal["lower", "higher"]


COLUMNS = (
    Column("CHAIRi", "captions", "chair", "CHAIRi", None, "lower"),
    Column("Recall", "captions", "chair", "recall", None, "higher"),
    Column("Accuracy", "POPE adversarial", "pope", "accuracy", "adversarial", "higher"),
    Column("AUC", "POPE adversarial", "pope", "auc", "adversarial", "higher"),
)


@dataclass(frozen=True)
class ChangeCell:
    """A difference and whether its interval says better, worse, or neither."""

    change: Interval | None
    mark: Mark


@dataclass(frozen=True)
class TableRow:
    """One model's differences to the base model."""

    model: str
    cells: tuple[ChangeCell, ...]


@dataclass(frozen=True)
class Table:
    """Groups of rows, the base model's levels in percent, and the models without any numbers."""

    columns: tuple[Column, ...]
    base: tuple[str, ...]
    groups: Mapping[str, tuple[TableRow, ...]]
    missing: tuple[str, ...]
    n_images: int


@dataclass(frozen=True)
class Forest:
    """Positions of a forest plot inside a box of `width` x `height` units."""

    width: float
    height: float
    left: float
    zero: float
    bottom: float
    ticks: tuple[tuple[float, str], ...]
    rows: tuple["ForestRow", ...]


@dataclass(frozen=True)
class ForestRow:
    """One interval: its line's height, the three abscissas, and the text beside it.

    `series`: which of the tables it comes from; a model's name stands beside its first.
    """

    model: str
    series: int
    name_y: float | None
    change: Interval
    mark: Mark
    y: float
    low: float
    value: float
    high: float


def overview_table(metrics: Rows) -> Table:
    """Differences of every known model to the base model in the four columns."""
    ran = {row.get("model") for row in metrics}
    groups = {
        title: tuple(_table_row(metrics, model) for model in models if model in ran)
        for title, models in GROUPS.items()
    }
    sizes = [find_change(metrics, "base", None, "chair", "CHAIRi")]
    return Table(
        columns=COLUMNS,
        base=tuple(_level(metrics, column) for column in COLUMNS),
        groups={title: rows for title, rows in groups.items() if rows},
        missing=tuple(model for models in GROUPS.values() for model in models if model not in ran),
        n_images=max((size.n for size in sizes if size), default=0),
    )


def forest_plot(*tables: Table) -> Forest | None:
    """Geometry of the first column's differences, of one run or of several; None if there are none."""
    width, left, right, top, step = 420.0, 122.0, 10.0, 8.0, 37.0
    found = [
        (row.model, series, row.cells[0])
        for series, table in enumerate(tables)
        for rows in table.groups.values()
        for row in rows
        if row.cells[0].change
    ]
    if not found:
        return None
    models = list(dict.fromkeys(model for model, _, _ in found))
    changes = [(model, series, cell.change, cell.mark) for model, series, cell in found]
    ends = [100 * end for _, _, c, _ in changes if c for end in (c.low, c.high)]
    margin = 0.04 * (max(*ends, 0) - min(*ends, 0)) or 1.0
    low, high = min(*ends, 0) - margin, max(*ends, 0) + margin
    scale = (width - left - right) / (high - low)

    def x(points: float) -> float:
        return round(left + (points - low) * scale, 1)

    ticks = MaxNLocator(nbins=7, steps=[1, 2, 5, 10]).tick_values(low, high)
    inside = [float(tick) for tick in ticks if low <= tick <= high]
    named: set[str] = set()
    rows = []
    for model, series, change, mark in changes:
        assert change is not None
        middle = top + step * (models.index(model) + 0.5)
        rows.append(
            ForestRow(
                model=model,
                series=series,
                name_y=None if model in named else middle + 4.5,
                change=change,
                mark=mark,
                y=middle + PAIR_GAP * (series - (len(tables) - 1) / 2),
                low=x(100 * change.low),
                value=x(100 * change.value),
                high=x(100 * change.high),
            )
        )
        named.add(model)
    bottom = top + step * len(models)
    labels = tuple((x(tick), f"{tick:g}".replace("-", "\u2212")) for tick in inside)
    return Forest(width, bottom + 46, left, x(0), bottom, labels, tuple(rows))


def _table_row(metrics: Rows, model: str) -> TableRow:
    return TableRow(model, tuple(_cells(metrics, model)))


def _cells(metrics: Rows, model: str) -> Iterator[ChangeCell]:
    for column in COLUMNS:
        names = (column.benchmark, column.metric, column.split)
        change = find_change(metrics, model, "base", *names)
        yield ChangeCell(change, _mark(change, column))


def _mark(change: Interval | None, column: Column) -> Mark:
    if change is None:
        return ""
    if change.direction == "flat":
        return "open"
    return "better" if (change.direction == "up") == (column.better == "higher") else "worse"


def _level(metrics: Rows, column: Column) -> str:
    level = find_change(metrics, "base", None, column.benchmark, column.metric, column.split)
    return figure_text(level.value) if level else "–"
