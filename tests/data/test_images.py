"""Images: what comes out is RGB and upright, what cannot be read is named."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seednb.core.errors import SeedError
from seednb.data.images import (
    CLIP_MEAN,
    check_image,
    coco_image_id,
    fit_image,
    load_image,
    name_in_folder,
    resolve_image,
)

ORIENTATION = 0x0112  # EXIF tag
Reader = Callable[[Path], object]
READERS: tuple[Reader, ...] = (load_image, check_image)


@pytest.fixture
def photo() -> Image.Image:
    """An image that no codec can shrink to a few bytes."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def colour_at(image: Image.Image, x: int, y: int) -> tuple[int, ...]:
    pixel = image.getpixel((x, y))
    assert isinstance(pixel, tuple)
    return tuple(int(channel) for channel in pixel)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        ("L", "jpg"),
        ("L", "png"),
        ("LA", "png"),
        ("1", "png"),
        ("P", "png"),
        ("P", "gif"),
        ("RGBA", "png"),
        ("CMYK", "jpg"),
        ("RGB", "jpg"),
    ],
)
def test_every_colour_mode_becomes_rgb_with_the_same_grey(
    tmp_path: Path, mode: str, suffix: str
) -> None:
    path = tmp_path / f"image.{suffix}"
    Image.new("L", (8, 6), 255).convert(mode).save(path)
    with Image.open(path) as stored:
        assert stored.mode == mode
    image = load_image(path)
    assert image.mode == "RGB"
    assert image.size == (8, 6)
    assert min(colour_at(image, 4, 3)) >= 250


@pytest.mark.filterwarnings("error")
def test_a_palette_with_transparency_keeps_its_colours(tmp_path: Path) -> None:
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 10, 200, 30])
    palette.save(tmp_path / "p.png", transparency=bytes([255, 128]))
    assert colour_at(load_image(tmp_path / "p.png"), 0, 0) == (10, 200, 30)


