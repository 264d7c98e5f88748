"""A sweep's tables: one row a cell and metric, and the same over seeds; reading and pivoting them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from seednb.core.errors import SeedError
from seednb.core.files import write_frame, write_text
from seednb.core.stage import digest
from seednb.experiments.dataset import Prepared
from seednb.experiments.experiment import Experiment
from seednb.experiments.metrics import split_rows, splits_asked
from seednb.experiments.sweep.grid import Sweep
from seednb.experiments.sweep.variants import Cell

Row = dict[str, Any]
RESULTS, OVER_SEEDS = "results", "over_seeds"


def cell_rows(cell: Cell, lab: Experiment) -> list[Row]:
    """A finished cell's rows as in metrics.json, behind the cell's number, seed and parameters.

    The version's levels and, unless it is the base model, its paired differences to that.
    """
    version = cell.variant.version
    rows = lab.metrics([*dict.fromkeys(("base", version))])
    wanted = [row for row in rows if row["model"] == version and row["versus"] in (None, "base")]
    return [{"cell": cell.number, "seed": cell.seed, **varied(cell)} | row for row in wanted]


def varied(cell: Cell) -> Row:
    """The grid's parameters as columns; `model` would hide the row's own, so it is `checkpoint`."""
    columns = {"model": "checkpoint"}
    return {
        columns.get(name, name): str(value) if isinstance(value, list) else value
        for name, value in cell.variant.changes.items()
    }


def write_rows(sweep: Sweep, finished: Sequence[Cell]) -> Path:
    """Write results and over_seeds as parquet and CSV from finished cells; returns the folder."""
    labs = {cell.number: cell.open() for cell in finished}
    rows = [row for cell in finished for row in cell_rows(cell, labs[cell.number])]
    tables = {RESULTS: rows, OVER_SEEDS: [*_over_seeds(finished, labs)]}
    for name, lines in tables.items():
        frame = pd.DataFrame([row for row in lines if row["benchmark"] in sweep.benchmarks])
        if name == RESULTS:
            frame["seed"] = frame["seed"].astype("Int64")  # empty where no seed is varied
        write_frame(sweep.folder / f"{name}.parquet", frame)
        write_text(sweep.folder / f"{name}.csv", frame.to_csv(index=False))
    return sweep.folder


def _over_seeds(finished: Sequence[Cell], labs: Mapping[int, Experiment]) -> Iterator[Row]:
    """Rows over the seeds of each combination; data that cells share is prepared once."""
    prepared: dict[str, Prepared] = {}
    groups: dict[str, list[Cell]] = {}
    for cell in finished:
        groups.setdefault(cell.variant.name, []).append(cell)
    for cells in groups.values():
        lab, version = labs[cells[0].number], cells[0].variant.version
        key = digest([lab.stages.training_data, lab.stages.validation_data])
        if key not in prepared:
            prepared[key] = lab.data
        runs = {cell.seed: cell.answers(labs[cell.number]) for cell in cells}
        asked = {"base": {None: lab.answers("base")}} | {version: runs}
        pairs = [] if version == "base" else [(version, "base")]
        label = varied(cells[0]) | {"seeds": len(cells)}
        for split in splits_asked([run for each in asked.values() for run in each.values()]):
            for row in split_rows(split, asked, pairs, prepared[key], lab.params.evaluation):
                if row["model"] == version:
                    yield label | row


def read(folder: Path | str, over_seeds: bool = False) -> pd.DataFrame:
    """The table of a sweep, from its folder or from either file of it.

    One row a cell and metric; with `over_seeds`, one a combination of parameters, with intervals
    over seeds and images.
    """
    path = Path(folder)
    file = path / f"{OVER_SEEDS if over_seeds else RESULTS}.parquet" if path.is_dir() else path
    if not file.is_file():
        raise SeedError(
            f"{file} is missing; run: seednb sweep FILE, which says where its tables are"
        )
    return pd.read_csv(file) if file.suffix == ".csv" else pd.read_parquet(file)


def pivot(
    table: pd.DataFrame,
    metric: str,
    index: str | Sequence[str],
    columns: str | Sequence[str] | None = None,
    versus: str | None = "base",
    split: str | None = None,
    value: str = "value",
) -> pd.DataFrame:
    """One metric as a pivot table: parameters down and, if named, across.

    `versus` None gives levels. `split`: POPE's; needed where the metric has several. Cells that fall
    together (seeds, in the table of results) are averaged. Raises SeedError for an unknown column or
    if nothing is left.
    """
    down, across = _names(index), _names(columns)
    unknown = [name for name in (*down, *across, value) if name not in table]
    if unknown:
        raise SeedError(f"no column {', '.join(unknown)}; there are {', '.join(table.columns)}")
    same = table["versus"].isna() if versus is None else table["versus"] == versus
    chosen = table[same & (table["metric"] == metric)]
    if split is not None:
        chosen = chosen[chosen["split"] == split]
    if chosen["split"].nunique() > 1:
        raise SeedError(
            f"{metric} has several splits; name one: {', '.join(chosen['split'].unique())}"
        )
    if chosen.empty:
        raise SeedError(f"no row has metric {metric}, versus {versus} and split {split}")
    return chosen.pivot_table(value, down, across or None, aggfunc="mean", dropna=False)


def _names(columns: str | Sequence[str] | None) -> list[str]:
    return [columns] if isinstance(columns, str) else list(columns or ())
