"""CHAIR (Rohrbach et al., EMNLP 2018): which of the objects that a caption names are not there.

A mention is hallucinated if its object is neither annotated in the image nor named by any of its
reference captions. Mentions are counted with repetition and pooled over the corpus. Every figure
is a function of summed counts, so `seednb.evaluation.stats` can resample images.
"""

from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd

from seednb.core.errors import SeedError
from seednb.data.coco import load_split
from seednb.data.images import coco_image_id, name_in_folder
from seednb.data.probes import read_objects
from seednb.data.readers import read_json_lines, read_rows
from seednb.data.vocabulary import Vocabulary
from seednb.evaluation import comparison
from seednb.evaluation.benchmarks import base
from seednb.evaluation.comparison import BASE, METHOD, Label
from seednb.evaluation.controls import matched_mentions
from seednb.evaluation.parsers import CHAIR_VARIANTS, drop_unfinished_sentence, extract_objects
from seednb.evaluation.records import Record, Row, counts_of, figures_of, list_ids, share_of

PUBLISHED = ("lemma", "pattern")  # variants that papers score by
OWN_WORDS = "this project's words"  # in the variant, where CHAIR's vocabulary is not there
COUNTS = ("n_captions", "n_hallucinated_captions", "n_mentions", "n_hallucinated", "n_found", "n_present", "n_tokens")  # fmt: skip
STATISTICS = {
    "CHAIRi": share_of(COUNTS, "n_hallucinated", "n_mentions"),
    "CHAIRs": share_of(COUNTS, "n_hallucinated_captions", "n_captions"),
    "recall": share_of(COUNTS, "n_found", "n_present"),  # of distinct objects
    # a caption: a model can lower CHAIRi by saying less
    "mentions": share_of(COUNTS, "n_mentions", "n_captions"),
}
ANNOTATIONS = base.Download(
    "chair",
    "CHAIR: annotations",
    f"{base.COCO}/annotations",
    "CC BY 4.0",
    (("annotations/instances_val2014.json",), ("annotations/captions_val2014.json",)),
    (
        f"wget {base.COCO}/annotations/annotations_trainval2014.zip",
        "unzip annotations_trainval2014.zip",
    ),
)
SYNONYMS = base.Download(
    "chair-vocabulary",
    "CHAIR: synonyms",
    f"{base.GITHUB}/LisaAnne/Hallucination",
    "none stated: use it, do not pass it on",
    (("Hallucination/data/synonyms.txt", "CHAIR/synonyms.txt"),),
    (f"git clone {base.GITHUB}/LisaAnne/Hallucination",),
    {"Hallucination/data/synonyms.txt": "b685537b36fe21b791c87151b96a991ceb582edff19f3da204dcc7a7905502f2"},
)  # fmt: skip


def read_files(folders: base.Folders, captions: base.CaptionSettings) -> base.Material:
    """Captions of the images that `CHAIR/*.jsonl` lists, or of some drawn from val2014."""
    *annotations, images = folders.locate(BENCHMARK)
    split = load_split("val2014", images, *annotations)
    lists = sorted(folders.benchmarks.glob("CHAIR/*.jsonl"))
    if lists:
        chosen, drawn = _listed_ids(lists[0]), f"{lists[0].name}"
        unknown = set(chosen) - set(split.objects)
        if unknown:
            raise SeedError(f"{lists[0]}: image {min(unknown)} is not one of {annotations[0]}")
    else:
        every = sorted(split.objects)
        chosen = sorted(Random(captions.seed).sample(every, min(captions.n_images, len(every))))
        drawn = f"{len(chosen)} drawn by seed {captions.seed}"
    file_of = dict(zip(split.images["image_id"], split.images["file_name"], strict=True))
    questions = [
        {
            "question_id": image_id,
            "image": name_in_folder(images, file_of[image_id]),
            "text": captions.prompt,
            "entry": {"image_id": image_id},
            "reply": "caption",
        }
        for image_id in chosen
    ]
    files = [*annotations, *lists[:1]]
    try:
        words = folders.find(SYNONYMS.files[0], SYNONYMS, "chair")
        files.append(words)
        vocabulary, named = Vocabulary.read(words), ""
    except base.Absent:
        vocabulary, named = Vocabulary.coco(), OWN_WORDS
    truth = {
        "objects": {key: split.objects[key] for key in chosen},
        "captions": {key: split.captions[key] for key in chosen},
        "vocabulary": vocabulary,
        "words": named,
        "images": drawn,
    }
    return base.Material("chair", (base.Asked("captions", questions, images),), truth, tuple(files))


