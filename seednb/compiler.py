"""Whether this machine can compile, and how long it has been at it."""

from functools import cache

import torch
from torch import Tensor
from torch._dynamo.utils import calculate_time_spent

from seednb.errors import gist


@cache
def obstacle(device_type: str) -> str | None:
    """Why nothing can be compiled for a kind of device; None if it can.

    Tried once a process, on a sum and its gradient: what is missing, a compiler of C or one of
    kernels, shows there as well.
    """
    try:
        numbers = torch.ones(8, device=device_type, requires_grad=True)
        torch.compile(_tried)(numbers).backward()
    except Exception as error:  # each missing piece raises its own
        return reason_of(error)
    return None


def reason_of(error: Exception) -> str:
    """What went wrong in a compiler, in one line."""
    inner = getattr(error, "inner_exception", error)  # else the first line says who failed, not why
    return gist(inner)


def seconds_compiling() -> float:
    """What this process has spent on compiling so far, forward and backward forms."""
    return float(calculate_time_spent()["total_wall_time"])


def _tried(numbers: Tensor) -> Tensor:
    return (2 * numbers + 1).relu().sum()
