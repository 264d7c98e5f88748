"""A folder of awkward photographs in COCO's format goes all the way to answers."""

import json
from pathlib import Path

import pytest
from PIL import Image

from seednb.core.errors import SeedError
from seednb.core.profiles import load_params
from seednb.experiments.dataset import prepare
from seednb.experiments.experiment import Experiment

ROOT = Path(__file__).parents[2]
NAMES = ["person", "cat", "dog", "cup", "chair", "bus", "boat", "bird", "oven", "book", "vase"]
CATEGORIES = {name: number for number, name in enumerate(NAMES, start=1)}
N = 24


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Images of odd sizes and modes; one is cut, one is missing, one is crowded."""
    root = tmp_path_factory.mktemp("photos")
    (root / "images").mkdir()
    modes = ["RGB", "L", "CMYK", "RGB"]
    images, annotations, captions = [], [], []
    for n in range(1, N + 1):
        name, size = f"{n:012d}.jpg", (37 + 20 * n, 500 - 15 * n)
        Image.new(modes[n % 4], size, n * 10).save(root / "images" / name)
        images.append({"id": n, "file_name": name, "width": size[0], "height": size[1]})
        for category in (n % 11 + 1, n * 7 % 11 + 1):
            annotations.append(
                {"id": len(annotations) + 1, "image_id": n, "category_id": category,
                 "bbox": [1, 1, 30, 30], "area": 900, "iscrowd": int(n == 3),
                 "segmentation": {"counts": [0, 5], "size": [1, 5]} if n == 3 else []}
            )  # fmt: skip
        captions.append({"id": n, "image_id": n, "caption": "A dog."})
    cut = root / "images" / f"{1:012d}.jpg"
    cut.write_bytes(cut.read_bytes()[:-40])
    (root / "images" / f"{2:012d}.jpg").unlink()
    categories = [{"id": key, "name": name} for name, key in CATEGORIES.items()]
    categories.append({"id": 90, "name": "toothbrush"})  # a category that no image shows
    instances = {"images": images, "annotations": annotations, "categories": categories}
    (root / "instances_all.json").write_text(json.dumps(instances))
    (root / "captions_all.json").write_text(json.dumps({"images": images, "annotations": captions}))
    return root


def settings(photos, runs, **changes):
    return {
        "data_root": str(photos), "runs_dir": str(runs), "n_pairs": 6, "batch_size": 4,
        "pope_images": 4, "resamples": 100, "max_new_tokens": 8,
    } | changes  # fmt: skip


def test_damaged_and_missing_images_are_listed_and_nothing_else_is_lost(photos, tmp_path):
    data = prepare(load_params(ROOT / "params/photos.yaml", settings(photos, tmp_path)), tmp_path)
    reasons = {Path(item.item).name: item.reason for item in data.skipped}
    assert reasons[f"{2:012d}.jpg"] == "image is missing"
    assert "damaged" in " ".join(item.reason for item in data.skipped)
    kept = {*data.train.images["image_id"], *data.val.images["image_id"]}
    assert kept >= set(range(3, N + 1)) and 2 not in kept
    assert 1 not in data.val.images["image_id"].to_list()
    assert not set(data.train.images["image_id"]) & set(data.val.images["image_id"])
    used = {pair.image for pairs in data.pairs.values() for pair in pairs}
    assert f"{1:012d}.jpg" not in used and f"{2:012d}.jpg" not in used


def test_awkward_photographs_are_trained_on_and_answered(photos, tmp_path):
    lab = Experiment.open(str(ROOT / "params/photos.yaml"), settings(photos, tmp_path))
    assert len(lab.train("v5").curve) == 2
    rows = lab.metrics(["base", "v5"])
    assert {(row["model"], row["versus"]) for row in rows} >= {("base", None), ("v5", "base")}


def test_more_probed_images_than_there_are_means_all_of_them(photos, tmp_path):
    params = load_params(
        ROOT / "params/photos.yaml", settings(photos, tmp_path, pope_images=10_000)
    )
    data = prepare(params, tmp_path)
    assert {probe["image_id"] for probe in data.probes} == set(data.val.images["image_id"])


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    changes = settings(tmp_path / "nowhere", tmp_path)
    with pytest.raises(SeedError, match="nowhere does not exist"):
        prepare(load_params(ROOT / "params/photos.yaml", changes), tmp_path)
