"""Divergences between student and target, one value an answer token, and their means; pure functions.

Every sum runs in log space in float32. `torch.nn.functional.kl_div` with a differentiable softmax
target returns a finite loss and NaN gradients once a probability underflows (float16 from a logit
range of about 50, float32 from about 145).
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

Divergence = Callable[[Float[Tensor, "N V"], Float[Tensor, "N V"], float], Float[Tensor, "N"]]
SKEW = 0.1


def reverse_kl(
    student_logits: Float[Tensor, "N V"], target_logits: Float[Tensor, "N V"], temperature: float
) -> Float[Tensor, "N"]:
    """KL(student || target) of each token at temperature T, without the factor T^2.

    Mode-seeking: the student is punished for mass where the target has none (SEED, Eq. 15 as in the
    reproduction).
    """
    student = _logprobs(student_logits, temperature)
    target = _logprobs(target_logits, temperature)
    return (student.exp() * (student - target)).sum(-1)


def forward_kl(
    student_logits: Float[Tensor, "N V"], target_logits: Float[Tensor, "N V"], temperature: float
) -> Float[Tensor, "N"]:
    """KL(target || student) of each token: mean-seeking, covers all that the target allows."""
    return reverse_kl(target_logits, student_logits, temperature)


def js_divergence(
    student_logits: Float[Tensor, "N V"], target_logits: Float[Tensor, "N V"], temperature: float
) -> Float[Tensor, "N"]:
    """Jensen-Shannon divergence of each token: mean KL of both to their mixture; at most log 2."""
    student = _logprobs(student_logits, temperature)
    target = _logprobs(target_logits, temperature)
    mixture = torch.logaddexp(student, target) - math.log(2)
    to_mixture = student.exp() * (student - mixture) + target.exp() * (target - mixture)
    return 0.5 * to_mixture.sum(-1)


def skew_reverse_kl(
    student_logits: Float[Tensor, "N V"], target_logits: Float[Tensor, "N V"], temperature: float
) -> Float[Tensor, "N"]:
    """KL(student || (1 - s) target + s student), s = 0.1: reverse KL that stays finite.

    (Ko et al., 2024, DistiLLM, Eq. 4.) At most log(1 / s), so a word that the target excludes costs
    a bounded amount.
    """
    student = _logprobs(student_logits, temperature)
    target = _logprobs(target_logits, temperature)
    mixture = torch.logaddexp(target + math.log(1 - SKEW), student + math.log(SKEW))
    return (student.exp() * (student - mixture)).sum(-1)


def skew_forward_kl(
    student_logits: Float[Tensor, "N V"], target_logits: Float[Tensor, "N V"], temperature: float
) -> Float[Tensor, "N"]:
    """KL(target || s target + (1 - s) student), s = 0.1: its forward counterpart."""
    return skew_reverse_kl(target_logits, student_logits, temperature)


DIVERGENCES: dict[str, Divergence] = {
    "reverse": reverse_kl,
    "forward": forward_kl,
    "js": js_divergence,
    "skew_reverse": skew_reverse_kl,
    "skew_forward": skew_forward_kl,
}


def cross_entropy(
    student_logits: Float[Tensor, "N V"], answer_ids: Int[Tensor, "N"]
) -> Float[Tensor, "N"]:
    """Supervised loss of each answer token, in float32."""
    return F.cross_entropy(precise(student_logits), answer_ids, reduction="none")


def seed_loss(
    distillation: Float[Tensor, "B"],
    supervision: Float[Tensor, "B"],
    distill_weight: float,
    temperature: float,
) -> Float[Tensor, "B"]:
    """Loss of each example: w T^2 distillation + (1 - w) supervision.

    T^2 keeps the gradient's scale independent of T (Hinton et al., 2015).
    """
    return distill_weight * temperature**2 * distillation + (1 - distill_weight) * supervision


def _logprobs(logits: Float[Tensor, "N V"], temperature: float) -> Float[Tensor, "N V"]:
    return (precise(logits) / temperature).log_softmax(-1)


def example_means(
    token_values: Float[Tensor, "N"], example_of_token: Int[Tensor, "N"], n_examples: int
) -> Float[Tensor, "B"]:
    """Mean over the answer tokens of each example; an example without a token gives NaN."""
    sums, counts = _sums(token_values, example_of_token, n_examples)
    return sums / counts


def mean_of_means(
    token_values: Float[Tensor, "N"], example_of_token: Int[Tensor, "N"], n_examples: int
) -> Float[Tensor, ""]:
    """Mean, over the examples that have a token, of the means over their tokens.

    Without a mask read back from the device: a host that waits leaves it idle.
    """
    sums, counts = _sums(token_values, example_of_token, n_examples)
    return (sums / counts.clamp(min=1)).sum() / (counts > 0).sum()


def _sums(
    token_values: Tensor, example_of_token: Tensor, n_examples: int
) -> tuple[Float[Tensor, "B"], Float[Tensor, "B"]]:
    """(sum, number) of each example's tokens."""
    zeros = token_values.new_zeros(n_examples)
    counts = zeros.index_add(0, example_of_token, torch.ones_like(token_values))
    return zeros.index_add(0, example_of_token, token_values), counts


def precise(values: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """At least float32, which sums of probabilities need; float64 stays."""
    return values if values.dtype == torch.float64 else values.float()
