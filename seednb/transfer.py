"""Small tensors on their way between device and host."""

import torch
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
