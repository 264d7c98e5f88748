"""VQAv2 (Goyal et al., CVPR 2017): short answers against those of ten annotators.

An answer's accuracy is the mean over the annotators of min(1, matches among the other nine / 3):
0, .3, .6, .9 or 1 for 0, 1, 2, 3 or more who gave it. The published LLaVA-1.5 figure (78.5) is
test-dev, which only the benchmark's server can score: `submission` makes its file.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pandas as pd

from seednb.errors import SeedError
from seednb.metrics.records import Row, answer_text, coverage, list_ids, pair_by_id, share
from seednb.metrics.sums import picture_of, share_of, summed
from seednb.metrics.vqa_words import normalise

ANSWER_TYPES = ("yes/no", "number", "other")
COUNTS = ("credit", "n")
STATISTICS = {"accuracy": share_of(COUNTS, "credit", "n")}


def accuracy(answer: str, references: Sequence[str]) -> Fraction:
    """An answer's accuracy against the annotators' answers, all normalised, as an exact number."""
    n, n_matches = len(references), references.count(answer)
    # an annotator who gave the answer is no match to himself
    among_others = n_matches * min(3, n_matches - 1) + (n - n_matches) * min(3, n_matches)
    return Fraction(among_others, 3 * n)


def score(
    annotations: Sequence[Row], answers: Sequence[Row], rule: str, allow_partial: bool = False
) -> dict[str, Any]:
    """Accuracy of an answer file, in all and of each answer type.

    `annotations` are those of v2_mscoco_*_annotations.json; `rule` is the normalisation.
    `n_by_matches` counts the answers that 0, 1, 2, 3 and 4 or more annotators gave. Raises
    SeedError for ids that do not fit, an unknown answer type and annotations without answers.
    """
    n_by_matches = [0] * 5
    accuracies: dict[str, list[Fraction]] = {name: [] for name in ANSWER_TYPES}
    graded = _graded(annotations, answers, rule, allow_partial)
    for annotation, credit, n_matches in graded:
        n_by_matches[min(4, n_matches)] += 1
        accuracies[_answer_type(annotation)].append(credit)
    every = [one for group in accuracies.values() for one in group]
    return {
        "normalisation": rule,
        **coverage(len(annotations), len(graded)),
        "n_by_matches": dict(zip(("0", "1", "2", "3", "4+"), n_by_matches, strict=True)),
        "accuracy": _mean(every),
        "answer_type": {
            name: {"n": len(group), "accuracy": _mean(group)} for name, group in accuracies.items()
        },
    }


def per_picture_sums(
    annotations: Sequence[Row], answers: Sequence[Row], rule: str, answer_type: str | None = None
) -> pd.DataFrame:
    """`COUNTS` of each picture, of one answer type or of all; for `seednb.stats`."""
    chosen = [
        (annotation, credit)
        for annotation, credit, _ in _graded(annotations, answers, rule)
        if answer_type in (None, _answer_type(annotation))
    ]
    counts = [{"credit": float(credit), "n": 1} for _, credit in chosen]
    return summed(counts, [picture_of(annotation) for annotation, _ in chosen])


def check_same_questions(questions: Sequence[Row], annotations: Sequence[Row]) -> None:
    """Raises SeedError listing ids if a question file is not the annotations' own."""
    ids, annotated = (
        {str(row.get("question_id")) for row in rows} for rows in (questions, annotations)
    )
    if ids != annotated:
        raise SeedError(
            f"questions and annotations are not of one split (question_id {list_ids(sorted(ids ^ annotated))} "
            "in one file only); give the two of the same split"
        )


def submission(
    questions: Sequence[Row], answers: Sequence[Row], rule: str, allow_partial: bool = False
) -> list[dict[str, Any]]:
    """What the VQA server takes: `question_id` and normalised `answer` of every question.

    The server wants all questions of test2015 even for test-dev: with `allow_partial` the rest
    get an empty answer, as LLaVA's script does. Raises SeedError for ids that do not fit.
    """
    pairs = pair_by_id(questions, answers, allow_partial)
    text_of = {str(q["question_id"]): normalise(answer_text(row), rule) for q, row in pairs}
    return [
        {"question_id": q["question_id"], "answer": text_of.get(str(q["question_id"]), "")}
        for q in questions
    ]


def _graded(
    annotations: Sequence[Row], answers: Sequence[Row], rule: str, allow_partial: bool = False
) -> list[tuple[Row, Fraction, int]]:
    """Each answered annotation, the answer's accuracy, and how many annotators gave the answer."""
    graded = []
    for annotation, row in pair_by_id(annotations, answers, allow_partial):
        references = [normalise(text, rule) for text in _references(annotation)]
        answer = normalise(answer_text(row), rule)
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
    if name not in ANSWER_TYPES:
        raise SeedError(
            f"annotation {annotation['question_id']}: answer_type {name!r} is unknown; use one of "
            f"{', '.join(ANSWER_TYPES)}"
        )
    return str(name)


def _mean(accuracies: list[Fraction]) -> float | None:
    return share(float(sum(accuracies)), len(accuracies))
