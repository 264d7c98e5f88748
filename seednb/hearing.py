"""What the teacher says of a whole group, asked ahead of the step that needs it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from accelerate.utils import gather_object
from torch import Tensor

from seednb.confidence import pooled
from seednb.examples import Group, Pass
from seednb.objective import Objective
from seednb.purify import BetaSelector
from seednb.teacher import Teacher, Views
from seednb.tokens import example_means
from seednb.transfer import OnHost
from seednb.versions import Recipe


@dataclass(frozen=True)
class Heard:
    """A group on the device, with what the teacher said of each pass."""

    group: Group
    passes: list[Pass]
    views: list[Views | None]  # None where nothing is distilled
    confidences: list[OnHost]  # of each example, or of each token, on their way to the host

    @property
    def no_betas(self) -> list[Tensor]:
        """Beta 0 for each confidence of each pass."""
        return [torch.zeros_like(confidence.values) for confidence in self.confidences]


@dataclass(frozen=True)
class Hearing:
    """Asks the teacher; nothing is awaited. Without a teacher the confidences are 0."""

    teacher: Teacher | None
    objective: Objective
    device: torch.device
    recipe: Recipe
    selector: BetaSelector  # its history says which confidences are low

    def of(self, group: Group) -> Heard:
        """Each of a group's passes, with what the teacher says of it."""
        passes = [part.to(self.device) for part in group.passes]
        views = [self._views(part) for part in passes]
        confidences = [self._confidence(*pair) for pair in zip(passes, views, strict=True)]
        return Heard(group, passes, views, confidences)

    def expect(self, group: Group) -> None:
        """Begin to read what is remembered of a group that `of` will be asked about."""
        if self.teacher is None:
            return
        together = self.recipe.noisy_share == 1
        for part in group.passes:
            self.teacher.expect(part.batch, part.noisy if together else None, part.keys)

    def _views(self, part: Pass) -> Views | None:
        if self.teacher is None:
            return None
        if self.recipe.noisy_share == 1:
            return self.teacher.views(part.batch, part.noisy, part.keys)

        def unsure(clean: Tensor) -> list[bool]:
            confidences = self._pooled(part, self._tokens(clean))
            return self.selector.is_low(confidences, self.recipe.noisy_share)

        return self.teacher.views(part.batch, part.noisy, part.keys, unsure)

    def _confidence(self, part: Pass, views: Views | None) -> OnHost:
        batch = part.batch
        if views is None:
            return OnHost(torch.zeros(len(batch)))
        tokens = self._tokens(views.clean)
        return OnHost(tokens if self.recipe.beta_per_token else self._pooled(part, tokens))

    @torch.no_grad()
    def _tokens(self, clean: Tensor) -> Tensor:
        return self.objective.confidence(clean)

    def _pooled(self, part: Pass, tokens: Tensor) -> Tensor:
        batch = part.batch
        if self.recipe.pooling == "mean":  # without a loop over examples
            return example_means(tokens, batch.example_of_token, len(batch))
        return pooled(tokens, batch.n_answer_tokens, self.recipe.pooling)


def choose_betas(heard: Heard, selector: BetaSelector, progress: float = 0.0) -> list[Tensor]:
    """Beta for each confidence of each pass, of an example or of a token.

    The history holds the examples of all processes, in order. `progress` is the share of the run
    that is over.
    """
    own = [
        (place, values.tolist())
        for part, of_pass in zip(heard.passes, heard.confidences, strict=True)
        if part.counts
        for place, values in zip(part.places, _by_example(part, of_pass.values), strict=True)
    ]
    ordered = sorted(gather_object(own))
    values = torch.tensor([value for _, of_example in ordered for value in of_example])
    lengths = [len(of_example) for _, of_example in ordered]
    betas = selector.select(values, progress).split(lengths)
    beta_of = {place: beta for (place, _), beta in zip(ordered, betas, strict=True)}
    return [torch.cat([beta_of[place] for place in part.places]) for part in heard.passes]


def _by_example(part: Pass, values: Tensor) -> Sequence[Tensor]:
    """The confidences of each example: one, or one a token."""
    n_tokens = part.batch.n_answer_tokens
    lengths = n_tokens if len(values) == sum(n_tokens) else [1] * len(n_tokens)
    return values.split(list(lengths))
