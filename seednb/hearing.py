"""What the teacher says of a whole group, asked ahead of the step that needs it."""

from dataclasses import dataclass

import torch
from accelerate.utils import gather_object
from torch import Tensor

from seednb.examples import Group, Pass
from seednb.objective import Objective
from seednb.purify import BetaSelector
from seednb.teacher import Teacher, Views
from seednb.tokens import example_means
from seednb.transfer import OnHost


@dataclass(frozen=True)
class Heard:
    """A group on the device, with what the teacher said of each pass."""

    group: Group
    passes: list[Pass]
    views: list[Views | None]  # None where nothing is distilled
    confidences: list[OnHost]  # of each example, on their way to the host

    @property
    def no_betas(self) -> list[Tensor]:
        """Beta 0 for each example of each pass."""
        return [torch.zeros_like(confidence.values) for confidence in self.confidences]


@dataclass(frozen=True)
class Hearing:
    """Asks the teacher; nothing is awaited. Without a teacher the confidences are 0."""

    teacher: Teacher | None
    objective: Objective
    device: torch.device

    def of(self, group: Group) -> Heard:
        """Each of a group's passes, with what the teacher says of it."""
        passes = [part.to(self.device) for part in group.passes]
        views = [self._views(part) for part in passes]
        confidences = [self._confidence(*pair) for pair in zip(passes, views, strict=True)]
        return Heard(group, passes, views, confidences)

    def _views(self, part: Pass) -> Views | None:
        if self.teacher is None:
            return None
        return self.teacher.views(part.batch, part.noise, part.keys)

    def _confidence(self, part: Pass, views: Views | None) -> OnHost:
        batch = part.batch
        if views is None:
            return OnHost(torch.zeros(len(batch)))
        with torch.no_grad():
            tokens = self.objective.confidence(views.clean)
            return OnHost(example_means(tokens, batch.example_of_token, len(batch)))


def choose_betas(heard: Heard, selector: BetaSelector) -> list[Tensor]:
    """Beta of each example of each pass; the history holds the examples of all processes, in order."""
    own = [
        (place, confidence)
        for part, of_pass in zip(heard.passes, heard.confidences, strict=True)
        if part.counts
        for place, confidence in zip(part.places, of_pass.values.tolist(), strict=True)
    ]
    places, values = zip(*sorted(gather_object(own)), strict=True)
    betas = selector.select(torch.tensor(values)).tolist()
    beta_of = dict(zip(places, betas, strict=True))
    return [torch.tensor([beta_of[place] for place in part.places]) for part in heard.passes]
