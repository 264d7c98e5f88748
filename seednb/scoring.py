"""Records -> the report's numbers: one row a model, benchmark, split and metric, with intervals."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seednb.core.params import EvaluationParams
from seednb.data.probes import SPLITS
from seednb.evaluation.benchmarks import chair, pope
from seednb.evaluation.controls import refit_threshold
from seednb.preparation import Prepared
from seednb.stats import (
    Interval,
    Resampled,
    bootstrap,
    change,
    level,
    paired_bootstrap,
    resample,
    resample_auc,
)

Row = dict[str, Any]
KINDS = "kinds"  # benchmark of the questions by kind; a split is a kind
# Comparisons other than with the base model: (model, versus).
CONTRASTS = (
    ("v5", "v4"),
    ("v6", "v5"),
    ("v7", "v6"),
    ("v7", "sft"),
    ("v7", "distill_only"),
    ("v7", "contrastive"),
    ("v7", "mention_control"),
    ("v7_truthful", "sft_truthful"),
)


@dataclass(frozen=True)
class Answers:
    """What one model answered, and the stage that holds the records."""

    model: str
    probes: list[Row]  # POPE's
    captions: list[Row]
    folder: Path
    questions: list[Row] = field(default_factory=list)  # yes/no questions by kind


def metric_rows(
    answers: Mapping[str, Answers], data: Prepared, params: EvaluationParams
) -> list[Row]:
    """Levels of every model, and paired differences to the base model and along `CONTRASTS`."""
    pairs = [(model, "base") for model in answers if model != "base" and "base" in answers]
    pairs += [pair for pair in CONTRASTS if set(pair) <= set(answers)]
    rows = [*_chair_rows(answers, pairs, data, params)]
    probed = {name: answer for name, answer in answers.items() if answer.probes}
    pairs = [pair for pair in pairs if set(pair) <= set(probed)]
    for split in SPLITS:
        frames = {name: _split_frame(answer, split) for name, answer in probed.items()}
        label = {"benchmark": "pope", "split": split, "variant": params.pope_parser}
        rows += _yes_no_rows(frames, pairs, label, params, probed, "probes.jsonl")
        if "base" in probed:
            rows += _threshold_rows(probed, split, params)
    for kind in kinds_asked(probed):
        frames = {name: _kind_frame(answer, kind) for name, answer in probed.items()}
        label = {"benchmark": KINDS, "split": kind, "variant": params.pope_parser}
        rows += _yes_no_rows(frames, pairs, label, params, probed, "questions.jsonl")
    return rows


def kinds_asked(answers: Mapping[str, Answers]) -> list[str]:
    """The kinds of question that all models answered, in the order in which they were asked."""
    asked = [dict.fromkeys(row["kind"] for row in each.questions) for each in answers.values()]
    return [kind for kind in asked[0] if all(kind in others for others in asked)] if asked else []


def select(rows: list[Row], **wanted: Any) -> pd.DataFrame:
    """The rows whose columns have the wanted values (None matches a missing value)."""
    frame = pd.DataFrame(rows)
    for column, value in wanted.items():
        frame = frame[frame[column].isna() if value is None else frame[column] == value]
    return frame.reset_index(drop=True)


def _chair_rows(
    answers: Mapping[str, Answers],
    pairs: list[tuple[str, str]],
    data: Prepared,
    params: EvaluationParams,
) -> Iterator[Row]:
    sums = {
        model: chair.per_image_sums(
            chair.count(answer.captions, data.present, data.vocabulary, params.chair_variant)
        )
        for model, answer in answers.items()
    }
    label = {"benchmark": "chair", "split": None, "variant": params.chair_variant}
    yield from _ratio_rows(sums, pairs, chair.STATISTICS, params, label, answers, "captions.jsonl")


def _yes_no_rows(
    frames: Mapping[str, pd.DataFrame],
    pairs: list[tuple[str, str]],
    label: Row,
    params: EvaluationParams,
    answers: Mapping[str, Answers],
    file: str,
) -> Iterator[Row]:
    """POPE's figures and the area under the curve, of each model's records."""
    sums = {
        model: pope.per_image_sums(frame, params.pope_parser) for model, frame in frames.items()
    }
    yield from _ratio_rows(sums, pairs, pope.STATISTICS, params, label, answers, file)
    half = params.resamples // 2  # a sorted sum over rows costs more than a product of sums
    areas = {
        model: resample_auc(
            frame["margin"], frame["label"] == "yes", frame["image"], half, params.bootstrap_seed
        )
        for model, frame in frames.items()
    }
    yield from _levels_and_changes(areas, pairs, label, "auc", answers, file)


def _threshold_rows(
    answers: Mapping[str, Answers], split: str, params: EvaluationParams
) -> Iterator[Row]:
    """The base with its yes/no threshold re-fitted on half of the images, scored on the others."""
    name = "threshold_control"
    base = _split_frame(answers["base"], split)
    refitted = refit_threshold(base, params.bootstrap_seed)
    file = answers["base"].folder / "probes.jsonl"
    label = {"benchmark": "pope", "split": split, "variant": params.pope_parser}

    def sums(frame: pd.DataFrame) -> pd.DataFrame:
        half = frame[frame["image"].isin(refitted.images)]
        return pope.per_image_sums(half, params.pope_parser)

    control = pope.per_image_sums(refitted.records, params.pope_parser)
    base_sums = sums(base)
    seed_sums = sums(_split_frame(answers["v7"], split)) if "v7" in answers else None
    settings = (params.resamples, params.bootstrap_seed)
    for metric, statistic in pope.STATISTICS.items():
        yield _row(name, None, label, metric, bootstrap(control, statistic, *settings), file)
        gain = paired_bootstrap(base_sums, control, statistic, *settings)
        yield _row(name, "base", label, metric, gain, file)
        if seed_sums is not None:
            beyond = paired_bootstrap(control, seed_sums, statistic, *settings)
            yield _row("v7", name, label, metric, beyond, file)


def _ratio_rows(
    sums: Mapping[str, pd.DataFrame],
    pairs: list[tuple[str, str]],
    statistics: Mapping[str, Callable[[Any], Any]],
    params: EvaluationParams,
    label: Row,
    answers: Mapping[str, Answers],
    file: str,
) -> Iterator[Row]:
    for metric, statistic in statistics.items():
        measured = {
            model: resample(counts, statistic, params.resamples, params.bootstrap_seed)
            for model, counts in sums.items()
        }
        yield from _levels_and_changes(measured, pairs, label, metric, answers, file)


def _levels_and_changes(
    measured: Mapping[str, Resampled],
    pairs: list[tuple[str, str]],
    label: Row,
    metric: str,
    answers: Mapping[str, Answers],
    file: str,
) -> Iterator[Row]:
    """Every model's level, and the differences of some pairs on the same resamples."""
    for model, figure in measured.items():
        yield _row(model, None, label, metric, level(figure), answers[model].folder / file)
    for model, versus in pairs:
        difference = change(measured[versus], measured[model])
        yield _row(model, versus, label, metric, difference, answers[model].folder / file)


def _split_frame(answer: Answers, split: str) -> pd.DataFrame:
    return pd.DataFrame([row for row in answer.probes if row["split"] == split])


def _kind_frame(answer: Answers, kind: str) -> pd.DataFrame:
    return pd.DataFrame([row for row in answer.questions if row["kind"] == kind])


def _row(
    model: str, versus: str | None, label: Row, metric: str, interval: Interval, file: Path
) -> Row:
    def number(value: float) -> float | None:
        return None if np.isnan(value) else value  # JSON has no NaN

    return {
        "model": model,
        "versus": versus,
        **label,
        "metric": metric,
        "value": number(interval.value),
        "low": number(interval.low),
        "high": number(interval.high),
        "n": interval.n,
        "records": file.as_posix(),
    }
