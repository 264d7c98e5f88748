"""Beta, the strength of purification: chosen for each example by one of several rules."""

import math
from collections import deque
from collections.abc import Callable, Sequence
from statistics import median

import torch
from jaxtyping import Float
from torch import Tensor

MIN_HISTORY = 20  # quantiles of fewer confidences than this are noise


class BetaSelector:
    """Chooses beta from a confidence, by a rule of `BETA_RULES`.

    By default from where it falls among the last `window` confidences: below the first quantile the
    first (largest) value, and so on; above the last quantile the last value; the median of `values`
    while the history is shorter than `MIN_HISTORY`. A confidence is compared with the history
    *before* it, one example at a time, so the batch size does not matter.
    """

    def __init__(
        self,
        values: Sequence[float] = (1.1, 0.8, 0.6, 0.4),
        quantiles: Sequence[float] = (0.25, 0.5, 0.75),
        window: int = 1000,
        rule: str = "quantiles",
        tau: float = 0.1,
    ) -> None:
        """`tau` (nats) is the width of the two sigmoid rules.

        Raises ValueError unless there is one more value than quantiles, in falling order.
        """
        if len(values) != len(quantiles) + 1:
            raise ValueError(f"{len(values)} beta values need {len(values) - 1} quantiles")
        if list(quantiles) != sorted(quantiles) or list(values) != sorted(values, reverse=True):
            raise ValueError(
                "quantiles must rise and beta values fall (low confidence, large beta)"
            )
        self.values = tuple(values)
        self.quantiles = torch.tensor(quantiles, dtype=torch.float64)
        self.history: deque[float] = deque(maxlen=window)
        self.rule, self.tau = BETA_RULES[rule], tau

    @property
    def start_value(self) -> float:
        """Beta of the first examples: the median of the values (0.7 for the default four)."""
        return median(self.values)

    @property
    def has_history(self) -> bool:
        """Whether there are enough confidences for quantiles."""
        return len(self.history) >= MIN_HISTORY

    def thresholds(self) -> list[float]:
        """Confidences at the quantiles of the history (empty while it is too short)."""
        return self._quantile(self.quantiles).tolist() if self.has_history else []

    def is_low(self, confidences: Float[Tensor, "B"], share: float) -> list[bool]:
        """Whether each is below the `share` quantile of the history; all are, while it is short."""
        if not self.has_history:
            return [True] * len(confidences)
        threshold = float(self._quantile(share))
        return [value < threshold for value in confidences.tolist()]

    def select(self, confidences: Float[Tensor, "B"], progress: float = 0.0) -> Float[Tensor, "B"]:
        """Beta of each example in order; each confidence joins the history after it is judged.

        `progress` is the share of the run that is over.
        """
        betas = []
        for value in confidences.tolist():
            betas.append(self.rule(self, value, progress))
            self.history.append(value)
        return torch.tensor(betas, dtype=torch.float32, device=confidences.device)

    def _quantile(self, share: Tensor | float) -> Tensor:
        return torch.quantile(torch.tensor(self.history, dtype=torch.float64), share)


def beta_by_quantile(selector: BetaSelector, value: float, progress: float) -> float:
    """One of the values, by the quantile that the confidence falls in (the reproduction's rule)."""
    thresholds = selector.thresholds()
    if not thresholds:
        return selector.start_value
    n_reached = sum(value >= threshold for threshold in thresholds)
    return selector.values[n_reached]


def beta_by_rank(selector: BetaSelector, value: float, progress: float) -> float:
    """From the largest to the smallest value, linear in the rank: the quantile rule without steps."""
    if not selector.has_history:
        return selector.start_value
    rank = sum(other < value for other in selector.history) / len(selector.history)
    return selector.values[0] + rank * (selector.values[-1] - selector.values[0])


def beta_by_sigmoid(selector: BetaSelector, value: float, progress: float) -> float:
    """beta_max sigma(-conf / tau), as the reproduction proposes it.

    A confidence is at most 0, so the sigmoid is at least a half: beta never falls below beta_max / 2,
    not even where the model is certain.
    """
    return selector.values[0] / (1 + math.exp(value / selector.tau))


def beta_by_tanh(selector: BetaSelector, value: float, progress: float) -> float:
    """beta_max (2 sigma(-conf / tau) - 1), the corrected sigmoid: 0 at certainty, beta_max far off."""
    return 2 * beta_by_sigmoid(selector, value, progress) - selector.values[0]


def beta_fixed(selector: BetaSelector, value: float, progress: float) -> float:
    """The median of the values for every example."""
    return selector.start_value


def beta_by_curriculum(selector: BetaSelector, value: float, progress: float) -> float:
    """From the smallest to the largest value over the run, whatever the confidence."""
    return selector.values[-1] + progress * (selector.values[0] - selector.values[-1])


BetaRule = Callable[[BetaSelector, float, float], float]
BETA_RULES: dict[str, BetaRule] = {
    "quantiles": beta_by_quantile,
    "rank": beta_by_rank,
    "sigmoid": beta_by_sigmoid,
    "tanh": beta_by_tanh,
    "fixed": beta_fixed,
    "curriculum": beta_by_curriculum,
}
