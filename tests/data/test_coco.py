"""Annotation files: what a split holds, how it is split, and which line or id an error names.

Longer than most because the JSON reading beneath (`seednb.data.readers`) has its laws here too.
"""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from seednb.core.errors import SeedError
from seednb.data.coco import CocoSplit, drop_missing_images, leaked_ids, load_split, split_by_id
from seednb.data.readers import find_one, read_json, read_json_lines

Document = dict[str, Any]

INSTANCES: Document = {
    "images": [
        {"id": 7, "file_name": "b.jpg", "width": 40, "height": 30},
        {"id": 3, "file_name": "a.jpg", "width": 20, "height": 10},
        {"id": 9, "file_name": "c.jpg", "width": 20, "height": 10},
    ],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 2, "bbox": [1, 2, 3, 4.5], "iscrowd": 0},
        {"id": 2, "image_id": 3, "category_id": 1, "bbox": [0, 0, 5, 5], "iscrowd": 1},
        {"id": 3, "image_id": 7, "category_id": 1, "bbox": [0, 0, 9, 9]},
        {"id": 4, "image_id": 7, "category_id": 2, "bbox": [5, 5, 1, 1], "iscrowd": 0},
    ],
    "categories": [{"id": 2, "name": "zebra"}, {"id": 1, "name": "cat"}],
}
CAPTIONS: Document = {
    "images": INSTANCES["images"],
    "categories": [],
    "annotations": [
        {"id": 1, "image_id": 7, "caption": "Two zebras. "},
        {"id": 2, "image_id": 3, "caption": "Cats."},
        {"id": 3, "image_id": 7, "caption": "A cat watches zebras."},
    ],
}


def write(folder: Path, instances: object, captions: object = CAPTIONS) -> tuple[Path, Path]:
    paths = folder / "instances.json", folder / "captions.json"
    for path, document in zip(paths, (instances, captions), strict=True):
        path.write_text(json.dumps(document))
    return paths


@pytest.fixture
def split(tmp_path: Path) -> CocoSplit:
    return load_split("train", tmp_path, *write(tmp_path, INSTANCES))


def many(folder: Path, ids: list[int]) -> CocoSplit:
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 1, "height": 1} for i in ids]
    document = {"images": images, "annotations": [], "categories": INSTANCES["categories"]}
    return load_split("all", folder, *write(folder, document, {"annotations": []}))


def ids_of(split: CocoSplit) -> set[int]:
    return set(split.images["image_id"])


def test_objects_are_distinct_in_annotation_order_and_crowds_count(split: CocoSplit) -> None:
    assert split.objects == {3: ["cat"], 7: ["zebra", "cat"], 9: []}
    assert split.categories == ["zebra", "cat"]


def test_images_are_sorted_by_id_and_every_one_has_a_key(split: CocoSplit) -> None:
    assert split.images["image_id"].tolist() == [3, 7, 9]
    assert split.images["file_name"].tolist() == ["a.jpg", "b.jpg", "c.jpg"]
    assert split.captions == {3: ["Cats."], 7: ["Two zebras. ", "A cat watches zebras."], 9: []}


def test_each_annotation_is_one_box(split: CocoSplit) -> None:
    columns = ["image_id", "name", "x", "y", "width", "height", "iscrowd"]
    assert split.boxes.columns.tolist() == columns
    assert split.boxes.to_numpy().tolist() == [
        [3, "cat", 0, 0, 5, 5, 1],
        [7, "zebra", 1, 2, 3, 4.5, 0],
        [7, "cat", 0, 0, 9, 9, 0],
        [7, "zebra", 5, 5, 1, 1, 0],
    ]


def test_loading_prints_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load_split("train", tmp_path, *write(tmp_path, INSTANCES))
    assert capsys.readouterr() == ("", "")


def set_at(*keys: Any, value: Any) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        place: Any = document
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value

    return change


def drop(*keys: Any) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        place: Any = document
        for key in keys[:-1]:
            place = place[key]
        del place[keys[-1]]

    return change


