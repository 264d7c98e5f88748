"""Answers and the questions that they belong to."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from seednb.errors import SeedError

Row = Mapping[str, Any]
LISTED = 5  # ids that an error message spells out


def join_answers(
    questions: Sequence[Row], answers: Sequence[Row], allow_partial: bool = False
) -> pd.DataFrame:
    """Questions with their `answer` beside them, in the questions' order.

    Joined by `question_id` (1 and "1" are the same). The answer's text is its `answer` key or, as
    LLaVA writes it, `text`. Files without any id are taken line by line, as POPE's own evaluator
    does, if each line repeats its question. Raises SeedError listing the ids that are missing,
    given twice or foreign; `allow_partial` forgives missing ones only.
    """
    if answers and not any("question_id" in row for row in answers):
        answers = _number_by_line(questions, answers)
    asked = [_question_id(row, "question") for row in questions]
    answered = [_question_id(row, "answer") for row in answers]
    text_of = dict(zip(answered, map(_answer_text, answers), strict=True))
    known = set(asked)
    problems = {
        "questions given twice": _repeated(asked),
        "answered twice": _repeated(answered),
        "no such question": [key for key in text_of if key not in known],
        "no answer": [] if allow_partial and text_of else [k for k in asked if k not in text_of],
    }
    found = [f"{what}: {list_ids(ids)}" for what, ids in problems.items() if ids]
    if found:
        raise SeedError(f"answers do not fit the questions ({'; '.join(found)}); fix the file")
    frame = pd.DataFrame([dict(row) for row in questions])
    frame["answer"] = [text_of.get(key) for key in asked]
    return frame[frame["answer"].notna()].reset_index(drop=True)


def list_ids(ids: Iterable[object]) -> str:
    """A few ids and how many more there are, for a message."""
    shown = [str(key) for key in ids]
    more = f" and {len(shown) - LISTED} more" if len(shown) > LISTED else ""
    return ", ".join(shown[:LISTED]) + more


def _question_id(row: Row, kind: str) -> str:
    if "question_id" not in row:
        raise SeedError(f"{kind} {dict(row)} has no question_id; add one")
    return str(row["question_id"])


def _answer_text(row: Row) -> str:
    text = row.get("answer", row.get("text"))
    if not isinstance(text, str):
        raise SeedError(
            f"answer {row.get('question_id')} has no text under 'answer' or 'text'; add it"
        )
    return text


def _number_by_line(questions: Sequence[Row], answers: Sequence[Row]) -> list[dict[str, Any]]:
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
