"""Answers to published benchmarks -> rows of figures, by each benchmark's own rules."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from seednb.benchmark_files import Material
from seednb.comparing import Label, Row, compare_captions, compare_probes, compare_sums
from seednb.errors import SeedError
from seednb.metrics import amber, hallusion, mme, seedbench, vqa
from seednb.metrics.amber_words import exact_similarity, spacy_similarity
from seednb.metrics.chair import ground_truth
from seednb.metrics.words import lemmas

Answers = Mapping[str, Mapping[str, Sequence[Row]]]  # model -> name of the asked part -> lines
OFFICIAL = "official"
CHAIR_VARIANTS = ("lemma", "pattern")
SEEDBENCH_RULES = {"letter": "letters", "first-character": "letters", "likelihood": "likelihoods"}
VQA_RULE = "llava"


@dataclass(frozen=True)
class Remarks:
    """Sentences about a score: what it is, and what it lacks for want of word data."""

    notes: list[str] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)


def score_benchmark(
    material: Material, answers: Answers, label: Label
) -> tuple[list[Row], Remarks]:
    """Every published figure of a benchmark for each model, with differences to the base.

    `label` has the file names of the records and the bootstrap's settings; split and variant are
    filled in. What needs word data that is not there is left out and named.
    """
    remarks = Remarks()
    return list(SCORERS[material.benchmark](material.truth, answers, label, remarks)), remarks


def _pope(truth: Row, answers: Answers, label: Label, remarks: Remarks) -> Iterator[Row]:
    """Questions are asked once; each split takes the answers to its own."""
    for (data_set, split), probes in truth["probes"].items():
        number_of = truth["ids"][data_set]
        numbers = [number_of[probe["image"], probe["text"]] for probe in probes]
        records = {}
        for model, parts in answers.items():
            said = {line["question_id"]: line for line in parts[data_set]}
            records[model] = pd.DataFrame(
                [
                    dict(probe) | {"answer": said[n]["text"], "margin": said[n].get("margin")}
                    for probe, n in zip(probes, numbers, strict=True)
                ]
            )
        name = split if data_set == "coco" else f"{data_set} {split}"
        yield from compare_probes(records, OFFICIAL, replace(label, split=name, variant=OFFICIAL))


def _chair(truth: Row, answers: Answers, label: Label, remarks: Remarks) -> Iterator[Row]:
    captions = {model: parts["captions"] for model, parts in answers.items()}
    vocabulary = truth["vocabulary"]
    for variant in CHAIR_VARIANTS:
        try:
            present = ground_truth(truth["objects"], truth["captions"], vocabulary, variant)
        except SeedError as problem:
            remarks.lacking.append(f"chair, {variant}: {problem}")
            continue
        name = ", ".join(word for word in (variant, truth["words"]) if word)
        here = replace(label, split=truth["pictures"], variant=name)
        yield from compare_captions(captions, present, vocabulary, variant, here)


def _vqav2(truth: Row, answers: Answers, label: Label, remarks: Remarks) -> Iterator[Row]:
    for answer_type in (None, *vqa.ANSWER_TYPES):
        sums = {
            model: vqa.per_picture_sums(truth["annotations"], p["answers"], VQA_RULE, answer_type)
            for model, p in answers.items()
        }
        here = replace(label, split=answer_type or "val2014", variant=VQA_RULE)
        yield from _if_any(sums, vqa.STATISTICS, here)


def _mme(truth: Row, answers: Answers, label: Label, remarks: Remarks) -> Iterator[Row]:
    sums = {}
    for model, parts in answers.items():
        by_task: dict[str, list[Row]] = {}
        for line in parts["answers"]:
            by_task.setdefault(line["task"], []).append(line)
        scores = mme.score(by_task, OFFICIAL)  # refuses unknown tasks and single questions
        sums[model] = mme.per_picture_sums(by_task, OFFICIAL)
        note = scores["note"]
    if note:
        remarks.notes.append(f"mme: {note}")
    for (metric, task), statistic in mme.statistics(
        list(next(iter(sums.values())).columns)
    ).items():
        here = replace(label, split=task, variant=OFFICIAL)
        yield from compare_sums(sums, {metric: statistic}, here)


def _seedbench(truth: Row, answers: Answers, label: Label, remarks: Remarks) -> Iterator[Row]:
    benchmark = truth["benchmark"]
    n_videos = sum(row.get("data_type") == "video" for row in benchmark["questions"])
    if n_videos:
        remarks.notes.append(
            f"seedbench: {n_videos} questions about videos are not asked; seed_image only"
        )
    for rule, part in SEEDBENCH_RULES.items():
        for type_name in (None, *benchmark["question_type"]):
            sums = {
                model: seedbench.per_picture_sums(benchmark, parts[part], rule, type_name)
                for model, parts in answers.items()
            }
            here = replace(label, split=type_name or "seed_image", variant=rule)
            yield from _if_any(sums, seedbench.STATISTICS, here)


def _amber(truth: Row, answers: Answers, label: Label, remarks: Remarks) -> Iterator[Row]:
    annotations, image_of = truth["annotations"], truth["image_of"]
    lines = {model: parts["answers"] for model, parts in answers.items()}
    for group in amber.GROUPS:
        sums = {
            model: amber.judgement_sums(annotations, said, group, image_of)
            for model, said in lines.items()
        }
        if columns := _columns(sums):
            here = replace(label, split=group, variant=OFFICIAL)
            yield from compare_sums(sums, amber.judgement_statistics(columns, group), here)
    try:
        lemmas("a word")
    except SeedError as problem:
        remarks.lacking.append(f"amber, descriptions: {problem}")
        return
    try:
        similarity, variant = spacy_similarity(), OFFICIAL
    except SeedError as problem:
        similarity, variant = exact_similarity, "exact words, not official"
        remarks.lacking.append(
            f"amber, descriptions: scored without near-synonyms, because {problem}"
        )
    sums = {
        model: amber.description_sums(annotations, said, truth["lists"], similarity, image_of)
        for model, said in lines.items()
    }
    if columns := _columns(sums):
        here = replace(label, split="generative", variant=variant)
        yield from compare_sums(sums, amber.description_statistics(columns), here)


def _hallusionbench(truth: Row, answers: Answers, label: Label, remarks: Remarks) -> Iterator[Row]:
    remarks.notes.append(
        "hallusionbench: yes and no are read by rule; the official score asks GPT-4"
    )
    for category in (None, *hallusion.CATEGORIES):
        sums = {
            model: hallusion.per_set_sums(parts["answers"], truth["questions"], category)
            for model, parts in answers.items()
        }
        here = replace(label, split=category or "all", variant="vlmevalkit, pictures only")
        yield from _if_any(sums, hallusion.STATISTICS, here)


def _columns(sums: Mapping[str, pd.DataFrame]) -> list[str]:
    return list(next(iter(sums.values())).columns)


def _if_any(
    sums: Mapping[str, pd.DataFrame], statistics: Mapping[str, Any], label: Label
) -> Iterator[Row]:
    """Rows, if the benchmark's files hold any question of the kind."""
    if all(len(frame) for frame in sums.values()):
        yield from compare_sums(sums, statistics, label)


SCORERS: dict[str, Callable[[Row, Answers, Label, Remarks], Iterator[Row]]] = {
    "pope": _pope,
    "chair": _chair,
    "vqav2": _vqav2,
    "mme": _mme,
    "seedbench": _seedbench,
    "amber": _amber,
    "hallusionbench": _hallusionbench,
}
