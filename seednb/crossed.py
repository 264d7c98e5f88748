"""Intervals over trainings as well as images: each image is answered by every training seed."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

# The same weights, area and percentiles as all other intervals of the project.
from seednb.stats import Array, Interval, Statistic, _interval, _weighted_auc, _weights

Figure = Callable[[Array], Array]  # image weights (resamples, images) -> figures (resamples,)


def crossed_bootstrap(
    figures: Sequence[Figure], n_images: int, resamples: int = 2000, seed: int = 0
) -> Interval:
    """The interval of the mean figure over k trainings that differ in their seed.

    Images and trainings are crossed, so a resample draws both: images, the same for all trainings,
    and k trainings with replacement. Drawing k of k shows (k - 1) / k of the variance between
    trainings; deviations are stretched by sqrt(k / (k - 1)) to make up for it (Davison and Hinkley,
    1997, section 3.8). With three seeds the ends are still rough. One training: images alone.
    """
    k = len(figures)
    stretch = (k / (k - 1)) ** 0.5 if k > 1 else 0.0
    rng = np.random.default_rng([seed, 2])  # apart from the images' draws
    samples = []
    for weights in _weights(n_images, resamples, seed):
        of_run = np.stack([figure(weights) for figure in figures], -1)
        drawn = rng.integers(k, size=of_run.shape)
        mean = of_run.mean(-1)
        samples.append(mean + stretch * (np.take_along_axis(of_run, drawn, -1).mean(-1) - mean))
    whole = np.mean([figure(np.ones((1, n_images))) for figure in figures])
    return _interval(whole, np.concatenate(samples), n_images)


def ratio_figure(sums: pd.DataFrame, statistic: Statistic) -> Figure:
    """A figure from each image's counts, such as CHAIRi."""
    counts = sums.to_numpy(float)
    return lambda weights: statistic(weights @ counts)


def auc_figure(margins: pd.Series, labels: pd.Series, images: pd.Series) -> Figure:
    """The area under the ROC curve; an image's weight counts for each of its probes."""
    _, image_of_row = np.unique(np.asarray(images), return_inverse=True)
    area = _weighted_auc(margins, labels)
    return lambda weights: area(weights[:, image_of_row])


def difference(figure: Figure, base: Figure) -> Figure:
    """How much larger a figure is than another of the same images."""
    return lambda weights: figure(weights) - base(weights)
