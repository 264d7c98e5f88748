"""Intervals and tests that respect the design: images are the unit, and models share them.

An image brings several probes or mentions that stand or fall together, so whole images are drawn
again, never rows. A resample is written as a weight an image (how often it was drawn): the summed
counts of all resamples are then one matrix product.

Zero denominators: a ratio of nothing is NaN. A resample whose statistic is NaN is left out of the
interval; if the statistic itself is NaN, or every resample is, both ends are NaN too.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest

Array = NDArray[np.float64]
Sums = Array | pd.DataFrame  # (images, k) counts; a frame's index names the images
Statistic = Callable[[Array], Array]
Direction = Literal["up", "flat", "down"]
COVERAGE = 0.95
MINUS = "\u2212"
COUNTED = ("mentions", "score")  # objects a caption and points of MME; other metrics are fractions
CHUNK = 250  # resamples at a time: 250 x 5000 images is 10 MB


@dataclass(frozen=True)
class Interval:
    """A figure with its percentile-bootstrap interval (95%); `n` is the number of images."""

    value: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Interval":
        """The figure of a row of `metrics.json`; what the row lacks is NaN."""
        value, low, high = (
            np.nan if row.get(name) is None else float(row[name])
            for name in ("value", "low", "high")
        )
        return cls(value, low, high, row.get("n") or 0)

    @property
    def is_defined(self) -> bool:
        """Whether the figure and both ends are numbers."""
        return not np.isnan(self.value + self.low + self.high)

    @property
    def direction(self) -> Direction:
        """Where the whole interval lies; an interval that touches zero is "flat"."""
        return "down" if self.high < 0 else "up" if self.low > 0 else "flat"

    def text(self, metric: str = "", signed: bool = False, unit: str = "") -> str:
        """ "−2.9 [−3.4, −2.5]" in percent or points, or what `metric` counts; "–" if undefined."""
        ends = f" {self.ends(metric, signed)}" if self.is_defined else ""
        return f"{figure_text(self.value, metric, signed)}{unit and ' '}{unit}{ends}"

    def ends(self, metric: str = "", signed: bool = False) -> str:
        """ "[−3.4, −2.5]"."""
        low, high = (figure_text(end, metric, signed) for end in (self.low, self.high))
        return f"[{low}, {high}]"


def figure_text(number: float, metric: str = "", signed: bool = False) -> str:
    """A fraction in percent (points) with one digit, a count with two; NaN is "–"."""
    if np.isnan(number):
        return "–"
    scale, digits = (1, 2) if metric in COUNTED else (100, 1)
    sign = "+" if signed and number else ""  # an exact zero has no sign
    return f"{scale * number:{sign}.{digits}f}".replace("-", MINUS)


def ratio(numerator: ArrayLike, denominator: ArrayLike) -> Array:
    """Quotient, and NaN where the denominator is 0."""
    top, bottom = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    quotient: Array = np.full(top.shape, np.nan)
    np.divide(top, bottom, out=quotient, where=bottom != 0)
    return quotient


@dataclass(frozen=True)
class Resampled:
    """A figure of one model and of every resample of its images.

    Models that were measured on the same images share the resamples, so that a difference between
    two of them needs no new ones.
    """

    value: float
    samples: Array  # (resamples,)
    images: pd.Index


def resample(sums: Sums, statistic: Statistic, resamples: int = 2000, seed: int = 0) -> Resampled:
    """`sums` is (images, k): each image's counts.

    `statistic` maps summed counts (..., k) to figures (...), so F1 and CHAIRi are ratios of sums.
    """
    counts = _counts(sums)
    levels = [statistic(weights @ counts) for weights in _weights(len(counts), resamples, seed)]
    value = float(np.squeeze(statistic(counts.sum(0))))
    names = sums.index if isinstance(sums, pd.DataFrame) else pd.RangeIndex(len(counts))
    return Resampled(value, np.concatenate(levels), names)


def resample_auc(
    margins: ArrayLike,
    labels: ArrayLike,
    images: ArrayLike,
    resamples: int = 1000,
    seed: int = 0,
) -> Resampled:
    """The area under the ROC curve; `labels` are true for yes, one row a probe.

    AUC is no ratio of sums, so an image's weight is repeated for each of its rows.
    """
    unique, image_of_row = np.unique(np.asarray(images), return_inverse=True)
    area = _weighted_auc(margins, labels)
    samples = [area(w[:, image_of_row]) for w in _weights(len(unique), resamples, seed)]
    value = float(np.squeeze(area(np.ones((1, len(image_of_row))))))
    return Resampled(value, np.concatenate(samples), pd.Index(unique))


def level(measured: Resampled) -> Interval:
    """The interval of a figure."""
    return _interval(measured.value, measured.samples, len(measured.images))


def difference(before: Resampled, after: Resampled) -> Resampled:
    """after - before, resample by resample. Raises ValueError for different images or orders."""
    _same_images(before, after)
    return Resampled(after.value - before.value, after.samples - before.samples, before.images)


def change(before: Resampled, after: Resampled) -> Interval:
    """The interval of after - before. Raises ValueError if they hold different images or orders."""
    return level(difference(before, after))


def bootstrap(sums: Sums, statistic: Statistic, resamples: int = 2000, seed: int = 0) -> Interval:
    """The interval of a level; arguments as of `resample`."""
    return level(resample(sums, statistic, resamples, seed))


def paired_bootstrap(
    sums_a: Sums,
    sums_b: Sums,
    statistic: Statistic,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """The interval of statistic(b) - statistic(a) when both were measured on the same images.

    Row i of both must be the same image; a frame's index names it. Raises ValueError if shapes,
    images or their order differ.
    """
    if np.shape(sums_a) != np.shape(sums_b):
        raise ValueError(f"paired_bootstrap: {np.shape(sums_a)} counts against {np.shape(sums_b)}")
    before, after = (resample(sums, statistic, resamples, seed) for sums in (sums_a, sums_b))
    return change(before, after)


def two_way_bootstrap(runs: Sequence[Resampled], seed: int = 0) -> Interval:
    """The interval of the mean figure over k trainings that differ in their seed.

    Every training answered about every image, so a resample draws both: images, the same for all
    trainings, and k trainings with replacement. Drawing k of k shows (k - 1) / k of the variance between
    trainings; deviations are stretched by sqrt(k / (k - 1)) to make up for it (Davison and Hinkley,
    1997, section 3.8). With three seeds the ends are still rough. One training: images alone, as
    `level` has it. Raises ValueError for trainings that were asked about different images.
    """
    _same_images(*runs)
    k = len(runs)
    stretch = (k / (k - 1)) ** 0.5 if k > 1 else 0.0
    figures = np.stack([run.samples for run in runs], -1)  # (resamples, k)
    # a generator apart from the images', whose draws stay as in the other intervals
    drawn = np.random.default_rng([seed, 2]).integers(k, size=figures.shape)
    mean = figures.mean(-1)
    samples = mean + stretch * (np.take_along_axis(figures, drawn, -1).mean(-1) - mean)
    return _interval(np.mean([run.value for run in runs]), samples, len(runs[0].images))


def mcnemar_exact(right_a: ArrayLike, right_b: ArrayLike) -> float:
    """Two-sided exact McNemar p-value of "a and b are right equally often", row by row.

    Only rows where exactly one of them is right tell anything; without any, p = 1.
    """
    a, b = np.asarray(right_a, bool), np.asarray(right_b, bool)
    if a.shape != b.shape:
        raise ValueError(f"mcnemar_exact: {a.shape} answers against {b.shape}")
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    if only_a + only_b == 0:
        return 1.0
    return float(binomtest(only_a, only_a + only_b, 0.5).pvalue)


def holm(p_values: ArrayLike) -> Array:
    """Holm's step-down correction: adjusted p-values in the order given.

    The i-th smallest of m is multiplied by m - i + 1, then made monotone and capped at 1.
    """
    p = np.asarray(p_values, float)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"holm: p-values must be in [0, 1], got {p.tolist()}")
    order = np.argsort(p, kind="stable")
    scaled = p[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return adjusted


def images_to_resolve(measured: Interval, difference: float) -> float:
    """Images at which an interval like this one is as wide as `difference` on either side.

    Widths shrink with the square root of the images. NaN if the interval is undefined; raises
    ValueError for a difference of 0, which no sample resolves.
    """
    if difference == 0:
        raise ValueError("images_to_resolve: a difference of 0 needs no end of images")
    half_width = (measured.high - measured.low) / 2
    return float(measured.n * (half_width / abs(difference)) ** 2)


def _same_images(first: Resampled, *others: Resampled) -> None:
    for other in others:
        if len(first.images) != len(other.images):
            raise ValueError(f"resamples of {len(first.images)} images and of {len(other.images)}")
        if not first.images.equals(other.images):
            raise ValueError("the resamples are of different images or orders")


def _weights(n_images: int, resamples: int, seed: int) -> Iterator[Array]:
    """Multinomial image weights, (chunk, images) at a time; the same for the same seed."""
    for drawn in _drawn(n_images, resamples, seed):
        yield drawn.astype(float)


@lru_cache(maxsize=4)  # all figures of one benchmark share the images: 4 MB for 1000, 2000 times
def _drawn(n_images: int, resamples: int, seed: int) -> list[NDArray[np.integer[Any]]]:
    """How often each image was drawn, in chunks of resamples."""
    rng = np.random.default_rng(seed)
    kind = np.uint16 if n_images < 2**16 else np.int64
    chunks: list[NDArray[np.integer[Any]]] = []
    for start in range(0, resamples, CHUNK):
        chunk = min(CHUNK, resamples - start)
        drawn = rng.integers(n_images, size=(chunk, n_images))
        cells = (drawn + n_images * np.arange(chunk)[:, None]).ravel()
        weights = np.bincount(cells, minlength=chunk * n_images).reshape(chunk, n_images)
        chunks.append(weights.astype(kind))
    return chunks


def _weighted_auc(margins: ArrayLike, labels: ArrayLike) -> Statistic:
    """A function (resamples, rows) of weights -> (resamples,) areas; the rows are sorted once."""
    scores, positive = np.asarray(margins, float), np.asarray(labels, bool)
    if scores.shape != positive.shape or scores.size == 0 or np.isnan(scores).any():
        raise ValueError("auc: needs a label and a margin that is a number for every row")
    order = np.argsort(scores, kind="stable")
    is_new = np.append(True, scores[order][1:] != scores[order][:-1])
    group = np.cumsum(is_new) - 1  # ties are one group
    first, last = np.flatnonzero(is_new), np.append(np.flatnonzero(is_new)[1:], len(scores)) - 1
    is_yes = positive[order]
    before, through = first[group][is_yes], last[group][is_yes] + 1
    yes_rows, sign = order[is_yes], (~is_yes).astype(float)

    def area(row_weights: Array) -> Array:
        """Weights and halves of them are exact in float64, so no order of adding changes a bit."""
        no = np.zeros((len(row_weights), len(order) + 1))  # noes below each place of the ranking
        np.cumsum(row_weights[:, order] * sign, axis=1, out=no[:, 1:])
        yes = row_weights[:, yes_rows]
        no_below = (no[:, before] + no[:, through]) / 2  # a tie counts half
        return ratio((yes * no_below).sum(1), yes.sum(1) * no[:, -1])

    return area


def _counts(sums: Sums) -> Array:
    counts = np.asarray(sums, float)
    if counts.ndim != 2 or len(counts) == 0:
        raise ValueError(f"bootstrap: sums must be (images, k) with an image, got {counts.shape}")
    return counts


def _interval(value: ArrayLike, samples: Array, n_images: int) -> Interval:
    figure, defined = float(np.squeeze(value)), samples[~np.isnan(samples)]
    if np.isnan(figure) or defined.size == 0:
        return Interval(figure, np.nan, np.nan, n_images)
    low, high = np.quantile(defined, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return Interval(figure, float(low), float(high), n_images)