FAULTS = {
    "no images": (drop("images"), r"'images' is missing"),
    "images is no list": (set_at("images", value={}), r"'images' is \{\}, expected list"),
    "empty": (set_at("images", value=[]), "lists no images"),
    "image without id": (drop("images", 1, "id"), r"images\[1\]: 'id' is missing"),
    "id is text": (set_at("images", 0, "id", value="7"), r"images\[0\]: 'id' is '7', expected int"),
    "id is true": (set_at("images", 0, "id", value=True), "'id' is True"),
    "image is no object": (set_at("images", 2, value=5), r"images\[2\]: a int, not an object"),
    "image id twice": (set_at("images", 1, "id", value=7), "id 7 occurs twice in images"),
    "file name twice": (set_at("images", 1, "file_name", value="b.jpg"), "image 7: .*b.jpg too"),
    "no file name": (drop("images", 1, "file_name"), "image 3: 'file_name' is missing"),
    "no width": (drop("images", 1, "width"), "image 3: 'width' is missing"),
    "zero height": (set_at("images", 1, "height", value=0), "image 3: a size of 20 x 0"),
    "unlisted image": (
        set_at("annotations", 2, "image_id", value=55),
        "annotation 3: image 55 is not listed",
    ),
    "unknown category": (
        set_at("annotations", 3, "category_id", value=77),
        "annotation 4: category 77 is not in the file's list",
    ),
    "no category": (drop("annotations", 1, "category_id"), r"annotations\[1\]: 'category_id'"),
    "annotation id twice": (set_at("annotations", 1, "id", value=1), "id 1 occurs twice in anno"),
    "no box": (drop("annotations", 0, "bbox"), "annotation 1: 'bbox' is missing"),
    "short box": (set_at("annotations", 0, "bbox", value=[1, 2]), r"annotation 1: bbox \[1, 2\]"),
    "infinite box": (
        set_at("annotations", 0, "bbox", value=[0, 0, 1, float("inf")]),
        "annotation 1: bbox",
    ),
    "odd crowd": (set_at("annotations", 0, "iscrowd", value="no"), "annotation 1: iscrowd is 'no'"),
    "category id twice": (set_at("categories", 0, "id", value=1), "id 1 occurs twice in categ"),
    "category name twice": (
        set_at("categories", 0, "name", value="cat"),
        "category 1: .*'cat' too",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_instances_file_is_named_with_the_id(tmp_path: Path, fault: str) -> None:
    change, message = FAULTS[fault]
    document = copy.deepcopy(INSTANCES)
    change(document)
    with pytest.raises(SeedError, match=rf"instances\.json.*{message}"):
        load_split("train", tmp_path, *write(tmp_path, document))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_at("annotations", 1, "image_id", value=8), "annotation 2: image 8 is not listed"),
        (set_at("annotations", 2, "caption", value=None), "annotation 3: 'caption' is None"),
        (drop("annotations", 0, "image_id"), r"annotations\[0\]: 'image_id' is missing"),
        (drop("annotations"), "'annotations' is missing"),
    ],
)
def test_a_faulty_captions_file_is_named_with_the_id(
    tmp_path: Path, change: Callable[[Document], None], message: str
) -> None:
    document = copy.deepcopy(CAPTIONS)
    change(document)
    with pytest.raises(SeedError, match=rf"captions\.json.*{message}"):
        load_split("train", tmp_path, *write(tmp_path, INSTANCES, document))


def test_malformed_annotations_are_named_with_line_and_column(tmp_path: Path) -> None:
    instances, captions = write(tmp_path, INSTANCES)
    instances.write_text('{\n "images": [],\n "annotations": [1 2]}')
    with pytest.raises(SeedError, match=r"instances\.json, line 3, column 20: not JSON"):
        load_split("train", tmp_path, instances, captions)


def test_a_list_is_no_annotation_file(tmp_path: Path) -> None:
    with pytest.raises(SeedError, match=r"instances\.json: a list, not an object"):
        load_split("train", tmp_path, *write(tmp_path, []))


