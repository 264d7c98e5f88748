"""From a profile's files to what training and evaluation read: pairs, probes, ground truth."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from torch import Tensor

from seednb.core.errors import SeedError
from seednb.core.files import UNTIL_DONE_S, writing
from seednb.core.params import EvaluationParams
from seednb.core.profiles import Params
from seednb.core.stage import making
from seednb.data import coco
from seednb.data.coco import CocoSplit
from seednb.data.curation import REASONS, Curator
from seednb.data.instruct import Pair, build_conversations, pairs_of_file, to_pairs
from seednb.data.pocket.files import write_world
from seednb.data.probes import SPLITS, build_probes
from seednb.data.readers import Skipped, find_one, read_rows
from seednb.data.vocabulary import Vocabulary
from seednb.evaluation.answer_files import answers_to, by_chunk
from seednb.evaluation.benchmarks.chair import ground_truth
from seednb.experiments.stages import Stages
from seednb.method.recipes import LABELS
from seednb.model.generation import write
from seednb.model.inputs.collate import in_chunks
from seednb.model.inputs.pixels import ImageReader
from seednb.model.loading import Bundle

EXISTENCE = "existence"


@dataclass(frozen=True)
class Prepared:
    """The data of one profile."""

    train: CocoSplit
    val: CocoSplit
    pairs: dict[str, list[Pair]]  # by label regime: "replay" (instruction labels), "truthful"
    probes: list[dict[str, Any]]  # POPE's, in all three splits
    questions: list[dict[str, Any]]  # yes/no by kind: existence, attribute, count, relation
    to_caption: list[dict[str, Any]]  # image_id and file_name
    present: dict[int, set[str]]  # validation image -> objects in it (annotations and captions)
    vocabulary: Vocabulary
    skipped: list[Skipped]


def prepare(params: Params, runs: Path) -> Prepared:
    """Load (and, for a generated world, first write) the data; nothing is dropped silently.

    Raises SeedError for missing or malformed files, and if a validation image is also a training
    image.
    """
    data, evaluation = params.data, params.evaluation
    root = world_folder(params, runs) if data.generator == "pocket" else params.path(data.data_root)
    if not root.is_dir():
        raise SeedError(f"data_root {root} does not exist; run: seednb doctor")
    train, val = _load_splits(root, params)
    train, skipped_train = coco.drop_missing_images(train)
    val, skipped_val = coco.drop_missing_images(val)
    # those of training are checked with their pairs
    val, damaged_val = coco.drop_damaged_images(val)
    leaked = coco.leaked_ids(train, val)
    if leaked:
        raise SeedError(
            f"{len(leaked)} images are in training and validation: {sorted(leaked)[:5]}"
        )
    pairs, skipped_pairs = _pairs(root, train, params)
    vocabulary = Vocabulary.read(params.path(evaluation.vocabulary))
    present = ground_truth(val.objects, val.captions, vocabulary, evaluation.chair_variant)
    names = dict(zip(val.images["image_id"], val.images["file_name"], strict=True))
    return Prepared(
        train=train,
        val=val,
        pairs=pairs,
        probes=_probes(val, present, names, params),
        questions=_questions(root, params, set(names.values())),
        to_caption=[
            {"image_id": image_id, "file_name": name}
            for image_id, name in list(names.items())[: evaluation.caption_images]
        ],
        present=present,
        vocabulary=vocabulary,
        skipped=[*skipped_train, *skipped_val, *damaged_val, *skipped_pairs],
    )


def world_folder(params: Params, runs: Path) -> Path:
    """The generated world's folder; it is drawn on first use."""
    data, stage = params.data, Stages(params, runs).world
    # Each process for itself: runs of other versions, too, wait for the world that they share.
    with making(stage, UNTIL_DONE_S, together=False) as is_left, writing(stage.folder):
        if is_left:
            write_world(stage.folder, data.world_seed, data.n_train_images, data.n_val_images)
    return stage.folder


def _load_splits(root: Path, params: Params) -> tuple[CocoSplit, CocoSplit]:
    data = params.data

    def load(name: str, images: str, *annotations: str) -> CocoSplit:
        return coco.load_split(name, root / images, *(find_one(root, file) for file in annotations))

    train = load("train", data.train_images, data.train_instances, data.train_captions)
    if not data.val_instances:
        return coco.split_by_id(train, data.val_fraction, data.world_seed)
    val_images = data.val_images or data.train_images
    return train, load("val", val_images, data.val_instances, data.val_captions)


