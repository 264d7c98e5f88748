"""SEED-Bench (Li et al., CVPR 2024): questions with four choices on pictures and on videos.

Three ways to read an answer are published; their figures must not be mixed. The same holds for
the score on all questions (seed_all) and on those about pictures (seed_image).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from seednb.errors import SeedError
from seednb.metrics.records import Row, answer_text, coverage, pair_by_id, share
from seednb.metrics.sums import picture_of, share_of, summed

RULES = ("letter", "first-character", "likelihood")
LETTERS = "ABCD"
DATA_TYPES = ("image", "video")
COUNTS = ("n_right", "n")
STATISTICS = {"accuracy": share_of(COUNTS, "n_right", "n")}


def chosen_letter(answer: Row, rule: str) -> str:
    """The letter that an answer chooses, or text that is none.

    letter            the text as it is (LLaVA: "A." is no choice)
    first-character   the first character of the stripped text (lmms-eval: "A." and "Apple" are A)
    likelihood        of the four numbers in `likelihoods` the highest, the first of equals (the
                      original ranking; log-likelihoods, not losses)

    Raises SeedError for another rule and for what does not have four finite numbers.
    """
    if rule not in RULES:
        raise SeedError(f"SEED-Bench rule {rule!r} is unknown; use one of {', '.join(RULES)}")
    if rule == "letter":
        return answer_text(answer)
    if rule == "first-character":
        return answer_text(answer).strip()[:1]
    values = answer.get("likelihoods")
    if not isinstance(values, list) or len(values) != 4 or not all(map(_is_finite, values)):
        raise SeedError(
            f"answer {answer['question_id']} has no list 'likelihoods' of four finite numbers, one "
            "a choice; add it or choose another rule"
        )
    return LETTERS[values.index(max(values))]


def score(
    benchmark: Mapping[str, Any], answers: Sequence[Row], rule: str, allow_partial: bool = False
) -> dict[str, Any]:
    """Counts and accuracies over all questions, pictures, videos and each question type.

    `benchmark` is SEED-Bench.json. Raises SeedError for ids that do not fit and for a question
    whose right answer, data type or question type is not one of those known.
    """
    groups: dict[str, list[bool]] = {f"seed_{kind}": [] for kind in ("all", *DATA_TYPES)}
    types: dict[str, list[bool]] = {name: [] for name in benchmark["question_type"]}
    graded = _graded(benchmark, answers, rule, allow_partial)
    for question, type_name, right in graded:
        for group in (
            groups["seed_all"],
            groups[f"seed_{question['data_type']}"],
            types[type_name],
        ):
            group.append(right)
    return {
        "rule": rule,
        **coverage(len(benchmark["questions"]), len(graded)),
        **{name: _accuracy(group) for name, group in groups.items()},
        "question_type": {name: _accuracy(group) for name, group in types.items()},
    }


def per_picture_sums(
    benchmark: Mapping[str, Any], answers: Sequence[Row], rule: str, type_name: str | None = None
) -> pd.DataFrame:
    """`COUNTS` of each picture, of one question type or of all; for `seednb.stats`.

    Questions without an answer are left out: those about videos, if only pictures were asked about.
    """
    chosen = [
        (question, right)
        for question, name, right in _graded(benchmark, answers, rule, allow_partial=True)
        if type_name in (None, name)
    ]
    counts = [{"n_right": int(right), "n": 1} for _, right in chosen]
    return summed(counts, [picture_of(question) for question, _ in chosen])


def _graded(
    benchmark: Mapping[str, Any], answers: Sequence[Row], rule: str, allow_partial: bool
) -> list[tuple[Row, str, bool]]:
    """Each answered question, the name of its type, and whether the answer is right."""
    name_of = {str(number): name for name, number in benchmark["question_type"].items()}
    graded = []
    for question, answer in pair_by_id(benchmark["questions"], answers, allow_partial):
        gold = _one_of(question, "answer", tuple(LETTERS))
        _one_of(question, "data_type", DATA_TYPES)
        number = _one_of(question, "question_type_id", tuple(name_of))
        graded.append((question, name_of[number], chosen_letter(answer, rule) == gold))
    return graded


def _accuracy(right: list[bool]) -> dict[str, Any]:
    return {"n": len(right), "n_right": sum(right), "accuracy": share(sum(right), len(right))}


def _one_of(question: Row, key: str, known: tuple[str, ...]) -> str:
    value = str(question.get(key))
    if value not in known:
        raise SeedError(
            f"question {question['question_id']}: {key} {question.get(key)!r} is unknown; it must "
            f"be one of {', '.join(known)}"
        )
    return value


def _is_finite(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value)
