"""Fallbacks of a step: checkpointing where memory runs out, eager mode where nothing compiles."""

from collections.abc import Callable

import torch
from torch._dynamo.exc import TorchDynamoException

from seednb.core.errors import SeedError
from seednb.model.compile import CompiledLayers, reason_of, seconds_compiling
from seednb.training.examples import Group
from seednb.training.history import StepResult
from seednb.training.step import LossNotFinite, Step


class Fallback:
    """How steps are taken now: with which layers compiled, with or without checkpointing."""

    def __init__(
        self, step: Step, layers: CompiledLayers | None, checkpointing: str, remarks: list[str]
    ) -> None:
        """`layers`: the compiled ones, None in eager mode. `checkpointing`: the parameter's value.

        Messages for the log are appended to `remarks`.
        """
        self.step, self.layers, self.remarks = step, layers, remarks
        self.may_checkpoint = checkpointing == "auto" and step.accelerator.num_processes == 1
        self.compiling_s = seconds_compiling()  # that were reported
        self.set_checkpointing(checkpointing == "always")

    def set_checkpointing(self, wanted: bool) -> None:
        """Activation checkpointing on or off: layers keep their input and are recomputed backward."""
        self.checkpointing = wanted
        model = self.step.student.whole
        if wanted:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        else:
            model.gradient_checkpointing_disable()

    def within_limits(
        self,
        take: Callable[[Group, float, frozenset[int]], StepResult],
        group: Group,
        progress: float = 0.0,
    ) -> StepResult:
        """The result of a step, taken again where it fails.

        Out of memory: with checkpointing, which is then kept on (several processes would have to agree
        on that, so there it is an error). Something does not compile: in eager mode, kept too. A loss
        is not finite: without its micro-batch. Raises SeedError with the parameters that help.
        """
        left_out = frozenset[int]()
        while True:
            try:
                return take(group, progress, left_out)
            except LossNotFinite as error:
                left_out |= set(error.args)
            except TorchDynamoException as error:
                self._to_eager(error)
            except torch.OutOfMemoryError as error:
                self._to_checkpointing(group, error)
            self.step.optimiser.zero_grad()
            torch.cuda.empty_cache()

    def _to_checkpointing(self, group: Group, error: torch.OutOfMemoryError) -> None:
        if self.checkpointing or not self.may_checkpoint:
            raise SeedError(
                f"memory ran out with {len(group.micro_batches[0].batch)} examples a micro-batch; "
                "set gradient_checkpointing=always, or lower batch_size and raise grad_accum"
            ) from error
        self.set_checkpointing(True)

    def _to_eager(self, error: TorchDynamoException) -> None:
        """Go on without compiled layers. Raises SeedError if it is attention that does not compile."""
        reason = reason_of(error)
        if self.layers is None:
            raise SeedError(
                f"the kernel of attention does not compile: {reason}; set attention=dense"
            ) from error
        self.remarks.append(f"layers run in eager mode, not compiled: {reason}")
        self.layers.use(False)
        self.layers = None
        self.step.objective.fused = False

    def report_compiling(self, number: int) -> None:
        """Append a remark on the seconds of compiling since the last remark, if over a second."""
        seconds = seconds_compiling() - self.compiling_s if self.layers else 0
        if seconds > 1:
            self.remarks.append(f"compiling took {seconds:.0f} s by step {number}")
            self.compiling_s += seconds
