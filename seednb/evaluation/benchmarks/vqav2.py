"""VQAv2 (Goyal et al., CVPR 2017): short answers against those of ten annotators.

An answer's accuracy is the mean over the annotators of min(1, matches among the other nine / 3):
0, .3, .6, .9 or 1 for 0, 1, 2, 3 or more who gave it. The published LLaVA-1.5 figure (78.5) is
test-dev, which only the benchmark's server can score: `submission` makes its file.
"""

from argparse import Namespace
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pandas as pd

from seednb.core.errors import SeedError
from seednb.core.files import write_json
from seednb.data.readers import read_json, read_rows
from seednb.evaluation import records
from seednb.evaluation.benchmarks import base
from seednb.evaluation.comparison import Label
from seednb.evaluation.records import Record, Row
from seednb.evaluation.words import VQA_RULES, normalise

ANSWER_TYPES = ("yes/no", "number", "other")
COUNTS = ("credit", "n")
STATISTICS = {"accuracy": records.share_of(COUNTS, "credit", "n")}
PUBLISHED = "llava"  # the normalisation that LLaVA's figures rest on
SERVER = "https://s3.amazonaws.com/cvmlp/vqa/mscoco/vqa"
VQAV2 = base.Download(
    "vqav2",
    "VQAv2 (validation)",
    "https://visualqa.org/download.html",
    "annotations CC BY 4.0",
    (
        ("VQAv2/v2_OpenEnded_mscoco_val2014_questions.json",),
        ("VQAv2/v2_mscoco_val2014_annotations.json",),
    ),
    (
        f"wget {SERVER}/v2_Questions_Val_mscoco.zip",
        f"wget {SERVER}/v2_Annotations_Val_mscoco.zip",
        "unzip -d VQAv2 v2_Questions_Val_mscoco.zip",
        "unzip -d VQAv2 v2_Annotations_Val_mscoco.zip",
    ),
)


def read_official(path: Path, key: str) -> list[Record]:
    """The list under `questions` or `annotations` of an official VQA file.

    Questions may also be JSON lines, as LLaVA writes them.
    """
    if ".jsonl" in path.suffixes:
        return read_rows(path)
    return base.rows_under(key, read_json(path), path)


def read_questions(file: Path) -> list[Record]:
    """v2_OpenEnded_mscoco_*_questions.json; images are named after its `data_subtype`."""
    document = read_json(file)
    rows = base.rows_under("questions", document, file)
    subset = base.get(document, "data_subtype", file)
    return [
        {
            "question_id": base.get(row, "question_id", file),
            "image": f"COCO_{subset}_{_image_id(row, file):012d}.jpg",
            "text": base.get(row, "question", file, str) + base.ONE_WORD,
        }
        for row in rows
    ]


def _image_id(row: Any, file: Path) -> int:
    """A whole number, which may be written as a text."""
    text = str(base.get(row, "image_id", file))
    if not (text.isascii() and text.isdigit()):
        raise SeedError(f"{file}: 'image_id' is {text:.60} in an entry; give the official file")
    return int(text)


def read_files(folders: base.Folders, captions: base.CaptionSettings) -> base.Material:
    """The validation questions and what ten annotators answered."""
    questions, annotations, images = folders.locate(BENCHMARK)
    asked = base.Asked("answers", read_questions(questions), images)
    truth = {"annotations": read_official(annotations, "annotations")}
    return base.Material("vqav2", (asked,), truth, (questions, annotations))


def accuracy(answer: str, references: Sequence[str]) -> Fraction:
    """An answer's accuracy against the annotators' answers, all normalised, as an exact number."""
    n, n_matches = len(references), references.count(answer)
    # an annotator who gave the answer is no match to himself
    among_others = n_matches * min(3, n_matches - 1) + (n - n_matches) * min(3, n_matches)
    return Fraction(among_others, 3 * n)


def score(
    annotations: Sequence[Row], answers: Sequence[Row], rule: str, allow_partial: bool = False
) -> Record:
    """Accuracy of an answer file, in all and of each answer type.

    `annotations` are those of v2_mscoco_*_annotations.json; `rule` is the normalisation.
    `n_by_matches` counts the answers that 0, 1, 2, 3 and 4 or more annotators gave. Raises
    SeedError for ids that do not fit, an unknown answer type and annotations without answers.
    """
    graded = _graded(annotations, answers, rule, allow_partial)
    credits: dict[str, list[Fraction]] = {name: [] for name in ANSWER_TYPES}
    for annotation, credit, _ in graded:
        credits[_answer_type(annotation)].append(credit)
    n_of = Counter(min(4, n_matches) for _, _, n_matches in graded)
    return {
        "normalisation": rule,
        **records.coverage(len(annotations), len(graded)),
        "n_by_matches": {name: n_of[n] for n, name in enumerate(("0", "1", "2", "3", "4+"))},
        "accuracy": _accuracy([credit for _, credit, _ in graded])["accuracy"],
        "answer_type": {name: _accuracy(group) for name, group in credits.items()},
    }


def per_image_sums(
    annotations: Sequence[Row], answers: Sequence[Row], rule: str, answer_type: str | None = None
) -> pd.DataFrame:
    """`COUNTS` of each image, of one answer type or of all; for `seednb.evaluation.stats`."""
    return records.sum_by_image(
        (records.image_of(annotation), {"credit": float(credit), "n": 1})
        for annotation, credit, _ in _graded(annotations, answers, rule)
        if answer_type in (None, _answer_type(annotation))
    )


