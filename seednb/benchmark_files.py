"""Published benchmarks as they lie on disk -> what is asked of a model, and the truth to score by.

`seednb.sources` has each layout and the commands that make it. COCO's pictures and annotations may
also lie in the profile's `data_root`.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from seednb.answer_files import read_amber as read_amber_data
from seednb.answer_files import read_seedbench as read_seedbench_data
from seednb.answer_files import read_vqa
from seednb.core.profiles import Params
from seednb.data.coco import load_split
from seednb.data.files import read_json_lines, read_rows
from seednb.data.images import coco_image_id, name_in_folder
from seednb.errors import SeedError
from seednb.metrics.chair import Vocabulary
from seednb.metrics.probes import SPLITS
from seednb.question_files import QUESTION_FILES
from seednb.sources import BENCHMARKS, SOURCES

Row = dict[str, Any]
OWN_WORDS = "this project's words"  # in CHAIR's variant, where its own vocabulary is not there
VCD = "VCD/experiments/data/POPE"  # has POPE's questions on three data sets
VAL2014 = ("val2014", "coco/val2014")
MME_RELEASE = "MME_Benchmark_release_version"
POPE_PICTURES = {"coco": VAL2014, "aokvqa": VAL2014, "gqa": ("gqa/images",)}  # by data set
PLACES: dict[str, tuple[tuple[str, ...], ...]] = {  # what a benchmark needs: one of each line
    "pope": (
        *((file, f"{VCD}/coco/{Path(file).name}") for file in SOURCES["pope"].files),
        VAL2014,
    ),
    "chair": (*((file,) for file in SOURCES["chair"].files), VAL2014),
    "vqav2": (*((file,) for file in SOURCES["vqav2"].files), VAL2014),
    "mme": (
        (
            f"{MME_RELEASE}/MME_Benchmark",
            f"MME/{MME_RELEASE}/MME_Benchmark",
            MME_RELEASE,
            f"MME/{MME_RELEASE}",
            "MME_Benchmark",
            "MME",
        ),
    ),
    "seedbench": (
        ("SEED-Bench/SEED-Bench.json", "SEED-Bench.json"),
        ("SEED-Bench/SEED-Bench-image", "SEED-Bench-image"),
    ),
    "amber": (
        *((file,) for file in SOURCES["amber"].files[:4]),
        ("AMBER/image", "AMBER/images", "AMBER/data/image"),
    ),
    "hallusionbench": (
        ("HallusionBench/HallusionBench.json",),
        ("HallusionBench/hallusion_bench", "HallusionBench/V[DS]"),
    ),
}


class Absent(SeedError):
    """The data of a benchmark is not there."""


@dataclass(frozen=True)
class Asked:
    """Questions about the pictures of one folder, answered into one file."""

    name: str
    questions: list[Row]
    images: Path
    ranked: bool = False  # choices by likelihood instead of an answer in words


@dataclass(frozen=True)
class Material:
    """One benchmark: what is asked, what is true, and the files that decide both."""

    benchmark: str
    asked: tuple[Asked, ...]
    truth: dict[str, Any]
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Folders:
    """Where to look: the folder of benchmarks first, then the profile's own data."""

    benchmarks: Path
    data: Path
    shown: str  # the folder of benchmarks in messages, as the profile writes it

    @classmethod
    def of(cls, params: Params) -> "Folders":
        """Those of a profile."""
        name = params.run.benchmarks_dir
        return cls(params.path(name), params.path(params.data.data_root), name)

    def locate(self, benchmark: str) -> list[Path]:
        """Files and folders of a benchmark, one for each line of `PLACES`; raises `Absent`."""
        return [self.find(benchmark, *names) for names in PLACES[benchmark]]

    def find(self, benchmark: str, *names: str) -> Path:
        """The first of some files or folders that is there; raises `Absent` with the download."""
        for place in (self.benchmarks, self.data):
            for name in names:
                found = sorted(place.glob(name))
                if found:
                    return found[0]
        source = next((s for s in SOURCES.values() if names[0] in s.files), SOURCES[benchmark])
        raise Absent(
            f"{benchmark}: {names[0]} is not in {self.shown}; run there: "
            f"{' && '.join(source.commands)}"
        )


@dataclass(frozen=True)
class CaptionSettings:
    """What CHAIR asks of the profile: the prompt, how many pictures, and the seed that draws them."""

    prompt: str
    n_images: int
    seed: int


def read_benchmark(name: str, folders: Folders, captions: CaptionSettings) -> Material:
    """A benchmark's questions and truth.

    Raises SeedError for an unknown benchmark and malformed files, and `Absent` for missing ones.
    """
    if name == "chair":
        return _read_chair(folders, captions)
    if name not in READERS:
        raise SeedError(f"benchmark {name!r} is unknown; there are {', '.join(BENCHMARKS)}")
    return READERS[name](folders)


def _read_pope(folders: Folders) -> Material:
    """Every question once: the positives of the three splits are the same.

    POPE's questions on A-OKVQA and GQA are published elsewhere: taken if there, not missed if not.
    """
    *files, images = folders.locate("pope")
    found = {"coco": (files, images)}
    for data_set in ("aokvqa", "gqa"):
        names = [f"{VCD}/{data_set}/{data_set}_pope_{split}.json" for split in SPLITS]
        with suppress(Absent):
            more = [folders.find("pope", name) for name in names]
            found[data_set] = (more, folders.find("pope", *POPE_PICTURES[data_set]))
    asked, probes, ids = [], {}, {}
    for data_set, (files, images) in found.items():
        questions: dict[tuple[str, str], Row] = {}
        for split, file in zip(SPLITS, files, strict=True):
            probes[data_set, split] = QUESTION_FILES["pope"](file)
            for row in probes[data_set, split]:
                key, number = (row["image"], row["text"]), len(questions) + 1
                questions.setdefault(key, row | {"question_id": number})
        ids[data_set] = {key: row["question_id"] for key, row in questions.items()}
        asked.append(Asked(data_set, list(questions.values()), images))
    every = tuple(file for files, _ in found.values() for file in files)
    return Material("pope", tuple(asked), {"probes": probes, "ids": ids}, every)


