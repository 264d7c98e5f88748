"""From hidden states at answer positions to the losses of each answer token, in bounded memory."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from seednb.confidence import Measure, max_logprob
from seednb.losses import Divergence, cross_entropy
from seednb.purify import purify_logits
from seednb.spaces import Purification

CHUNK = 2**26  # logits of one matrix that are held at a time: 256 MiB in float32


@dataclass(frozen=True)
class Objective:
    """What is compared at each answer token, and how.

    The head makes logits of a chunk of tokens at a time and, if there are several chunks, makes them
    again in the backward pass: memory does not grow with the vocabulary times the tokens. `fused`
    compiles what follows the head, so that logits are read twice and not a dozen times.
    """

    head: nn.Linear
    divergence: Divergence
    temperature: float
    measure: Measure = max_logprob
    purification: Purification = purify_logits
    fused: bool = False

    def confidence(self, clean: Float[Tensor, "N H"]) -> Float[Tensor, "N"]:
        """How sure the teacher is at each token, at most 0."""
        measure = fused_measure if self.fused else measure_of
        chunks = clean.split(self._tokens_of_chunk)
        return torch.cat([measure(self, chunk) for chunk in chunks])

    def token_losses(
        self,
        student: Float[Tensor, "N H"],
        answer_ids: Int[Tensor, "N"],
        clean: Float[Tensor, "N H"] | None = None,
        noisy: Float[Tensor, "N H"] | None = None,
        beta: Float[Tensor, "N"] | None = None,
    ) -> tuple[Float[Tensor, "N"], Float[Tensor, "N"]]:
        """(divergence from the teacher, cross-entropy with the label) of each token.

        The teacher's logits are purified by `beta` if its noisy view is given. Without a teacher the
        divergence is 0. The factor T^2 is left to the loss.
        """
        losses = fused_losses if self.fused else losses_of
        given = (student, answer_ids, clean, noisy, beta)
        if len(student) <= self._tokens_of_chunk:
            return losses(self, *given)
        parts = [checkpoint(losses, self, *c, use_reentrant=False) for c in self._split(given)]
        distillation, supervision = zip(*parts, strict=True)
        return torch.cat(distillation), torch.cat(supervision)

    @property
    def _tokens_of_chunk(self) -> int:
        return max(1, CHUNK // self.head.out_features)

    def _split(self, given: tuple[Tensor | None, ...]) -> Iterator[tuple[Tensor | None, ...]]:
        assert given[0] is not None
        for start in range(0, len(given[0]), self._tokens_of_chunk):
            chunk = slice(start, start + self._tokens_of_chunk)
            yield tuple(None if tensor is None else tensor[chunk] for tensor in given)


def losses_of(
    objective: Objective,
    student: Tensor,
    answer_ids: Tensor,
    clean: Tensor | None,
    noisy: Tensor | None,
    beta: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """`token_losses` of one chunk."""
    logits = objective.head(student)
    supervision = cross_entropy(logits, answer_ids)
    if clean is None:
        return torch.zeros_like(supervision), supervision
    target = objective.head(clean)
    if noisy is not None and beta is not None:
        target = objective.purification(target, objective.head(noisy), beta)
    return objective.divergence(logits, target, objective.temperature), supervision


def measure_of(objective: Objective, clean: Tensor) -> Tensor:
    """`confidence` of one chunk."""
    return objective.measure(objective.head, clean)


fused_losses = torch.compile(losses_of, dynamic=True)
fused_measure = torch.compile(measure_of, dynamic=True)
