"""Noisy views of an image: pixels in, perturbed pixels out; pure functions.

What is random in a view depends on a key alone (the image's name, the seed and the epoch), never on
the batch or the process: texts that share an image share its noisy view.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from seednb.core.errors import SeedError

DDPM_STEPS = 1000


@dataclass(frozen=True)
class View:
    """How the noisy view is made: a name of `PERTURBATIONS` and its parameters."""

    perturbation: str = "gaussian"
    noise_alpha: float = 0.3  # kept share: of power (gaussian), of area (mask)
    ddpm_step: int = 500  # of DDPM_STEPS
    view_cells: int = 6  # cells along a side (mask, downsample, blur)

    @property
    def reads(self) -> tuple[str, ...]:
        """The parameters of a training that this view is made of: those of `READS`, or else all."""
        return READS.get(self.perturbation, ("noise_alpha", "ddpm_step", "view_cells", "fgsm_step"))

    def of(
        self,
        pixels: Float[Tensor, "*any"],
        key: str,
        boxes: Bool[Tensor, "H W"] | None = None,
    ) -> Float[Tensor, "*any"]:
        """The noisy view of one image; `boxes` is true where annotated objects are.

        Raises SeedError where the image is no grid of pixels and the perturbation needs one.
        """
        return PERTURBATIONS[self.perturbation](pixels, self, key, boxes)


def gaussian_noise(
    pixel_values: Float[Tensor, "*any"], alpha: float, noise: Float[Tensor, "*any"]
) -> Float[Tensor, "*any"]:
    """x' = sqrt(alpha) x + sqrt(1 - alpha) eps (SEED, Eq. 4 as in the reproduction).

    `alpha` is the kept share of signal *power*; the kept amplitude is sqrt(alpha). The sum runs in
    the dtype of `pixel_values`, which are normalised (mean 0, variance about 1).
    """
    return alpha**0.5 * pixel_values + (1 - alpha) ** 0.5 * noise


def ddpm_alpha(step: int) -> float:
    """Share of signal power that a diffusion process keeps at a step of `DDPM_STEPS`.

    prod_{s <= step} (1 - b_s), b = sigmoid(linspace(-6, 6)) (0.005 - 1e-5) + 1e-5: the schedule of
    VCD (Leng et al., 2024), which contrasts at step 500. Step 0 keeps all.
    """
    rates = torch.linspace(-6, 6, DDPM_STEPS, dtype=torch.float64).sigmoid() * (5e-3 - 1e-5) + 1e-5
    return float((1 - rates[:step]).prod())


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


def _gaussian(pixels: Tensor, view: View, key: str, boxes: Tensor | None) -> Tensor:
    """sqrt(alpha) x + sqrt(1 - alpha) eps with alpha = `noise_alpha` (SEED, Eq. 4)."""
    return gaussian_noise(pixels, view.noise_alpha, normal(key, tuple(pixels.shape)))


def _ddpm(pixels: Tensor, view: View, key: str, boxes: Tensor | None) -> Tensor:
    """As gaussian, with alpha from a diffusion schedule at `ddpm_step` (VCD, Leng et al., 2024)."""
    return gaussian_noise(pixels, ddpm_alpha(view.ddpm_step), normal(key, tuple(pixels.shape)))


def _mask(pixels: Tensor, view: View, key: str, boxes: Tensor | None) -> Tensor:
    """Random cells become the mean colour, which is 0; `noise_alpha` is the share that is kept."""
    n = view.view_cells
    kept = torch.zeros(n * n)
    kept[torch.randperm(n * n, generator=generator(key))[: round(view.noise_alpha * n * n)]] = 1
    return pixels * F.interpolate(kept.view(1, 1, n, n), size=_grid(pixels, view))[0, 0]


def _objects(pixels: Tensor, view: View, key: str, boxes: Tensor | None) -> Tensor:
    """Boxes of annotated objects become the mean colour; the scene around them stays."""
    if boxes is None:
        raise SeedError(
            "perturbation=objects needs annotated boxes for images of one size; choose another"
        )
    return pixels.masked_fill(boxes, 0)


def _blur(pixels: Tensor, view: View, key: str, boxes: Tensor | None) -> Tensor:
    """Gaussian blur whose standard deviation is half a cell."""
    height, width = _grid(pixels, view)
    planes = pixels.reshape(-1, 1, height, width)
    sigma = max(height, width) / view.view_cells / 2
    reach = min(round(3 * sigma), height - 1, width - 1)  # a reflection is as wide as the image
    x = torch.arange(-reach, reach + 1, dtype=pixels.dtype)
    kernel = torch.exp(-0.5 * (x / sigma) ** 2)
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)
    planes = F.conv2d(F.pad(planes, (reach, reach, 0, 0), mode="reflect"), kernel)
    planes = F.conv2d(F.pad(planes, (0, 0, reach, reach), mode="reflect"), kernel.mT)
    return planes.view(pixels.shape)


def _downsample(pixels: Tensor, view: View, key: str, boxes: Tensor | None) -> Tensor:
    """Each cell becomes one pixel, its mean; enlarged again with linear interpolation."""
    height, width = _grid(pixels, view)
    small = F.adaptive_avg_pool2d(pixels.reshape(-1, 1, height, width), view.view_cells)
    large = F.interpolate(small, size=(height, width), mode="bilinear", align_corners=False)
    return large.view(pixels.shape)


def _blank(pixels: Tensor, view: View, key: str, boxes: Tensor | None) -> Tensor:
    """The mean image: nothing is seen, only the prior is left."""
    return torch.zeros_like(pixels)


def _unchanged(pixels: Tensor, view: View, key: str, boxes: Tensor | None) -> Tensor:
    """The clean image: `text_corruption` alone makes the view."""
    return pixels


def _left_to_the_teacher(pixels: Tensor, view: View, key: str, boxes: Tensor | None) -> Tensor:
    """x + step sign(grad_x of -log p(answer)), step = `fgsm_step` (Goodfellow et al., 2015).

    It takes the model's gradient, so the teacher makes this view; here the image stays clean.
    """
    return pixels


def _grid(pixels: Tensor, view: View) -> tuple[int, int]:
    """Height and width. Some models read images as a list of patches, where there is neither."""
    if pixels.dim() < 3 or pixels.shape[-3] != 3:
        raise SeedError(
            f"perturbation={view.perturbation} needs images as a grid of pixels, which this model "
            "does not read; use gaussian, ddpm or blank"
        )
    return pixels.shape[-2], pixels.shape[-1]


Perturb = Callable[[Tensor, View, str, Tensor | None], Tensor]
PERTURBATIONS: dict[str, Perturb] = {
    "gaussian": _gaussian,
    "ddpm": _ddpm,
    "mask": _mask,
    "objects": _objects,
    "blur": _blur,
    "downsample": _downsample,
    "blank": _blank,
    "fgsm": _left_to_the_teacher,
    "none": _unchanged,
}
READS = {
    "gaussian": ("noise_alpha",),
    "ddpm": ("ddpm_step",),
    "mask": ("noise_alpha", "view_cells"),
    "objects": (),
    "blur": ("view_cells",),
    "downsample": ("view_cells",),
    "blank": (),
    "fgsm": ("fgsm_step",),
    "none": (),
}
