"""Divergences between student and target, one value an answer token; pure functions.

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

from seednb.tokens import precise

Divergence = Callable[[Float[Tensor, "N V"], Float[Tensor, "N V"], float], Float[Tensor, "N"]]


def reverse_kl(
    student_logits: Float[Tensor, "N V"], target_logits: Float[Tensor, "N V"], temperature: float
) -> Float[Tensor, "N"]:
    """KL(student || target) of each token at temperature T, without the factor T^2.

    Mode-seeking: the student is punished for mass where the target has none (SEED, Eq. 15 as in the
    seed reproduction).
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


SKEW = 0.1
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