def test_missing_images_are_dropped_only_on_request_and_listed(split: CocoSplit) -> None:
    Image.new("RGB", (20, 10)).save(split.image_dir / "a.jpg")
    kept, skipped = drop_missing_images(split)
    assert ids_of(split) == {3, 7, 9}
    assert ids_of(kept) == set(kept.objects) == set(kept.captions) == {3}
    assert set(kept.boxes["image_id"]) == {3}
    assert [Path(entry.item).name for entry in skipped] == ["b.jpg", "c.jpg"]
    assert {entry.reason for entry in skipped} == {"image is missing"}


def test_a_split_without_any_image_is_an_error(split: CocoSplit) -> None:
    with pytest.raises(SeedError, match="none of the 3 images of split train"):
        drop_missing_images(split)


def test_an_annotated_file_name_cannot_leave_the_folder(tmp_path: Path) -> None:
    document = copy.deepcopy(INSTANCES)
    document["images"][0]["file_name"] = "../instances.json"
    (tmp_path / "train").mkdir()
    split = load_split("train", tmp_path / "train", *write(tmp_path, document))
    with pytest.raises(SeedError, match=r"'\.\./instances\.json' is no file inside"):
        drop_missing_images(split)


def test_a_split_by_id_parts_all_images_and_adding_some_moves_none(tmp_path: Path) -> None:
    small_train, small_val = split_by_id(many(tmp_path, list(range(1, 200))), 0.3, seed=1)
    assert ids_of(small_train) | ids_of(small_val) == set(range(1, 200))
    assert not leaked_ids(small_train, small_val)
    train, val = split_by_id(many(tmp_path, list(range(1, 2000))), 0.3, seed=1)
    assert ids_of(small_train) <= ids_of(train)
    assert ids_of(small_val) <= ids_of(val)
    assert (train.name, val.name) == ("train", "val")
    # 6 standard deviations of a share of 0.3 among 1999
    assert abs(len(val.images) / 1999 - 0.3) < 6 * (0.3 * 0.7 / 1999) ** 0.5


def test_a_split_depends_on_the_seed_and_on_nothing_else(tmp_path: Path) -> None:
    forwards = many(tmp_path, list(range(1, 100)))
    backwards = many(tmp_path, list(range(99, 0, -1)))
    one = ids_of(split_by_id(forwards, 0.5, seed=1)[1])
    assert one == ids_of(split_by_id(backwards, 0.5, seed=1)[1])
    assert one != ids_of(split_by_id(forwards, 0.5, seed=2)[1])


def test_a_larger_fraction_keeps_every_validation_image(tmp_path: Path) -> None:
    split = many(tmp_path, list(range(1, 200)))
    assert ids_of(split_by_id(split, 0.2, seed=0)[1]) < ids_of(split_by_id(split, 0.6, seed=0)[1])


@pytest.mark.parametrize("val_fraction", [0, 1, -0.5, float("nan")])
def test_a_fraction_outside_its_range_is_named(split: CocoSplit, val_fraction: float) -> None:
    with pytest.raises(SeedError, match=rf"val_fraction={val_fraction}: must be between"):
        split_by_id(split, val_fraction, seed=0)


def test_a_split_with_an_empty_side_is_an_error(split: CocoSplit) -> None:
    with pytest.raises(SeedError, match="puts 0 of 3 images"):
        split_by_id(split, 1e-9, seed=0)


def test_leaks_are_found_by_id_whatever_the_file_names(split: CocoSplit, tmp_path: Path) -> None:
    document = copy.deepcopy(INSTANCES)
    for image in document["images"]:
        image["file_name"] = f"COCO_val2014_{image['id']:012d}.jpg"
    document["images"][0]["id"] = 70
    for annotation in document["annotations"]:
        annotation["image_id"] = 3
    other = load_split("val", tmp_path, *write(tmp_path, document, {"annotations": []}))
    assert leaked_ids(split, other) == {3, 9}


