"""Results of ablations -> rows as in metrics.json, with intervals over images and seeds; found again."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from seednb.ablation import SPLIT, Result, Run, Variant, run_all, runs_of
from seednb.artifacts import Stage, read_json, write_json
from seednb.crossed import Figure, auc_figure, crossed_bootstrap, difference, ratio_figure
from seednb.experiments.experiment import Experiment
from seednb.making import making
from seednb.metrics import chair, pope
from seednb.versions import RECIPES

Row = dict[str, Any]
PREFIX = "ablation/"  # of model names: short trainings are not the report's
SHORT = f"{PREFIX}v7"
BASE = f"{PREFIX}base"
# Columns for `seednb.tables.metric_table`.
COLUMNS = {
    "CHAIRi": ("chair", None, "CHAIRi"),
    "recall": ("chair", None, "recall"),
    "mentions": ("chair", None, "mentions"),
    "accuracy": ("pope", SPLIT, "accuracy"),
    "AUC": ("pope", SPLIT, "auc"),
}


def measured(
    lab: Experiment,
    params_file: str,
    overrides: Mapping[str, Any],
    variants: Sequence[Variant],
    name: str,
    against: Sequence[str] = ("base", "v7"),
    pictures: str = "search",
    whole: bool = False,
) -> tuple[list[Row], pd.DataFrame]:
    """(metric rows, costs) of variants, made or found; `against` are names among them."""
    stage = rows_stage(lab, name, variants, pictures, whole)
    with making(stage, lab.patience_s) as is_left:
        if is_left:
            runs: list[Run] = runs_of(lab, params_file, overrides, variants, pictures, whole)
            results = run_all(runs, lab.params.ablation.ablation_jobs)
            write_json(stage.path("rows.json"), metric_rows(results, lab, against))
            speeds = costs(results).astype(object)
            speeds = speeds.where(speeds.notna(), None)
            write_json(stage.path("costs.json"), speeds.to_dict("records"))
    return read_json(stage.path("rows.json")), pd.DataFrame(read_json(stage.path("costs.json")))


def rows_stage(
    lab: Experiment,
    name: str,
    variants: Sequence[Variant],
    pictures: str = "search",
    whole: bool = False,
) -> Stage:
    """Where the rows of some variants lie, finished or not."""
    stages, ablation = lab.stages, lab.params.values("ablation")
    ablation.pop("ablation_jobs")  # it changes the time, not the rows
    inputs = {
        "variants": [variant.__dict__ | {"changes": dict(variant.changes)} for variant in variants],
        "pictures": pictures,
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


def metric_rows(results: Sequence[Result], lab: Experiment, against: Sequence[str]) -> list[Row]:
    """Levels of every variant, and differences to those named in `against`, seed by seed."""
    by_name: dict[str, list[Result]] = {}
    for result in results:
        by_name.setdefault(result.run.variant.name, []).append(result)
    rows: list[Row] = []
    for benchmark, split, metric in COLUMNS.values():
        figures = {name: _figures(of, benchmark, metric, lab) for name, of in by_name.items()}
        n = _n_images(results[0], benchmark)
        if not n:
            continue
        label = {"benchmark": benchmark, "split": split, "metric": metric, "n": n}
        for name, of in figures.items():
            rows.append(_row(name, None, label, list(of.values()), by_name[name], lab))
            for other in against:
                if other in figures and other != name:
                    pairs = paired(of, figures[other])
                    rows.append(_row(name, other, label, pairs, by_name[name], lab))
    return rows


def paired(one: Mapping[int, Figure], other: Mapping[int, Figure]) -> list[Figure]:
    """Differences seed by seed; what was not trained is the same for every seed."""
    if len(one) == 1 or len(other) == 1:
        return [difference(a, b) for a in one.values() for b in other.values()]
    return [difference(one[seed], other[seed]) for seed in one if seed in other]


def costs(results: Iterable[Result]) -> pd.DataFrame:
    """Median speeds of each variant: training samples and caption tokens a second."""
    frame = pd.DataFrame([{"model": result.run.variant.name, **result.cost} for result in results])
    return frame.groupby("model", sort=False).median().reset_index()


def relative_costs(frame: pd.DataFrame, baseline: str, base: str = "base") -> pd.DataFrame:
    """Training time a sample and decoding time a token, as multiples of the baseline's and base's."""
    trained = frame.set_index("model")["samples_per_s"].astype(float)
    written = frame.set_index("model")["tokens_per_s"].astype(float)
    return pd.DataFrame(
        {"training": trained[baseline] / trained, "decoding": written[base] / written}
    )


def _figures(
    results: Sequence[Result], benchmark: str, metric: str, lab: Experiment
) -> dict[int, Figure]:
    """The figure of each seed."""
    return {result.run.seed: _figure(result, benchmark, metric, lab) for result in results}


def _figure(result: Result, benchmark: str, metric: str, lab: Experiment) -> Figure:
    evaluation = lab.params.evaluation
    if benchmark == "chair":
        data, variant = lab.data, evaluation.chair_variant
        counts = chair.count(result.captions, data.present, data.vocabulary, variant)
        return ratio_figure(chair.per_image_sums(counts), chair.STATISTICS[metric])
    frame = pd.DataFrame(result.probes)
    if metric == "auc":
        return auc_figure(frame["margin"], frame["label"] == "yes", frame["image"])
    sums = pope.per_image_sums(frame, evaluation.pope_parser)
    return ratio_figure(sums, pope.STATISTICS[metric])


def _n_images(result: Result, benchmark: str) -> int:
    if benchmark == "chair":
        return len(result.captions)
    return len({probe["image"] for probe in result.probes})


def _row(
    name: str,
    versus: str | None,
    label: Row,
    figures: Sequence[Figure],
    results: Sequence[Result],
    lab: Experiment,
) -> Row:
    evaluation = lab.params.evaluation
    settings = (label["n"], evaluation.resamples // 2, evaluation.bootstrap_seed)
    interval = crossed_bootstrap(figures, *settings)

    def number(value: float) -> float | None:
        return None if np.isnan(value) else value

    is_chair = label["benchmark"] == "chair"
    return {
        "model": PREFIX + name,
        "versus": None if versus is None else PREFIX + versus,
        **label,
        "variant": evaluation.chair_variant if is_chair else evaluation.pope_parser,
        "value": number(interval.value),
        "low": number(interval.low),
        "high": number(interval.high),
        "seeds": len(figures),
        "records": ", ".join(result.folder for result in results),
    }
