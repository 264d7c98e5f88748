"""Boxes of annotated objects as masks over what the vision tower reads."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from PIL import Image, ImageDraw
from torch import Tensor

from seednb.data.coco import CocoSplit
from seednb.data.images import fit_image

Box = tuple[float, float, float, float]  # x, y, width, height, in pixels of the picture


def boxes_by_name(split: CocoSplit) -> dict[str, list[Box]]:
    """Boxes of each picture, by file name; a picture without objects has none."""
    names = dict(zip(split.images["image_id"], split.images["file_name"], strict=True))
    found: dict[str, list[Box]] = {name: [] for name in names.values()}
    for row in split.boxes.itertuples():
        found[names[row.image_id]].append((row.x, row.y, row.width, row.height))  # type: ignore[arg-type]
    return found


def box_mask(
    size: tuple[int, int], boxes: list[Box], image_processor: Any, image_fit: str
) -> Bool[Tensor, "H W"]:
    """True where a box is, after the same padding, resizing and cropping as the picture.

    The boxes are drawn white on black and go the picture's own way; a pixel counts if it is at least
    half white. `size` is the picture's width and height.
    """
    canvas = Image.new("RGB", size)
    draw = ImageDraw.Draw(canvas)
    for x, y, width, height in boxes:
        draw.rectangle((x, y, x + width, y + height), fill="white")
    fitted = fit_image(canvas, image_fit, background=(0, 0, 0))
    raw = image_processor(fitted, do_normalize=False, do_rescale=False, return_tensors="np")
    return torch.from_numpy(np.asarray(raw.pixel_values[0][0]) >= 128)
