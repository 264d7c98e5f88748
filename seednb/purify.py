"""Purification: contrast the clean view with the noisy one, more firmly where confidence is low."""

from collections import deque
from collections.abc import Sequence
from statistics import median

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from seednb.tokens import example_means, precise

MIN_HISTORY = 20  # quantiles of fewer confidences than this are noise


def confidence(
    logits: Float[Tensor, "B T V"], answer_mask: Bool[Tensor, "B T"]
) -> Float[Tensor, "B"]:
    """Mean over answer tokens of the log of the largest probability; at most 0 (0 = certain).

    `answer_mask[b, t]` is true where `logits[b, t]` predicts an answer token. Summed in float32.
    Raises ValueError if an example has no answer token.
    """
    if not answer_mask.any(-1).all():
        raise ValueError("confidence: an example has no answer token")
    example_of_token = answer_mask.nonzero()[:, 0]
    return answer_confidence(logits[answer_mask], example_of_token, len(logits))


def answer_confidence(
    answer_logits: Float[Tensor, "N V"], example_of_token: Int[Tensor, "N"], n_examples: int
) -> Float[Tensor, "B"]:
    """`confidence` from the logits of the answer tokens alone."""
    top_logprob = precise(answer_logits).log_softmax(-1).amax(-1)
    return example_means(top_logprob, example_of_token, n_examples)


def purify_logits(
    clean_logits: Float[Tensor, "N V"],
    noisy_logits: Float[Tensor, "N V"],
    beta: Float[Tensor, "N"] | float,
) -> Float[Tensor, "N V"]:
    """Purified logits (1 + beta) clean - beta noisy (SEED, Eq. 6-7 as in the seed reproduction).

    Adding a constant to a row of either input changes nothing after softmax, so purifying
    log-probabilities gives the same distribution. float16 overflows above 65504: float32 inside.
    """
    if isinstance(beta, Tensor):
        beta = beta.unsqueeze(-1)
    clean_logits, noisy_logits = precise(clean_logits), precise(noisy_logits)
    return clean_logits + beta * (clean_logits - noisy_logits)


class BetaSelector:
    """Chooses beta from where a confidence falls among the last `window` confidences.

    Below the first quantile the first (largest) value, and so on; above the last quantile the last
    value. While the history is shorter than `MIN_HISTORY`, the median of `values` is used: neither
    the boldest nor the most timid. A confidence is judged against the history *before* it, one
    example at a time, so the batch size does not matter.
    """

    def __init__(
        self,
        values: Sequence[float] = (1.1, 0.8, 0.6, 0.4),
        quantiles: Sequence[float] = (0.25, 0.5, 0.75),
        window: int = 1000,
    ) -> None:
        """Raise ValueError unless there is one more value than quantiles, in falling order."""
        if len(values) != len(quantiles) + 1:
            raise ValueError(f"{len(values)} beta values need {len(values) - 1} quantiles")
        if list(quantiles) != sorted(quantiles) or list(values) != sorted(values, reverse=True):
            raise ValueError(
                "quantiles must rise and beta values fall (low confidence, large beta)"
            )
        self.values = tuple(values)
        self.quantiles = torch.tensor(quantiles, dtype=torch.float64)
        self.history: deque[float] = deque(maxlen=window)

    @property
    def start_value(self) -> float:
        """Beta of the first examples: the median of the values (0.7 for the default four)."""
        return median(self.values)

    def thresholds(self) -> list[float]:
        """Confidences at the quantiles of the history (empty while it is too short)."""
        if len(self.history) < MIN_HISTORY:
            return []
        history = torch.tensor(self.history, dtype=torch.float64)
        return torch.quantile(history, self.quantiles).tolist()

    def select(self, confidences: Float[Tensor, "B"]) -> Float[Tensor, "B"]:
        """Beta of each example in order; each confidence joins the history after it is judged."""
        betas = []
        for value in confidences.tolist():
            betas.append(self._beta(value))
            self.history.append(value)
        return torch.tensor(betas, dtype=torch.float32, device=confidences.device)

    def _beta(self, value: float) -> float:
        thresholds = self.thresholds()
        if not thresholds:
            return self.start_value
        n_reached = sum(value >= threshold for threshold in thresholds)
        return self.values[n_reached]
