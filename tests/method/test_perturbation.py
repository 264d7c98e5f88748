"""Laws of the noisy view."""

import pytest
import torch

from seednb.core.errors import SeedError
from seednb.method.perturbation import (
    PERTURBATIONS,
    View,
    ddpm_alpha,
    example_noise,
    gaussian_noise,
)

SHAPE = (3, 32, 32)


def test_alpha_one_keeps_the_image():
    pixels = torch.rand(2, *SHAPE)
    torch.testing.assert_close(gaussian_noise(pixels, 1.0, torch.randn_like(pixels)), pixels)


def test_alpha_is_the_kept_share_of_power():
    keys = [str(number) for number in range(64)]
    signal, noise = example_noise(keys, SHAPE), example_noise([f"n{key}" for key in keys], SHAPE)
    view = gaussian_noise(signal, 0.3, noise)
    torch.testing.assert_close((view * signal).mean() ** 2, torch.tensor(0.3), atol=0.01, rtol=0)
    torch.testing.assert_close(view.var(), torch.tensor(1.0), atol=0.02, rtol=0)


def test_noise_depends_on_the_example_and_not_on_its_batch():
    together = example_noise(["a", "b"], SHAPE)
    torch.testing.assert_close(example_noise(["b"], SHAPE)[0], together[1], atol=0, rtol=0)
    assert not torch.equal(together[0], together[1])


def image(seed=0):
    return torch.randn(*SHAPE, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_a_view_depends_on_the_image_and_the_key_alone(name):
    boxes = torch.zeros(SHAPE[1:], dtype=torch.bool)
    boxes[4:9, 5:20] = True
    view = View(name)
    first, again = (view.of(image(), "key", boxes) for _ in range(2))
    assert torch.equal(first, again) and first.shape == SHAPE
    is_random = name in ("gaussian", "ddpm", "mask")
    assert torch.equal(first, view.of(image(), "another", boxes)) != is_random
    assert torch.equal(first, image()) == (name in ("fgsm", "none"))


def test_a_mask_keeps_the_share_that_it_is_told_and_nothing_else():
    seen = View("mask", noise_alpha=0.25, view_cells=4).of(torch.ones(SHAPE), "key")
    assert seen.unique().tolist() == [0, 1]
    assert seen.mean() == 0.25
    whole_cells = seen.unfold(1, 8, 8).unfold(2, 8, 8).flatten(3).std(-1)
    assert (whole_cells == 0).all()


def test_boxes_hide_objects_and_leave_the_scene():
    boxes = torch.zeros(SHAPE[1:], dtype=torch.bool)
    boxes[3:7, 10:12] = True
    seen = View("objects").of(image(), "key", boxes)
    assert (seen[:, boxes] == 0).all()
    assert torch.equal(seen[:, ~boxes], image()[:, ~boxes])
    with pytest.raises(SeedError, match="objects needs annotated boxes"):
        View("objects").of(image(), "key")


def test_blur_and_downsampling_keep_the_mean_and_lose_detail():
    flat = torch.full(SHAPE, 0.7)
    for name in ("blur", "downsample"):
        torch.testing.assert_close(View(name).of(flat, ""), flat)
        assert View(name).of(image(), "").var() < 0.2 * image().var()
    coarse, fine = (View("downsample", view_cells=n).of(image(), "") for n in (2, 32))
    torch.testing.assert_close(fine, image())
    assert coarse.var() < 0.1


def test_the_diffusion_schedule_is_vcds():
    """At step 0 nothing is lost, at the last almost everything; step 500 keeps three quarters."""
    kept = [ddpm_alpha(step) for step in range(0, 1001, 100)]
    assert kept[0] == 1 and kept == sorted(kept, reverse=True) and kept[-1] < 0.1
    rates, product = torch.linspace(-6, 6, 1000, dtype=torch.float64), 1.0
    for rate in rates[:500].tolist():
        product *= 1 - (1e-5 + (5e-3 - 1e-5) / (1 + 2.718281828459045**-rate))
    assert ddpm_alpha(500) == pytest.approx(product, abs=1e-9)


def test_a_list_of_patches_is_no_grid_of_pixels():
    patches = torch.randn(64, 1176)
    assert View("gaussian").of(patches, "key").shape == patches.shape
    for name in ("mask", "blur", "downsample"):
        with pytest.raises(SeedError, match=f"perturbation={name} needs images as a grid"):
            View(name).of(patches, "key")
