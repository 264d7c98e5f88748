"""Frozen linear layers in 8-bit floats, forwards and for the gradient of their inputs.

Weights lie in e4m3 (Micikevicius et al., 2022) with one float32 scale a row. Inputs, and in the
backward pass gradients, are quantised at run time with one scale a token; sums run in float32. CUDA
multiplies in 8 bits (`torch._scaled_mm`); elsewhere the same rounded numbers are multiplied in
float32, so a CPU computes the same values, slower.

torchao serves neither need: its training layer keeps 16-bit weights, which it quantises at every
pass, and computes the gradient of frozen weights; its quantised weights are for inference.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from seednb.core.errors import SeedError, gist

E4M3 = torch.float8_e4m3fn
LARGEST = 448.0  # of e4m3
SMALLEST_SCALE = 1e-30  # of a row of zeros; 1e-12 would round a small gradient to nothing
MULTIPLE = 16  # of both widths, which the kernel asks for
CAPABILITY = (8, 9)


class Fp8Linear(nn.Linear):
    """A frozen linear layer whose products run in 8 bits: always, or for the teacher only."""

    weight: nn.Parameter
    scale: Float[Tensor, "out"]
    transposed: UInt8[Tensor, "in out"] | None  # a second copy, for the backward pass
    teacher_bits: UInt8[Tensor, "out in"] | None  # beside 16-bit weights, for the teacher only
    is_teacher: bool

    @classmethod
    def of(
        cls, linear: nn.Linear, device: torch.device, teacher_only: bool, keeps_transposed: bool
    ) -> "Fp8Linear":
        """The layer on a device; its 16-bit weights are kept if only the teacher runs in 8 bits."""
        weight = linear.weight.data.to(device)
        eights, scale = quantise(weight)
        bits = eights.view(torch.uint8)  # which neither `model.to(dtype)` nor PEFT converts
        layer = cls(1, 1, bias=False, device="meta")
        layer.in_features, layer.out_features = linear.in_features, linear.out_features
        layer.weight = nn.Parameter(weight if teacher_only else bits, requires_grad=False)
        layer.bias = linear.bias
        layer.is_teacher = False
        keeps = keeps_transposed and not teacher_only
        for name, value in {
            "scale": scale,
            "transposed": bits.t().contiguous() if keeps else None,
            "teacher_bits": bits if teacher_only else None,
        }.items():
            layer.register_buffer(name, value, persistent=False)
        return layer.train(linear.training)

    def forward(self, x: Float[Tensor, "... in"]) -> Float[Tensor, "... out"]:
        """The product, in the precision of autocast or else of the input."""
        if self.teacher_bits is not None and not self.is_teacher:
            return F.linear(x, self.weight, self.bias)
        bits = self.weight if self.teacher_bits is None else self.teacher_bits
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        flat = x.to(dtype).reshape(-1, self.in_features)
        y = _Product.apply(flat, bits, self.scale, self.transposed)
        y = y.reshape(*x.shape[:-1], self.out_features)
        return y if self.bias is None else y + self.bias.to(dtype)


class _Product(torch.autograd.Function):
    """x [N, in] times the transposed weights; backwards the gradient times the weights."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bits: Tensor, scale: Tensor, transposed: Tensor | None) -> Any:
        ctx.save_for_backward(bits, scale, transposed)
        return scaled_product(*quantise(x), bits.view(E4M3), scale, x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        """The scales of the weights' rows go into the gradient: one copy serves both passes."""
        (gradient,) = gradients
        bits, scale, transposed = ctx.saved_tensors
        if transposed is None:
            transposed = bits.t().contiguous()
        eights, token_scale = quantise(gradient.float() * scale)
        ones = torch.ones_like(transposed[:, 0], dtype=torch.float32)
        along = scaled_product(eights, token_scale, transposed.view(E4M3), ones, gradient.dtype)
        return along, None, None, None


def quantise(values: Float[Tensor, "N K"]) -> tuple[Tensor, Float[Tensor, "N"]]:
    """(e4m3 [N, K], scale) with values ≈ e4m3 x scale, the largest of each row at 448.

    The error of a value is at most 1/16 of it, or 2^-10 of the scale where that is more.
    """
    scale = (values.abs().amax(-1).float() / LARGEST).clamp_min(SMALLEST_SCALE)
    return (values.float() / scale[:, None]).to(E4M3), scale


def scaled_product(
    left: Tensor, left_scale: Tensor, right: Tensor, right_scale: Tensor, dtype: torch.dtype
) -> Float[Tensor, "N M"]:
    """left [N, K] times right [M, K] transposed, both e4m3, with their scales."""
    if left.is_cuda:
        return torch._scaled_mm(
            left, right.t(), scale_a=left_scale[:, None], scale_b=right_scale[None],
            out_dtype=torch.bfloat16, use_fast_accum=True,
        ).to(dtype)  # fmt: skip
    with torch.autocast(left.device.type, enabled=False):
        sums = left.float() @ right.float().t()
    return (sums * left_scale[:, None] * right_scale).to(dtype)


def to_fp8(
    layers: Iterable[nn.Module],
    device: torch.device,
    teacher_only: bool = False,
    keeps_transposed: bool = False,
) -> int:
    """Replace the linear layers inside `layers`, one by one, on `device`; returns how many.

    Those with a width that is no multiple of 16 stay as they are. The second, transposed copy of the
    weights costs a byte a weight and saves transposing them in every backward pass. Raises SeedError
    if the device cannot multiply 8-bit floats.
    """
    if reason := obstacle(device.type):
        raise SeedError(f"precision=fp8 does not run here: {reason}; set precision=bfloat16")
    n = 0
    for layer in layers:
        for parent in list(layer.modules()):
            for name, child in list(parent.named_children()):
                if type(child) is nn.Linear and not any(n % MULTIPLE for n in child.weight.shape):
                    setattr(
                        parent, name, Fp8Linear.of(child, device, teacher_only, keeps_transposed)
                    )
                    n += 1
    return n


@cache
def obstacle(device_type: str) -> str | None:
    """Why a kind of device multiplies no 8-bit floats; None if it does. A CPU emulates them."""
    if device_type == "cpu":
        return None
    if device_type != "cuda":
        return f"8-bit floats need a CUDA card, and this device is {device_type}"
    found = torch.cuda.get_device_capability()
    if found < CAPABILITY:
        shown, needed = (".".join(map(str, pair)) for pair in (found, CAPABILITY))
        return f"{torch.cuda.get_device_name()} has compute capability {shown}, 8-bit floats need {needed}"
    eights, scale = quantise(torch.ones(MULTIPLE, MULTIPLE, device=device_type))
    try:
        scaled_product(eights, scale, eights, scale, torch.bfloat16).sum().item()
    except Exception as error:  # of a driver or library that is too old: each its own
        return f"driver or library refuses 8-bit products: {gist(error)}"
    return None
