"""Answers joined with their questions, and figures as functions of their summed counts."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from seednb.core.errors import SeedError
from seednb.evaluation.stats import Array, Statistic, ratio

Row = Mapping[str, Any]  # read only
Record = dict[str, Any]  # one JSON object: a question, an answer, scores, a row of metrics.json
ASKED_AS = "asked_as"  # our question_id in an entry whose own is not unique
LISTED = 5  # ids that an error message spells out
KINDS = "kinds"  # benchmark of the questions by kind; a split is a kind


@dataclass(frozen=True)
class Answers:
    """What one model answered, and the stage that holds the records."""

    model: str
    probes: list[Record]  # POPE's
    captions: list[Record]
    folder: Path
    questions: list[Record] = field(default_factory=list)  # yes/no questions by kind


def kinds_asked(answers: Iterable[Answers]) -> list[str]:
    """The kinds of question that all models answered, in the order in which they were asked."""
    asked = [dict.fromkeys(row["kind"] for row in each.questions) for each in answers]
    return [kind for kind in asked[0] if all(kind in others for others in asked)] if asked else []


def join_answers(
    questions: Sequence[Row], answers: Sequence[Row], allow_partial: bool = False
) -> pd.DataFrame:
    """Questions with their `answer`, and its `margin` if it has one, in the questions' order.

    Joined as `pair_by_id` joins. Files without any id are taken line by line, as POPE's own
    evaluator does, if each line repeats its question. Raises SeedError as `pair_by_id` does, and
    for an answer without text or with a margin that is no finite number.
    """
    if answers and not any("question_id" in row for row in answers):
        answers = _number_by_line(questions, answers)
    pairs = pair_by_id(questions, answers, allow_partial)
    return pd.DataFrame(
        [{**question, "answer": answer_text(row), **_margin(row)} for question, row in pairs]
    )


def pair_by_id(
    questions: Sequence[Row],
    answers: Sequence[Row],
    allow_partial: bool = False,
    key: str = "question_id",
) -> list[tuple[Row, Row]]:
    """Each question with its answer, in the questions' order; 1 and "1" are the same id.

    Raises SeedError listing the ids that are missing, given twice or foreign; `allow_partial`
    forgives missing ones only.
    """
    asked = [_id_of(row, key, "question") for row in questions]
    answered = [_id_of(row, key, "answer") for row in answers]
    answer_of = dict(zip(answered, answers, strict=True))
    known = set(asked)
    problems = {
        "questions given twice": _repeated(asked),
        "answered twice": _repeated(answered),
        "no such question": [name for name in answer_of if name not in known],
        "no answer": [name for name in asked if name not in answer_of],
    }
    if allow_partial and known & answer_of.keys():
        del problems["no answer"]
    found = [f"{what}: {list_ids(ids)}" for what, ids in problems.items() if ids]
    if found:
        raise SeedError(f"answers do not fit the questions ({'; '.join(found)}); fix the file")
    both = zip(asked, questions, strict=True)
    return [(question, answer_of[name]) for name, question in both if name in answer_of]


def coverage(n_questions: int, n_answered: int) -> Record:
    """How much of a benchmark was answered, for the head of its scores."""
    return {
        "n_questions": n_questions,
        "n_answered": n_answered,
        "partial": n_answered < n_questions,
    }


def check_known(what: str, name: Any, known: Iterable[str]) -> None:
    """Raise SeedError listing the known names, if a name is not one of them."""
    if name not in (names := list(known)):
        raise SeedError(f"{what} {name!r} is unknown; use one of {', '.join(names)}")


def share(part: float, whole: float) -> float | None:
    """Quotient, and None (null in JSON) of nothing."""
    return part / whole if whole else None


def accuracy(right: Sequence[bool]) -> Record:
    """How many answers there are, how many are right, and the share of these."""
    return {"n": len(right), "n_right": sum(right), "accuracy": share(sum(right), len(right))}


def is_finite(value: Any) -> bool:
    """Whether a value of a JSON file is a finite number; true and false are none."""
    return isinstance(value, int | float) and type(value) is not bool and math.isfinite(value)


def answer_text(row: Row) -> str:
    """The text of an answer: its `answer` or, as LLaVA writes it, its `text`."""
    text = row.get("answer", row.get("text"))
    if not isinstance(text, str):
        raise SeedError(
            f"answer {row.get('question_id')} has no text under 'answer' or 'text'; add it"
        )
    return text


def list_ids(ids: Iterable[object]) -> str:
    """A few ids and how many more there are, for a message."""
    shown = [str(key) for key in ids]
    more = f" and {len(shown) - LISTED} more" if len(shown) > LISTED else ""
    return ", ".join(shown[:LISTED]) + more


def _margin(row: Row) -> dict[str, float]:
    """The margin of an answer, logit(yes) - logit(no), if it was recorded."""
    margin = row.get("margin")
    if margin is None:
        return {}
    if not is_finite(margin):
        raise SeedError(
            f"answer {row.get('question_id')}: margin {margin!r} must be a finite number"
        )
    return {"margin": float(margin)}


def _id_of(row: Row, key: str, kind: str) -> str:
    if key not in row:
        raise SeedError(f"{kind} {dict(row)} has no {key}; add one")
    return str(row[key])


def _number_by_line(questions: Sequence[Row], answers: Sequence[Row]) -> list[Record]:
    """Answers without ids get those of the questions that they repeat, line by line."""
    if len(questions) != len(answers):
        raise SeedError(
            f"{len(answers)} answers without question_id for {len(questions)} questions; add ids"
        )
    numbered = []
    for line, (question, answer) in enumerate(zip(questions, answers, strict=True), start=1):
        asked, repeated = str(question.get("text")), str(answer.get("question"))
        if asked.strip().lower() != repeated.strip().lower():
            raise SeedError(f"answer {line} has no question_id and is not to {asked!r}; add ids")
        numbered.append({**answer, "question_id": question.get("question_id", line)})
    return numbered


def _repeated(keys: Iterable[str]) -> list[str]:
    return [key for key, times in Counter(keys).items() if times > 1]


def share_of(columns: Sequence[str], part: str, whole: str, start: float = 0.0) -> Statistic:
    """part / (whole + start), of summed counts in the order of `columns`.

    Part and whole are each the name of a column or a sum of some, "TP + TN".
    """
    top, bottom = ([columns.index(name) for name in text.split(" + ")] for text in (part, whole))

    def share(sums: Array) -> Array:
        return ratio(sums[..., top].sum(-1), sums[..., bottom].sum(-1) + start)

    return share


def counts_of(sums: pd.Series) -> dict[str, int]:
    """Summed counts as whole numbers, by name."""
    return {str(name): int(count) for name, count in sums.items()}


def figures_of(statistics: Mapping[str, Statistic], sums: pd.Series) -> dict[str, float]:
    """Each statistic's value of the same summed counts."""
    return {name: float(statistic(sums.to_numpy(float))) for name, statistic in statistics.items()}


def sum_by_image(counts: Iterable[tuple[object, Mapping[str, float]]]) -> pd.DataFrame:
    """(image, counts) pairs summed over each image; index `image`, sorted as text."""
    pairs = list(counts)
    names = pd.Series([str(image) for image, _ in pairs], name="image")
    return pd.DataFrame([row for _, row in pairs]).fillna(0).groupby(names).sum()


def image_of(row: Row) -> str:
    """What a question is about: its image's name, or the id that stands for it."""
    for key in ("image", "data_id", "image_id", "question_id"):
        if key in row:
            return str(row[key])
    raise KeyError("image")
