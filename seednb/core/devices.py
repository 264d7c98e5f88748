"""Where to compute: this process's device, the processes of its run, and copies to the host."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from accelerate import PartialState
from torch import Tensor


def default_device() -> torch.device:
    """CUDA (each process its own card), then Apple's GPU, then the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def process_state() -> PartialState:
    """The processes that `accelerate launch` started, or this one alone, each with its own device."""
    return PartialState(cpu=default_device().type == "cpu")


@contextmanager
def preserved_generator(device: torch.device) -> Iterator[None]:
    """Random numbers drawn inside leave the generators of the CPU and of `device` as they were."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield


class HostCopy:
    """An asynchronous copy of a small tensor: the device goes on computing until it is read."""

    def __init__(self, tensor: Tensor) -> None:
        """`tensor` may lie on any device; outside CUDA it is not copied."""
        self._tensor, self._arrived = tensor, None
        if tensor.device.type == "cuda":
            self._tensor = torch.empty_like(tensor, device="cpu", pin_memory=True)
            self._tensor.copy_(tensor, non_blocking=True)
            self._arrived = torch.cuda.current_stream().record_event()

    @property
    def values(self) -> Tensor:
        """The tensor on the host (outside CUDA: where it was), once it has arrived."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return self._tensor
