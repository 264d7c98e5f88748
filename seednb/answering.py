"""A model answers a file of questions; the answer file grows line by line and can be gone on with."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from seednb.artifacts import LOCK
from seednb.config import EvaluationParams
from seednb.data.files import read_json_lines
from seednb.data.images import safe_path
from seednb.data.pictures import Pictures
from seednb.decoding import generate
from seednb.errors import SeedError
from seednb.journal import append_lines, cut_torn_end
from seednb.lock import alone
from seednb.metrics.records import list_ids
from seednb.model import Bundle
from seednb.question_files import ASKED_AS, QUESTION_FILES

Row = dict[str, Any]
NEEDED = ("question_id", "image", "text")


def read_questions(file: Path, images: Path, benchmark: str = "lines") -> list[Row]:
    """The questions of a published benchmark (`QUESTION_FILES`).

    "lines" are any questions as POPE, LLaVA and others write them: `question_id`, `image` and
    `text`, one a line. Raises SeedError for an unknown benchmark, a missing key, an id that is given
    twice, and pictures that are not there.
    """
    if benchmark not in QUESTION_FILES:
        known = ", ".join(QUESTION_FILES)
        raise SeedError(f"benchmark {benchmark!r} is unknown; there are {known}")
    rows = QUESTION_FILES[benchmark](file)
    if not rows:
        raise SeedError(f"{file} holds no question; check the path")
    for number, row in enumerate(rows, start=1):
        missing = [key for key in NEEDED if key not in row]
        if missing:
            raise SeedError(f"{file}, question {number} has no {' and no '.join(missing)}; add it")
    ids = [str(row["question_id"]) for row in rows]
    twice = sorted({key for key in ids if ids.count(key) > 1}) if len(set(ids)) < len(ids) else []
    if twice:
        raise SeedError(f"{file}: question_id given twice: {list_ids(twice)}; number them anew")
    absent = dict.fromkeys(r["image"] for r in rows if not safe_path(images, r["image"]).is_file())
    if absent:
        raise SeedError(f"{len(absent)} pictures are not in {images}: {list_ids(absent)}")
    return rows


def answer_file(
    bundle: Bundle,
    questions: Sequence[Row],
    pictures: Pictures,
    output: Path,
    params: EvaluationParams,
    template: str,
) -> int:
    """Answer greedily what `output` does not answer yet; returns how many that were.

    Each line has `question_id`, the `prompt` and the answer as `text`, as LLaVA writes it, and what
    the benchmark's own scorer asks for. A run that was killed leaves whole lines and at most one
    torn one, which is removed; the run that goes on ends at the same bytes. Raises SeedError if the
    file answers other questions, and if another process is at it.
    """
    with alone(output.with_name(f".{output.name}{LOCK}"), str(output)):
        return _answer(bundle, questions, pictures, output, params, template)


def _answer(
    bundle: Bundle,
    questions: Sequence[Row],
    pictures: Pictures,
    output: Path,
    params: EvaluationParams,
    template: str,
) -> int:
    answered = _answered(output)
    foreign = answered - {str(row["question_id"]) for row in questions}
    if foreign:
        raise SeedError(
            f"{output} answers other questions: {list_ids(sorted(foreign))}; name another file"
        )
    waiting = [row for row in questions if str(row["question_id"]) not in answered]
    with _progress(len(waiting)) as bar:
        for chunk in _chunks(questions, params.eval_batch_size):
            left = [row for row in chunk if str(row["question_id"]) not in answered]
            if not left:
                continue
            # The whole chunk again: its answers depend, in the last bits, on what is in the batch.
            prompts = [row["text"] for row in chunk]
            pixels = pictures.batch([row["image"] for row in chunk])
            decoded = generate(bundle, prompts, pixels, template, params.max_new_tokens)
            lines = []
            for row, prompt, answer in zip(chunk, prompts, decoded, strict=True):
                line = {"question_id": row["question_id"], "prompt": prompt, "text": answer.text}
                line |= row.get("entry", {})
                line |= {row["reply"]: answer.text} if "reply" in row else {}
                lines += [line] if row in left else []
            append_lines(output, lines)
            bar.update(len(left))
    return len(waiting)


def _answered(output: Path) -> set[str]:
    """Ids of the answers so far, after the end of a killed run was removed."""
    if not output.is_file():
        return set()
    cut_torn_end(output)
    return {str(row.get(ASKED_AS, row.get("question_id"))) for row in read_json_lines(output)}


def _chunks(rows: Sequence[Row], size: int) -> Iterator[Sequence[Row]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))


def _progress(total: int) -> tqdm:
    return tqdm(total=total, desc="answer questions", unit="question")
