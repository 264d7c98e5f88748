"""Records of several models on one benchmark -> rows with intervals, and the controls beside them.

Every difference is paired: whole pictures are resampled, and both models answered about each. A row
is one of `metrics.json`: model, versus, benchmark, split, variant, metric, value, low, high, n,
records.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from seednb.errors import SeedError
from seednb.evaluation.records import list_ids
from seednb.stats import Interval, Statistic, bootstrap, paired_bootstrap

Row = dict[str, Any]
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

    def row(self, model: str, versus: str | None, metric: str, interval: Interval) -> Row:
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
    """Raise SeedError unless two models answered the same questions, or captioned the same pictures."""
    if key not in base:
        raise SeedError(f"the baseline has no {key}; give a file as the method's")
    ids = [set(frame[key].map(str)) for frame in (method, base)]
    if ids[0] != ids[1]:
        raise SeedError(
            f"method and baseline do not answer the same ({key} {list_ids(sorted(ids[0] ^ ids[1]))} "
            "in one file only); give answers to the same questions, or --allow-partial"
        )


def compare_sums(
    sums: Mapping[str, pd.DataFrame], statistics: Mapping[str, Statistic], label: Label
) -> Iterator[Row]:
    """Levels of every model and paired differences to the base, from counts by picture."""
    settings = (label.resamples, label.seed)
    for metric, statistic in statistics.items():
        for model, counts in sums.items():
            yield label.row(model, None, metric, bootstrap(counts, statistic, *settings))
            if model != BASE and BASE in sums:
                change = paired_bootstrap(sums[BASE], counts, statistic, *settings)
                yield label.row(model, BASE, metric, change)


def control_rows(
    name: str,
    control: pd.DataFrame,
    sums: Mapping[str, pd.DataFrame],
    model: str | None,
    statistics: Mapping[str, Callable[[Any], Any]],
    label: Label,
) -> Iterator[Row]:
    """The control's level, its difference to the base, and a model's (or all models') to it."""
    settings = (label.resamples, label.seed)
    compared = [model] if model else [other for other in sums if other != BASE]
    for metric, statistic in statistics.items():
        yield label.row(name, None, metric, bootstrap(control, statistic, *settings))
        change = paired_bootstrap(sums[BASE], control, statistic, *settings)
        yield label.row(name, BASE, metric, change)
        for other in compared:
            change = paired_bootstrap(control, sums[other], statistic, *settings)
            yield label.row(other, name, metric, change)
