"""Ablations: variants -> rows as in metrics.json, with intervals over images and seeds."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from seednb.core.errors import SeedError
from seednb.core.files import read_json, write_json
from seednb.core.profiles import Params
from seednb.core.stage import Stage, making
from seednb.evaluation.records import Answers
from seednb.experiments.experiment import Experiment
from seednb.experiments.metrics import CAPTIONS, PROBES, split_rows
from seednb.experiments.sweep.run import log_of, run_cells
from seednb.experiments.sweep.schedule import Planned
from seednb.experiments.sweep.variants import HALVES, SPLIT, Cell, Variant
from seednb.method.recipes import RECIPES

Row = dict[str, Any]
PREFIX = "ablation/"  # of model names: short trainings are not the report's
SHORT = f"{PREFIX}v7"
BASE = f"{PREFIX}base"
AGAINST = (BASE, SHORT)
FIRST_FRESH_SEED = 1000  # added to the seeds of the confirmation
# Columns for `seednb.report.tables.metric_table`.
COLUMNS = {
    "CHAIRi": ("chair", None, "CHAIRi"),
    "recall": ("chair", None, "recall"),
    "mentions": ("chair", None, "mentions"),
    "accuracy": ("pope", SPLIT, "accuracy"),
    "AUC": ("pope", SPLIT, "auc"),
}


def measured(
    lab: Experiment,
    variants: Sequence[Variant],
    name: str,
    images: str = "search",
    whole: bool = False,
) -> tuple[list[Row], pd.DataFrame]:
    """(metric rows, costs) of variants, made or found.

    Short trainings, or with `whole` on all of the profile's pairs. Raises SeedError that names the
    cells that failed; the others are kept.
    """
    stage = rows_stage(lab, name, variants, images, whole)
    with making(stage, lab.patience_s) as is_left:
        if is_left:
            cells = cells_of(lab, variants, images, whole)
            _run(cells, lab.params.ablation.ablation_jobs, stage.folder / "logs")
            labs = [cell.open() for cell in cells]
            write_json(stage.path("rows.json"), list(_metric_rows(cells, labs, lab)))
            write_json(stage.path("costs.json"), _costs(cells, labs))
    return read_json(stage.path("rows.json")), pd.DataFrame(read_json(stage.path("costs.json")))


def rows_stage(
    lab: Experiment,
    name: str,
    variants: Sequence[Variant],
    images: str = "search",
    whole: bool = False,
) -> Stage:
    """Where the rows of some variants lie, finished or not."""
    stages, ablation = lab.stages, lab.params.values("ablation")
    ablation.pop("ablation_jobs")  # it changes the time, not the rows
    inputs = {
        "variants": [variant.__dict__ | {"changes": dict(variant.changes)} for variant in variants],
        "images": images,
        "whole": whole,
        "training": stages.training(RECIPES["v7"]),
        "data": stages.validation_data,
        "evaluation": stages.asking(contrasted=True) | stages.scoring,
        "ablation": ablation,
    }
    return Stage(lab.runs, f"rows-{name}", inputs)


def finished_rows(lab: Experiment, name: str, variants: Sequence[Variant]) -> list[Row]:
    """The rows of variants that were measured; none if they were not."""
    stage = rows_stage(lab, name, variants)
    return read_json(stage.path("rows.json")) if stage.is_finished else []


def cells_of(
    lab: Experiment,
    variants: Iterable[Variant],
    images: str = "search",
    whole: bool = False,
) -> list[Cell]:
    """Each variant with each seed; fresh images come with fresh seeds. What is not trained: once."""
    first = lab.params.train.seed + FIRST_FRESH_SEED * HALVES.index(images)
    share = 1.0 if whole else lab.params.ablation.ablation_share

    def settings(variant: Variant) -> Params:
        n_pairs = max(1, round(share * variant.data * lab.params.data.n_pairs))
        return lab.params.changed({"n_pairs": n_pairs, "caption_images": 10**9})

    planned = [
        (variant, first + number)
        for variant in variants
        for number in range(lab.params.ablation.ablation_seeds if variant.is_trained else 1)
    ]
    return [
        Cell(number, settings(variant), variant, seed, images)
        for number, (variant, seed) in enumerate(planned)
    ]


def forest(
    rows: Sequence[Row], variants: Sequence[Variant], versus: str, metric: str
) -> pd.DataFrame:
    """Differences of one metric as `plots.differences` draws them: model, value, low, high."""
    wanted = {(PREFIX + v.name, PREFIX + versus, metric): v.name for v in variants}
    found = {(row["model"], row["versus"], row["metric"]): row for row in rows}
    return pd.DataFrame(
        [
            {"model": name} | {part: found[key][part] for part in ("value", "low", "high")}
            for key, name in wanted.items()
            if key in found and found[key]["low"] is not None
        ],
        columns=["model", "value", "low", "high"],
    )


def curve_points(
    rows: Sequence[Row], spent: Mapping[str, float], groups: Mapping[str, str], metric: str
) -> pd.DataFrame:
    """Differences to the base model as `plots.trade_off` draws them; `spent` and `groups` by name."""
    points = forest(rows, [Variant(name) for name in spent], "base", metric)
    names = points["model"]
    return points.assign(spent=names.map(spent), group=names.map(groups))


def relative_costs(frame: pd.DataFrame, baseline: str, base: str = "base") -> pd.DataFrame:
    """Training time a sample and decoding time a token, as multiples of the baseline's and base's."""
    trained = frame.set_index("model")["samples_per_s"].astype(float)
    written = frame.set_index("model")["tokens_per_s"].astype(float)
    return pd.DataFrame(
        {"training": trained[baseline] / trained, "decoding": written[base] / written}
    )


def _metric_rows(
    cells: Sequence[Cell], labs: Sequence[Experiment], lab: Experiment
) -> Iterator[Row]:
    """Levels of every variant, and differences to those of `AGAINST` that are there, seed by seed."""
    answers = defaultdict[str, dict[int | None, Answers]](dict)
    for cell, own in zip(cells, labs, strict=True):
        answers[PREFIX + cell.variant.name][cell.seed] = cell.answers(own)
    others = [name for name in AGAINST if name in answers]
    pairs = [(model, other) for model in answers for other in others if other != model]
    evaluation = lab.params.evaluation
    half = evaluation.resamples // 2  # many variants: as many as of a curve's area
    for split in (CAPTIONS, PROBES[SPLIT]):
        for row in split_rows(split, answers, pairs, lab.data, evaluation, half):
            if (split.benchmark, split.name, row["metric"]) in COLUMNS.values():
                both = [row["model"], row["versus"] or row["model"]]
                yield row | {"seeds": max(len(answers[name]) for name in both)}


def _costs(cells: Sequence[Cell], labs: Sequence[Experiment]) -> list[dict[Hashable, Any]]:
    """Median speeds of each variant: training samples and caption tokens a second."""
    rows = [
        {"model": cell.variant.name} | cell.cost(own) for cell, own in zip(cells, labs, strict=True)
    ]
    speeds = pd.DataFrame(rows).groupby("model", sort=False).median().reset_index().astype(object)
    return speeds.where(speeds.notna(), None).to_dict("records")


def _run(cells: Sequence[Cell], jobs: int | None, logs: Path) -> None:
    failed = run_cells([Planned(cell) for cell in cells], jobs, logs)
    if failed:
        named = (
            f"{cells[each.index].title}: {each.error}; see {log_of(logs, cells[each.index])}"
            for each in failed
        )
        raise SeedError(
            f"{len(failed)} of {len(cells)} cells failed; the same command tries them again:\n"
            + "\n".join(named)
        )
