"""Questions by kind as frames: one picture's questions, and whether a wrong answer is the typical one."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from seednb.evaluation.parsers import parser_named
from seednb.evaluation.records import KINDS, Answers, kinds_asked

Row = dict[str, Any]


def columns(rows: Sequence[Row], metric: str) -> dict[str, tuple[str, str | None, str]]:
    """Columns of a metric table: the same metric of each kind that the rows hold."""
    found = dict.fromkeys(row["split"] for row in rows if row["benchmark"] == KINDS)
    return {kind: (KINDS, kind, metric) for kind in found}


def telling_picture(answers: Mapping[str, Answers], model: str, parser: str) -> str | None:
    """File name of the picture that is asked about in every kind and answered worst by a model.

    None if no picture has a question of every kind.
    """
    read = parser_named(parser)
    kinds = kinds_asked(answers.values())
    asked: dict[str, set[str]] = {}
    wrong: Counter[str] = Counter()
    for row in answers[model].questions:
        asked.setdefault(row["image"], set()).add(row["kind"])
        wrong[row["image"]] += read(row["answer"]) != row["label"]
    whole = [image for image, found in asked.items() if kinds and found >= set(kinds)]
    return max(whole, key=wrong.__getitem__, default=None)


def questions_about(answers: Mapping[str, Answers], image: str | None) -> pd.DataFrame:
    """A picture's questions with the truth, what is typical, and what each model answers."""
    first, *_ = answers
    rows = [
        {"kind": row["kind"], "question": row["text"], "truth": row["label"].capitalize()}
        | ({"typical": row["typical"].capitalize()} if "typical" in row else {})
        | {name: each.questions[number]["answer"] for name, each in answers.items()}
        for number, row in enumerate(answers[first].questions)
        if row["image"] == image
    ]
    return pd.DataFrame(rows)


def typical_errors(
    answers: Mapping[str, Answers], models: Sequence[str], parser: str
) -> pd.DataFrame:
    """By model and kind: wrong answers, and the share of them that tells what is typical.

    Questions that carry no typical answer do not count; without any, the frame is empty.
    """
    read = parser_named(parser)
    columns = ["kind", "model", "questions", "wrong", "typical, % of wrong"]
    rows = []
    for kind in kinds_asked(answers.values()):
        for model in models:
            asked = [r for r in answers[model].questions if r["kind"] == kind and "typical" in r]
            wrong = [r for r in asked if read(r["answer"]) != r["label"]]
            typical = sum(read(r["answer"]) == r["typical"] for r in wrong)
            share = 100 * typical / len(wrong) if wrong else None
            rows.append((kind, model, len(asked), len(wrong), share))
    return pd.DataFrame(rows, columns=columns)
