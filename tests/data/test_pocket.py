"""The generated world: the same for the same seed, in formats that other tools read."""

import json
from collections import Counter
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from seednb.data.pocket.art import PAINTS, render, sprite
from seednb.data.pocket.files import FIRST_VALIDATION_ID, file_name, write_world
from seednb.data.pocket.language import instruction_traits
from seednb.data.pocket.questions import ASK, instruction_label
from seednb.data.pocket.quiz import KINDS, quiz
from seednb.data.pocket.scenes import (
    CATEGORIES,
    COCO_IDS,
    GRID,
    SCENE_OF,
    SCENES,
    World,
    make_scene,
)
from seednb.data.pocket.traits import COLOURS, NUMBERS, TYPICAL_COLOUR, TYPICAL_NUMBER, plural
from seednb.data.readers import read_json_lines

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
def test_pycocotools_reads_the_annotations_and_they_fit_the_images(world, split, n):
    coco = COCO(str(world / f"annotations/instances_{split}.json"))
    captions = COCO(str(world / f"annotations/captions_{split}.json"))
    assert len(coco.imgs) == len(captions.imgs) == n
    for image_id, image in coco.imgs.items():
        with Image.open(world / split / image["file_name"]) as opened:
            assert opened.format == "JPEG"
            assert opened.size == (image["width"], image["height"])
        boxes = coco.loadAnns(coco.getAnnIds(imgIds=image_id))
        assert boxes and captions.getAnnIds(imgIds=image_id)
        for box in boxes:
            x, y, width, height = box["bbox"]
            assert x >= 0 and x + width <= image["width"] and box["area"] == width * height
            assert y >= 0 and y + height <= image["height"]


def test_training_and_validation_images_never_meet(world):
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


def test_colours_numbers_and_order_leave_the_objects_of_an_image_as_they_are():
    """Which objects there are, and how faint, depends on the first stream of numbers alone."""
    plain = replace(World(), typical_colour=1.0, typical_number=1.0, tidy=0.0)
    for n in range(200):
        scene, other = make_scene(n, 5, World()), make_scene(n, 5, plain)
        assert scene.names == other.names and scene.texture_seed == other.texture_seed
        faint = [{o.name: o.opacity for o in s.objects} for s in (scene, other)]
        assert faint[0] == faint[1]


