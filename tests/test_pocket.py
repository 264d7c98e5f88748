"""The generated world: the same for the same seed, in formats that other tools read."""

import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from seednb.data.pocket.art import sprite
from seednb.data.pocket.files import FIRST_VALIDATION_ID, write_world
from seednb.data.pocket.scenes import CATEGORIES, COCO_IDS, SCENES, World, make_scene

N_TRAIN, N_VAL = 30, 12


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    write_world(folder, seed=3, n_train=N_TRAIN, n_val=N_VAL)
    return folder


def contents(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_the_same_seed_writes_the_same_bytes_and_another_seed_others(world, tmp_path):
    write_world(tmp_path / "same", seed=3, n_train=N_TRAIN, n_val=N_VAL)
    write_world(tmp_path / "other", seed=4, n_train=N_TRAIN, n_val=N_VAL)
    same, other = contents(tmp_path / "same"), contents(tmp_path / "other")
    assert contents(world) == same
    assert other.keys() == same.keys()
    assert all(other[name] != same[name] for name in same)


def test_a_smaller_world_is_the_beginning_of_a_larger_one(world, tmp_path):
    write_world(tmp_path, seed=3, n_train=5, n_val=2)
    large, small = contents(world), contents(tmp_path)
    assert all(large[name] == data for name, data in small.items() if name.endswith(".jpg"))


@pytest.mark.parametrize(("split", "n"), [("train", N_TRAIN), ("val", N_VAL)])
def test_pycocotools_reads_the_annotations_and_they_fit_the_pictures(world, split, n):
    coco = COCO(str(world / f"annotations/instances_{split}.json"))
    captions = COCO(str(world / f"annotations/captions_{split}.json"))
    assert len(coco.imgs) == len(captions.imgs) == n
    for image_id, image in coco.imgs.items():
        with Image.open(world / split / image["file_name"]) as picture:
            assert picture.format == "JPEG"
            assert picture.size == (image["width"], image["height"])
        boxes = coco.loadAnns(coco.getAnnIds(imgIds=image_id))
        assert boxes and captions.getAnnIds(imgIds=image_id)
        for box in boxes:
            x, y, width, height = box["bbox"]
            assert x >= 0 and x + width <= image["width"] and box["area"] == width * height
            assert y >= 0 and y + height <= image["height"]


def test_training_and_validation_pictures_never_meet(world):
    ids = {
        split: set(COCO(str(world / f"annotations/instances_{split}.json")).imgs)
        for split in ("train", "val")
    }
    assert max(ids["train"]) < FIRST_VALIDATION_ID <= min(ids["val"])


def test_categories_carry_cocos_names_and_ids(world):
    document = json.loads((world / "annotations/instances_val.json").read_text())
    assert {c["name"]: c["id"] for c in document["categories"]} == COCO_IDS
    assert set(COCO_IDS) == set(CATEGORIES) and len(set(CATEGORIES)) == len(CATEGORIES)


def test_instructions_are_conversations_in_llavas_format(world):
    talks = json.loads((world / "annotations/instruct_train.json").read_text())
    assert len(talks) == N_TRAIN
    for talk in talks:
        speakers = [message["from"] for message in talk["conversations"]]
        assert speakers == ["human", "gpt"] * (len(speakers) // 2) and len(speakers) > 2
        tags = [message["value"].count("<image>") for message in talk["conversations"]]
        assert tags[0] == 1 and not any(tags[1:])
        assert (world / "train" / talk["image"]).is_file()


def test_objects_keep_company_as_the_world_says():
    """Presence by typicality is what makes a prior; the sample must show the rates asked for."""
    scenes = [make_scene(n, seed=0, world=World()) for n in range(4000)]
    found = Counter((s.kind, name) for s in scenes for name in s.names if name in SCENES[s.kind])
    n_scenes = Counter(scene.kind for scene in scenes)
    none = np.prod([1 - p for p in World().presence])  # scenes without any are drawn again
    for kind, names in SCENES.items():
        for name, presence in zip(names, World().presence, strict=True):
            rate, expected = found[kind, name] / n_scenes[kind], presence / (1 - none)
            error = np.sqrt(expected * (1 - expected) / n_scenes[kind])
            assert abs(rate - expected) < 4.5 * error


def test_no_two_objects_look_alike():
    pictures = [np.asarray(sprite(name, 30).convert("RGBA"), float) for name in CATEGORIES]
    for n, picture in enumerate(pictures):
        assert picture[..., 3].mean() > 20  # something is drawn
        for other in pictures[:n]:
            assert np.abs(picture - other).mean() > 4
