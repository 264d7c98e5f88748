"""Images for a demonstration, and what is known to be in them."""

from collections.abc import Mapping
from pathlib import Path

from seednb.cli.demo.captioner import Sample
from seednb.core.errors import SeedError
from seednb.data.coco import load_split
from seednb.data.images import load_image
from seednb.data.readers import read_json
from seednb.data.vocabulary import Vocabulary
from seednb.evaluation.benchmarks.chair import ground_truth
from seednb.experiments.experiment import Experiment
from seednb.model.lora import check_adapter

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
Truth = Mapping[str, set[str]]  # file name -> objects in the image


def find_adapter(lab: Experiment, given: Path | None) -> Path:
    """The given adapter folder, or that of the profile's v7.

    Raises SeedError with the next command if there is none; asked before a model is loaded.
    """
    adapter = given or lab.trained("v7")
    if adapter is None:
        raise SeedError(
            f"v7 of profile {lab.params.run.profile} is not trained yet; run: seednb train --version "
            "v7, or name an adapter with --model"
        )
    check_adapter(adapter)
    return adapter


def validation_images(lab: Experiment, n: int) -> list[Sample]:
    """The first n validation images of the profile, with their objects."""
    folder, present = lab.data.val.image_dir, lab.data.present
    images = [(row["file_name"], row["image_id"]) for row in lab.data.to_caption[:n]]
    return [Sample(name, load_image(folder / name), present[key]) for name, key in images]


def named_images(
    path: Path, lab: Experiment, objects: Path | None, n: int
) -> tuple[list[Sample], list[str]]:
    """(the image, or the first n of a folder; the reasons why some were left out).

    Their objects come from `objects` (JSON: file name -> names), or from COCO annotations where COCO
    lays them: `annotations/instances_FOLDER.json` beside the folder. Raises SeedError if there is
    nothing to show.
    """
    if not path.exists():
        raise SeedError(f"{path}: no such image or folder; check the path")
    files = [path] if path.is_file() else _files(path)[:n]
    truth = _read_truth(objects) if objects else _coco_truth(files[0].parent, lab)
    samples, problems = [], []
    for file in files:
        try:
            samples.append(Sample(file.name, load_image(file), truth.get(file.name)))
        except SeedError as problem:
            problems.append(str(problem))
    if not samples:
        raise SeedError(problems[0])
    return samples, problems


def _files(folder: Path) -> list[Path]:
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
    if not files:
        raise SeedError(f"{folder} holds no image ({', '.join(SUFFIXES)}); name another folder")
    return files


def _read_truth(file: Path) -> Truth:
    objects = read_json(file)
    if not isinstance(objects, dict) or not all(isinstance(v, list) for v in objects.values()):
        raise SeedError(f"{file}: write one JSON object, file name -> list of its objects")
    return {name: set(names) for name, names in objects.items()}


def _coco_truth(folder: Path, lab: Experiment) -> Truth:
    """Objects by file name from COCO's annotations of this folder; nothing if there are none."""
    folder, evaluation = folder.resolve(), lab.params.evaluation
    annotations = folder.parent / "annotations"
    instances = annotations / f"instances_{folder.name}.json"
    captions = annotations / f"captions_{folder.name}.json"
    if not (instances.is_file() and captions.is_file()):
        return {}
    split = load_split(folder.name, folder, instances, captions)
    vocabulary = Vocabulary.read(lab.params.path(evaluation.vocabulary))
    present = ground_truth(split.objects, split.captions, vocabulary, evaluation.chair_variant)
    names = zip(split.images["image_id"], split.images["file_name"], strict=True)
    return {name: present[image_id] for image_id, name in names}
