"""Seven benchmarks in their published layouts, in miniature, on images of the generated world."""

import json
import shutil
from pathlib import Path

from seednb.data.pocket.files import write_world
from seednb.data.probes import SPLITS, build_probes

N = 4  # images


def write_benchmarks(folder: Path, world: Path) -> list[Path]:
    """Lay all seven out below `folder`; returns the images, which lie in val2014 under COCO's names."""
    write_world(world, seed=3, n_train=1, n_val=N)
    documents = {
        kind: json.loads((world / f"annotations/{kind}_val.json").read_text())
        for kind in ("instances", "captions")
    }
    file_of = {}
    (folder / "val2014").mkdir(parents=True)
    for image in documents["instances"]["images"]:
        name = f"COCO_val2014_{image['id']:012d}.jpg"
        shutil.copy(world / "val" / image["file_name"], folder / "val2014" / name)
        file_of[image["id"]] = name
    for kind, document in documents.items():
        for image in document["images"]:
            image["file_name"] = file_of[image["id"]]
        _write(folder / f"annotations/{kind}_val2014.json", document)
    images = sorted((folder / "val2014").iterdir())
    objects = _objects(documents["instances"], file_of)
    _pope(folder, objects)
    _vqav2(folder, list(file_of))
    _mme(folder, images)
    _seedbench(folder, images)
    _amber(folder, images)
    _hallusionbench(folder, images)
    return images


def _objects(instances, file_of):
    names = {category["id"]: category["name"] for category in instances["categories"]}
    objects = {name: [] for name in file_of.values()}
    for row in instances["annotations"]:
        objects[file_of[row["image_id"]]].append(names[row["category_id"]])
    return {name: list(dict.fromkeys(found)) for name, found in objects.items()}


def _pope(folder, objects):
    for split in SPLITS:
        probes = build_probes(objects, split, seed=0, positives=2, min_objects=2)
        rows = [
            {key: row[key] for key in ("question_id", "image", "text", "label")} for row in probes
        ]
        _write(folder / f"POPE/output/coco/coco_pope_{split}.json", rows, lines=True)


def _vqav2(folder, image_ids):
    question = {"question": "Is there a cup in the image?"}
    asked = [question | {"image_id": n, "question_id": n * 1000} for n in image_ids]
    truth = [
        {"question_id": row["question_id"], "image_id": row["image_id"], "answer_type": "yes/no",
         "question_type": "is there", "multiple_choice_answer": "yes",
         "answers": [{"answer": "yes" if n < 7 else "no", "answer_id": n} for n in range(10)]}
        for row in asked
    ]  # fmt: skip
    document = {"data_type": "mscoco", "data_subtype": "val2014", "task_type": "Open-Ended"}
    _write(
        folder / "VQAv2/v2_OpenEnded_mscoco_val2014_questions.json", document | {"questions": asked}
    )
    _write(folder / "VQAv2/v2_mscoco_val2014_annotations.json", document | {"annotations": truth})


def _mme(folder, images):
    for task in ("existence", "count"):
        place = folder / "MME_Benchmark_release_version/MME_Benchmark" / task
        place.mkdir(parents=True)
        for number, image in enumerate(images):
            shutil.copy(image, place / f"{number:04d}.jpg")
            (place / f"{number:04d}.txt").write_text(
                "Is there a cup in the image? Please answer yes or no.\tYes\n"
                "Is there a bus in the image? Please answer yes or no.\tNo\n"
            )


def _seedbench(folder, images):
    place = folder / "SEED-Bench/SEED-Bench-image"
    place.mkdir(parents=True)
    questions = []
    for number, image in enumerate(images):
        name = f"{number}_2591111986"  # as published: without a suffix
        shutil.copy(image, place / name)
        choices = zip("abcd", ("Yes", "No", "One", "Two"), strict=True)
        questions += [
            {"answer": "ABCD"[(number + n) % 4], "data_id": name, "data_type": "image",
             "question": "Is there a cup in the image?", "question_id": f"{number}_{n}",
             "question_type_id": 1 + n, **{f"choice_{letter}": text for letter, text in choices}}
            for n in range(1)
        ]  # fmt: skip
    video = {"question_id": "v1", "data_type": "video", "data_id": "1.webm"}
    questions.append(questions[0] | video)
    types = {"Scene Understanding": 1, "Instance Identity": 2}
    _write(folder / "SEED-Bench/SEED-Bench.json", {"questions": questions, "question_type": types})


def _amber(folder, images):
    queries, truth = [], []
    kinds = (
        "generative",
        "discriminative-hallucination",
        "discriminative-attribute-state",
        "relation",
    )
    (folder / "AMBER/image").mkdir(parents=True)
    for kind in kinds:
        for number, image in enumerate(images, start=1):
            name, key = f"AMBER_{number}.jpg", len(queries) + 1
            shutil.copy(image, folder / "AMBER/image" / name)
            text = "Is there a cup in this image?"
            query = "Describe this image." if kind == "generative" else text
            queries.append({"id": key, "image": name, "query": query})
            answer = (
                {"truth": ["cup"], "hallu": ["bus"]} if kind == "generative" else {"truth": "no"}
            )
            truth.append({"id": key, "type": kind} | answer)
    _write(folder / "AMBER/data/query/query_all.json", queries)
    _write(folder / "AMBER/data/annotations.json", truth)
    _write(folder / "AMBER/data/relation.json", {"cup": ["mug"], "bus": [], "dog": []})
    (folder / "AMBER/data/safe_words.txt").write_text("image\nimage\n")


def _hallusionbench(folder, images):
    entries = []
    for number, image in enumerate(images):
        set_id, figure = str(number // 2), str(number % 2)
        name = f"./VD/illusion/{set_id}_{figure}.png"
        target = folder / "HallusionBench/hallusion_bench" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(image, target)
        entries += [
            {"category": "VD", "subcategory": "illusion", "visual_input": "1", "set_id": set_id,
             "figure_id": figure, "sample_note": "", "question_id": str(n), "question": text,
             "gt_answer_details": "", "gt_answer": str(n), "filename": name}
            for n, text in enumerate(("Is there a bus in the image?", "Is there a cup in the image?"))
        ]  # fmt: skip
    none = {"category": "VS", "subcategory": "map", "visual_input": "0", "figure_id": "0"}
    entries.append(entries[0] | none | {"filename": None})
    _write(folder / "HallusionBench/HallusionBench.json", entries)


def _write(file: Path, content, lines: bool = False):
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content)
    if lines:
        text = "".join(json.dumps(row) + "\n" for row in content)
    file.write_text(text)