def _read_chair(folders: Folders, settings: CaptionSettings) -> Material:
    """Captions of the pictures that `CHAIR/*.jsonl` lists, or of some drawn from val2014."""
    *annotations, images = folders.locate("chair")
    split = load_split("val2014", images, *annotations)
    lists = sorted(folders.benchmarks.glob("CHAIR/*.jsonl"))
    if lists:
        chosen, drawn = _listed_ids(lists[0]), f"{lists[0].name}"
        unknown = set(chosen) - set(split.objects)
        if unknown:
            raise SeedError(f"{lists[0]}: picture {min(unknown)} is not one of {annotations[0]}")
    else:
        every = sorted(split.objects)
        chosen = sorted(Random(settings.seed).sample(every, min(settings.n_images, len(every))))
        drawn = f"{len(chosen)} drawn by seed {settings.seed}"
    file_of = dict(zip(split.images["image_id"], split.images["file_name"], strict=True))
    questions = [
        {
            "question_id": image_id,
            "image": name_in_folder(images, file_of[image_id]),
            "text": settings.prompt,
            "entry": {"image_id": image_id},
            "reply": "caption",
        }
        for image_id in chosen
    ]
    files = [*annotations, *lists[:1]]
    try:
        words = folders.find("chair", *SOURCES["chair-vocabulary"].files, "CHAIR/synonyms.txt")
        files.append(words)
        vocabulary, named = Vocabulary.read(words), ""
    except Absent:
        vocabulary, named = Vocabulary.coco(), OWN_WORDS
    truth = {
        "objects": {key: split.objects[key] for key in chosen},
        "captions": {key: split.captions[key] for key in chosen},
        "vocabulary": vocabulary,
        "words": named,
        "pictures": drawn,
    }
    return Material("chair", (Asked("captions", questions, images),), truth, tuple(files))


def _read_vqav2(folders: Folders) -> Material:
    questions, annotations, images = folders.locate("vqav2")
    asked = Asked("answers", QUESTION_FILES["vqa"](questions), images)
    truth = {"annotations": read_vqa(annotations, "annotations")}
    return Material("vqav2", (asked,), truth, (questions, annotations))


def _read_mme(folders: Folders) -> Material:
    (folder,) = folders.locate("mme")
    asked = Asked("answers", QUESTION_FILES["mme"](folder), folder)
    return Material("mme", (asked,), {}, tuple(sorted(folder.glob("*/**/*.txt"))))


def _read_seedbench(folders: Folders) -> Material:
    """The questions about pictures, once by letter and once by the likelihood of each choice."""
    file, images = folders.locate("seedbench")
    questions = QUESTION_FILES["seedbench"](file)
    asked = (
        Asked("letters", questions, images),
        Asked("likelihoods", questions, images, ranked=True),
    )
    return Material("seedbench", asked, {"benchmark": read_seedbench_data(file)}, (file,))


def _read_amber(folders: Folders) -> Material:
    *files, queries, images = folders.locate("amber")
    data = files[0].parent
    annotations, lists = read_amber_data(data)
    questions = QUESTION_FILES["amber"](queries)
    truth = {
        "annotations": annotations,
        "lists": lists,
        "image_of": {str(row["question_id"]): row["image"] for row in questions},
    }
    asked = Asked("answers", questions, images)
    return Material("amber", (asked,), truth, (queries, *files))


def _read_hallusionbench(folders: Folders) -> Material:
    file, _ = folders.locate("hallusionbench")
    questions = QUESTION_FILES["hallusionbench"](file)
    # the published paths begin at the unpacked folder in some versions and beside it in others
    roots = (file.parent / "hallusion_bench", file.parent)
    images = next(
        (r for r in roots if questions and (r / questions[0]["image"]).is_file()), roots[0]
    )
    truth = {"questions": read_rows(file)}
    return Material("hallusionbench", (Asked("answers", questions, images),), truth, (file,))


def _listed_ids(file: Path) -> list[int]:
    """Image ids of a list of pictures, JSON lines with `image_id` or `image` (a COCO file name)."""
    ids: list[int] = []
    for number, row in enumerate(read_json_lines(file), start=1):
        if "image_id" not in row and "image" not in row:
            raise SeedError(f"{file}, line {number}: no 'image_id' and no 'image'; add one")
        ids.append(int(row["image_id"]) if "image_id" in row else coco_image_id(str(row["image"])))
    if len(set(ids)) < len(ids):
        raise SeedError(f"{file} lists a picture twice; keep one line a picture")
    return ids


def pictures_asked(material: Material) -> Sequence[str]:
    """The names of all pictures that a benchmark asks about, each once."""
    return list(dict.fromkeys(row["image"] for part in material.asked for row in part.questions))


READERS: dict[str, Callable[[Folders], Material]] = {
    "pope": _read_pope,
    "vqav2": _read_vqav2,
    "mme": _read_mme,
    "seedbench": _read_seedbench,
    "amber": _read_amber,
    "hallusionbench": _read_hallusionbench,
}
