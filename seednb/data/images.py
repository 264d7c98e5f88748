"""Images from a folder: safe paths, any colour mode to RGB, and errors that name the file."""

import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, ImageOps

from seednb.core.errors import SeedError

CLIP_MEAN = (122, 116, 104)  # CLIP's mean colour on 0..255: what LLaVA pads with
COCO_NAMES = ("{:012d}.jpg", "COCO_train2014_{:012d}.jpg", "COCO_val2014_{:012d}.jpg")
COCO_STEM = re.compile(r"(?:^|_)(\d{12})$")

# Pillow reads more kinds, some through helpers (EPS starts Ghostscript): an image of training data
# has no business to start a program, whatever its name says.
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM")
MAX_RATIO = 200  # of the longer side to the shorter: a processor scales the shorter to its own size
MAX_SIDE = 8192  # pixels of a padded square: 200 MB as RGB; vision towers see less than 1000
# Of a tag that cannot be read; SyntaxError is Pillow's for a broken PNG, LookupError of a palette, too.
BROKEN_TAG = (SyntaxError, LookupError, ArithmeticError, TypeError, AttributeError, struct.error)
UNREADABLE = (*BROKEN_TAG, OSError, ValueError, EOFError, MemoryError)
BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)
MISSING, DAMAGED, TOO_LARGE = "image is missing", "image is damaged", "image is too large"
JPEG_END = b"\xff\xd9"
TAIL = 1024  # bytes in which a JPEG's end marker is looked for


class TooLarge(SeedError):
    """An image that is whole, but has more pixels than can be held."""


def missing_problem(path: Path) -> str:
    """Why an image cannot be used if it is not there; "" if it is."""
    return "" if path.is_file() else MISSING


def image_problem(path: Path) -> str:
    """Why an existing image cannot be used, as one of two reasons to count; "" if it can be."""
    try:
        check_image(path)
    except TooLarge:
        return TOO_LARGE
    except SeedError:
        return DAMAGED
    return ""


def coco_image_id(file_name: str) -> int:
    """COCO's image id, whatever the year's naming: `COCO_val2014_000000000042.jpg` -> 42."""
    match = _numbered(file_name)
    if not match:
        raise SeedError(
            f"{file_name} is not named as COCO names images (12 digits at its end); rename it"
        )
    return int(match[1])


def safe_path(folder: Path, file_name: str) -> Path:
    """The path of an image, existing or not.

    Raises SeedError for a name that leaves the folder (absolute, `..`, a link) or that no file can
    have (256 bytes, a zero byte).
    """
    try:
        path = folder / file_name
        path.is_file()
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, TypeError):
        inside = False
    if not inside:
        raise SeedError(f"image {file_name!r:.200} is no file inside {folder}; correct the name")
    return path


def resolve_image(folder: Path, file_name: str) -> Path:
    """The path of an existing image. Raises SeedError for a missing one or an unsafe name."""
    path = safe_path(folder, file_name)
    if not path.is_file():
        raise SeedError(f"image {file_name} is missing in {folder}; run: seednb doctor")
    return path


def name_in_folder(folder: Path, file_name: str) -> str:
    """The name under which an image lies in the folder; itself if it is not there at all.

    COCO renamed its images between years: LLaVA-Instruct says `000000033471.jpg`, the train2014
    folder `COCO_train2014_000000033471.jpg`. The id is the same.
    """
    if safe_path(folder, file_name).is_file() or not _numbered(file_name):
        return file_name
    others = (name.format(coco_image_id(file_name)) for name in COCO_NAMES)
    return next((name for name in others if (folder / name).is_file()), file_name)


def load_image(path: Path) -> Image.Image:
    """An image as RGB, upright by its EXIF tag; transparency is dropped, as LLaVA drops it.

    Of an animation, the first frame. Raises SeedError for a file that is empty, truncated, not an
    image, so large that it may be a decompression bomb, or longer than 200 times its width.
    """
    with _naming(path), Image.open(path, formats=FORMATS) as image:
        _check_shape(image)
        return _to_rgb(_upright(image))


def check_image(path: Path) -> None:
    """Raise SeedError for what `load_image` refuses, mostly without decoding it (0.5 against 3 ms).

    Pillow's `verify` reads a PNG to its end, but of a JPEG only the header: a JPEG must also end
    with its marker. Whatever this leaves open is decoded.
    """
    with _naming(path), Image.open(path, formats=FORMATS) as image:
        _check_shape(image)
        kind = image.format
        image.verify()
    if kind != "PNG" and not (kind == "JPEG" and JPEG_END in _tail(path)):
        load_image(path)


def fit_image(
    image: Image.Image, mode: str, background: tuple[int, int, int] = CLIP_MEAN
) -> Image.Image:
    """Make an image ready for the processor, which resizes and then crops the centre.

    "pad" centres it on a square of the mean colour, so that nothing is cropped (an image of more
    than 8192 pixels is made smaller first); "crop" returns it unchanged.
    """
    if mode == "crop":
        return image
    if mode != "pad":
        raise SeedError(f"image_fit={mode!r}: must be 'pad' or 'crop'")
    if max(image.size) > MAX_SIDE:
        image = ImageOps.contain(image, (MAX_SIDE, MAX_SIDE))
    side = max(image.size)
    square = Image.new("RGB", (side, side), background)
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


def _numbered(file_name: str) -> re.Match[str] | None:
    return COCO_STEM.search(PurePosixPath(file_name).stem)


def _check_shape(image: Image.Image) -> None:
    shorter, longer = sorted(image.size)
    if longer > MAX_RATIO * shorter:
        size = f"{image.width} x {image.height} pixels"
        raise TooLarge(f"{size}, one side more than {MAX_RATIO} times the other")


def _upright(image: Image.Image) -> Image.Image:
    """Turned as its EXIF tag says; unchanged if the tag cannot be read."""
    try:
        return ImageOps.exif_transpose(image)
    except BROKEN_TAG:
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):  # Pillow clips 16 bits at 255: almost all would turn white
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"32-bit pixels (mode {image.mode}) have no known range; save as 8-bit")
    if image.mode == "P" and "transparency" in image.info:  # Pillow warns about the direct way
        image = image.convert("RGBA")
    return image.convert("RGB")


def _tail(path: Path) -> bytes:
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - TAIL))
        return stream.read()


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn whatever Pillow raises into a SeedError with the file and the reason."""
    try:
        if path.stat().st_size == 0:
            raise ValueError("the file is empty, 0 bytes")
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except (TooLarge, *BOMB) as problem:
        raise TooLarge(f"image {path} is too large ({problem}); make it smaller") from None
    except UNREADABLE as problem:
        words = " ".join(str(problem).replace(f" {str(path)!r}", "").split())
        reason = words or type(problem).__name__
        raise SeedError(f"image {path} is damaged ({reason}); replace or remove it") from None
