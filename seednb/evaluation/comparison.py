"""Records of several models on one benchmark -> rows with intervals, and the controls beside them.

Every difference is paired: whole images are resampled, and both models answered about each. A row
is one of `metrics.json`: model, versus, benchmark, split, variant, metric, value, low, high, n,
records. All rows of reports, ablations, sweeps and published benchmarks are made by `figure_rows`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from seednb.core.errors import SeedError
from seednb.evaluation.records import Record, list_ids
from seednb.evaluation.stats import (
    Interval,
    Resampled,
    Statistic,
    difference,
    resample,
    two_way_bootstrap,
)

Runs = Mapping[Any, Resampled]  # seed of a training -> its figure; one that was not trained: None
Pair = tuple[str, str]  # model, versus
BASE, METHOD = "base", "method"
RESAMPLES = 2000
THRESHOLD, MENTIONS = "threshold_control", "mention_control"


@dataclass(frozen=True)
class Label:
    """What a group of rows is about; `records` names the file of each model's answers."""

    benchmark: str
    split: str | None
    variant: str
    records: Mapping[str, str]
    resamples: int
    seed: int

    def row(self, model: str, versus: str | None, metric: str, interval: Interval) -> Record:
        """One figure; a figure of nothing is None, because JSON has no NaN."""
        numbers = {name: getattr(interval, name) for name in ("value", "low", "high")}
        control_of = model if model in self.records else BASE
        return {
            "model": model,
            "versus": versus,
            "benchmark": self.benchmark,
            "split": self.split,
            "variant": self.variant,
            "metric": metric,
            **{name: None if np.isnan(value) else value for name, value in numbers.items()},
            "n": interval.n,
            "records": self.records[control_of],
        }


def method_and_base(benchmark: str, variant: str, method: str, base: str, seed: int = 0) -> Label:
    """The label of two files' comparison: `method` against `base`, each the name of its records."""
    return Label(benchmark, None, variant, {BASE: base, METHOD: method}, RESAMPLES, seed)


def check_same_rows(method: pd.DataFrame, base: pd.DataFrame, key: str) -> None:
    """Raise SeedError unless two models answered the same questions, or captioned the same images."""
    if key not in base:
        raise SeedError(f"the baseline has no {key}; give a file as the method's")
    ids = [set(frame[key].map(str)) for frame in (method, base)]
    if ids[0] != ids[1]:
        raise SeedError(
            f"method and baseline do not answer the same ({key} {list_ids(sorted(ids[0] ^ ids[1]))} "
            "in one file only); give answers to the same questions, or --allow-partial"
        )


def figure_rows(
    measured: Mapping[str, Runs], pairs: Iterable[Pair], metric: str, label: Label
) -> Iterator[Record]:
    """Levels of every model, and the differences of (model, versus) pairs, of one metric.

    A model is one training or several that differ in their seed: intervals then cover seeds, too.
    """
    for model, runs in measured.items():
        yield label.row(model, None, metric, two_way_bootstrap([*runs.values()], label.seed))
    for model, versus in pairs:
        gain = two_way_bootstrap(paired(measured[model], measured[versus]), label.seed)
        yield label.row(model, versus, metric, gain)


def paired(runs: Runs, versus: Runs) -> list[Resampled]:
    """Differences seed by seed; what was not trained is the same for every seed."""
    if len(runs) == 1 or len(versus) == 1:
        return [difference(other, one) for one in runs.values() for other in versus.values()]
    return [difference(versus[seed], runs[seed]) for seed in runs if seed in versus]


def compare_sums(
    sums: Mapping[str, pd.DataFrame],
    statistics: Mapping[str, Statistic],
    label: Label,
    pairs: Iterable[Pair] | None = None,
) -> Iterator[Record]:
    """Levels and differences, from counts by image. `pairs`: all others with the base, if not given."""
    for metric, statistic in statistics.items():
        measured = {
            model: {None: resample(counts, statistic, label.resamples, label.seed)}
            for model, counts in sums.items()
        }
        compared = pairs_with_base(sums) if pairs is None else pairs
        yield from figure_rows(measured, compared, metric, label)


def pairs_with_base(models: Iterable[str]) -> list[Pair]:
    """Every other model with the base."""
    return [(model, BASE) for model in models if model != BASE and BASE in models]


def control_rows(
    name: str,
    control: pd.DataFrame,
    sums: Mapping[str, pd.DataFrame],
    model: str | None,
    statistics: Mapping[str, Statistic],
    label: Label,
) -> Iterator[Record]:
    """The control's level, its difference to the base, and a model's (or all models') to it."""
    compared = [model] if model else [other for other in sums if other != BASE]
    pairs = [(name, BASE), *((other, name) for other in compared)]
    rows = compare_sums({**sums, name: control}, statistics, label, pairs)
    yield from (row for row in rows if name in (row["model"], row["versus"]))
