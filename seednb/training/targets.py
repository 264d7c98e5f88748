"""The distillation targets of a step, prefetched while the step before is computed."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from accelerate.utils import gather_object
from torch import Tensor

from seednb.core.devices import HostCopy
from seednb.method.beta import BetaSelector
from seednb.method.confidence import pooled
from seednb.method.losses import example_means
from seednb.method.objective import Objective
from seednb.method.recipes import Recipe
from seednb.training.examples import Group, MicroBatch
from seednb.training.teacher import Teacher, Views


@dataclass
class Targets:
    """A group's micro-batches on the device, each with what its distillation target is made of."""

    group: Group
    micro_batches: list[MicroBatch]
    views: list[Views | None]  # None where nothing is distilled
    confidences: list[HostCopy]  # of each example, or of each token, on their way to the host
    betas: list[Tensor] | None = None  # as many as confidences; None until they are chosen


@dataclass
class TargetMaker:
    """Makes targets with a teacher; nothing is awaited. Without one the confidences are 0."""

    teacher: Teacher | None
    objective: Objective
    device: torch.device
    recipe: Recipe
    selector: BetaSelector  # holds the history of confidences
    purifies: bool  # else every beta is 0
    latest: Targets | None = None  # made last, perhaps a step ahead

    def of(self, group: Group) -> Targets:
        """A group's targets: made now, unless it is the group that they were made of last."""
        if self.latest is None or self.latest.group is not group:
            micro_batches = [micro.to(self.device) for micro in group.micro_batches]
            views = [self._views(micro) for micro in micro_batches]
            confidences = list(map(self._confidence, micro_batches, views))
            self.latest = Targets(group, micro_batches, views, confidences)
        return self.latest

    def read_cached(self, group: Group) -> None:
        """Begin to read a group's states from the teacher's cache."""
        if self.teacher is None:
            return
        together = self.recipe.noisy_share == 1
        for micro in group.micro_batches:
            self.teacher.prefetch(micro.batch, micro.noisy if together else None, micro.keys)

    def betas(self, targets: Targets, progress: float) -> list[Tensor]:
        """Beta for each confidence of each micro-batch, chosen once.

        The history holds the examples of all processes, in order. `progress` is the share of the run
        that is over.
        """
        if targets.betas is None and self.purifies:
            targets.betas = self._chosen(targets, progress)
        elif targets.betas is None:
            targets.betas = [torch.zeros_like(of.values) for of in targets.confidences]
        return targets.betas

    def _chosen(self, targets: Targets, progress: float) -> list[Tensor]:
        own = [
            (place, values.tolist())
            for micro, confidence in zip(targets.micro_batches, targets.confidences, strict=True)
            if micro.counts
            for place, values in zip(
                micro.places, _by_example(micro, confidence.values), strict=True
            )
        ]
        ordered = sorted(gather_object(own))
        confidences = torch.tensor([value for _, of_example in ordered for value in of_example])
        lengths = [len(of_example) for _, of_example in ordered]
        betas = self.selector.select(confidences, progress).split(lengths)
        beta_of = {place: beta for (place, _), beta in zip(ordered, betas, strict=True)}
        return [
            torch.cat([beta_of[place] for place in micro.places]) for micro in targets.micro_batches
        ]

    def _views(self, micro: MicroBatch) -> Views | None:
        if self.teacher is None:
            return None

        def unsure(clean: Tensor) -> list[bool]:
            confidences = self._pooled(micro, self._tokens(clean))
            return self.selector.is_low(confidences, self.recipe.noisy_share)

        chooses = unsure if self.recipe.noisy_share < 1 else None
        return self.teacher.views(micro.batch, micro.noisy, micro.keys, chooses)

    def _confidence(self, micro: MicroBatch, views: Views | None) -> HostCopy:
        if views is None:
            return HostCopy(torch.zeros(len(micro.batch)))
        tokens = self._tokens(views.clean)
        return HostCopy(tokens if self.recipe.beta_per_token else self._pooled(micro, tokens))

    @torch.no_grad()
    def _tokens(self, clean: Tensor) -> Tensor:
        return self.objective.confidence(clean)

    def _pooled(self, micro: MicroBatch, tokens: Tensor) -> Tensor:
        batch = micro.batch
        if self.recipe.pooling == "mean":  # without a loop over examples
            return example_means(tokens, batch.example_of_token, len(batch))
        return pooled(tokens, batch.n_answer_tokens, self.recipe.pooling)


def _by_example(micro: MicroBatch, values: Tensor) -> Sequence[Tensor]:
    """The confidences of each example: one, or one a token."""
    n_tokens = micro.batch.n_answer_tokens
    lengths = n_tokens if len(values) == sum(n_tokens) else [1] * len(n_tokens)
    return values.split(list(lengths))
