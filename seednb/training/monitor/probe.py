"""Figures for the monitor beside the losses, from one micro-batch of each step."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from seednb.core.devices import HostCopy, preserved_generator
from seednb.method.losses import mean_of_means, precise
from seednb.method.objective import Objective
from seednb.model.inputs.collate import Batch
from seednb.training.examples import Group, MicroBatch
from seednb.training.teacher import Teacher, Views

N_PROBED = 256  # answer tokens, spread over the micro-batch: a millisecond of the head's time at 7B


@dataclass
class Probe:
    """Measures the first micro-batch of each step, without gradient and without random numbers."""

    objective: Objective
    teacher: Teacher | None
    first: tuple[MicroBatch, Tensor] | None = None  # with the teacher's first hidden states

    @torch.no_grad()
    def figures(
        self,
        student: Float[Tensor, "N H"],
        views: Views | None,
        beta: Float[Tensor, "N"],
        batch: Batch,
    ) -> dict[str, HostCopy]:
        """Figures of a micro-batch, each a tensor of one number; none where nothing is distilled.

        `contrast`: T^2 KL(teacher's clean view || target), the signal itself, whatever the student
        has learnt. `probed`: the divergence that is optimised, T^2 times. Both are means over
        examples of means over tokens, as the loss should be.
        `direction`: where that divergence lies, token by token, between KL(student || target), 0,
        and KL(target || student), 1: the slope of a line through the origin.
        """
        if views is None:
            return {}
        student = student.detach()
        some = slice(None, None, -(-len(student) // N_PROBED))
        head, temperature = self.objective.head, self.objective.temperature
        logits, clean = head(student[some]), head(views.clean[some])
        target = clean
        if views.noisy is not None:
            target = self.objective.purification(clean, head(views.noisy[some]), beta[some])
        optimised = self.objective.divergence(logits, target, temperature)
        example = batch.example_of_token[some]
        of_student, of_clean, of_target = (
            (precise(values) / temperature).log_softmax(-1) for values in (logits, clean, target)
        )
        reverse, forward = _kl(of_student, of_target), _kl(of_target, of_student)
        gap = forward - reverse
        position = ((optimised - reverse) * gap).sum() / (gap * gap).sum()
        scale = temperature**2
        contrast, probed = (
            scale * mean_of_means(values, example, len(batch))
            for values in (_kl(of_clean, of_target), optimised)
        )
        found = {"contrast": contrast, "probed": probed, "direction": position}
        return {name: HostCopy(value.reshape(1)) for name, value in found.items()}

    def teacher_shift(self, group: Group, device: torch.device) -> dict[str, float]:
        """How far the teacher's hidden states have moved since it was asked first, by their length.

        0 for a frozen teacher. The first call asks about the group's first micro-batch and remembers.
        """
        if self.teacher is None or not (self.first or group.micro_batches):
            return {}
        is_new = self.first is None
        micro = group.micro_batches[0].to(device) if self.first is None else self.first[0]
        with preserved_generator(device), torch.no_grad(), self.teacher.mode:
            hidden = self.teacher.answers.hidden(micro.batch)
        if is_new:
            self.first = (micro, hidden)
        assert self.first is not None
        known = self.first[1]
        return {"teacher_shift": float((hidden - known).norm() / known.norm())}


def _kl(p: Float[Tensor, "N V"], q: Float[Tensor, "N V"]) -> Float[Tensor, "N"]:
    """KL(p || q) of log-probabilities, by torch's own formula, independent of the losses that it
    checks.
    """
    return F.kl_div(q, p, log_target=True, reduction="none").sum(-1)