def check_same_questions(questions: Sequence[Row], annotations: Sequence[Row]) -> None:
    """Raises SeedError listing ids if a question file is not the annotations' own."""
    ids, annotated = (
        {str(row.get("question_id")) for row in rows} for rows in (questions, annotations)
    )
    if ids != annotated:
        raise SeedError(
            "questions and annotations are not of one split (question_id "
            f"{records.list_ids(sorted(ids ^ annotated))} in one file only); give the two of the same split"
        )


def submission(
    questions: Sequence[Row], answers: Sequence[Row], rule: str, allow_partial: bool = False
) -> list[Record]:
    """What the VQA server takes: `question_id` and normalised `answer` of every question.

    The server wants all questions of test2015 even for test-dev: with `allow_partial` the rest
    get an empty answer, as LLaVA's script does. Raises SeedError for ids that do not fit.
    """
    pairs = records.pair_by_id(questions, answers, allow_partial)
    text_of = {str(q["question_id"]): normalise(records.answer_text(row), rule) for q, row in pairs}
    return [
        {"question_id": q["question_id"], "answer": text_of.get(str(q["question_id"]), "")}
        for q in questions
    ]


def _graded(
    annotations: Sequence[Row], answers: Sequence[Row], rule: str, allow_partial: bool = False
) -> list[tuple[Row, Fraction, int]]:
    """Each answered annotation, the answer's accuracy, and how many annotators gave the answer."""
    graded = []
    for annotation, row in records.pair_by_id(annotations, answers, allow_partial):
        references = [normalise(text, rule) for text in _references(annotation)]
        answer = normalise(records.answer_text(row), rule)
        graded.append((annotation, accuracy(answer, references), references.count(answer)))
    return graded


def _references(annotation: Row) -> list[str]:
    """The annotators' answers as they wrote them."""
    entries = annotation.get("answers")
    listed = entries if isinstance(entries, list) else []
    texts = [entry.get("answer") if isinstance(entry, dict) else None for entry in listed]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise SeedError(
            f"annotation {annotation['question_id']} has no list 'answers' of objects with an "
            "'answer'; give v2_mscoco_*_annotations.json (test questions have none)"
        )
    return [str(text) for text in texts]


def _answer_type(annotation: Row) -> str:
    name = annotation.get("answer_type")
    records.check_known(f"annotation {annotation['question_id']}: answer_type", name, ANSWER_TYPES)
    return str(name)


def _accuracy(credits: list[Fraction]) -> Record:
    return {"n": len(credits), "accuracy": records.share(float(sum(credits)), len(credits))}


def compare(
    truth: Record, answers: base.AnswersByModel, label: Label, remarks: base.Remarks
) -> Iterator[Record]:
    """Rows of all questions and of each answer type."""
    for answer_type in (None, *ANSWER_TYPES):
        sums = {
            model: per_image_sums(truth["annotations"], parts["answers"], PUBLISHED, answer_type)
            for model, parts in answers.items()
        }
        split = answer_type or "val2014"
        yield from base.rows_if_any(sums, STATISTICS, label, split=split, variant=PUBLISHED)


def score_files(options: Namespace) -> base.Scored:
    """Short answers against the annotations, or their file for the test server, or both."""
    if not options.annotations and not (options.questions and options.submission):
        raise SeedError("give --annotations to score, or --questions together with --submission")
    if options.submission and not options.questions:
        raise SeedError("--submission needs --questions: the ids that the server expects")
    answers, rule = read_rows(options.answers), options.normalisation
    questions = read_official(options.questions, "questions") if options.questions else []
    scores = {}
    if options.annotations:
        annotations = read_official(options.annotations, "annotations")
        if questions:
            check_same_questions(questions, annotations)
        scores = score(annotations, answers, rule, options.allow_partial)
    if options.submission:
        rows = submission(questions, answers, rule, options.allow_partial)
        write_json(options.submission, rows)
    return base.Scored(scores)


BENCHMARK = base.Benchmark(
    name="vqav2",
    verb="vqa",
    title="VQAv2 answers, or their file for the test server",
    position=3,
    downloads=(VQAV2, base.VAL2014),
    headline=base.Headline(("accuracy",), splits=("val2014",)),
    read_files=read_files,
    read_questions=read_questions,
    compare=compare,
    score_files=score_files,
    options=(
        base.option("--annotations", "v2_mscoco_*_annotations.json, to score", type=Path),
        base.option("--questions", "v2_OpenEnded_*_questions.json: ids to expect", type=Path),
        *base.answer_options("question_id and text (JSON lines) or answer (JSON list)"),
        base.option("--normalisation", default=PUBLISHED, choices=VQA_RULES),
        base.option(
            "--submission", "JSON to write for the test server; needs --questions", type=Path
        ),
    ),
    examples=(
        "seednb score vqa --annotations v2_mscoco_val2014_annotations.json --questions v2_OpenEnded_mscoco_val2014_questions.json --answers answers.jsonl --json",
        "seednb score vqa --questions v2_OpenEnded_mscoco_test2015_questions.json --answers answers.jsonl --allow-partial --submission test-dev.json",
    ),
)
