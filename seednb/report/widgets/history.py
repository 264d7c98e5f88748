"""Where a confidence falls among earlier ones, and the beta that the selector gives it."""

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from seednb.core.errors import SeedError
from seednb.method.beta import BetaSelector
from seednb.report.widgets.face import minus

N_BINS = 28


@dataclass(frozen=True)
class Strip:
    """The drawing of one confidence in the history; positions and heights in percent."""

    bars: list[float]  # heights of N_BINS bins
    thresholds: list[float]
    zones: list[tuple[float, float]]  # centre of a part, its beta
    chosen: tuple[float, float]  # left end and width of the part the confidence falls in
    marker: float
    low: str  # label of the left end
    sentence: str


@dataclass(frozen=True)
class History:
    """Confidences of earlier answers (nats a token, at most 0), oldest first, and the rule's settings.

    A confidence below the first of `quantiles` gets the first of `betas`, and so on.
    """

    values: tuple[float, ...]
    betas: tuple[float, ...] = BetaSelector().values
    quantiles: tuple[float, ...] = (0.25, 0.5, 0.75)
    window: int = 1000  # confidences that the rule remembers

    def __post_init__(self) -> None:
        """Raise SeedError on a value that is no confidence and on settings that make no rule."""
        for name, numbers, high in (("betas", self.betas, 4), ("quantiles", self.quantiles, 1)):
            for number in numbers:
                if not 0 <= number <= high:
                    raise SeedError(f"{name}: {number:g} must be in [0, {high}]")
        try:
            self.selector()
        except ValueError as error:
            raise SeedError(str(error)) from error
        for position, value in enumerate(self.values):
            if not -math.inf < value <= 0:
                raise SeedError(
                    f"history[{position}]={value}: must be finite and at most 0; "
                    "compute it with seednb.method.confidence.confidence"
                )

    def selector(self) -> BetaSelector:
        """A selector that has just seen this history."""
        selector = BetaSelector(self.betas, self.quantiles, self.window)
        selector.history.extend(self.values)
        return selector

    def beta(self, confidence: float) -> float:
        """Beta that the selector's rule gives to an answer of this confidence."""
        selector = self.selector()
        return selector.rule(selector, confidence, 0.0)

    def strip(self, confidence: float) -> Strip:
        """Bars, thresholds and marker of a confidence."""
        seen = list(self.selector().history)
        low = min(self._floor, 1.05 * confidence)
        counts, _ = np.histogram(np.clip(seen, low, 0), bins=N_BINS, range=(low, 0))
        thresholds = [self._place(value, low) for value in self._thresholds]
        edges = [0.0, *thresholds, 100.0]
        zones = list(pairwise(edges)) if thresholds else []
        part = sum(confidence >= threshold for threshold in self._thresholds)
        left, right = zones[part] if zones else (0.0, 0.0)
        return Strip(
            bars=(100 * counts / max(1, counts.max())).round(1).tolist(),
            thresholds=thresholds,
            zones=[((a + b) / 2, beta) for (a, b), beta in zip(zones, self.betas, strict=False)],
            chosen=(left, right - left),
            marker=self._place(confidence, low),
            low=minus(f"{low:.1f}"),
            sentence=self._sentence(confidence, len(seen), part),
        )

    @cached_property
    def _thresholds(self) -> list[float]:
        return self.selector().thresholds()

    @cached_property
    def _floor(self) -> float:
        """Left end of the strip: one outlier in a hundred may be drawn in the first bin."""
        seen = self.selector().history
        return min(-0.1, float(np.quantile(seen, 0.01)) if seen else 0.0)

    @staticmethod
    def _place(value: float, low: float) -> float:
        return round(100 * (1 - max(value, low) / low), 2)

    def _sentence(self, confidence: float, n_seen: int, part: int) -> str:
        ends = [f"{100 * quantile:g}%" for quantile in self.quantiles]
        if not self._thresholds:
            place = f"only {n_seen} earlier answers, too few for quantiles"
        elif part == 0:
            place = f"among the least sure {ends[0]} of {n_seen} earlier answers"
        elif part == len(ends):
            place = f"surer than {ends[-1]} of {n_seen} earlier answers"
        else:
            place = (
                f"surer than {ends[part - 1]} of {n_seen} earlier answers and not than {ends[part]}"
            )
        share = f"{100 * math.exp(confidence):.0f}%"
        return (
            f"Confidence {minus(f'{confidence:.2f}')} (the likeliest token has about {share}), "
            f"{place}: the rule gives beta {self.beta(confidence):g}."
        )