def _listed_ids(file: Path) -> list[int]:
    """Image ids of a list of images, JSON lines with `image_id` or `image` (a COCO file name)."""
    ids: list[int] = []
    for number, row in enumerate(read_json_lines(file), start=1):
        if "image_id" not in row and "image" not in row:
            raise SeedError(f"{file}, line {number}: no 'image_id' and no 'image'; add one")
        ids.append(int(row["image_id"]) if "image_id" in row else coco_image_id(str(row["image"])))
    if len(set(ids)) < len(ids):
        raise SeedError(f"{file} lists an image twice; keep one line an image")
    return ids


def ground_truth(
    objects_by_image: Mapping[Any, Iterable[str]],
    captions_by_image: Mapping[Any, Iterable[str]],
    vocabulary: Vocabulary,
    variant: str,
) -> dict[Any, set[str]]:
    """Objects of each image: its annotated categories and what its reference captions name.

    Raises SeedError for a category that the vocabulary does not know.
    """
    truth: dict[Any, set[str]] = {}
    for image_id, categories in objects_by_image.items():
        names = set(categories)
        unknown = sorted(names - vocabulary.object_of.keys())
        if unknown:
            raise SeedError(
                f"image {image_id}: category {unknown[0]!r} is not in the vocabulary; add a line"
            )
        truth[image_id] = {vocabulary.object_of[name] for name in names}
    for image_id, captions in captions_by_image.items():
        named = truth.setdefault(image_id, set())
        for caption in captions:
            named.update(extract_objects(caption, vocabulary, variant))
    return truth


def count(
    captions: Sequence[Row],
    truth: Mapping[Any, Iterable[str]],
    vocabulary: Vocabulary,
    variant: str,
    drop_unfinished: bool = False,
    first: Mapping[str, int] | None = None,
) -> pd.DataFrame:
    """One row a caption: `image_id`, `COUNTS` and `hallucinated`, the names with repetition.

    n_mentions and n_hallucinated count with repetition; n_found and n_present count distinct
    objects; n_tokens is the caption's own `n_tokens` (the model's tokens) or else its words.
    `drop_unfinished` cuts the unfinished last sentence first. `first`, by image id as text, keeps that
    many mentions of a caption from its beginning (`matched_mentions`). Raises
    SeedError for a caption that is given twice, lacks a key, or whose image has no ground truth.
    """
    present_in = {str(image_id): set(names) for image_id, names in truth.items()}
    _check_captions(captions, present_in)
    rows = []
    for row in captions:
        text = drop_unfinished_sentence(row) if drop_unfinished else row["caption"]
        objects = extract_objects(text, vocabulary, variant)
        objects = objects[: first[str(row["image_id"])]] if first else objects
        present = present_in[str(row["image_id"])]
        hallucinated = [name for name in objects if name not in present]
        rows.append(
            {
                "image_id": row["image_id"],
                "n_captions": 1,
                "n_hallucinated_captions": int(bool(hallucinated)),
                "n_mentions": len(objects),
                "n_hallucinated": len(hallucinated),
                "n_found": len(present.intersection(objects)),
                "n_present": len(present),
                "n_tokens": row.get("n_tokens", len(text.split())),
                "hallucinated": hallucinated,
            }
        )
    return pd.DataFrame(rows)


def per_image_sums(counts: pd.DataFrame) -> pd.DataFrame:
    """`COUNTS` of each image; index `image_id`, sorted, for `seednb.evaluation.stats`."""
    return counts.groupby("image_id")[list(COUNTS)].sum()


def score(
    captions: Sequence[Row],
    truth: Mapping[Any, Iterable[str]],
    vocabulary: Vocabulary,
    variant: str,
    drop_unfinished: bool = False,
) -> Record:
    """Integer counts and ratios of a caption file."""
    sums = count(captions, truth, vocabulary, variant, drop_unfinished)[list(COUNTS)].sum()
    return {"variant": variant, **counts_of(sums), **figures_of(STATISTICS, sums)}


def _check_captions(captions: Sequence[Row], present_in: Mapping[str, set[str]]) -> None:
    for number, row in enumerate(captions, start=1):
        if "image_id" not in row or not isinstance(row.get("caption"), str):
            raise SeedError(f"caption {number} needs 'image_id' and a text 'caption'; add them")
        if not isinstance(row["image_id"], int | str):
            found = f"image_id {row['image_id']!r:.60}"
            raise SeedError(f"caption {number}: {found} is no number or name")
        if type(row.get("n_tokens", 0)) is not int:
            found = f"n_tokens is {row['n_tokens']!r:.60}"
            raise SeedError(f"caption {number}: {found}, expected a whole number; correct it")
    if not captions:
        raise SeedError("there is no caption to count; check the caption file")
    ids = pd.Series([str(row["image_id"]) for row in captions])
    if ids.duplicated().any():
        raise SeedError(f"images captioned twice: {list_ids(ids[ids.duplicated()])}; keep one each")
    unknown = ids[~ids.isin(list(present_in))]
    if len(unknown):
        raise SeedError(
            f"no ground truth for image_id {list_ids(unknown)}; check that the annotations cover "
            "the captioned images"
        )


