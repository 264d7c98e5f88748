"""Noisy views of a picture: pixel_values in, perturbed pixel_values out; pure functions."""

import hashlib

import torch
from jaxtyping import Float
from torch import Tensor


def gaussian_noise(
    pixel_values: Float[Tensor, "B C H W"], alpha: float, noise: Float[Tensor, "B C H W"]
) -> Float[Tensor, "B C H W"]:
    """x' = sqrt(alpha) x + sqrt(1 - alpha) eps (SEED, Eq. 4 as in the seed reproduction).

    `alpha` is the kept share of signal *power*; the kept amplitude is sqrt(alpha). The sum runs in
    the dtype of `pixel_values`, which are normalised (mean 0, variance about 1).
    """
    return alpha**0.5 * pixel_values + (1 - alpha) ** 0.5 * noise


def example_noise(
    keys: list[str], shape: tuple[int, ...], device: torch.device | str = "cpu"
) -> Float[Tensor, "B C H W"]:
    """Standard normal noise that depends on each example's key only, not on batch or process."""
    return torch.stack([normal(key, shape) for key in keys]).to(device)


def normal(key: str, shape: tuple[int, ...]) -> Float[Tensor, "..."]:
    """Standard normal noise that depends on a key only."""
    return torch.randn(shape, generator=generator(key))


def generator(key: str) -> torch.Generator:
    """Random numbers that depend on a key only."""
    digest = hashlib.sha256(key.encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


PERTURBATIONS = {"gaussian": gaussian_noise}
