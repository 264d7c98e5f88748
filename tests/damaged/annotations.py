"""Damaged COCO annotations."""

import json

from seednb.data.coco import drop_damaged_images, drop_missing_images, load_split

from .case import ERROR, SKIPPED, WORKS, Case
from .images import encoded, photo

N = 3
BOX = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9], "area": 81, "iscrowd": 0}


def document():
    """Instances and captions of three images, all well."""
    images = [
        {"id": n, "file_name": f"{n:012d}.jpg", "width": 60, "height": 40} for n in range(1, N + 1)
    ]
    return {
        "images": images,
        "annotations": [BOX | {"id": n, "image_id": n} for n in range(1, N + 1)],
        "categories": [{"id": 1, "name": "cup"}, {"id": 2, "name": "dog"}],
        "captions": [{"id": n, "image_id": n, "caption": "A cup."} for n in range(1, N + 1)],
    }


def changed(key, place=0, **values):
    """The good document with one entry changed."""

    def change(whole):
        whole[key][place] |= values
        return whole

    return change


def added(key, entry):
    """The good document with one more entry."""
    return lambda whole: whole | {key: [*whole[key], entry]}


def split_files(change, damaged=()):
    """Images and both files; some images are empty files."""

    def make(folder):
        whole = change(document())
        for n in range(1, N + 1):
            (folder / f"{n:012d}.jpg").write_bytes(b"" if n in damaged else encoded(photo()))
        captions = {"images": whole["images"], "annotations": whole.pop("captions")}
        (folder / "instances.json").write_text(json.dumps(whole))
        (folder / "captions.json").write_text(json.dumps(captions))
        return folder

    return make


def read(folder):
    """The split, as `prepare` reads it; which images were left out."""
    split = load_split("val", folder, folder / "instances.json", folder / "captions.json")
    n_listed = len(split.images)
    split, missing = drop_missing_images(split)
    split, damaged = drop_damaged_images(split)
    assert len(split.images) + len(missing) + len(damaged) == n_listed
    assert set(split.objects) == set(split.captions) == set(split.images["image_id"])
    return [*missing, *damaged]


def case(name, change, expected, says="", damaged=()):
    """One file or image is not what it should be."""
    return Case(f"COCO: {name}", split_files(change, damaged), read, expected, says)


def same(whole):
    """No change."""
    return whole


NAME = "file_name"
CASES = [
    case("unknown category", changed("annotations", category_id=99), ERROR, "annotation 1: category 99"),
    case("crowd", changed("annotations", iscrowd=1), WORKS),
    case("crowd of 7", changed("annotations", iscrowd=7), ERROR, "iscrowd is 7"),
    case("box of no area", changed("annotations", bbox=[1, 1, 0, 0], area=0), WORKS),
    case("box outside the image", changed("annotations", bbox=[-50, 90, 1000, 1000]), WORKS),
    case("box with NaN", changed("annotations", bbox=[1, 1, float("nan"), 9]), ERROR, "annotation 1: bbox"),
    case("box with a number of 400 digits", changed("annotations", bbox=[1, 1, 10**400, 9]), ERROR, "annotation 1: bbox"),
    case("box of three numbers", changed("annotations", bbox=[1, 1, 9]), ERROR, "is not .x, y, width, height"),
    case("annotation id twice", changed("annotations", id=2), ERROR, "id 2 occurs twice in annotations"),
    case("image id twice", added("images", {"id": 1, NAME: "x.jpg", "width": 1, "height": 1}), ERROR, "id 1 occurs twice in images"),
    case("file name twice", changed("images", file_name=f"{2:012d}.jpg"), ERROR, "another id has 000000000002.jpg too"),
    case("image id is a text", changed("images", id="1"), ERROR, "'id' is '1', expected int"),
    case("image id of 30 digits", changed("images", 2, id=10**30), ERROR, "is too large"),
    case("annotation of an image that is not listed", changed("annotations", image_id=77), ERROR, "image 77 is not listed"),
    case("image of 0 x 0 pixels", changed("images", width=0, height=0), ERROR, "a size of 0 x 0"),
    case("file name ../../x.jpg", changed("images", file_name="../../x.jpg"), ERROR, "is no file inside"),
    case("file name is a number", changed("images", file_name=7), ERROR, "'file_name' is 7"),
    case("file name with markup", changed("images", file_name="<script>alert(1)</script>.jpg"), SKIPPED, "image is missing"),
    case("category name twice", added("categories", {"id": 3, "name": "dog"}), ERROR, "another id is named 'dog'"),
    case("category without a name", changed("categories", name="  "), ERROR, "its name is empty"),
    case("caption is a number", changed("captions", caption=3), ERROR, "'caption' is 3"),
    case("caption of 1e5 characters", changed("captions", caption="cup " * 25_000), WORKS),
    case("caption with control characters and emoji", changed("captions", caption="\x00\x1b[31m 🦄 \u202e"), WORKS),
    case("no images", lambda whole: whole | {"images": []}, ERROR, "is not listed|lists no images"),
    case("images is an object", lambda whole: whole | {"images": {}}, ERROR, "'images' is .*, expected list"),
    case("one image is damaged", same, SKIPPED, "image is damaged", damaged=(2,)),
    case("every image is damaged", same, ERROR, "none of the 3 images of split val", damaged=(1, 2, 3)),
]  # fmt: skip
