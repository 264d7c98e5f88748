"""COCO annotation files -> one checked split: images, their objects, boxes and captions."""

import hashlib
import io
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from pycocotools.coco import COCO

from seednb.core.errors import SeedError
from seednb.data.images import image_problem, missing_problem, safe_path
from seednb.data.readers import Skipped, read_json

Record = Mapping[str, Any]
LARGEST = 1e9  # pixels
LARGEST_ID = 2**63  # of tables on disk
REPAIR = "repair the file or download it again"


@dataclass(frozen=True)
class CocoSplit:
    """The images of one split with their annotations."""

    name: str
    image_dir: Path
    images: pd.DataFrame  # image_id, file_name, width, height (pixels); sorted by image_id
    objects: dict[int, list[str]]  # image_id -> distinct names in annotation order, crowds too
    boxes: pd.DataFrame  # image_id, name, x, y, width, height (pixels), iscrowd (0 or 1)
    captions: dict[int, list[str]]  # image_id -> captions as written, in annotation order
    categories: list[str]  # all names of the vocabulary, in the file's order


def load_split(name: str, image_dir: Path, instances: Path, captions: Path) -> CocoSplit:
    """Read COCO instances and captions of the same images.

    `objects` and `captions` have a key for each image, also for one without annotations. Raises
    SeedError for malformed JSON (line, column), a missing or mistyped field, ids that occur twice,
    an annotation of an unlisted image, an unknown category.
    """
    boxed = _index(instances, ("images", "annotations", "categories"))
    captioned = _index(captions, ("annotations",))
    images = _images(boxed, instances)
    listed = dict.fromkeys(images["image_id"])
    names = _category_names(boxed, instances)
    boxes = _boxes(boxed, instances, names, listed)
    for caption in captioned.dataset["annotations"]:
        _check_annotation(caption, captions, listed)
        _field(caption, "caption", str, f"{captions}, annotation {caption['id']}")
    found = boxes.groupby("image_id", sort=False)["name"].unique()
    return CocoSplit(
        name=name,
        image_dir=Path(image_dir),
        images=images,
        objects={image_id: list(found.get(image_id, ())) for image_id in listed},
        boxes=boxes,
        captions={
            key: [row["caption"] for row in captioned.imgToAnns.get(key, ())] for key in listed
        },
        categories=list(names.values()),
    )


def drop_missing_images(split: CocoSplit) -> tuple[CocoSplit, list[Skipped]]:
    """The split without images whose file is missing, and which those are.

    Raises SeedError for a name that leaves the folder, and if no image is left.
    """
    kept, skipped = _drop(split, missing_problem)
    if kept.images.empty:
        raise SeedError(
            f"none of the {len(skipped)} images of split {split.name} is in {split.image_dir}; "
            "run: seednb doctor"
        )
    return kept, skipped


def drop_damaged_images(split: CocoSplit) -> tuple[CocoSplit, list[Skipped]]:
    """The split without images that cannot be read, and which those are.

    Raises SeedError if no image is left.
    """
    kept, skipped = _drop(split, image_problem)
    if kept.images.empty:
        raise SeedError(
            f"none of the {len(skipped)} images of split {split.name} in {split.image_dir} can be "
            f"used; the first, {Path(skipped[0].item).name}: {skipped[0].reason}; replace them"
        )
    return kept, skipped


def split_by_id(split: CocoSplit, val_fraction: float, seed: int) -> tuple[CocoSplit, CocoSplit]:
    """Split into (train, val) by a hash of the image id, so that adding images moves none.

    Raises SeedError if one of the two stays empty.
    """
    if not 0 < val_fraction < 1:
        raise SeedError(f"val_fraction={val_fraction}: must be between 0 and 1")
    ids = set(split.images["image_id"])
    val = {image_id for image_id in ids if _place(image_id, seed) < val_fraction}
    if not val or val == ids:
        raise SeedError(
            f"val_fraction={val_fraction} puts {len(val)} of {len(ids)} images into validation; "
            "use another fraction or more images"
        )
    return _subset(split, "train", ids - val), _subset(split, "val", val)


def leaked_ids(train: CocoSplit, val: CocoSplit) -> set[int]:
    """Image ids in both splits; file names play no part, because COCO's change with the year."""
    return set(train.images["image_id"]) & set(val.images["image_id"])


def _index(path: Path, keys: tuple[str, ...]) -> COCO:
    """Some lists of an annotation file, indexed by pycocotools.

    The other lists stay out: a captions file with a list of categories makes pycocotools fail.
    """
    document = read_json(path)
    coco = COCO()
    coco.dataset = {key: _field(document, key, list, f"{path}") for key in keys}
    for key, rows in coco.dataset.items():
        seen: set[int] = set()
        for number, row in enumerate(rows):
            row_id = _field(row, "id", int, f"{path}, {key}[{number}]")
            if abs(row_id) >= LARGEST_ID:
                raise SeedError(f"{path}, {key}[{number}]: id {row_id} is too large; {REPAIR}")
            if row_id in seen:
                raise SeedError(f"{path}: id {row_id} occurs twice in {key}; {REPAIR}")
            seen.add(row_id)
    for number, row in enumerate(coco.dataset["annotations"]):
        _field(row, "image_id", int, f"{path}, annotations[{number}]")
        if "categories" in keys:
            _field(row, "category_id", int, f"{path}, annotations[{number}]")
    with redirect_stdout(io.StringIO()):  # pycocotools prints
        coco.createIndex()
    return coco


