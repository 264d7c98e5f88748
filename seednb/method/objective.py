"""From hidden states at answer positions to the losses of each answer token, in bounded memory."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, wraps
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from seednb.method.confidence import Measure, max_logprob
from seednb.method.losses import Divergence, cross_entropy
from seednb.method.purification import Purification, purify_logits

CHUNK = 2**26  # logits of one matrix that are held at a time: 256 MiB in float32


@cache
def compiled(formula: Callable[..., Any]) -> Callable[..., Any]:
    """A formula that reads logits twice and not a dozen times; compiled when it first runs."""
    return torch.compile(formula, dynamic=True)


def chunked(formula: Callable[..., Any]) -> Callable[..., Any]:
    """The formula, applied to some tokens at a time, so that few logits exist at once.

    If there are several chunks, their logits are recomputed in the backward pass: memory does not
    grow with the vocabulary times the tokens. An objective that is `fused` compiles the formula.
    """

    @wraps(formula)
    def bounded(objective: "Objective", *tensors: Tensor | None) -> Any:
        function = compiled(formula) if objective.fused else formula
        size = max(1, CHUNK // objective.head.out_features)
        n_tokens = next(len(tensor) for tensor in tensors if tensor is not None)
        if n_tokens <= size:
            return function(objective, *tensors)
        parts = [
            checkpoint(
                function,
                objective,
                *(None if tensor is None else tensor[start : start + size] for tensor in tensors),
                use_reentrant=False,
            )
            for start in range(0, n_tokens, size)
        ]
        if isinstance(parts[0], Tensor):
            return torch.cat(parts)
        return tuple(map(torch.cat, zip(*parts, strict=True)))

    return bounded


@dataclass
class Objective:
    """The losses of each answer token: divergence, measure of confidence, purification."""

    head: nn.Linear  # hidden states -> logits; no adapter touches it
    divergence: Divergence
    temperature: float
    measure: Measure = max_logprob
    purification: Purification = purify_logits
    fused: bool = False

    @chunked
    def confidence(self, clean: Float[Tensor, "N H"]) -> Float[Tensor, "N"]:
        """Confidence of the teacher at each token, at most 0."""
        return self.measure(self.head, clean)

    @chunked
    def token_losses(
        self,
        student: Float[Tensor, "N H"],
        answer_ids: Int[Tensor, "N"],
        clean: Float[Tensor, "N H"] | None = None,
        noisy: Float[Tensor, "N H"] | None = None,
        beta: Float[Tensor, "N"] | None = None,
    ) -> tuple[Float[Tensor, "N"], Float[Tensor, "N"]]:
        """(divergence from the target, cross-entropy with the label) of each token.

        The target is the teacher's clean view, purified by `beta` if its noisy view is given. Without
        a teacher the divergence is 0. The factor T^2 is left to the loss.
        """
        student_logits = self.head(student)
        supervision = cross_entropy(student_logits, answer_ids)
        if clean is None:
            return torch.zeros_like(supervision), supervision
        target_logits = self.head(clean)
        if noisy is not None and beta is not None:
            target_logits = self.purification(target_logits, self.head(noisy), beta)
        return self.divergence(student_logits, target_logits, self.temperature), supervision
