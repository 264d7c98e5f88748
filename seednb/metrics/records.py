"""Answer files and question files: reading them and joining one to the other."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from seednb.errors import SeedError

Row = Mapping[str, Any]
LISTED = 5  # ids that an error message spells out


def read_json_lines(path: str | Path) -> list[dict[str, Any]]:
    """The objects of a JSON-lines file, one a line; blank lines are skipped.

    Raises SeedError naming the file and the line that is not a JSON object.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise SeedError(f"{path}: no such file; check the path") from None
    except (OSError, UnicodeDecodeError) as problem:
        raise SeedError(f"{path}: cannot be read as UTF-8 text ({problem})") from None
    rows = [_parse_line(path, n, line) for n, line in enumerate(lines, start=1) if line.strip()]
    if not rows:
        raise SeedError(f"{path}: holds no row; write one JSON object a line")
    return rows


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


def _parse_line(path: str | Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as problem:
        raise SeedError(
            f"{path}, line {number}: not JSON ({problem}); write one JSON object a line"
        ) from None
    if not isinstance(row, dict):
        kind = type(row).__name__
        raise SeedError(f"{path}, line {number}: a {kind}; write one JSON object a line")
    return row


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
