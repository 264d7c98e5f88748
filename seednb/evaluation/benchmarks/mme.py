"""MME (Fu et al., 2023): two yes/no questions an image, in fourteen tasks.

acc is the share of questions answered rightly, acc+ that of images with both right, and a task's
score 100 (acc + acc+), at most 200. Perception is the sum of ten tasks, cognition of four, and the
hallucination subset of four of the ten (at most 800).
"""

from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
import pandas as pd

from seednb.core.errors import SeedError
from seednb.data.readers import read_lines, read_rows
from seednb.evaluation.benchmarks import base
from seednb.evaluation.comparison import Label
from seednb.evaluation.parsers import MME_PARSERS, parse_prediction
from seednb.evaluation.records import Record, Row, check_known, share_of, sum_by_image
from seednb.evaluation.stats import Statistic

HALLUCINATION = ("existence", "count", "position", "color")
PERCEPTION = (*HALLUCINATION, "posters", "celebrity", "scene", "landmark", "artwork", "OCR")
COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")  # fmt: skip
TASKS = (*PERCEPTION, *COGNITION)
COUNTS = ("n_questions", "n_right", "n_images", "n_images_right")
TOTALS = {"perception": PERCEPTION, "cognition": COGNITION, "hallucination": HALLUCINATION}
COLUMNS = ("image", "question", "label", "answer")
PROMPT = " Please answer yes or no."
RELEASE = "MME_Benchmark_release_version"
MME = base.Download(
    "mme",
    "MME",
    f"{base.GITHUB}/BradyFU/Awesome-Multimodal-Large-Language-Models/tree/Evaluation",
    "none stated: academic use, see source",
    ((f"{RELEASE}/MME_Benchmark", f"MME/{RELEASE}/MME_Benchmark", RELEASE, f"MME/{RELEASE}", "MME_Benchmark", "MME"),),
    (f"wget {base.HUB}/datasets/darkyarding/MME/resolve/main/{RELEASE}.zip", f"unzip {RELEASE}.zip"),
)  # fmt: skip


def read_questions(folder: Path) -> list[Record]:
    """The release's folder: below each task, a text file an image with `question<TAB>answer` lines.

    Images lie beside the text files or in `images/`, as the release has both. The scorer wants
    the task, the image, the question and the right answer back.
    """
    if not folder.is_dir():
        raise SeedError(f"{folder} is no folder; give MME's, with a folder for each task")
    rows = [row for file in sorted(folder.glob("*/**/*.txt")) for row in _asked_in(folder, file)]
    if not rows:
        raise SeedError(f"{folder} holds no TASK/…/PICTURE.txt; give MME's release folder")
    return rows


def _asked_in(folder: Path, file: Path) -> Iterator[Record]:
    task = file.relative_to(folder).parts[0]
    beside = (file.parent, file.parent.parent / "images")
    images = [path for place in beside for path in sorted(place.glob(f"{file.stem}.[jp][pn]*g"))]
    if not images:
        raise SeedError(f"{file}: its image is neither beside it nor in images/; unpack it again")
    image = images[0].relative_to(folder).as_posix()
    for number, line in enumerate(read_lines(file), start=1):
        if not line.strip():
            continue
        question, tab, label = line.partition("\t")
        if not tab:
            raise SeedError(f"{file}, line {number}: no tab between question and answer; repair it")
        yield {
            "question_id": f"{task}/{images[0].name}/{number}",
            "image": image,
            "text": question.replace(PROMPT, "") + base.ONE_WORD,
            "entry": {
                "task": task,
                "image": images[0].name,
                "question": question,
                "label": label.strip(),
            },
            "reply": "answer",
            "yes_no": base.YES_NO,
        }


def read_answers(folder: Path) -> dict[str, list[Record]]:
    """The rows of each task's text file, named by the file: image, question, label, answer.

    Columns are separated by tabs, as MME's own calculation reads them. A single file of JSON lines
    that also hold their `task`, as `seednb answer` writes them, will do too.
    """
    if folder.is_file():
        return _by_task(folder)
    if not folder.is_dir():
        raise SeedError(f"{folder} is no folder; give the one with a text file for each MME task")
    files = sorted(folder.glob("*.txt"))
    if not files:
        raise SeedError(f"{folder} has no .txt file; write one for each MME task")
    return {file.stem: _read_task(file) for file in files}


def _by_task(file: Path) -> dict[str, list[Record]]:
    tasks = defaultdict(list)
    for number, row in enumerate(read_rows(file), start=1):
        missing = [key for key in ("task", *COLUMNS) if key not in row]
        if missing:
            raise SeedError(f"{file}, entry {number} has no {' and no '.join(missing)}; add it")
        for key in ("task", "answer"):
            if not isinstance(row[key], str):
                found = f"{key!r} is {row[key]!r:.60}"
                raise SeedError(f"{file}, entry {number}: {found}, expected a text; correct it")
        tasks[row["task"]].append(row | {"line": number})
    return tasks


def _read_task(file: Path) -> list[Record]:
    rows = []
    for number, line in enumerate(read_lines(file), start=1):
        if not line.strip():
            continue
        cells = line.split("\t")
        if len(cells) != len(COLUMNS):
            raise SeedError(
                f"{file}, line {number}: {len(cells)} columns, but MME has four, separated by "
                "tabs: image, question, right answer, prediction"
            )
        rows.append({**dict(zip(COLUMNS, cells, strict=True)), "line": number})
    return rows


def read_files(folders: base.Folders, captions: base.CaptionSettings) -> base.Material:
    """The release's questions; their right answers come back with the model's."""
    (folder,) = folders.locate(BENCHMARK)
    asked = base.Asked("answers", read_questions(folder), folder)
    return base.Material("mme", (asked,), {}, tuple(sorted(folder.glob("*/**/*.txt"))))


