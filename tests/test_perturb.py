"""Laws of the noisy view."""

import torch

from seednb.perturb import example_noise, gaussian_noise

SHAPE = (3, 32, 32)


def test_alpha_one_keeps_the_picture():
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
