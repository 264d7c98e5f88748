"""A model answers a file of questions; the answer file grows line by line and can be gone on with."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from seednb.config import EvaluationParams
from seednb.data.files import read_json_lines
from seednb.data.images import safe_path
from seednb.data.pictures import Pictures
from seednb.data.prompts import IMAGE_TAG
from seednb.decoding import generate
from seednb.errors import SeedError
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
        for key in ("image", "text"):
            if not isinstance(row[key], str) or not row[key].strip():
                found = f"{key!r} is {row[key]!r:.60}"
                raise SeedError(f"{file}, question {number}: {found}, expected a text; correct it")
        if IMAGE_TAG in row["text"]:
            raise SeedError(
                f"{file}, question {number} contains {IMAGE_TAG}; remove it, the prompt has its place"
            )
    ids = [str(row["question_id"]) for row in rows]
    twice = sorted(key for key, times in Counter(ids).items() if times > 1)
    if twice:
        raise SeedError(f"{file}: question_id given twice: {list_ids(twice)}; number them anew")
    absent = dict.fromkeys(r["image"] for r in rows if not safe_path(images, r["image"]).is_file())
    if absent:
        raise SeedError(
            f"{file}: {len(absent)} pictures are not in {images}: {list_ids(absent)}; "
            "give their folder"
        )
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
    the benchmark's own scorer asks for. A run that was killed leaves whole lines and at most one torn one, which is removed. Raises SeedError if the
    file answers other questions.
    """
    answered = _answered(output)
    foreign = answered - {str(row["question_id"]) for row in questions}
    if foreign:
        raise SeedError(
            f"{output} answers other questions: {list_ids(sorted(foreign))}; name another file"
        )
    waiting = [row for row in questions if str(row["question_id"]) not in answered]
    with _opened(output) as lines, _progress(len(waiting)) as bar:
        for chunk in _chunks(waiting, params.eval_batch_size):
            prompts = [row["text"] for row in chunk]
            pixels = pictures.batch([row["image"] for row in chunk])
            decoded = generate(bundle, prompts, pixels, template, params.max_new_tokens)
            for row, prompt, answer in zip(chunk, prompts, decoded, strict=True):
                line = {"question_id": row["question_id"], "prompt": prompt, "text": answer.text}
                line |= row.get("entry", {})
                line |= {row["reply"]: answer.text} if "reply" in row else {}
                lines.write(json.dumps(line, ensure_ascii=False) + "\n")
            lines.flush()
            bar.update(len(chunk))
    return len(waiting)


def _answered(output: Path) -> set[str]:
    """Ids of the answers so far, after the end of a killed run was removed."""
    if not output.is_file():
        return set()
    content = output.read_bytes()
    if content and content.lstrip()[:1] != b"{":
        raise SeedError(f"{output} holds something else than answers; name another file")
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        output.write_bytes(whole)
    return {str(row.get(ASKED_AS, row.get("question_id"))) for row in read_json_lines(output)}


def _opened(output: Path) -> TextIO:
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        return output.open("a", encoding="utf-8")
    except OSError as problem:
        reason = problem.strerror or problem
        raise SeedError(f"{output} cannot be written ({reason}); name another file") from None


def _chunks(rows: Sequence[Row], size: int) -> Iterator[Sequence[Row]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))


def _progress(total: int) -> tqdm:
    return tqdm(total=total, desc="answer questions", unit="question")