def test_no_two_objects_share_a_cell_and_copies_are_alike():
    pitch = World().image_size // GRID
    for n in range(500):
        scene = make_scene(n, 6, World())
        cells = [(o.box[0] // pitch, o.box[1] // pitch) for o in scene.objects]
        assert len(set(cells)) == len(cells)
        for name in scene.names:
            alike = {(o.box[2:], o.opacity, o.colour) for o in scene.objects if o.name == name}
            assert len(alike) == 1


def test_usual_colours_and_numbers_are_as_frequent_as_the_world_says():
    scenes = [make_scene(n, seed=0, world=World()) for n in range(4000)]
    coloured = [o for s in scenes for o in s.objects if o.colour]
    grouped = [
        (name, s.number(name))
        for s in scenes
        for name in s.names
        if name in TYPICAL_NUMBER and SCENE_OF[name] == s.kind
    ]
    rates = (
        ([o.colour == TYPICAL_COLOUR[o.name] for o in coloured], World().typical_colour),
        ([number == TYPICAL_NUMBER[name] for name, number in grouped], World().typical_number),
    )
    for usual, expected in rates:
        assert abs(np.mean(usual) - expected) < 4.5 * np.sqrt(0.25 / len(usual))
    others = Counter(number - TYPICAL_NUMBER[name] for name, number in grouped)
    assert len(others) > 3  # more and fewer than usual


def test_a_coloured_object_is_drawn_in_its_colour():
    """The pixels under the box of a solid object are nearer to its own paint than to the others."""
    for name in TYPICAL_COLOUR:
        for colour in COLOURS:
            pixels = np.asarray(sprite(name, 30, colour).convert("RGBA"), float).reshape(-1, 4)
            solid = pixels[pixels[:, 3] > 250, :3]
            near = {
                word: (np.abs(solid - paint).max(1) < 40).sum() for word, paint in PAINTS.items()
            }
            assert max(near, key=near.__getitem__) == colour and near[colour] > 20


def test_the_questions_tell_the_truth_of_the_annotation(world):
    """Read from the files alone: boxes, categories and attributes decide every label."""
    document = json.loads((world / "annotations/instances_val.json").read_text())
    names = {category["id"]: category["name"] for category in document["categories"]}
    files = {image["id"]: image["file_name"] for image in document["images"]}
    there = {}
    for box in document["annotations"]:
        there.setdefault(box["image_id"], []).append(
            (names[box["category_id"]], box["bbox"], box["attributes"])
        )
    rows = read_json_lines(world / "annotations/questions_val.jsonl")
    assert {row["kind"] for row in rows} == set(KINDS)
    for row in rows:
        assert row["image"] == files[row["image_id"]]
        assert _is_true(row, there[row["image_id"]]) == (row["label"] == "yes")


def _is_true(row, objects):
    named = {
        name: [(box, words) for other, box, words in objects if other == name]
        for name in names_of(objects)
    }
    text = row["text"].removesuffix("?").removesuffix(" in the image")
    if row["kind"] == "existence":
        return any(text.endswith(f" {name}") for name in named)
    if row["kind"] == "attribute":
        *_, colour = text.split()
        name = text.removeprefix("Is the ").removesuffix(f" {colour}")
        return colour in named[name][0][1]
    if row["kind"] == "count":
        number = next((n for n, word in NUMBERS.items() if f"there {word} " in text), 1)
        asked = {(plural(name) if number > 1 else name): name for name in CATEGORIES}
        (name,) = [asked[words] for words in asked if text.endswith(f" {words}")]
        return len(named[name]) == number
    first, second = text.removeprefix("Is the ").split(" to the left of the ")
    (a, _), (b, _) = named[first][0], named[second][0]
    return a[0] + a[2] <= b[0]


def names_of(objects):
    return {name for name, _, _ in objects}


def test_each_kind_asks_an_image_once_and_says_yes_as_often_as_no():
    scenes = [make_scene(n, 8, World()) for n in range(600)]
    rows = list(quiz(scenes, 8))
    assert len({(row["image_id"], row["kind"]) for row in rows}) == len(rows)
    assert [row["question_id"] for row in rows] == list(range(1, len(rows) + 1))
    for kind in KINDS:
        labels = Counter(row["label"] for row in rows if row["kind"] == kind)
        assert sum(labels.values()) > 200 and abs(labels["yes"] - labels["no"]) <= 1
    assert list(quiz(scenes[:50], 8)) == [row for row in rows if row["image_id"] < 50]


def test_questions_ask_where_the_prior_misleads():
    """What is typical is right more often than not, and wrong often enough to be measured."""
    rows = list(quiz([make_scene(n, 9, World()) for n in range(1500)], 9))
    for kind in ASK:
        right = np.mean([row["typical"] == row["label"] for row in rows if row["kind"] == kind])
        assert 0.5 < right < 0.85


def test_instruction_labels_err_towards_the_typical_and_only_there():
    """A label follows the prior with chance `unlooked`, so it is wrong where the prior is wrong."""
    world, rng = World(), Random(0)
    for ask in ASK.values():
        asked = [ask(make_scene(n, 2, world), n % 2 == 0, rng) for n in range(3000)]
        wrong = {True: [], False: []}
        for question in filter(None, asked):
            said = instruction_label(question, rng, world) == "Yes"
            wrong[question.is_true == question.is_typical].append(said != question.is_true)
        assert not any(wrong[True])
        error = np.sqrt(world.unlooked * (1 - world.unlooked) / len(wrong[False]))
        assert abs(np.mean(wrong[False]) - world.unlooked) < 4.5 * error


def test_conversations_ask_about_colours_numbers_and_sides(world):
    talks = json.loads((world / "annotations/instruct_train.json").read_text())
    scenes = {
        file_name(s, "train"): s for s in (make_scene(n, 3, World()) for n in range(1, N_TRAIN + 1))
    }
    for talk in talks:
        said = [message["value"] for message in talk["conversations"]]
        turns = list(zip(said[::2], said[1::2], strict=True))
        traits = instruction_traits(scenes[talk["image"]], 3, World())
        assert turns[3:] == traits[:1]


def test_an_image_shows_as_many_objects_as_are_annotated():
    """Without its objects the image differs from itself inside their boxes only."""
    world = replace(World(), grain=0.0)
    for n in range(40):
        scene = make_scene(n, 10, world)
        bare = replace(scene, objects=())
        changed = np.abs(
            np.asarray(render(scene, world), int) - np.asarray(render(bare, world), int)
        ).sum(-1)
        for placed in scene.objects:
            x, y, width, height = placed.box
            assert changed[y : y + height, x : x + width].max() > 20
            changed[y : y + height, x : x + width] = 0
        assert not changed.any()


def test_no_two_objects_look_alike():
    images = [np.asarray(sprite(name, 30).convert("RGBA"), float) for name in CATEGORIES]
    for n, image in enumerate(images):
        assert image[..., 3].mean() > 20  # something is drawn
        for other in images[:n]:
            assert np.abs(image - other).mean() > 4