def _pairs(
    root: Path, train: CocoSplit, params: Params
) -> tuple[dict[str, list[Pair]], list[Skipped]]:
    """Instruction pairs by label regime, the same in both without an instruction file; what is skipped.

    Raises SeedError if curation leaves a regime without pairs.
    """
    largest = 3 * params.data.n_pairs  # v6 trains on 3 n
    built = build_conversations(train, params.data.world_seed, further=_further(root, params))
    truthful, skipped = to_pairs(built, train.image_dir, largest, Curator(params.data))
    pairs = dict.fromkeys(LABELS, truthful)
    if params.data.instruct:
        file = find_one(root, params.data.instruct)
        pairs["replay"], skipped_replay, _ = pairs_of_file(
            file, train.image_dir, largest, Curator(params.data)
        )
        # an image that is damaged in both regimes is one input; a curated pair is one of its regime
        skipped_truthful = [
            Skipped(f"truthful {item.item}", item.reason) if item.reason in REASONS else item
            for item in skipped
        ]
        skipped = list(dict.fromkeys([*skipped_replay, *skipped_truthful]))
    for labels, kept in pairs.items():
        if not kept and any(item.reason in REASONS for item in skipped):
            counts = Counter(item.reason for item in skipped).most_common()
            why = ", ".join(f"{reason}: {count}" for reason, count in counts)
            raise SeedError(f"no pair with {labels} labels is left ({why}); curate less")
    return pairs, skipped


def _probes(
    val: CocoSplit, present: dict[int, set[str]], names: dict[int, str], params: Params
) -> list[dict[str, Any]]:
    """POPE's probes on validation images: annotated objects first, caption objects after them."""
    listed = {
        image_id: [*val.objects[image_id], *sorted(objects - set(val.objects[image_id]))]
        for image_id, objects in present.items()
    }
    smallest = params.evaluation.pope_min_objects
    n_rich = sum(len(set(objects)) >= smallest for objects in listed.values())
    probes: list[dict[str, Any]] = []
    for split in SPLITS:
        probes += build_probes(
            listed,
            split,
            seed=params.data.world_seed,
            n_images=min(params.evaluation.pope_images, n_rich) or None,
            min_objects=params.evaluation.pope_min_objects,
        )
    return [
        probe | {"image_id": probe["image"], "image": names[probe["image"]]} for probe in probes
    ]


def _questions(root: Path, params: Params, names: set[str]) -> list[dict[str, Any]]:
    """The validation questions of the first images that have any; none without a file of them.

    Raises SeedError for a row without an image, a text, a kind, or a yes or no as its label.
    """
    if not params.data.val_questions:
        return []
    file = find_one(root, params.data.val_questions)
    asked = _by_image(row for row in read_questions(file) if row["image"] in names)
    chosen = list(asked.values())[: params.evaluation.question_images]
    return [row for rows in chosen for row in rows]


def _further(root: Path, params: Params) -> dict[str, tuple[str, str]]:
    """By image, one more question with its true answer: not about existence, which is asked anyway."""
    if not params.data.train_questions:
        return {}
    rows = read_questions(find_one(root, params.data.train_questions))
    chosen = {
        image: Random(f"{params.data.world_seed}-{image}").choice(asked)
        for image, asked in _by_image(row for row in rows if row["kind"] != EXISTENCE).items()
    }
    return {image: (row["text"], row["label"].capitalize()) for image, row in chosen.items()}


def _by_image(rows: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    by_image = defaultdict[str, list[dict[str, Any]]](list)
    for row in rows:
        by_image[row["image"]].append(row)
    return by_image


def read_questions(file: Path) -> list[dict[str, Any]]:
    """Rows with `image`, `text`, `label` ("yes" or "no") and `kind`, as the pocket world writes them."""
    rows = read_rows(file)
    for number, row in enumerate(rows, start=1):
        wrong = [key for key in ("image", "text", "kind") if not isinstance(row.get(key), str)]
        wrong += [] if row.get("label") in ("yes", "no") else ["label"]
        if wrong:
            raise SeedError(
                f"{file}, question {number}: {wrong[0]!r} is missing or wrong; repair it"
            )
    return rows


def self_labelled(
    bundle: Bundle,
    pairs: Sequence[Pair],
    reader: ImageReader,
    params: EvaluationParams,
    kept: Path | None = None,
) -> list[Pair]:
    """The pairs with the model's own greedy answers, in the same order.

    Cross-entropy with one's own greedy answer only sharpens the model, so such pairs are meant for
    distillation alone. An answer that comes out empty leaves its pair out. `kept`: as in `answers_to`.
    """

    def answer(chunks: Sequence[Sequence[Pair]]) -> Iterator[list[dict[str, Any]]]:
        asked = [pair for chunk in chunks for pair in chunk]
        questions, images = [pair.question for pair in asked], [pair.image for pair in asked]
        size, longest = params.eval_batch_size, params.max_new_tokens
        return by_chunk(chunks, write(bundle, questions, images, views, size, longest))

    def views(names: Sequence[str]) -> list[Tensor]:
        return [reader.batch(names)]

    chunks = in_chunks(pairs, params.eval_batch_size)
    answered = zip(pairs, answers_to(chunks, answer, "label", "pair", kept), strict=True)
    return [
        Pair(pair.image, pair.question, said["text"]) for pair, said in answered if said["text"]
    ]
