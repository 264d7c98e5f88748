"""A sweep's tables: one row a cell and metric, and the same over seeds; read, and turned round."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from seednb.artifacts import digest, write_frame, write_text
from seednb.config import EvaluationParams
from seednb.errors import SeedError
from seednb.experiments.experiment import Experiment
from seednb.metrics import chair, pope
from seednb.metrics.probes import SPLITS
from seednb.preparation import Prepared
from seednb.scoring import KINDS, Answers, kinds_asked
from seednb.stats import Interval, Resampled, over_seeds, resample, resample_auc
from seednb.sweep_file import Cell, Sweep

Row = dict[str, Any]
Statistics = Mapping[str, Callable[[Any], Any]]
RESULTS, OVER_SEEDS = "results", "over_seeds"


def cell_rows(cell: Cell, lab: Experiment) -> list[Row]:
    """A finished cell's rows as in metrics.json, behind the cell's number, seed and parameters.

    The version's levels and, unless it is the base model, its paired differences to that.
    """
    rows = lab.metrics([cell.version] if cell.version == "base" else ["base", cell.version])
    wanted = [
        row for row in rows if row["model"] == cell.version and row["versus"] in (None, "base")
    ]
    return [{"cell": cell.number, "seed": cell.seed, **varied(cell)} | row for row in wanted]


def varied(cell: Cell) -> Row:
    """The grid's parameters as columns; `model` would hide the row's own, so it is `checkpoint`."""
    columns = {"model": "checkpoint"}
    return {
        columns.get(name, name): str(value) if isinstance(value, list) else value
        for name, value in cell.varied.items()
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


def read(folder: Path | str, over_seeds: bool = False) -> pd.DataFrame:
    """The table of a sweep, from its folder or from either file of it.

    One row a cell and metric; with `over_seeds`, one a combination of parameters, with intervals
    over seeds and pictures.
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
    """One metric of a table turned round: parameters down and, if named, across.

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


def _over_seeds(finished: Sequence[Cell], labs: Mapping[int, Experiment]) -> Iterator[Row]:
    """Rows over the seeds of each combination; data that cells share is prepared once."""
    prepared: dict[str, Prepared] = {}
    groups: dict[str, list[Cell]] = {}
    for cell in finished:
        groups.setdefault(digest([cell.version, cell.varied]), []).append(cell)
    for cells in groups.values():
        lab, version = labs[cells[0].number], cells[0].version
        key = digest([lab.stages.training_data, lab.stages.validation_data])
        if key not in prepared:
            prepared[key] = lab.data
        runs = [labs[cell.number].answers(version) for cell in cells]
        base = None if version == "base" else lab.answers("base")
        label = varied(cells[0]) | {"seeds": len(cells), "model": version}
        for row in _rows(runs, base, prepared[key], lab.params.evaluation):
            yield label | row


def _rows(
    runs: Sequence[Answers], base: Answers | None, data: Prepared, params: EvaluationParams
) -> Iterator[Row]:
    """Levels, and differences to the base model, of trainings that differ in their seed."""
    asked = [*runs, base] if base else [*runs]
    settings = (params.resamples, params.bootstrap_seed)

    def figures(label: Row, metric: str, measured: list[Resampled]) -> Iterator[Row]:
        """`measured`: the runs' and, if it was asked, the base model's after them."""
        trained = measured[: len(runs)]
        for versus, against in [(None, None), *(("base", each) for each in measured[len(runs) :])]:
            found = over_seeds(trained, against, params.bootstrap_seed)
            yield {"versus": versus, **label, "metric": metric, **_figures(found)}

    def ratios(label: Row, sums: list[pd.DataFrame], statistics: Statistics) -> Iterator[Row]:
        for metric, statistic in statistics.items():
            yield from figures(label, metric, [resample(s, statistic, *settings) for s in sums])

    label: Row = {"benchmark": "chair", "split": None, "variant": params.chair_variant}
    counts = (
        chair.count(each.captions, data.present, data.vocabulary, params.chair_variant)
        for each in asked
    )
    yield from ratios(label, [*map(chair.per_image_sums, counts)], chair.STATISTICS)
    if not all(each.probes for each in asked):
        return  # the mention control answers no probes
    half = (params.resamples // 2, params.bootstrap_seed)  # as in the report
    probes, questions = [each.probes for each in asked], [each.questions for each in asked]
    kinds = kinds_asked({str(number): each for number, each in enumerate(asked)})
    parts = [("pope", "split", split, probes) for split in SPLITS]
    parts += [(KINDS, "kind", kind, questions) for kind in kinds]
    for benchmark, column, part, records in parts:
        label = {"benchmark": benchmark, "split": part, "variant": params.pope_parser}
        frames = [pd.DataFrame([row for row in rows if row[column] == part]) for rows in records]
        sums = [pope.per_image_sums(frame, params.pope_parser) for frame in frames]
        yield from ratios(label, sums, pope.STATISTICS)
        areas = [resample_auc(f["margin"], f["label"] == "yes", f["image"], *half) for f in frames]
        yield from figures(label, "auc", areas)


def _figures(found: Interval) -> Row:
    return {"value": found.value, "low": found.low, "high": found.high, "n": found.n}