def score(
    rows_by_task: Mapping[str, Sequence[Row]], parser: str, allow_partial: bool = False
) -> Record:
    """Scores of the tasks given and the three totals.

    Rows are `image`, `label`, `answer` and, for messages, `line`; an image's two follow each
    other. A total over an incomplete set of tasks is None, and `note` says what it lacks.
    `allow_partial` leaves out images with one question (`n_left_out`). Raises SeedError for an
    unknown task, a label other than yes and no, and an image without its second question.
    """
    for task in rows_by_task:
        check_known("MME task", task, TASKS)
    tasks = {
        task: _score_task(task, rows_by_task[task], parser, allow_partial)
        for task in TASKS
        if task in rows_by_task
    }
    if not tasks:
        raise SeedError(f"there is no MME task to score; the tasks are {', '.join(TASKS)}")
    totals: dict[str, float | None] = {}
    notes = []
    for total, needed in TOTALS.items():
        lacking = [task for task in needed if task not in tasks]
        totals[total] = None if lacking else sum(tasks[task]["score"] for task in needed)
        notes += [f"no {total}: {', '.join(lacking)} missing"] if lacking else []
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


def per_image_sums(rows_by_task: Mapping[str, Sequence[Row]], parser: str) -> pd.DataFrame:
    """Counts of each image, `TASK n_right` and three more of every task; for `seednb.evaluation.stats`."""
    counts = []
    for task, answers in rows_by_task.items():
        for image, n_right, _ in _graded(task, answers, parser, allow_partial=False)[0]:
            values = (2, n_right, 1, int(n_right == 2))
            named = {f"{task} {name}": n for name, n in zip(COUNTS, values, strict=True)}
            counts.append((f"{task}/{image}", named))
    return sum_by_image(counts)


def statistics(columns: Sequence[str]) -> dict[tuple[str, str], Statistic]:
    """(metric, task or total) -> its figure, of those that the columns of the sums allow.

    `acc` and `acc_plus` are shares, `score` has MME's own scale (a task's is at most 200).
    """
    figures: dict[tuple[str, str], Statistic] = {}
    for task in TASKS:
        if f"{task} n_questions" in columns:
            right = share_of(columns, f"{task} n_right", f"{task} n_questions")
            both = share_of(columns, f"{task} n_images_right", f"{task} n_images")
            figures |= {("acc", task): right, ("acc_plus", task): both}
            figures["score", task] = _score_of([right, both])
    for total, needed in TOTALS.items():
        if all(("acc", task) in figures for task in needed):
            shares = [figures[name, task] for task in needed for name in ("acc", "acc_plus")]
            figures["score", total] = _score_of(shares)
    return figures


def _score_of(shares: Sequence[Statistic]) -> Statistic:
    return lambda sums: 100 * np.sum([share(sums) for share in shares], axis=0)


def _graded(
    task: str, rows: Sequence[Row], parser: str, allow_partial: bool
) -> tuple[list[tuple[str, int, int]], int]:
    """(image, right answers, unreadable answers) of each pair, and how many rows were left out."""
    images = list(_images(rows))
    pairs = [image for image in images if len(image) == 2]
    single = [image[0] for image in images if len(image) == 1]
    if single and not (allow_partial and pairs):
        row = single[0]
        raise SeedError(
            f"MME task {task}, line {row.get('line', '?')}: image {row['image']} has one "
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
    """Neighbouring rows of one image, two at a time; a row whose neighbour differs alone."""
    for _, same in groupby(rows, itemgetter("image")):
        neighbours = list(same)
        yield from (neighbours[start : start + 2] for start in range(0, len(neighbours), 2))


def _label(task: str, row: Row) -> str:
    label = str(row["label"]).strip().lower()
    if label not in ("yes", "no"):
        raise SeedError(
            f"MME task {task}, line {row.get('line', '?')}: the right answer {row['label']!r} must "
            "be Yes or No; the columns are image, question, right answer, prediction"
        )
    return label


def compare(
    truth: Record, answers: base.AnswersByModel, label: Label, remarks: base.Remarks
) -> Iterator[Record]:
    """Rows of each task and of the totals whose tasks are all there."""
    sums, note = {}, None
    for model, parts in answers.items():
        by_task = defaultdict(list)
        for line in parts["answers"]:
            by_task[line["task"]].append(line)
        note = score(by_task, base.OFFICIAL)["note"]  # refuses unknown tasks and single questions
        sums[model] = per_image_sums(by_task, base.OFFICIAL)
    if note:
        remarks.notes.append(f"mme: {note}")
    columns = next(iter(sums.values())).columns
    for (metric, task), statistic in statistics(list(columns)).items():
        figure = {metric: statistic}
        yield from base.rows_if_any(sums, figure, label, split=task, variant=base.OFFICIAL)


def score_files(options: Namespace) -> base.Scored:
    """A folder of task files, or what `seednb answer` wrote."""
    return base.Scored(score(read_answers(options.results), options.parser, options.allow_partial))


BENCHMARK = base.Benchmark(
    name="mme",
    title="MME results",
    position=4,
    downloads=(MME,),
    headline=base.Headline(("score",)),
    read_files=read_files,
    read_questions=read_questions,
    compare=compare,
    score_files=score_files,
    options=(
        base.option("--results", "folder with TASK.txt: image, question, right answer, prediction, separated by tabs; or what seednb answer wrote", required=True, type=Path),
        base.option("--parser", default=base.OFFICIAL, choices=tuple(MME_PARSERS)),
        base.option("--allow-partial", "leave out images with one of their two questions", action="store_true"),
        base.AS_JSON,
    ),
    examples=("seednb score mme --results results/llava-1.5-7b --json",),
)  # fmt: skip