def _images(coco: COCO, path: Path) -> pd.DataFrame:
    rows = []
    for image_id, image in sorted(coco.imgs.items()):
        where = f"{path}, image {image_id}"
        size = [_field(image, side, int, where) for side in ("width", "height")]
        if min(size) < 1:
            raise SeedError(f"{where}: a size of {size[0]} x {size[1]} pixels; {REPAIR}")
        rows.append((image_id, _field(image, "file_name", str, where), *size))
    frame = pd.DataFrame(rows, columns=["image_id", "file_name", "width", "height"])
    if frame.empty:
        raise SeedError(f"{path} lists no images; {REPAIR}")
    again = frame[frame["file_name"].duplicated()]
    if len(again):
        file_name, image_id = again["file_name"].iloc[0], again["image_id"].iloc[0]
        raise SeedError(f"{path}, image {image_id}: another id has {file_name} too; {REPAIR}")
    return frame


def _category_names(coco: COCO, path: Path) -> dict[int, str]:
    names: dict[int, str] = {}
    for key, category in coco.cats.items():
        name = _field(category, "name", str, f"{path}, category {key}")
        if not name.strip():
            raise SeedError(f"{path}, category {key}: its name is empty; {REPAIR}")
        if name in names.values():
            raise SeedError(f"{path}, category {key}: another id is named {name!r} too; {REPAIR}")
        names[key] = name
    return names


def _boxes(
    coco: COCO, path: Path, names: Mapping[int, str], listed: Mapping[int, None]
) -> pd.DataFrame:
    """One row an annotation, by image and then in the file's order."""
    rows = []
    for annotation in coco.dataset["annotations"]:
        _check_annotation(annotation, path, listed)
        where = f"{path}, annotation {annotation['id']}"
        category = annotation["category_id"]
        if category not in names:
            raise SeedError(f"{where}: category {category} is not in the file's list; {REPAIR}")
        box = _field(annotation, "bbox", list, where)
        if len(box) != 4 or not all(_is_number(value) for value in box):
            raise SeedError(f"{where}: bbox {box!s:.60} is not [x, y, width, height]; {REPAIR}")
        crowd = annotation.get("iscrowd", 0)
        if crowd not in (0, 1):
            raise SeedError(f"{where}: iscrowd is {crowd!r:.60}, expected 0 or 1; {REPAIR}")
        rows.append((annotation["image_id"], names[category], *map(float, box), int(crowd)))
    columns = ["image_id", "name", "x", "y", "width", "height", "iscrowd"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.sort_values("image_id", kind="stable", ignore_index=True)


def _check_annotation(annotation: Record, path: Path, listed: Mapping[int, None]) -> None:
    if annotation["image_id"] not in listed:
        raise SeedError(
            f"{path}, annotation {annotation['id']}: image {annotation['image_id']} is not listed "
            "in the instances file; use instances and captions of the same split"
        )


def _field(record: Any, key: str, kind: type, where: str) -> Any:
    """A field of a JSON object, of exactly the type that it must have (true is no number)."""
    if not isinstance(record, dict):
        raise SeedError(f"{where}: a {type(record).__name__}, not an object; {REPAIR}")
    if type(record.get(key)) is not kind:
        found = f"is {record[key]!r:.60}" if key in record else "is missing"
        raise SeedError(f"{where}: {key!r} {found}, expected {kind.__name__}; {REPAIR}")
    return record[key]


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and -LARGEST < value < LARGEST  # NaN is neither


def _place(image_id: int, seed: int) -> float:
    """A number in [0, 1) that depends on nothing but the id and the seed."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{image_id}".encode()).digest()[:6]) / 2**48


def _drop(split: CocoSplit, problem_of: Callable[[Path], str]) -> tuple[CocoSplit, list[Skipped]]:
    """The split without images that have a problem ("" is none), and those with it."""
    paths = {
        image_id: safe_path(split.image_dir, name)
        for image_id, name in zip(split.images["image_id"], split.images["file_name"], strict=True)
    }
    problems = {image_id: problem_of(path) for image_id, path in paths.items()}
    kept = {image_id for image_id, problem in problems.items() if not problem}
    skipped = [Skipped(f"{paths[key]}", problem) for key, problem in problems.items() if problem]
    return _subset(split, split.name, kept), skipped


def _subset(split: CocoSplit, name: str, ids: set[int]) -> CocoSplit:
    return replace(
        split,
        name=name,
        images=split.images[split.images["image_id"].isin(ids)].reset_index(drop=True),
        objects={key: names for key, names in split.objects.items() if key in ids},
        boxes=split.boxes[split.boxes["image_id"].isin(ids)].reset_index(drop=True),
        captions={key: texts for key, texts in split.captions.items() if key in ids},
    )
