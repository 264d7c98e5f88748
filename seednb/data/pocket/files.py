"""Writes a pocket world as real files: images, COCO annotations, LLaVA-Instruct JSON, questions."""

import json
from pathlib import Path

from tqdm import tqdm

from seednb.core.console import hides_progress
from seednb.core.files import write_lines, write_text
from seednb.data.pocket.art import render
from seednb.data.pocket.language import conversation, reference_captions
from seednb.data.pocket.quiz import quiz
from seednb.data.pocket.scenes import CATEGORIES, COCO_IDS, SCENE_OF, Scene, World, make_scene

JPEG_QUALITY = 90
FIRST_VALIDATION_ID = 500_001  # training ids start at 1, so the two never meet


def write_world(
    folder: Path, seed: int, n_train: int, n_val: int, world: World | None = None
) -> None:
    """Write training and validation images with their annotations below `folder`.

    Layout: `train/*.jpg`, `val/*.jpg`, `annotations/{instances,captions}_{train,val}.json`,
    `annotations/questions_{train,val}.jsonl` (yes/no, by kind) and `annotations/instruct_train.json`.
    A smaller world is a prefix of a larger one of its seed.
    """
    world = world or World()
    for split, first, count in (("train", 1, n_train), ("val", FIRST_VALIDATION_ID, n_val)):
        scenes = [make_scene(first + number, seed, world) for number in range(count)]
        _write_images(folder / split, scenes, split, world)
        documents: dict[str, object] = {
            "instances": _instances(scenes, split, world),
            "captions": _captions(scenes, split, world),
        }
        if split == "train":
            documents["instruct"] = [
                conversation(scene, file_name(scene, split), seed, world) for scene in scenes
            ]
        for name, document in documents.items():
            write_text(folder / f"annotations/{name}_{split}.json", json.dumps(document))
        names = {scene.image_id: file_name(scene, split) for scene in scenes}
        rows = [row | {"image": names[row["image_id"]]} for row in quiz(scenes, seed)]
        write_lines(folder / f"annotations/questions_{split}.jsonl", rows)


def file_name(scene: Scene, split: str) -> str:
    """COCO's way to name an image: split and zero-padded id."""
    return f"POCKET_{split}_{scene.image_id:012d}.jpg"


def _write_images(folder: Path, scenes: list[Scene], split: str, world: World) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for scene in tqdm(scenes, desc=f"draw {split} images", unit="img", disable=hides_progress()):
        render(scene, world).save(folder / file_name(scene, split), "JPEG", quality=JPEG_QUALITY)


def _instances(scenes: list[Scene], split: str, world: World) -> dict[str, object]:
    annotations: list[dict[str, object]] = []
    for scene in scenes:
        for placed in scene.objects:
            x, y, width, height = placed.box
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": scene.image_id,
                    "category_id": COCO_IDS[placed.name],
                    "bbox": [x, y, width, height],
                    "area": width * height,
                    "iscrowd": 0,
                    "segmentation": [[x, y, x + width, y, x + width, y + height, x, y + height]],
                    "attributes": [placed.colour] if placed.colour else [],
                    "opacity": round(placed.opacity, 3),
                }
            )
    categories = [
        {"id": COCO_IDS[name], "name": name, "supercategory": SCENE_OF[name]}
        for name in sorted(CATEGORIES, key=COCO_IDS.__getitem__)
    ]
    return _document(scenes, split, world) | {"annotations": annotations, "categories": categories}


def _captions(scenes: list[Scene], split: str, world: World) -> dict[str, object]:
    texts = [(scene.image_id, text) for scene in scenes for text in reference_captions(scene)]
    annotations = [
        {"id": number, "image_id": image_id, "caption": text}
        for number, (image_id, text) in enumerate(texts, start=1)
    ]
    return _document(scenes, split, world) | {"annotations": annotations}


def _document(scenes: list[Scene], split: str, world: World) -> dict[str, object]:
    size = world.image_size
    images = [
        {"id": s.image_id, "file_name": file_name(s, split), "width": size, "height": size}
        for s in scenes
    ]
    info = {"description": "Pocket world: generated images in COCO format", "version": "1.0"}
    return {"info": info, "licenses": [{"id": 1, "name": "CC0 1.0"}], "images": images}
