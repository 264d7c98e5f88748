"""Published benchmark files and folders -> rows for `seednb.metrics`.

Scorers take rows and stay free of files; the layouts that benchmarks are published in are known
here. Everything raises SeedError that names the file and what it should be.
"""

from pathlib import Path
from typing import Any

from seednb.data.files import read_json, read_lines, read_rows
from seednb.errors import SeedError
from seednb.metrics.amber_words import WordLists

MME_COLUMNS = ("image", "question", "label", "answer")
AMBER_FILES = ("annotations.json", "relation.json", "safe_words.txt")


def read_vqa(path: Path, key: str) -> list[dict[str, Any]]:
    """The list under `questions` or `annotations` of an official VQA file.

    Questions may also be JSON lines, as LLaVA writes them.
    """
    if ".jsonl" in path.suffixes:
        return read_rows(path)
    return _rows_under(key, read_json(path), path)


def read_seedbench(path: Path) -> dict[str, Any]:
    """SEED-Bench.json: `questions`, and `question_type` with the number of each type's name."""
    document = read_json(path)
    types = document.get("question_type") if isinstance(document, dict) else None
    if not isinstance(types, dict):
        raise SeedError(f"{path} has no object 'question_type'; give SEED-Bench.json")
    return {"question_type": types, "questions": _rows_under("questions", document, path)}


def read_mme(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of each task's text file, named by the file: image, question, label, answer.

    Columns are separated by tabs, as MME's own calculation reads them. A single file of JSON lines
    that also hold their `task`, as `seednb answer` writes them, will do too.
    """
    if folder.is_file():
        return _mme_by_task(folder)
    if not folder.is_dir():
        raise SeedError(f"{folder} is no folder; give the one with a text file for each MME task")
    files = sorted(folder.glob("*.txt"))
    if not files:
        raise SeedError(f"{folder} has no .txt file; write one for each MME task")
    return {file.stem: _read_mme_task(file) for file in files}


def read_amber(folder: Path) -> tuple[list[dict[str, Any]], WordLists]:
    """The annotations and word lists in the `data` folder of AMBER's repository."""
    annotations, relation, safe = (_amber_file(folder, name) for name in AMBER_FILES)
    associations = read_json(relation)
    values = associations.values() if isinstance(associations, dict) else [None]
    if not all(
        isinstance(words, list) and all(isinstance(w, str) for w in words) for words in values
    ):
        raise SeedError(f"{relation}: not an object of words and their associations; download it")
    # split at line ends only: the official script keeps spaces
    safe_words = frozenset(read_lines(safe))
    return read_rows(annotations), WordLists(associations, safe_words)


def _rows_under(key: str, document: Any, path: Path) -> list[dict[str, Any]]:
    rows = document.get(key) if isinstance(document, dict) else None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise SeedError(f"{path} has no list of objects under {key!r}; give the official file")
    return rows


def _mme_by_task(file: Path) -> dict[str, list[dict[str, Any]]]:
    tasks: dict[str, list[dict[str, Any]]] = {}
    for number, row in enumerate(read_rows(file), start=1):
        missing = [key for key in ("task", *MME_COLUMNS) if key not in row]
        if missing:
            raise SeedError(f"{file}, entry {number} has no {' and no '.join(missing)}; add it")
        for key in ("task", "answer"):
            if not isinstance(row[key], str):
                found = f"{key!r} is {row[key]!r:.60}"
                raise SeedError(f"{file}, entry {number}: {found}, expected a text; correct it")
        tasks.setdefault(row["task"], []).append(row | {"line": number})
    return tasks


def _read_mme_task(file: Path) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(read_lines(file), start=1):
        if not line.strip():
            continue
        cells = line.split("\t")
        if len(cells) != len(MME_COLUMNS):
            raise SeedError(
                f"{file}, line {number}: {len(cells)} columns, but MME has four, separated by "
                "tabs: image, question, right answer, prediction"
            )
        rows.append({**dict(zip(MME_COLUMNS, cells, strict=True)), "line": number})
    return rows


def _amber_file(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        raise SeedError(
            f"{folder / name} is missing; give the folder data/ of AMBER's repository, with "
            f"{', '.join(AMBER_FILES)}"
        )
    return folder / name
