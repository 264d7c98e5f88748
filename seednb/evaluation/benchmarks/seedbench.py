"""SEED-Bench (Li et al., CVPR 2024): questions with four choices on images and on videos.

Three ways to read an answer are published; their figures must not be mixed. The same holds for
the score on all questions (seed_all) and on those about images (seed_image).
"""

from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from seednb.core.errors import SeedError
from seednb.data.readers import read_json, read_rows
from seednb.evaluation import records
from seednb.evaluation.benchmarks import base
from seednb.evaluation.comparison import Label
from seednb.evaluation.records import Record, Row

RULES = {"letter": "letters", "first-character": "letters", "likelihood": "likelihoods"}  # by part
ONE_LETTER = "\nAnswer with the option's letter from the given choices directly."
LETTERS = "ABCD"
DATA_TYPES = ("image", "video")
COUNTS = ("n_right", "n")
STATISTICS = {"accuracy": records.share_of(COUNTS, "n_right", "n")}
SEEDBENCH = base.Download(
    "seedbench",
    "SEED-Bench",
    f"{base.HUB}/datasets/AILab-CVC/SEED-Bench",
    "CC BY-NC 4.0; images from Conceptual Captions",
    (
        ("SEED-Bench/SEED-Bench.json", "SEED-Bench.json"),
        ("SEED-Bench/SEED-Bench-image", "SEED-Bench-image"),
    ),
    (
        "hf download AILab-CVC/SEED-Bench --repo-type dataset --local-dir SEED-Bench",
        "unzip -d SEED-Bench SEED-Bench/SEED-Bench-image.zip",
    ),
)


def read_truth(path: Path) -> Record:
    """SEED-Bench.json: `questions`, and `question_type` with the number of each type's name."""
    document = read_json(path)
    types = document.get("question_type") if isinstance(document, dict) else None
    if not isinstance(types, dict):
        raise SeedError(f"{path} has no object 'question_type'; give SEED-Bench.json")
    return {"question_type": types, "questions": base.rows_under("questions", document, path)}


def read_questions(file: Path) -> list[Record]:
    """SEED-Bench.json, its questions about images; those about videos have no image here."""
    rows = []
    for row in base.rows_under("questions", read_json(file), file):
        if base.get(row, "data_type", file) != "image":
            continue
        choices = [base.get(row, f"choice_{letter.lower()}", file) for letter in LETTERS]
        listed = "".join(
            f"\n{letter}. {text}" for letter, text in zip(LETTERS, choices, strict=True)
        )
        rows.append(
            {
                "question_id": base.get(row, "question_id", file),
                "image": base.get(row, "data_id", file),
                "text": f"{base.get(row, 'question', file)}{listed}{ONE_LETTER}",
                "question": row["question"],
                "choices": choices,
            }
        )
    return rows


def read_files(folders: base.Folders, captions: base.CaptionSettings) -> base.Material:
    """The questions about images, once by letter and once by the likelihood of each choice."""
    file, images = folders.locate(BENCHMARK)
    questions = read_questions(file)
    asked = (
        base.Asked("letters", questions, images),
        base.Asked("likelihoods", questions, images, ranked=True),
    )
    return base.Material("seedbench", asked, {"benchmark": read_truth(file)}, (file,))


def chosen_letter(answer: Row, rule: str) -> str:
    """The letter that an answer chooses, or text that is none.

    letter            the text as it is (LLaVA: "A." is no choice)
    first-character   the first character of the stripped text (lmms-eval: "A." and "Apple" are A)
    likelihood        of the four numbers in `likelihoods` the highest, the first of equals (the
                      original ranking; log-likelihoods, not losses)

    Raises SeedError for another rule and for what does not have four finite numbers.
    """
    records.check_known("SEED-Bench rule", rule, RULES)
    if rule == "letter":
        return records.answer_text(answer)
    if rule == "first-character":
        return records.answer_text(answer).strip()[:1]
    values = answer.get("likelihoods")
    if not isinstance(values, list) or len(values) != 4 or not all(map(records.is_finite, values)):
        raise SeedError(
            f"answer {answer['question_id']} has no list 'likelihoods' of four finite numbers, one "
            "a choice; add it or choose another rule"
        )
    return LETTERS[values.index(max(values))]


