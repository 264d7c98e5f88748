"""HallusionBench (Guan et al., CVPR 2024): yes/no questions asked of an image and of its forgeries.

aAcc is the share of questions answered rightly. fAcc is that of figures with all their questions
right, qAcc that of questions that are right on all their figures; easy is asked on the original
figure (number 0), hard is right on all edited ones. In VS, figure 0 is no image at all: there an
uncertain answer is right too, and no figure is counted.
"""

from argparse import Namespace
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from seednb.core.errors import SeedError
from seednb.data.readers import read_rows
from seednb.evaluation import records
from seednb.evaluation.benchmarks import base
from seednb.evaluation.comparison import Label
from seednb.evaluation.parsers import parse_answer
from seednb.evaluation.records import Record, Row

CATEGORIES = ("VD", "VS")  # visual dependent, visual supplement
PLACE = ("category", "subcategory", "set_id", "figure_id", "question_id")
WRONG, RIGHT, UNCERTAIN = "0", "1", "2"  # as the official judge writes them
CORRECT = "correct"
ACCURACIES: dict[str, Callable[[Row], Any]] = {  # -> the group that a question belongs to, if any
    "aAcc": lambda row: row["question_id"],
    "fAcc": lambda row: None if _has_no_figure(row) else (*row["pair"][:3], str(row["figure_id"])),
    "qAcc": lambda row: row["pair"],
    "easy": lambda row: row["question_id"] if _is_original(row) else None,
    "hard": lambda row: None if _is_original(row) else row["pair"],
}
COUNTS = tuple(f"{name} {count}" for count in ("n", "n_right") for name in ACCURACIES)
STATISTICS = {name: records.share_of(COUNTS, f"{name} n_right", f"{name} n") for name in ACCURACIES}
HALLUSIONBENCH = base.Download(
    "hallusionbench",
    "HallusionBench",
    f"{base.GITHUB}/tianyi-lab/HallusionBench",
    "BSD 3-Clause; images: see source",
    (
        ("HallusionBench/HallusionBench.json",),
        ("HallusionBench/hallusion_bench", "HallusionBench/V[DS]"),
    ),
    (
        f"git clone {base.GITHUB}/tianyi-lab/HallusionBench",
        "gdown 1eeO1i0G9BSZTE1yd5XeFwmrbe1hwyf_0 -O hallusion_bench.zip",
        "unzip -d HallusionBench hallusion_bench.zip",
    ),
)


def read_questions(file: Path) -> list[Record]:
    """HallusionBench.json, its questions with an image; the scorer wants each entry back."""
    questions = []
    for row in read_rows(file):
        place = "/".join(str(base.get(row, key, file)) for key in PLACE)
        if str(row.get("visual_input")) != "0":
            questions.append(
                {
                    "question_id": place,
                    "image": base.get(row, "filename", file),
                    "text": base.get(row, "question", file, str) + base.ONE_WORD,
                    "entry": row | {records.ASKED_AS: place},
                    "reply": "model_prediction",
                    "yes_no": base.YES_NO,
                }
            )
    return questions


def read_files(folders: base.Folders, captions: base.CaptionSettings) -> base.Material:
    """The questions with an image, and all published entries as truth."""
    file, _ = folders.locate(BENCHMARK)
    questions = read_questions(file)
    # the published paths begin at the unpacked folder in some versions and beside it in others
    roots = (file.parent / "hallusion_bench", file.parent)
    fits = [root for root in roots if questions and (root / questions[0]["image"]).is_file()]
    asked = base.Asked("answers", questions, (*fits, roots[0])[0])
    return base.Material("hallusionbench", (asked,), {"questions": read_rows(file)}, (file,))


def score(
    answers: Sequence[Row],
    questions: Sequence[Row] | None = None,
    field: str | None = None,
    images_only: bool = False,
    allow_partial: bool = False,
) -> Record:
    """Counts and accuracies, in all and of each category.

    `answers` are entries of HallusionBench.json with a `model_prediction`, which VLMEvalKit's rule
    reads as yes, no or uncertain; or with 0, 1 or 2 (wrong, right, uncertain) in `field`, which is
    `correct` by default if an entry has that. `questions`, the published file, tells which entries
    there should be; without it the answers are taken to be complete. `images_only` leaves out the
    questions without an image, as VLMEvalKit does. Raises SeedError for entries that do not fit,
    lack a key or hold another value.
    """
    if field is None and any(CORRECT in row for row in answers):
        field = CORRECT
    right, n_asked = _graded(answers, questions, field, images_only, allow_partial)
    return {
        "judge": f"field {field}" if field else "vlmevalkit",
        "images_only": images_only,
        **records.coverage(n_asked, len(right)),
        **_accuracies(right),
        **{
            category: _accuracies([(row, one) for row, one in right if row["category"] == category])
            for category in CATEGORIES
        },
    }


def per_set_sums(
    answers: Sequence[Row], questions: Sequence[Row], category: str | None = None
) -> pd.DataFrame:
    """`COUNTS` of each set, the questions about images only; for `seednb.evaluation.stats`.

    A set is an image with its forgeries: fAcc and qAcc count groups of its questions, and no group
    reaches into another set.
    """
    right, _ = _graded(answers, questions, None, images_only=True, allow_partial=False)
    sets: dict[str, list[tuple[Row, bool]]] = defaultdict(list)
    for row, one in right:
        if category in (None, row["category"]):
            sets["/".join(row["pair"][:3])].append((row, one))
    counts = []
    for name, rows in sets.items():
        outcomes = _outcomes(rows).values()
        n, n_right = [len(group) for group in outcomes], [sum(group) for group in outcomes]
        counts.append((name, dict(zip(COUNTS, (*n, *n_right), strict=True))))
    return records.sum_by_image(counts)