def compare(
    truth: Record, answers: base.AnswersByModel, label: Label, remarks: base.Remarks
) -> Iterator[Record]:
    """Rows of each published variant whose word data is there."""
    captions = {model: parts["captions"] for model, parts in answers.items()}
    vocabulary = truth["vocabulary"]
    for variant in PUBLISHED:
        try:
            present = ground_truth(truth["objects"], truth["captions"], vocabulary, variant)
        except SeedError as problem:
            remarks.lacking.append(f"chair, {variant}: {problem}")
            continue
        name = ", ".join(word for word in (variant, truth["words"]) if word)
        here = replace(label, split=truth["images"], variant=name)
        yield from compare_captions(captions, present, vocabulary, variant, here)


def compare_captions(
    captions: Mapping[str, Sequence[Row]],
    truth: Mapping[Any, Any],
    vocabulary: Vocabulary,
    variant: str,
    label: Label,
    drop_unfinished: bool = False,
) -> Iterator[Record]:
    """Rows of every model, and of the base cut to as many mentions as each other model makes.

    The control is named `mention_control`, or `mention_control (MODEL)` where there are several.
    """
    counts = {
        model: count(rows, truth, vocabulary, variant, drop_unfinished)
        for model, rows in captions.items()
    }
    sums = {model: per_image_sums(frame) for model, frame in counts.items()}
    yield from comparison.compare_sums(sums, STATISTICS, label)
    others = [model for model in captions if model != BASE]
    for model in others if BASE in captions else ():
        wanted = int(counts[model]["n_mentions"].sum())
        mentions = {str(image): int(n) for image, n in sums[BASE]["n_mentions"].items()}
        if wanted > sum(mentions.values()):
            continue  # a model that says more needs no such control
        kept = matched_mentions(mentions, wanted, label.seed)
        cut = count(captions[BASE], truth, vocabulary, variant, drop_unfinished, kept)
        name = comparison.MENTIONS if len(others) == 1 else f"{comparison.MENTIONS} ({model})"
        yield from comparison.control_rows(
            name, per_image_sums(cut), sums, model, STATISTICS, label
        )


def score_files(options: Namespace) -> base.Scored:
    """A file of captions against annotated objects; with a baseline's captions beside them."""
    vocabulary = Vocabulary.read(options.synonyms) if options.synonyms else Vocabulary.coco()
    captions = read_rows(options.captions)
    truth = _truth_of(options, vocabulary)
    scores = score(captions, truth, vocabulary, options.variant, options.drop_unfinished)
    if not options.baseline:
        return base.Scored(scores)
    both = {METHOD: captions, BASE: read_rows(options.baseline)}
    comparison.check_same_rows(pd.DataFrame(captions), pd.DataFrame(both[BASE]), "image_id")
    label = comparison.method_and_base(
        "chair", options.variant, str(options.captions), str(options.baseline)
    )
    rows = compare_captions(
        both, truth, vocabulary, options.variant, label, options.drop_unfinished
    )
    return base.Scored(scores, list(rows))


def _truth_of(options: Namespace, vocabulary: Vocabulary) -> Mapping[Any, Iterable[str]]:
    """Objects by image: read from --ground-truth, or built from COCO annotations."""
    if options.ground_truth:
        return read_objects(options.ground_truth)
    if not (options.instances and options.captions_gt):
        raise SeedError("give --ground-truth, or --instances together with --captions-gt")
    split = load_split("ground truth", Path(), options.instances, options.captions_gt)
    return ground_truth(split.objects, split.captions, vocabulary, options.variant)


BENCHMARK = base.Benchmark(
    name="chair",
    title="captions",
    position=2,
    downloads=(ANNOTATIONS, base.VAL2014),
    extras=(SYNONYMS,),
    headline=base.Headline(tuple(STATISTICS)),
    read_files=read_files,
    compare=compare,
    score_files=score_files,
    options=(
        base.option("--captions", "image_id and caption (JSON lines or list)", required=True, type=Path),
        base.option("--ground-truth", "JSON: image id -> objects", type=Path),
        base.option("--instances", "COCO instances, to build the ground truth", type=Path),
        base.option("--captions-gt", "COCO captions, to build the ground truth", type=Path),
        base.option("--synonyms", "object words (default: this project's)", type=Path),
        base.option("--variant", default="lemma", choices=CHAIR_VARIANTS),
        base.option("--baseline", "the base model's captions: paired differences with 95%% intervals, and the base cut to as many mentions", type=Path),
        base.option("--drop-unfinished", "cut a caption after its last full stop", action="store_true"),
        base.AS_JSON,
    ),
    examples=(
        "seednb score chair --captions captions.jsonl --ground-truth gt.json.gz --synonyms synonyms.txt --variant lemma --json",
        "seednb score chair --captions method.jsonl --baseline base.jsonl --ground-truth gt.json.gz",
    ),
)  # fmt: skip
