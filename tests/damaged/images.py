"""Damaged images, read as those of instruction labels are."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from seednb.data.images import fit_image, load_image
from seednb.data.instruct import to_pairs

from .case import ERROR, SKIPPED, WORKS, Case

ORIENTATION = 0x0112
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"


def photo(width=60, height=40, mode="RGB"):
    """Noise, which no codec makes small."""
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise).convert(mode)


def encoded(image, kind="JPEG", **options):
    """The bytes of an image's file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def turned():
    """An image to be shown turned by 90 degrees."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    return encoded(photo(), exif=exif)


def broken_exif():
    """A JPEG whose EXIF block is noise."""
    whole = encoded(photo())
    block = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff" + b"\xa5" * 200
    return whole[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + whole[2:]


def claimed(width, height):
    """A PNG of a few bytes that says it is huge."""

    def chunk(kind, data):
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (
        chunk(b"IHDR", header),
        chunk(b"IDAT", zlib.compress(b"\x00" * 1000)),
        chunk(b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def animated(kind, **options):
    """Three frames in one file."""
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "green", "blue")]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=50, **options)


def as_label(content: bytes, name="image.jpg"):
    """A folder with the image and one record about it."""

    def make(folder: Path):
        (folder / name).write_bytes(content)
        turns = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A."}]
        return [{"id": "1", "image": name, "conversations": turns}], folder

    return make


def read_label(given):
    """Pairs or skipped records; an image that is used is also fitted to the model."""
    pairs, skipped = to_pairs(*given)
    for pair in pairs:
        for mode in ("pad", "crop"):
            assert fit_image(load_image(given[1] / pair.image), mode).mode == "RGB"
    assert len(pairs) + len(skipped) == 1
    return skipped


def case(name, content: Callable[[], bytes], expected, says="", file="image.jpg"):
    """The content is made when the case is used."""
    return Case(name, lambda folder: as_label(content(), file)(folder), read_label, expected, says)


whole = photo()
DAMAGED, LARGE = "image is damaged", "image is too large"
CASES = [
    case("JPEG of 0 bytes", lambda: b"", SKIPPED, DAMAGED),
    case("JPEG cut after its header", lambda: encoded(whole)[:30], SKIPPED, DAMAGED),
    case("JPEG cut in the middle", lambda: encoded(whole)[: len(encoded(whole)) // 2], SKIPPED, DAMAGED),
    case("JPEG without its last two bytes", lambda: encoded(whole)[:-2], SKIPPED, DAMAGED),
    case("JPEG followed by other bytes", lambda: encoded(whole) + b"notes" * 900, WORKS),
    case("JPEG with an EXIF block of noise", broken_exif, WORKS),
    case("JPEG turned by its EXIF tag", turned, WORKS),
    case("CMYK JPEG", lambda: encoded(photo(mode="CMYK")), WORKS),
    case("grey JPEG", lambda: encoded(photo(mode="L")), WORKS),
    case("PNG with 16 bits a channel", lambda: encoded(Image.fromarray(np.full((9, 9), 40000, np.uint16)), "PNG"), WORKS, file="deep.png"),
    case("TIFF of floats", lambda: encoded(Image.new("F", (9, 9), 0.5), "TIFF"), SKIPPED, DAMAGED, "float.tiff"),
    case("PNG with a palette and transparency", lambda: encoded(photo(mode="P"), "PNG", transparency=b"\x00\x80"), WORKS),
    case("PNG with transparency", lambda: encoded(photo(mode="RGBA"), "PNG"), WORKS),
    case("PNG with a wrong checksum", lambda: encoded(whole, "PNG")[:-13] + b"\0" + encoded(whole, "PNG")[-12:], SKIPPED, DAMAGED),
    case("animated GIF", lambda: animated("GIF"), WORKS),
    case("animated WebP", lambda: animated("WEBP"), WORKS),
    case("animated PNG", lambda: animated("PNG"), WORKS),
    case("PNG that claims 60000 x 60000 pixels", lambda: claimed(60000, 60000), SKIPPED, LARGE),
    case("PNG that claims 2^31 pixels a side", lambda: claimed(2**31 - 1, 2**31 - 1), SKIPPED, LARGE),
    case("PNG of 0 x 0 pixels", lambda: claimed(0, 0), SKIPPED, "image is"),
    case("strip of 30000 x 2 pixels", lambda: encoded(Image.new("RGB", (30000, 2)), "PNG"), SKIPPED, LARGE),
    case("panorama of 20000 x 200 pixels", lambda: encoded(Image.new("RGB", (20000, 200)), "PNG"), WORKS),
    case("image of one pixel", lambda: encoded(photo(1, 1), "PNG"), WORKS),
    case("PostScript named .jpg", lambda: EPS, SKIPPED, DAMAGED),
    case("HTML named .jpg", lambda: b"<html><body>404 Not Found</body></html>", SKIPPED, DAMAGED),
    case("pickle named .jpg", lambda: b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00.", SKIPPED, DAMAGED),
    Case("image alone, damaged", lambda folder: as_label(b"")(folder)[1] / "image.jpg", load_image, ERROR, r"image\.jpg is damaged .*replace or remove it"),
]  # fmt: skip
