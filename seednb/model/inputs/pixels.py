"""Images of a folder -> what a model's vision tower reads; boxes of objects as masks over it."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional as F

from seednb.data.coco import CocoSplit
from seednb.data.images import fit_image, load_image, resolve_image
from seednb.method.perturbation import View
from seednb.model.inputs.prompts import ImageTokens

IMAGE_CACHE = 4096  # images kept in memory: 450 MB at 96 px, more at 336 px
Extras = dict[str, Tensor]
Box = tuple[float, float, float, float]  # x, y, width, height, in pixels of the image


class ImageReader:
    """Reads images of one folder as the model's pixel_values, remembering the recent ones."""

    boxes: Mapping[str, list[Box]] = {}

    def __init__(self, folder: Path, processor: Any, image_fit: str) -> None:
        """`image_fit`: "pad" to a square as LLaVA does, or "crop" as the processor does."""
        self.folder, self.processor, self.image_fit = folder, processor, image_fit
        self._remembered = lru_cache(maxsize=self._cache_size())(self._read)

    def pixels(self, name: str) -> Float[Tensor, "..."]:
        """Normalised pixels of one image."""
        pixels: Tensor = self._remembered(name)
        return pixels

    def batch(self, names: Sequence[str]) -> Float[Tensor, "R ..."]:
        """Normalised pixels of several images."""
        return self.join([self.pixels(name) for name in names])

    def noisy(
        self, keys: Sequence[str], names: Sequence[str], view: View
    ) -> Float[Tensor, "R ..."]:
        """The noisy view of `batch(names)`; what is random in it comes from each key alone."""
        boxed = view.perturbation == "objects"
        views = [
            view.of(self.pixels(name), key, self._boxes(name) if boxed else None)
            for key, name in zip(keys, names, strict=True)
        ]
        return self.join(views)

    def join(self, images: Sequence[Float[Tensor, "..."]]) -> Float[Tensor, "R ..."]:
        """The pixels of several images as one tensor."""
        return torch.stack(list(images))

    def extras(self, names: Sequence[str]) -> Extras:
        """Further inputs about the images: none, if all are of one size."""
        return {}

    def tokens(self, name: str) -> ImageTokens | None:
        """The tokens of one image; None where every image takes the same."""
        return None

    def load(self, name: str) -> Image.Image:
        """The image as a reader sees it, RGB."""
        return load_image(resolve_image(self.folder, name))

    def _boxes(self, name: str) -> Bool[Tensor, "H W"] | None:
        """Where annotated objects are; None where annotations or one common size are missing."""
        if name not in self.boxes:
            return None
        size, processor = self.load(name).size, self.processor.image_processor
        return box_mask(size, self.boxes[name], processor, self.image_fit)

    def _read(self, name: str) -> Any:
        fitted = fit_image(self.load(name), self.image_fit)
        image_processor = self.processor.image_processor
        return image_processor(fitted, return_tensors="pt").pixel_values[0]

    def _cache_size(self) -> int:
        height = self.processor.image_processor.crop_size["height"]
        return max(16, IMAGE_CACHE * 96 * 96 // (height * height))


class SizedImageReader(ImageReader):
    """Images for models that read each at its own size (LLaVA-NeXT, Qwen2-VL, InternVL).

    Their processors turn the image tag into as many tokens as the image's size asks for. Rows of
    `pixel_values` are patches, tiles or padded stacks of tiles, concatenated along the first axis.
    """

    def pixels(self, name: str) -> Float[Tensor, "k ..."]:
        """Pixels of one image, as many rows as it takes."""
        pixels: Tensor = self._remembered(name)["pixel_values"]
        return pixels

    def join(self, images: Sequence[Float[Tensor, "k ..."]]) -> Float[Tensor, "R ..."]:
        """Rows below each other; stacks of tiles are padded to the largest."""
        if images[0].dim() == 5:  # LLaVA-NeXT: image, tile, channel, height, width
            n_tiles = max(image.shape[1] for image in images)
            none = (0, 0) * 3
            images = [F.pad(p, (*none, 0, n_tiles - p.shape[1])) for p in images]
        return torch.cat(list(images))

    def extras(self, names: Sequence[str]) -> Extras:
        """Sizes or grids of the images."""
        read = [self._remembered(name) for name in names]
        keys = [key for key in read[0] if key.startswith("image_")]
        return {key: torch.cat([image[key] for image in read]) for key in keys}

    def tokens(self, name: str) -> ImageTokens:
        """What the model's processor writes for this image."""
        return ImageTokens(self.processor.image_token, tuple(self._remembered(name)["input_ids"]))

    def _boxes(self, name: str) -> None:
        """Sizes differ, and with them how a box would have to be drawn."""

    def _read(self, name: str) -> Any:
        image = self.load(name)
        text = {"text": [self.processor.image_token], "add_special_tokens": False}
        inputs = dict(self.processor(images=[image], return_tensors="pt", **text))
        return inputs | {"input_ids": inputs["input_ids"][0].tolist()}

    def _cache_size(self) -> int:
        return 64


def boxes_by_name(split: CocoSplit) -> dict[str, list[Box]]:
    """Boxes of each image, by file name; an image without objects has none."""
    names = dict(zip(split.images["image_id"], split.images["file_name"], strict=True))
    found: dict[str, list[Box]] = {name: [] for name in names.values()}
    for row in split.boxes.itertuples():
        found[names[row.image_id]].append((row.x, row.y, row.width, row.height))  # type: ignore[arg-type]
    return found


def box_mask(
    size: tuple[int, int], boxes: list[Box], image_processor: Any, image_fit: str
) -> Bool[Tensor, "H W"]:
    """True where a box is, after the same padding, resizing and cropping as the image.

    The boxes are drawn white on black and go the image's own way; a pixel counts if it is at least
    half white. `size` is the image's width and height.
    """
    canvas = Image.new("RGB", size)
    draw = ImageDraw.Draw(canvas)
    for x, y, width, height in boxes:
        draw.rectangle((x, y, x + width, y + height), fill="white")
    fitted = fit_image(canvas, image_fit, background=(0, 0, 0))
    raw = image_processor(fitted, do_normalize=False, do_rescale=False, return_tensors="np")
    return torch.from_numpy(np.asarray(raw.pixel_values[0][0]) >= 128)