def test_a_missing_file_is_named_with_what_is_there_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "captions.json").touch()
    with pytest.raises(SeedError, match=r"a\.json is missing; .* holds captions\.json; run: seed"):
        read_json(tmp_path / "a.json")
    with pytest.raises(SeedError, match=r"there is no folder .*/x; run: seednb doctor"):
        read_json_lines(tmp_path / "x" / "a.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1, column 1: not JSON"),
        (b"[1,\n 2,\n  oops]", r"line 3, column 3: not JSON \(Expecting value\)"),
        (b'{"a": 1}\n{"a": 2}', r"line 2, column 1: not JSON \(Extra data\)"),
        (b'["ok",\n "\xff"]', "line 2: not UTF-8"),
        (b"[" * 100_000, "JSON that cannot be read"),
    ],
)
def test_malformed_json_is_named_with_its_place(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(SeedError, match=rf"a\.json,? ?:?.*{message}"):
        read_json(tmp_path / "a.json")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SeedError, match="cannot be read"):
        read_json(tmp_path)


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf[1]")
    assert read_json(tmp_path / "a.json") == [1]


@given(st.lists(st.dictionaries(st.text(), st.text()), max_size=5))
def test_json_lines_hold_any_text(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("lines") / "rows.jsonl"
    text = "\r\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_bytes(text.encode(errors="replace"))
    expected = json.loads(json.dumps(rows, ensure_ascii=False).encode(errors="replace"))
    assert read_json_lines(path) == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [('{"a": }', r"line 3, column 7: not JSON"), ("[1]", "line 3: a list; write one JSON object")],
)
def test_a_bad_line_is_named_by_its_number(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "a.jsonl").write_text(f'{{"a": 1}}\n\n{line}\n')
    with pytest.raises(SeedError, match=rf"a\.jsonl, {message}"):
        read_json_lines(tmp_path / "a.jsonl")


def test_a_pattern_must_fit_exactly_one_file(tmp_path: Path) -> None:
    for name in ("instances_train.json", "instances_val.json", "captions_train.json"):
        (tmp_path / name).touch()
    (tmp_path / "captions_folder").mkdir()
    assert find_one(tmp_path, "captions_*").name == "captions_train.json"
    assert find_one(tmp_path, "instances_val.json").name == "instances_val.json"
    absolute = tmp_path / "instances_train.json"
    assert find_one(tmp_path / "elsewhere", str(absolute)) == absolute
    both = r"fits 2 files in .*: instances_train\.json, instances_val\.json; name one"
    with pytest.raises(SeedError, match=both):
        find_one(tmp_path, "instances_*.json")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("*.parquet", r"\*\.parquet is missing; .* holds only\.json; run: seednb doctor"),
        ("sub/*.json", "there is no folder"),
        ("/nowhere/a.json", "/nowhere/a.json is missing"),
        ("", "no file name is given"),
    ],
)
def test_a_pattern_without_a_file_says_what_is_there(
    tmp_path: Path, pattern: str, message: str
) -> None:
    (tmp_path / "only.json").touch()
    with pytest.raises(SeedError, match=message):
        find_one(tmp_path, pattern)


@pytest.mark.reference
def test_fifty_genuine_images_are_read_whole(reference: Path) -> None:
    folder = reference / "coco50"
    split = load_split(
        "train",
        folder / "images",
        find_one(folder, "instances_*.json"),
        find_one(folder, "captions_*.json"),
    )
    kept, skipped = drop_missing_images(split)
    assert (len(kept.images), len(skipped), len(kept.categories)) == (50, 0, 80)
    assert (len(kept.boxes), kept.boxes["iscrowd"].sum()) == (470, 5)
    assert {len(texts) for texts in kept.captions.values()} == {5}
    # one genuine image has no annotated object; POPE and CHAIR must cope with it
    assert [image_id for image_id, names in kept.objects.items() if not names] == [262284]
    for image_id, names in kept.objects.items():
        assert len(names) == len(set(names))
        assert set(names) == set(kept.boxes["name"][kept.boxes["image_id"] == image_id])
