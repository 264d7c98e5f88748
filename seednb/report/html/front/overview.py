"""The first screen's table and forest plot: what to draw and where, no HTML."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from matplotlib.ticker import MaxNLocator

from seednb.evaluation.stats import MINUS, Interval, figure_text
from seednb.method.recipes import CONTROLS, REPORTED
from seednb.report.tables import Rows, find_interval

Mark = Literal["better", "worse", "open", ""]

GROUPS = {
    "SEED, by version": tuple(recipe.name for recipe in REPORTED),
    "Controls": (*(recipe.name for recipe in CONTROLS), "contrastive", "mention_control"),
    "Truthful labels": ("sft_truthful", "v7_truthful"),
}
GLOSSES = {
    "v4 … v7": "the reproduction’s versions; v7 is the final recipe",
    "sft": "v7’s adapter trained by supervision alone",
    "distill_only": "v7’s adapter trained by distillation alone",
    "contrastive": "the base model decoded from purified logits, without training",
    "mention_control": "the base model made to mention as many objects as v7",
    "… truthful": "trained on labels built from the annotations, which do not invent",
}
# Units of the forest plot: its box, the space around the intervals, and between lines.
WIDTH, LEFT, RIGHT, TOP, STEP = 420.0, 122.0, 10.0, 8.0, 37.0
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
class Table:
    """Differences of each group's models, the base model's levels in percent, and what is missing.

    `groups`: title -> model -> one cell a column; `missing`: models without any numbers.
    """

    columns: tuple[Column, ...]
    base: tuple[str, ...]
    groups: Mapping[str, Mapping[str, tuple[ChangeCell, ...]]]
    missing: tuple[str, ...]
    n_images: int


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


@dataclass(frozen=True)
class Forest:
    """Positions of a forest plot inside a box of `width` x `height` units."""

    width: float
    height: float
    left: float
    zero: float
    bottom: float
    ticks: tuple[tuple[float, str], ...]
    rows: tuple[ForestRow, ...]


def overview_table(metrics: Rows) -> Table:
    """Differences of every known model to the base model in the four columns."""
    ran = {row.get("model") for row in metrics}
    groups = {
        title: {model: _cells(metrics, model) for model in models if model in ran}
        for title, models in GROUPS.items()
    }
    chair_i = find_interval(metrics, "base", None, "chair", "CHAIRi")
    return Table(
        columns=COLUMNS,
        base=tuple(_level(metrics, column) for column in COLUMNS),
        groups={title: models for title, models in groups.items() if models},
        missing=tuple(model for models in GROUPS.values() for model in models if model not in ran),
        n_images=chair_i.n if chair_i else 0,
    )


def forest_plot(*tables: Table) -> Forest | None:
    """Geometry of the first column's differences, of one run or of several; None if there are none."""
    found = [
        (model, series, change, cells[0].mark)
        for series, table in enumerate(tables)
        for models in table.groups.values()
        for model, cells in models.items()
        if (change := cells[0].change)
    ]
    if not found:
        return None
    ends = [0.0, *(100 * end for _, _, change, _ in found for end in (change.low, change.high))]
    margin = 0.04 * (max(ends) - min(ends)) or 1.0
    low, high = min(ends) - margin, max(ends) + margin
    scale = (WIDTH - LEFT - RIGHT) / (high - low)

    def x(points: float) -> float:
        return round(LEFT + (points - low) * scale, 1)

    models = list(dict.fromkeys(model for model, *_ in found))
    named: set[str] = set()
    rows = []
    for model, series, change, mark in found:
        middle = TOP + STEP * (models.index(model) + 0.5)
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
    bottom = TOP + STEP * len(models)
    ticks = MaxNLocator(nbins=7, steps=[1, 2, 5, 10]).tick_values(low, high)
    labels = tuple((x(t), f"{t:g}".replace("-", MINUS)) for t in ticks if low <= t <= high)
    return Forest(WIDTH, bottom + 46, LEFT, x(0), bottom, labels, tuple(rows))


def _cells(metrics: Rows, model: str) -> tuple[ChangeCell, ...]:
    changes = [
        find_interval(metrics, model, "base", column.benchmark, column.metric, column.split)
        for column in COLUMNS
    ]
    return tuple(
        ChangeCell(change, _mark(change, column))
        for change, column in zip(changes, COLUMNS, strict=True)
    )


def _mark(change: Interval | None, column: Column) -> Mark:
    if change is None:
        return ""
    if change.direction == "flat":
        return "open"
    return "better" if (change.direction == "up") == (column.better == "higher") else "worse"


def _level(metrics: Rows, column: Column) -> str:
    level = find_interval(metrics, "base", None, column.benchmark, column.metric, column.split)
    return figure_text(level.value) if level else "–"
