"""Confidence in an answer: a measure for each token, pooled to one number an example.

Every measure is at most 0, and larger where the model is surer. Which of them predicts
hallucination is a question for data.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from seednb.method.losses import example_means, precise
from seednb.method.perturbation import generator

DROPOUT_SHARE = 0.1
DROPOUT_DRAWS = 8
TRIMMED_SHARE = 0.1  # at either end
LOWEST_SHARE = 0.25
Measure = Callable[[nn.Linear, Float[Tensor, "N H"]], Float[Tensor, "N"]]


def max_logprob(head: nn.Linear, hidden: Float[Tensor, "N H"]) -> Float[Tensor, "N"]:
    """Log of the largest probability (SEED, as in the reproduction)."""
    return _logprobs(head, hidden).amax(-1)


def entropy(head: nn.Linear, hidden: Float[Tensor, "N H"]) -> Float[Tensor, "N"]:
    """Minus the entropy, sum_v p log p (nats): the whole distribution counts, not its peak alone."""
    logprobs = _logprobs(head, hidden)
    return (logprobs.exp() * logprobs).sum(-1)


def margin(head: nn.Linear, hidden: Float[Tensor, "N H"]) -> Float[Tensor, "N"]:
    """Largest minus second probability, minus 1: is there a rival?"""
    first, second = _logprobs(head, hidden).exp().topk(2, dim=-1).values.unbind(-1)
    return first - second - 1


def mc_dropout(head: nn.Linear, hidden: Float[Tensor, "N H"]) -> Float[Tensor, "N"]:
    """Minus the standard deviation, over dropout masks, of the likeliest token's log probability.

    Monte Carlo dropout (Gal and Ghahramani, 2016) on the last hidden state: the frozen teacher has
    no dropout layer of its own. The masks are the same for every token and batch, so that a
    confidence depends on its example alone; no further forward pass is needed.
    """
    likeliest = head(hidden).argmax(-1, keepdim=True)
    masks = torch.rand(DROPOUT_DRAWS, hidden.shape[-1], generator=generator("mc-dropout"))
    kept = (masks >= DROPOUT_SHARE).to(hidden) / (1 - DROPOUT_SHARE)
    draws = [_logprobs(head, hidden * mask).gather(-1, likeliest)[:, 0] for mask in kept]
    return -torch.stack(draws).std(0)


CONFIDENCES: dict[str, Measure] = {
    "max_logprob": max_logprob,
    "entropy": entropy,
    "margin": margin,
    "mc_dropout": mc_dropout,
}


def mean(tokens: Float[Tensor, "n"]) -> Float[Tensor, ""]:
    """Mean over the answer's tokens."""
    return tokens.mean()


def trimmed(tokens: Float[Tensor, "n"]) -> Float[Tensor, ""]:
    """Mean without the largest and the smallest tenth: no outlier decides."""
    n = int(TRIMMED_SHARE * len(tokens))
    return tokens.sort().values[n : len(tokens) - n].mean()


def lowest(tokens: Float[Tensor, "n"]) -> Float[Tensor, ""]:
    """Mean of the least sure quarter: the words that had to be decided, not the template's."""
    n = max(1, round(LOWEST_SHARE * len(tokens)))
    return tokens.sort().values[:n].mean()


POOLINGS: dict[str, Callable[[Float[Tensor, "n"]], Float[Tensor, ""]]] = {
    "mean": mean,
    "trimmed": trimmed,
    "lowest": lowest,
}


def pooled(
    tokens: Float[Tensor, "N"], n_answer_tokens: Sequence[int], pooling: str
) -> Float[Tensor, "B"]:
    """One confidence an example from those of its tokens, which lie one example after the other."""
    return torch.stack([POOLINGS[pooling](part) for part in tokens.split(list(n_answer_tokens))])


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


def _logprobs(head: nn.Linear, hidden: Tensor) -> Tensor:
    return F.log_softmax(precise(head(hidden)), -1)
