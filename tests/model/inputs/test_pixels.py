"""Boxes land where the image's objects land."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from seednb.core.profiles import load_params
from seednb.method.perturbation import View
from seednb.model.inputs.pixels import ImageReader, box_mask
from seednb.model.loading import load_bundle

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def processor():
    params = load_params(ROOT / "params/smoke.yaml").model
    return load_bundle(str(ROOT / "seednb/assets/pocket-llava"), params).processor


@pytest.mark.parametrize(
    ("size", "fit"), [((96, 96), "pad"), ((192, 96), "pad"), ((192, 96), "crop")]
)
def test_a_box_follows_its_image_through_padding_scaling_and_cropping(
    processor, tmp_path, size, fit
):
    """A white object on black: what the box covers is what became bright."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[24:60, 80:120] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    images = ImageReader(tmp_path, processor, fit)
    images.boxes = {"a.png": [(80, 24, 40, 36)]}
    clean = images.pixels("a.png")
    bright = clean.mean(0) > 1  # white is about 2, the mean colour of the padding 0
    mask = box_mask(size, images.boxes["a.png"], processor.image_processor, fit)
    assert (mask & bright).sum() / (mask | bright).sum() > 0.85
    hidden = images.noisy(["key"], ["a.png"], View("objects"))[0]
    assert torch.equal(hidden == 0, mask.expand(3, -1, -1))