def _graded(
    answers: Sequence[Row],
    questions: Sequence[Row] | None,
    field: str | None,
    images_only: bool,
    allow_partial: bool,
) -> tuple[list[tuple[Row, bool]], int]:
    """Each answered question and whether the answer is right; how many were asked."""
    given = [_placed(row) for row in answers]
    asked = given if questions is None else [_placed(row) for row in questions]
    if images_only:
        imaged = {row["question_id"] for row in asked if str(row.get("visual_input")) != "0"}
        absent = {row["question_id"] for row in asked} - imaged
        asked = [row for row in asked if row["question_id"] in imaged]
        given = [row for row in given if row["question_id"] not in absent]
    pairs = records.pair_by_id(asked, given, allow_partial)
    right = [(question, _is_right(question, answer, field)) for question, answer in pairs]
    return right, len(asked)


def _placed(row: Row) -> Record:
    """The entry with its whole place as `question_id`, which alone is not unique."""
    missing = [key for key in PLACE if key not in row]
    if missing:
        raise SeedError(
            f"HallusionBench entry {dict(row)} has no {', '.join(missing)}; keep the keys of "
            "HallusionBench.json and add model_prediction"
        )
    records.check_known("HallusionBench category", row["category"], CATEGORIES)
    place = [str(row[key]) for key in PLACE]
    return {**row, "pair": (*place[:3], place[4]), "question_id": "/".join(place)}


def _is_right(question: Row, answer: Row, field: str | None) -> bool:
    verdict = _parsed(question, answer) if field is None else _judged(answer, field)
    return verdict == RIGHT or (verdict == UNCERTAIN and _has_no_figure(question))


def _judged(answer: Row, field: str) -> str:
    verdict = str(answer.get(field))
    if verdict not in (WRONG, RIGHT, UNCERTAIN):
        raise SeedError(
            f"HallusionBench entry {answer['question_id']}: {field}={answer.get(field)!r} must be "
            "0 (wrong), 1 (right) or 2 (uncertain)"
        )
    return verdict


def _parsed(question: Row, answer: Row) -> str:
    """The judge's number by VLMEvalKit's rule, which has no judge."""
    text, gold = answer.get("model_prediction"), str(question.get("gt_answer"))
    if not isinstance(text, str) or gold not in ("0", "1"):
        raise SeedError(
            f"HallusionBench entry {answer['question_id']} needs a text 'model_prediction' and a "
            "'gt_answer' of 0 or 1; add them, or give the published questions"
        )
    said = parse_answer(text, "vlmevalkit")
    if said == "unclear":
        return UNCERTAIN
    return RIGHT if (said == "yes") == (gold == "1") else WRONG


def _is_original(row: Row) -> bool:
    return str(row["figure_id"]) == "0"


def _has_no_figure(row: Row) -> bool:
    return row["category"] == "VS" and _is_original(row)


def _accuracies(right: Sequence[tuple[Row, bool]]) -> Record:
    """Counts, then shares, of questions, figures, pairs, easy questions and hard pairs."""
    return {name: records.accuracy(group) for name, group in _outcomes(right).items()}


def _outcomes(right: Sequence[tuple[Row, bool]]) -> dict[str, list[bool]]:
    """For each of `ACCURACIES`, whether all questions of a group are right."""
    outcomes = {}
    for name, group_of in ACCURACIES.items():
        groups: dict[Any, bool] = {}
        for row, one in right:
            if (group := group_of(row)) is not None:
                groups[group] = groups.get(group, True) and one
        outcomes[name] = list(groups.values())
    return outcomes


def compare(
    truth: Record, answers: base.AnswersByModel, label: Label, remarks: base.Remarks
) -> Iterator[Record]:
    """Rows of all questions about images, and of each category."""
    remarks.notes.append(
        "hallusionbench: yes and no are read by rule; the official score asks GPT-4"
    )
    for category in (None, *CATEGORIES):
        sums = {
            model: per_set_sums(parts["answers"], truth["questions"], category)
            for model, parts in answers.items()
        }
        split, variant = category or "all", "vlmevalkit, images only"
        yield from base.rows_if_any(sums, STATISTICS, label, split=split, variant=variant)


def score_files(options: Namespace) -> base.Scored:
    """Entries with a model's predictions, or with a judge's verdicts."""
    answers = read_rows(options.answers)
    questions = read_rows(options.questions) if options.questions else None
    return base.Scored(
        score(answers, questions, options.field, options.images_only, options.allow_partial)
    )


BENCHMARK = base.Benchmark(
    name="hallusionbench",
    title="HallusionBench answers",
    position=7,
    downloads=(HALLUSIONBENCH,),
    headline=base.Headline(tuple(ACCURACIES), splits=("all",)),
    read_files=read_files,
    read_questions=read_questions,
    compare=compare,
    score_files=score_files,
    options=(
        *base.answer_options("entries of HallusionBench.json with model_prediction or correct"),
        base.option("--questions", "HallusionBench.json: entries to expect", type=Path),
        base.option("--field", "where a judge wrote 0, 1 or 2 (default: correct, if it is there; else yes and no are read)"),
        base.option("--images-only", "without the questions that have no image, as VLMEvalKit", action="store_true"),
    ),
    examples=(
        "seednb score hallusionbench --answers HallusionBench_result.json --questions HallusionBench.json --json",
    ),
)  # fmt: skip