def test_sixteen_bit_grey_is_scaled_and_not_clipped(tmp_path: Path) -> None:
    values = np.array([[0, 0x4000, 0x8000, 0xFFFF]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    red = np.asarray(load_image(tmp_path / "deep.png"))[0, :, 0]
    assert red.tolist() == [0, 0x40, 0x80, 0xFF]


def test_pixels_without_a_known_range_are_refused(tmp_path: Path) -> None:
    Image.new("F", (4, 4), 0.5).save(tmp_path / "float.tiff")
    with pytest.raises(SeedError, match=r"float\.tiff.*no known range"):
        load_image(tmp_path / "float.tiff")


def test_exif_rotation_is_undone(tmp_path: Path) -> None:
    image = Image.new("RGB", (16, 8), "white")
    image.paste("black", (0, 0, 8, 8))
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # to be shown turned clockwise: the left side becomes the top
    image.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    upright = load_image(tmp_path / "turned.jpg")
    assert upright.size == (8, 16)
    assert max(colour_at(upright, 4, 2)) < 30
    assert min(colour_at(upright, 4, 13)) > 220


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "bmp"])
@pytest.mark.parametrize("reader", READERS)
def test_a_cut_file_is_named(
    tmp_path: Path, photo: Image.Image, reader: Reader, suffix: str
) -> None:
    path = tmp_path / f"cut.{suffix}"
    photo.save(path)
    whole = path.read_bytes()
    for kept in (20, len(whole) // 2, len(whole) - 200):
        path.write_bytes(whole[:kept])
        with pytest.raises(SeedError, match=rf"cut\.{suffix} is damaged \(.+\); replace"):
            reader(path)


@pytest.mark.parametrize("reader", READERS)
def test_a_jpeg_that_lacks_only_its_end_marker_is_damaged(
    tmp_path: Path, photo: Image.Image, reader: Reader
) -> None:
    path = tmp_path / "cut.jpg"
    photo.save(path)
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(SeedError, match="truncated"):
        reader(path)


@pytest.mark.parametrize("reader", READERS)
def test_an_empty_file_is_named(tmp_path: Path, reader: Reader) -> None:
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(SeedError, match=r"empty\.jpg is damaged \(the file is empty, 0 bytes\)"):
        reader(tmp_path / "empty.jpg")


def test_whole_images_pass_the_cheap_check(tmp_path: Path, photo: Image.Image) -> None:
    for suffix in ("jpg", "png", "gif", "bmp"):
        photo.save(tmp_path / f"whole.{suffix}")
        check_image(tmp_path / f"whole.{suffix}")


def test_a_jpeg_with_bytes_after_its_end_is_not_damaged(tmp_path: Path, photo: Image.Image) -> None:
    path = tmp_path / "trailer.jpg"
    photo.save(path)
    path.write_bytes(path.read_bytes() + b"camera notes" * 1000)
    check_image(path)
    assert load_image(path).size == photo.size


def test_text_is_not_an_image(tmp_path: Path) -> None:
    (tmp_path / "page.jpg").write_text("<html>404</html>")
    for reader in READERS:
        with pytest.raises(SeedError, match=r"page\.jpg is damaged \(cannot identify"):
            reader(tmp_path / "page.jpg")


@pytest.mark.parametrize("limit", [2399, 1000])  # Pillow only warns up to twice its limit
def test_a_decompression_bomb_is_an_error(
    tmp_path: Path, photo: Image.Image, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    photo.save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    for reader in READERS:
        with pytest.raises(SeedError, match=r"bomb\.png.*decompression bomb"):
            reader(tmp_path / "bomb.png")


def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, photo: Image.Image) -> None:
    folder = tmp_path / "train"
    folder.mkdir()
    photo.save(tmp_path / "secret.jpg")
    (folder / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    escapes = ["../secret.jpg", "a/../../secret.jpg", str(tmp_path / "secret.jpg"), "link.jpg"]
    for name in [*escapes, "a\0.jpg", "a" * 300, "\ud800.jpg"]:
        with pytest.raises(SeedError, match="no file inside"):
            resolve_image(folder, name)


def test_names_inside_the_folder_are_found_and_missing_ones_named(
    tmp_path: Path, photo: Image.Image
) -> None:
    (tmp_path / "part").mkdir()
    photo.save(tmp_path / "part" / "a.jpg")
    assert resolve_image(tmp_path, "part/a.jpg") == tmp_path / "part" / "a.jpg"
    with pytest.raises(SeedError, match=r"image b\.jpg is missing in .*run: seednb doctor"):
        resolve_image(tmp_path, "b.jpg")


def test_a_linked_folder_is_still_one_folder(tmp_path: Path, photo: Image.Image) -> None:
    (tmp_path / "disk").mkdir()
    photo.save(tmp_path / "disk" / "a.jpg")
    (tmp_path / "train").symlink_to(tmp_path / "disk")
    assert resolve_image(tmp_path / "train", "a.jpg").is_file()


@pytest.mark.parametrize(
    "name",
    [
        "COCO_train2014_000000123456.jpg",
        "COCO_val2014_000000123456.jpg",
        "000000123456.jpg",
        "train2014/COCO_train2014_000000123456.jpg",
    ],
)
def test_every_naming_of_coco_gives_the_same_id(name: str) -> None:
    assert coco_image_id(name) == 123456


@pytest.mark.parametrize("name", ["train2014.jpg", "cat.jpg", "1234.jpg", "x000000123456.jpg", ""])
def test_other_names_have_no_coco_id(name: str) -> None:
    with pytest.raises(SeedError, match="12 digits"):
        coco_image_id(name)


def test_an_image_is_found_under_its_other_coco_name(tmp_path: Path, photo: Image.Image) -> None:
    photo.save(tmp_path / "COCO_train2014_000000000042.jpg")
    assert name_in_folder(tmp_path, "000000000042.jpg") == "COCO_train2014_000000000042.jpg"
    assert name_in_folder(tmp_path, "000000000043.jpg") == "000000000043.jpg"
    assert name_in_folder(tmp_path, "cat.jpg") == "cat.jpg"


@pytest.mark.parametrize("size", [(60, 40), (40, 60), (41, 60), (50, 50)])
def test_padding_centres_the_image_and_loses_no_pixel(size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, (255, 0, 0))
    square = fit_image(image, "pad")
    side = max(size)
    assert square.size == (side, side)
    left, top = (side - size[0]) // 2, (side - size[1]) // 2
    assert square.crop((left, top, left + size[0], top + size[1])).tobytes() == image.tobytes()
    others = np.asarray(square).reshape(-1, 3)
    background = others[(others != (255, 0, 0)).any(axis=1)]
    assert len(background) == side * side - size[0] * size[1]
    assert (background == CLIP_MEAN).all()


def test_cropping_is_left_to_the_processor(photo: Image.Image) -> None:
    assert fit_image(photo, "crop") is photo


def test_an_unknown_fit_names_its_value(photo: Image.Image) -> None:
    with pytest.raises(SeedError, match="image_fit='squash'"):
        fit_image(photo, "squash")


@pytest.mark.reference
def test_fifty_photographs_load_as_rgb_one_of_them_in_greys(reference: Path) -> None:
    paths = sorted((reference / "coco50/images").glob("*.jpg"))
    assert len(paths) == 50
    grey = []
    for path in paths:
        check_image(path)
        image = load_image(path)
        assert image.mode == "RGB"
        assert coco_image_id(path.name) > 0
        pixels = np.asarray(image)
        if (pixels == pixels[..., :1]).all():
            grey.append(path.name)
    assert grey == ["000000204805.jpg"]
