"""Rules that change the scores of the next token: contrast, sampling, the "mention less" control."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import LogitsProcessor

from seednb.method.perturbation import generator
from seednb.method.purification import is_plausible, purify_logits


class TextRule(LogitsProcessor):
    """A rule that tells texts apart, whatever rows they are written in."""

    texts: Sequence[int] | None = None  # number of the text in each row; None: row i is text i


class ContrastiveLogits(TextRule):
    """Decodes from (1 + beta) clean - beta noisy: rows 0..B-1 see the clean, B..2B-1 the noisy image.

    Both halves receive the purified scores, so that greedy decoding, beams and equal draws keep them
    on the same text, and each keeps its own cache (Leng et al., 2024, Eq. 3). Words less likely on
    the clean view than `plausibility` times the likeliest are forbidden (there, Eq. 5; 0: none). The
    scores are log-probabilities, because beams add them up.
    """

    def __init__(self, beta: float | Float[Tensor, "texts"], plausibility: float = 0.0) -> None:
        """`beta`: strength of the contrast, one for all or one a text; `plausibility`: a share of the largest probability."""
        self.beta, self.plausibility = beta, plausibility

    def __call__(
        self, input_ids: Int[Tensor, "2B T"], scores: Float[Tensor, "2B V"]
    ) -> Float[Tensor, "2B V"]:
        """Purified scores for both halves."""
        clean_logits, noisy_logits = scores.chunk(2)
        return self.purified(clean_logits, noisy_logits).log_softmax(-1).repeat(2, 1)

    def purified(
        self, clean_logits: Float[Tensor, "B V"], noisy_logits: Float[Tensor, "B V"]
    ) -> Float[Tensor, "B V"]:
        """Purified logits of plausible words; minus infinity for the others."""
        beta = self.beta
        if isinstance(beta, Tensor) and self.texts is not None:
            beta = beta[torch.tensor(self.texts, device=beta.device)]
        purified = purify_logits(clean_logits, noisy_logits, beta)
        forbidden = ~is_plausible(clean_logits, self.plausibility)
        return purified.masked_fill(forbidden, -torch.inf)


class MentionPenalty(LogitsProcessor):
    """Subtracts a constant from tokens that name, or announce, one more object.

    A control: it makes any model more cautious without looking at the image.
    """

    def __init__(self, token_ids: Sequence[int], penalty: float) -> None:
        """`penalty` is in logits (nats)."""
        self.token_ids, self.penalty = torch.tensor(token_ids), penalty

    def __call__(
        self, input_ids: Int[Tensor, "B T"], scores: Float[Tensor, "B V"]
    ) -> Float[Tensor, "B V"]:
        """Scores with the penalty applied."""
        scores = scores.clone()
        scores[:, self.token_ids.to(scores.device)] -= self.penalty
        return scores


class Sampling(TextRule):
    """Adds Gumbel noise, so that the largest score is a draw from the softmax at temperature 1.

    (Gumbel, 1954; "Gumbel-max trick".) A text's noise comes from its key alone: the same text is
    drawn in any batch and in any process.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        """One key a text."""
        self.generators = [generator(key) for key in keys]

    def __call__(
        self, input_ids: Int[Tensor, "B T"], scores: Float[Tensor, "B V"]
    ) -> Float[Tensor, "B V"]:
        """Scores with noise."""
        texts = range(len(self.generators)) if self.texts is None else self.texts
        mine = [self.generators[text] for text in texts]
        draws = [torch.empty(scores.shape[1]).exponential_(generator=g) for g in mine]
        return scores.float() - torch.stack(draws).log().to(scores.device)
