"""One optimiser step, from a group of examples to the updated adapter: `Step.take`, top to bottom.

`seednb.method.reference` is the same for one example at a time; what surrounds it is in trainer.py.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from seednb.core.devices import HostCopy
from seednb.core.errors import GradientLost
from seednb.method.losses import example_means, seed_loss
from seednb.method.objective import Objective
from seednb.method.recipes import Recipe
from seednb.model.forward import AnswerLogits
from seednb.model.inputs.collate import Batch
from seednb.training.examples import Group
from seednb.training.history import StepResult
from seednb.training.monitor.probe import Probe
from seednb.training.targets import TargetMaker


class LossNotFinite(Exception):
    """A loss was found not finite after its backward pass; `args` are the micro-batches' numbers."""


@dataclass
class Step:
    """The parts of a step: the student, its targets, the objective, the optimiser."""

    student: AnswerLogits  # adapter on, dropout as the model is set
    targets: TargetMaker  # of the teacher: same weights, adapter off
    objective: Objective
    recipe: Recipe
    parameters: list[nn.Parameter]
    optimiser: AcceleratedOptimizer
    schedule: LRScheduler
    accelerator: Accelerator
    max_grad_norm: float
    probe: Probe
    sharded: bool  # every process runs the same micro-batches, for each holds a part of the layers
    asynchronous: bool  # with a GPU nothing is awaited that the next launch does not need
    reduction: Callable[[Tensor, Tensor, int], Tensor] = example_means  # of divergences of tokens

    def take(
        self, group: Group, progress: float = 0.0, left_out: frozenset[int] = frozenset()
    ) -> StepResult:
        """Change the adapter by a group of examples: the loss is the mean over the group.

        Each process takes its share of the group, micro-batch by micro-batch. `progress` is the share
        of the run that is over. A micro-batch whose loss is not finite is left out; `left_out` holds
        the numbers of those that are known. Raises LossNotFinite, before the update, where another is
        found after its backward pass, and GradientLost where no gradient reaches the adapter.
        """
        # Teacher: both views of each micro-batch, and the confidence of the clean one.
        targets = self.targets.of(group)
        batches = [micro.batch for micro in targets.micro_batches]
        # The student's first forward pass is queued before the confidences are awaited.
        first = self.student.hidden(batches[0]) if batches else None
        # Beta: large where the confidence is low, by the history of all examples before.
        betas = self.targets.betas(targets, progress)

        skipped = set(left_out)
        figures: list[dict[str, HostCopy]] = []
        parts = zip(batches, targets.views, betas, strict=True)
        for number, (batch, views, beta) in enumerate(parts):
            # Student, and its distance from purified target and label at each answer token.
            student = self.student.hidden(batch) if number > 0 or first is None else first
            clean, noisy = (views.clean, views.noisy) if views else (None, None)
            token_beta = of_tokens(beta, batch)
            divergence, cross_entropy = self.objective.token_losses(
                student, batch.answer_ids, clean, noisy, token_beta
            )
            # Loss: means over the tokens of an example, then over the examples of the group.
            distillation = self.reduction(divergence, batch.example_of_token, len(batch))
            supervision = example_means(cross_entropy, batch.example_of_token, len(batch))
            weight, temperature = self.recipe.distill_weight, self.recipe.temperature
            losses = seed_loss(distillation, supervision, weight, temperature)
            loss = losses.sum() / group.n_examples
            if not loss.requires_grad:
                raise GradientLost(
                    "the loss depends on no adapter weight, so nothing would be learnt; with "
                    "checkpointing set use_reentrant=False, and check lora_scope"
                )
            figures.append({
                "loss": HostCopy(losses.detach()),
                "distillation": HostCopy(temperature**2 * distillation.detach()),
                "supervision": HostCopy(supervision.detach()),
                "beta": HostCopy(beta),
                "confidence": targets.confidences[number],
            })  # fmt: skip
            # Backward.
            if not self.asynchronous and not torch.isfinite(loss):
                skipped.add(number)
            if self._in_all_processes(number not in skipped):
                counts = targets.micro_batches[number].counts
                self.accelerator.backward(loss if counts else 0 * loss)
            if number == 0:
                figures[0] |= self.probe.figures(student, views, token_beta, batch)
        # Awaited while the backward pass runs, where it was not before.
        finite = [bool(of["loss"].values.isfinite().all()) for of in figures]
        if late := {number for number, is_finite in enumerate(finite) if not is_finite} - skipped:
            raise LossNotFinite(*late)

        # Clip, update.
        sum_gradients(self.parameters, self.accelerator)
        norm = self.accelerator.clip_grad_norm_(self.parameters, self.max_grad_norm)
        rate = float(self.schedule.get_last_lr()[0])
        self.optimiser.step()
        self.schedule.step()
        self.optimiser.zero_grad()
        counted = [n for n, micro in enumerate(targets.micro_batches) if micro.counts]
        return StepResult(
            figures=[figures[n] for n in counted],
            n_skipped=len(skipped.intersection(counted)),
            gradient_norm=HostCopy(norm),
            learning_rate=rate,
            n_history=len(self.targets.selector.history),
        )

    def _in_all_processes(self, flag: bool) -> bool:
        """Whether a flag is set; where layers are sharded, whether it is in every process."""
        if not self.sharded:
            return flag
        n_set = self.accelerator.reduce(torch.tensor(float(flag), device=self.accelerator.device))
        return int(n_set) == self.accelerator.num_processes


def of_tokens(beta: Tensor, batch: Batch) -> Tensor:
    """Beta of each answer token, from those of the examples or of the tokens."""
    beta = beta.to(batch.answer_ids.device, non_blocking=True)
    return beta if len(beta) == len(batch.answer_ids) else beta[batch.example_of_token]


def sum_gradients(parameters: Sequence[nn.Parameter], accelerator: Accelerator) -> None:
    """Add the gradients of all processes, as one tensor: some 300 MB a step at 7B."""
    if accelerator.num_processes == 1:
        return
    gradients = (torch.zeros_like(p) if p.grad is None else p.grad for p in parameters)
    total = accelerator.reduce(torch.cat([g.flatten() for g in gradients]), "sum")
    parts = total.split([p.numel() for p in parameters])
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.grad = part.view_as(parameter)
