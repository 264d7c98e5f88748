"""Where to compute: this process's device, its fellow processes, and tensors between device and host."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from accelerate import PartialState
from torch import Tensor


class OnHost:
    """A small tensor on its way from the device: others can be queued before it is awaited."""

    def __init__(self, tensor: Tensor) -> None:
        """`tensor` lies on any device."""
        self._tensor, self._arrived = tensor, None
        if tensor.device.type == "cuda":
            self._tensor = torch.empty_like(tensor, device="cpu", pin_memory=True)
            self._tensor.copy_(tensor, non_blocking=True)
            self._arrived = torch.cuda.current_stream().record_event()

    @property
    def values(self) -> Tensor:
        """The tensor, arrived."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return self._tensor


def default_device() -> torch.device:
    """CUDA (each process its own card), then Apple's GPU, then the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def one_card_each() -> PartialState:
    """The processes that `accelerate launch` started, or this one alone."""
    return PartialState(cpu=default_device().type == "cpu")


@contextmanager
def one_generator_aside(device: torch.device) -> Iterator[None]:
    """Whatever draws random numbers inside leaves the run's own as they were."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield
