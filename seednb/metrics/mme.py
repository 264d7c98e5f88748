"""MME (Fu et al., 2023): two yes/no questions a picture, in fourteen tasks.

acc is the share of questions answered rightly, acc+ that of pictures with both right, and a task's
score 100 (acc + acc+), at most 200. Perception is the sum of ten tasks, cognition of four, and the
hallucination subset of four of the ten (at most 800).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from seednb.errors import SeedError
from seednb.metrics.records import Row
from seednb.metrics.sums import Statistic, share_of, summed
from seednb.stats import Array

HALLUCINATION = ("existence", "count", "position", "color")
PERCEPTION = (*HALLUCINATION, "posters", "celebrity", "scene", "landmark", "artwork", "OCR")
COGNITION = (
    "commonsense_reasoning",
    "numerical_calculation",
    "text_translation",
    "code_reasoning",
)
TASKS = (*PERCEPTION, *COGNITION)
COUNTS = ("n_questions", "n_right", "n_images", "n_images_right")
TOTALS = {"perception": PERCEPTION, "cognition": COGNITION, "hallucination": HALLUCINATION}


def parse_prediction(text: str, parser: str) -> str:
    """yes, no or other, as one evaluator reads a prediction.

    official    lower-cased; else the first four characters contain "yes", else "no" ("not sure"
                and "none" are no).
    lmms-eval   the same after stripping and without full stops; y and n alone are yes and no.

    Raises SeedError for another parser.
    """
    if parser not in PARSERS:
        raise SeedError(f"MME parser {parser!r} is unknown; use one of {', '.join(PARSERS)}")
    return PARSERS[parser](text.lower())


def score(
    rows_by_task: Mapping[str, Sequence[Row]], parser: str, allow_partial: bool = False
) -> dict[str, Any]:
    """Scores of the tasks given and the three totals.

    Rows are `image`, `label`, `answer` and, for messages, `line`; a picture's two follow each
    other. A total over an incomplete set of tasks is None, and `note` says what it lacks.
    `allow_partial` leaves out pictures with one question (`n_left_out`). Raises SeedError for an
    unknown task, a label other than yes and no, and a picture without its second question.
    """
    unknown = [task for task in rows_by_task if task not in TASKS]
    if unknown:
        raise SeedError(f"MME task {unknown[0]!r} is unknown; the tasks are {', '.join(TASKS)}")
    tasks = {
        task: _score_task(task, rows_by_task[task], parser, allow_partial)
        for task in TASKS
        if task in rows_by_task
    }
    if not tasks:
        raise SeedError(f"there is no MME task to score; the tasks are {', '.join(TASKS)}")
    lacking = {
        total: [task for task in needed if task not in tasks] for total, needed in TOTALS.items()
    }
    totals = {
        total: None if lacking[total] else sum(tasks[task]["score"] for task in needed)
        for total, needed in TOTALS.items()
    }
    notes = [f"no {total}: {', '.join(names)} missing" for total, names in lacking.items() if names]
    notes += [f"{t}: {n} left out" for t, row in tasks.items() if (n := row["n_left_out"])]
    return {
        "parser": parser,
        "n_tasks": len(tasks),
        "missing_tasks": [task for task in TASKS if task not in tasks],
        "partial": bool(notes),
        "note": "; ".join(notes) or None,
        **totals,
        "tasks": tasks,
    }


def _score_task(
    task: str, rows: Sequence[Row], parser: str, allow_partial: bool
) -> dict[str, float]:
    """Counts, acc, acc+ and score of one task."""
    graded, n_left_out = _graded(task, rows, parser, allow_partial)
    n_right = sum(n for _, n, _ in graded)
    n_images_right = sum(n == 2 for _, n, _ in graded)
    acc, acc_plus = n_right / (2 * len(graded)), n_images_right / len(graded)
    return {
        "n_images": len(graded),
        "n_images_right": n_images_right,
        "n_questions": 2 * len(graded),
        "n_right": n_right,
        "n_other": sum(n for _, _, n in graded),
        "n_left_out": n_left_out,
        "acc": acc,
        "acc_plus": acc_plus,
        "score": 100 * (acc + acc_plus),
    }


def per_picture_sums(rows_by_task: Mapping[str, Sequence[Row]], parser: str) -> pd.DataFrame:
    """Counts of each picture, `TASK n_right` and three more of every task; for `seednb.stats`."""
    rows, pictures = [], []
    for task, answers in rows_by_task.items():
        for image, n_right, _ in _graded(task, answers, parser, allow_partial=False)[0]:
            values = (2, n_right, 1, int(n_right == 2))
            rows.append({f"{task} {name}": n for name, n in zip(COUNTS, values, strict=True)})
            pictures.append(f"{task}/{image}")
    return summed(rows, pictures)


def statistics(columns: Sequence[str]) -> dict[tuple[str, str], Statistic]:
    """(metric, task or total) -> its figure, of those that the columns of the sums allow.

    `acc` and `acc_plus` are shares, `score` has MME's own scale (a task's is at most 200).
    """
    tasks = [task for task in TASKS if f"{task} n_questions" in columns]
    figures: dict[tuple[str, str], Statistic] = {}
    for task in tasks:
        right, both = _shares(columns, task)
        figures |= {("acc", task): right, ("acc_plus", task): both}
        figures["score", task] = _score(columns, (task,))
    for total, needed in TOTALS.items():
        if set(needed) <= set(tasks):
            figures["score", total] = _score(columns, needed)
    return figures


def _shares(columns: Sequence[str], task: str) -> tuple[Statistic, Statistic]:
    names = [f"{task} {name}" for name in COUNTS]
    return share_of(columns, names[1], names[0]), share_of(columns, names[3], names[2])


def _score(columns: Sequence[str], tasks: Sequence[str]) -> Statistic:
    shares = [share for task in tasks for share in _shares(columns, task)]

    def score(sums: Array) -> Array:
        return 100 * np.sum([share(sums) for share in shares], axis=0)

    return score


def _graded(
    task: str, rows: Sequence[Row], parser: str, allow_partial: bool
) -> tuple[list[tuple[str, int, int]], int]:
    """(picture, right answers, unreadable answers) of each pair, and how many rows were left out."""
    images = list(_images(rows))
    pairs = [image for image in images if len(image) == 2]
    single = [image[0] for image in images if len(image) == 1]
    if single and not (allow_partial and pairs):
        row = single[0]
        raise SeedError(
            f"MME task {task}, line {row.get('line', '?')}: picture {row['image']} has one "
            "question; write its two on lines that follow each other"
        )
    if not pairs:
        raise SeedError(f"MME task {task} has no line to score; write the file again")
    graded = []
    for pair in pairs:
        read = [parse_prediction(row["answer"], parser) for row in pair]
        right = [said == _label(task, row) for said, row in zip(read, pair, strict=True)]
        graded.append((str(pair[0]["image"]), sum(right), read.count("other")))
    return graded, len(single)


def _images(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Neighbouring rows of one picture, two at a time; a row whose neighbour differs alone."""
    position = 0
    while position < len(rows):
        pair = rows[position : position + 2]
        n_rows = 2 if len(pair) == 2 and pair[0]["image"] == pair[1]["image"] else 1
        yield pair[:n_rows]
        position += n_rows


def _label(task: str, row: Row) -> str:
    label = str(row["label"]).strip().lower()
    if label not in ("yes", "no"):
        raise SeedError(
            f"MME task {task}, line {row.get('line', '?')}: the right answer {row['label']!r} must "
            "be Yes or No; the columns are image, question, right answer, prediction"
        )
    return label


def _official(lowered: str) -> str:
    start = lowered[:4]
    if "yes" in start:
        return "yes"
    return "no" if "no" in start else "other"


def _lmms_eval(lowered: str) -> str:
    word = lowered.strip().replace(".", "")
    return {"y": "yes", "n": "no"}.get(word) or _official(word)


PARSERS: dict[str, Callable[[str], str]] = {"official": _official, "lmms-eval": _lmms_eval}