def score(
    benchmark: Mapping[str, Any], answers: Sequence[Row], rule: str, allow_partial: bool = False
) -> Record:
    """Counts and accuracies over all questions, images, videos and each question type.

    `benchmark` is SEED-Bench.json. Raises SeedError for ids that do not fit and for a question
    whose right answer, data type or question type is not one of those known.
    """
    graded = _graded(benchmark, answers, rule, allow_partial)
    of_kind: dict[str, list[bool]] = {kind: [] for kind in DATA_TYPES}
    of_type: dict[str, list[bool]] = {name: [] for name in benchmark["question_type"]}
    for question, type_name, right in graded:
        of_kind[question["data_type"]].append(right)
        of_type[type_name].append(right)
    return {
        "rule": rule,
        **records.coverage(len(benchmark["questions"]), len(graded)),
        "seed_all": records.accuracy([right for _, _, right in graded]),
        **{f"seed_{kind}": records.accuracy(group) for kind, group in of_kind.items()},
        "question_type": {name: records.accuracy(group) for name, group in of_type.items()},
    }


def per_image_sums(
    benchmark: Mapping[str, Any], answers: Sequence[Row], rule: str, type_name: str | None = None
) -> pd.DataFrame:
    """`COUNTS` of each image, of one question type or of all; for `seednb.evaluation.stats`.

    Questions without an answer are left out: those about videos, if only images were asked about.
    """
    return records.sum_by_image(
        (records.image_of(question), {"n_right": int(right), "n": 1})
        for question, name, right in _graded(benchmark, answers, rule, allow_partial=True)
        if type_name in (None, name)
    )


def _graded(
    benchmark: Mapping[str, Any], answers: Sequence[Row], rule: str, allow_partial: bool
) -> list[tuple[Row, str, bool]]:
    """Each answered question, the name of its type, and whether the answer is right."""
    name_of = {str(number): name for name, number in benchmark["question_type"].items()}
    graded = []
    for question, answer in records.pair_by_id(benchmark["questions"], answers, allow_partial):
        gold = _one_of(question, "answer", tuple(LETTERS))
        _one_of(question, "data_type", DATA_TYPES)
        number = _one_of(question, "question_type_id", tuple(name_of))
        graded.append((question, name_of[number], chosen_letter(answer, rule) == gold))
    return graded


def _one_of(question: Row, key: str, known: tuple[str, ...]) -> str:
    value = str(question.get(key))
    records.check_known(f"question {question['question_id']}: {key}", value, known)
    return value


def compare(
    truth: Record, answers: base.AnswersByModel, label: Label, remarks: base.Remarks
) -> Iterator[Record]:
    """Rows of each published rule: all questions about images, and each type of question."""
    benchmark = truth["benchmark"]
    n_videos = sum(row.get("data_type") == "video" for row in benchmark["questions"])
    if n_videos:
        remarks.notes.append(
            f"seedbench: {n_videos} questions about videos are not asked; seed_image only"
        )
    for rule, part in RULES.items():
        for type_name in (None, *benchmark["question_type"]):
            sums = {
                model: per_image_sums(benchmark, parts[part], rule, type_name)
                for model, parts in answers.items()
            }
            split = type_name or "seed_image"
            yield from base.rows_if_any(sums, STATISTICS, label, split=split, variant=rule)


def score_files(options: Namespace) -> base.Scored:
    """Letters or likelihoods by id."""
    benchmark, answers = read_truth(options.questions), read_rows(options.answers)
    return base.Scored(score(benchmark, answers, options.rule, options.allow_partial))


BENCHMARK = base.Benchmark(
    name="seedbench",
    title="SEED-Bench choices",
    position=5,
    downloads=(SEEDBENCH,),
    headline=base.Headline(("accuracy",), splits=("seed_image",)),
    read_files=read_files,
    read_questions=read_questions,
    compare=compare,
    score_files=score_files,
    options=(
        base.option("--questions", "SEED-Bench.json", required=True, type=Path),
        *base.answer_options("question_id and text, or likelihoods of four choices (JSON lines)"),
        base.option("--rule", default="letter", choices=tuple(RULES)),
    ),
    examples=(
        "seednb score seedbench --questions SEED-Bench.json --answers answers.jsonl --rule letter --json",
    ),
)
