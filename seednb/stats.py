"""Intervals and tests that respect the design: images are the unit, and models share them.

An image brings several probes or mentions that stand or fall together, so whole images are drawn
again, never rows. A resample is written as a weight an image (how often it was drawn): the summed
counts of all resamples are then one matrix product.

Zero denominators: a ratio of nothing is NaN. A resample whose statistic is NaN is left out of the
interval; if the statistic itself is NaN, or every resample is, both ends are NaN too.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest

Array = NDArray[np.float64]
Sums = Array | pd.DataFrame  # (images, k) counts; a frame's index names the images
Statistic = Callable[[Array], Array]
COVERAGE = 0.95
CHUNK = 250  # resamples at a time: 250 x 5000 images is 10 MB


@dataclass(frozen=True)
class Interval:
    """A figure with its percentile-bootstrap interval (95%); `n` is the number of images."""

    value: float
    low: float
    high: float
    n: int


def ratio(numerator: ArrayLike, denominator: ArrayLike) -> Array:
    """Quotient, and NaN where the denominator is 0."""
    top, bottom = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    quotient: Array = np.full(top.shape, np.nan)
    np.divide(top, bottom, out=quotient, where=bottom != 0)
    return quotient


def bootstrap(sums: Sums, statistic: Statistic, resamples: int = 2000, seed: int = 0) -> Interval:
    """The interval of a level. `sums` is (images, k): each image's counts.

    `statistic` maps summed counts (..., k) to figures (...), so F1 and CHAIRi are ratios of sums.
    """
    counts = _counts(sums)
    levels = [statistic(weights @ counts) for weights in _weights(len(counts), resamples, seed)]
    return _interval(statistic(counts.sum(0)), np.concatenate(levels), len(counts))


def paired_bootstrap(
    sums_a: Sums,
    sums_b: Sums,
    statistic: Statistic,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """The interval of statistic(b) - statistic(a) when both were measured on the same images.

    Row i of both must be the same image: frames are checked by their index. Raises ValueError
    if they differ.
    """
    _check_same_images(sums_a, sums_b)
    counts_a, counts_b = _counts(sums_a), _counts(sums_b)
    changes = [
        statistic(weights @ counts_b) - statistic(weights @ counts_a)
        for weights in _weights(len(counts_a), resamples, seed)
    ]
    change = statistic(counts_b.sum(0)) - statistic(counts_a.sum(0))
    return _interval(change, np.concatenate(changes), len(counts_a))


def bootstrap_auc(
    margins: ArrayLike,
    labels: ArrayLike,
    images: ArrayLike,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """The interval of the area under the ROC curve; `labels` are true for yes, one row a probe.

    AUC is no ratio of sums, so an image's weight is repeated for each of its rows.
    """
    unique, image_of_row = np.unique(np.asarray(images), return_inverse=True)
    area = _weighted_auc(margins, labels)
    samples = [area(w[:, image_of_row]) for w in _weights(len(unique), resamples, seed)]
    return _interval(area(np.ones((1, len(image_of_row)))), np.concatenate(samples), len(unique))


def paired_bootstrap_auc(
    margins_a: ArrayLike,
    margins_b: ArrayLike,
    labels: ArrayLike,
    images: ArrayLike,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """The interval of auc(b) - auc(a) over the same probes, row by row."""
    unique, image_of_row = np.unique(np.asarray(images), return_inverse=True)
    area_a, area_b = _weighted_auc(margins_a, labels), _weighted_auc(margins_b, labels)

    def change(row_weights: Array) -> Array:
        return area_b(row_weights) - area_a(row_weights)

    samples = [change(w[:, image_of_row]) for w in _weights(len(unique), resamples, seed)]
    return _interval(change(np.ones((1, len(image_of_row)))), np.concatenate(samples), len(unique))


def seeds_bootstrap(
    runs: Sequence[Sums],
    statistic: Statistic,
    resamples: int = 2000,
    seed: int = 0,
    base: Sums | None = None,
) -> Interval:
    """The interval of the mean of statistic(run) over trainings that differ in their seed only.

    Hierarchical: a resample draws the images, the same for all runs, and then as many runs as there
    are, with replacement. With `base`, of statistic(run) - statistic(base) on the same images. One
    run gives the intervals of `bootstrap` and `paired_bootstrap`. With few runs the spread between
    them comes out too small, by (k - 1) / k of its variance for k runs: three seeds are few.
    """
    against = [] if base is None else [base]
    for other in (*runs, *against):
        _check_same_images(runs[0], other)

    def level(sums: Sums) -> Statistic:
        counts = _counts(sums)
        return lambda weights: statistic(weights @ counts)

    levels = [_minus(level(run), *map(level, against)) for run in runs]
    return _over_runs(levels, len(runs[0]), resamples, seed)


def seeds_bootstrap_auc(
    runs: Sequence[ArrayLike],
    labels: ArrayLike,
    images: ArrayLike,
    resamples: int = 1000,
    seed: int = 0,
    base: ArrayLike | None = None,
) -> Interval:
    """As `seeds_bootstrap` of the area under the ROC curve; `runs` and `base` are margins."""
    unique, image_of_row = np.unique(np.asarray(images), return_inverse=True)

    def level(margins: ArrayLike) -> Statistic:
        area = _weighted_auc(margins, labels)
        return lambda weights: area(weights[:, image_of_row])

    against = [] if base is None else [level(base)]
    levels = [_minus(level(run), *against) for run in runs]
    return _over_runs(levels, len(unique), resamples, seed)


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


def _minus(figure: Statistic, base: Statistic | None = None) -> Statistic:
    return figure if base is None else lambda weights: figure(weights) - base(weights)


def _over_runs(levels: Sequence[Statistic], n_images: int, resamples: int, seed: int) -> Interval:
    """The mean of figures of image weights, with runs and images drawn again."""
    rng = np.random.default_rng([seed, 1])  # apart from the images, whose draws stay as elsewhere
    samples = []
    for weights in _weights(n_images, resamples, seed):
        figures = np.stack([level(weights) for level in levels], -1)  # (resamples, runs)
        drawn = rng.integers(len(levels), size=figures.shape)
        samples.append(np.take_along_axis(figures, drawn, -1).mean(-1))
    whole = np.mean([level(np.ones((1, n_images))) for level in levels])
    return _interval(whole, np.concatenate(samples), n_images)


def _weights(n_images: int, resamples: int, seed: int) -> Iterator[Array]:
    """Multinomial image weights, (chunk, images) at a time; the same for the same seed."""
    rng = np.random.default_rng(seed)
    for start in range(0, resamples, CHUNK):
        chunk = min(CHUNK, resamples - start)
        drawn = rng.integers(n_images, size=(chunk, n_images))
        cells = (drawn + n_images * np.arange(chunk)[:, None]).ravel()
        weights = np.bincount(cells, minlength=chunk * n_images).reshape(chunk, n_images)
        yield weights.astype(float)


def _weighted_auc(margins: ArrayLike, labels: ArrayLike) -> Statistic:
    """A function (resamples, rows) of weights -> (resamples,) areas; the rows are sorted once."""
    scores, positive = np.asarray(margins, float), np.asarray(labels, bool)
    if scores.shape != positive.shape or scores.size == 0 or np.isnan(scores).any():
        raise ValueError("auc: needs a label and a margin that is a number for every row")
    order = np.argsort(scores, kind="stable")
    is_new = np.append(True, scores[order][1:] != scores[order][:-1])
    starts = np.flatnonzero(is_new)  # first row of each group of ties
    sign = positive[order]

    def area(row_weights: Array) -> Array:
        weights = row_weights[:, order]
        yes = np.add.reduceat(weights * sign, starts, axis=1)
        no = np.add.reduceat(weights * ~sign, starts, axis=1)
        no_below = np.cumsum(no, axis=1) - no / 2  # a tie counts half
        return ratio((yes * no_below).sum(1), yes.sum(1) * no.sum(1))

    return area


def _counts(sums: Sums) -> Array:
    counts = np.asarray(sums, float)
    if counts.ndim != 2 or len(counts) == 0:
        raise ValueError(f"bootstrap: sums must be (images, k) with an image, got {counts.shape}")
    return counts


def _check_same_images(sums_a: Sums, sums_b: Sums) -> None:
    if np.shape(sums_a) != np.shape(sums_b):
        raise ValueError(f"paired_bootstrap: {np.shape(sums_a)} counts against {np.shape(sums_b)}")
    frames = [sums for sums in (sums_a, sums_b) if isinstance(sums, pd.DataFrame)]
    if len(frames) == 2 and not frames[0].index.equals(frames[1].index):
        raise ValueError("paired_bootstrap: the two frames hold different images or orders")


def _interval(value: ArrayLike, samples: Array, n_images: int) -> Interval:
    figure, defined = float(np.squeeze(value)), samples[~np.isnan(samples)]
    if np.isnan(figure) or defined.size == 0:
        return Interval(figure, np.nan, np.nan, n_images)
    low, high = np.quantile(defined, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return Interval(figure, float(low), float(high), n_images)
