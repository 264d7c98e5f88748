"""Reading JSON, JSON lines and text, plain or gzip; errors name the file, line and next step."""

import gzip
import json
import re
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from seednb.core.errors import SeedError

SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
LISTED = 8  # file names that an error message spells out


@dataclass(frozen=True)
class Skipped:
    """An input that was left out, and why; `reason` is one of few, so that inputs can be counted by it."""

    item: str
    reason: str


def read_json(path: Path | str, unique_keys: bool = False) -> Any:
    """The content of a JSON file, plain or compressed (`.gz`, as every file here may be).

    With `unique_keys` no object may name a key twice: where keys are ids, JSON's own rule (the last
    one counts) would drop data. Raises SeedError for a file that is missing, unreadable or
    malformed (with line and column).
    """
    path = Path(path)
    return _parse(_read_text(path), path, as_object=_unique if unique_keys else None)


def read_json_lines(path: Path | str) -> list[dict[str, Any]]:
    """The objects of a JSON-lines file; blank lines are skipped.

    Raises SeedError as `read_json` does, and for a line that is not a JSON object.
    """
    path = Path(path)
    return _parse_lines(_read_text(path), path)


def read_rows(path: Path | str) -> list[dict[str, Any]]:
    """The objects of a file that is one JSON list or has one JSON object a line.

    Benchmarks are published both ways, at times under the same name. Raises SeedError as
    `read_json` does, for an entry that is not an object, and for a file without any.
    """
    path = Path(path)
    text = _read_text(path)
    is_list = text.lstrip()[:1] == "["
    rows: list[dict[str, Any]] = _parse(text, path) if is_list else _parse_lines(text, path)
    for number, row in enumerate(rows, start=1):
        _check_object(row, f"{path}, entry {number}", "a list of JSON objects")
    if not rows:
        raise SeedError(f"{path} is empty; check the path or write the file again")
    return rows


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, split at line ends only. Raises SeedError as `read_json` does."""
    return _read_text(path).split("\n")


def find_one(folder: Path, pattern: str) -> Path:
    """The only file below `folder` that a glob pattern fits.

    A pattern that is a file's own path, relative or absolute, needs no other match. Raises
    SeedError that lists the candidates if there are several, and what is there if there are none.
    """
    if not pattern:
        raise SeedError(f"no file name is given for a file below {folder}; run: seednb params")
    if (folder / pattern).is_file():
        return folder / pattern
    inside = not Path(pattern).is_absolute()
    try:
        matches = sorted(path for path in folder.glob(pattern) if path.is_file()) if inside else []
    except ValueError as problem:
        raise SeedError(
            f"{pattern!r:.200} is no file name or pattern ({problem}); correct it"
        ) from None
    if len(matches) > 1:
        raise SeedError(
            f"{pattern} fits {len(matches)} files in {folder}: {_listed(matches)}; name one"
        )
    if not matches:
        _missing(folder / pattern)
    return matches[0]


def _read_text(path: Path) -> str:
    try:
        if path.suffix == ".gz":
            return gzip.decompress(path.read_bytes()).decode("utf-8-sig")
        return path.read_text(encoding="utf-8-sig")
    except (EOFError, zlib.error, gzip.BadGzipFile) as problem:
        raise SeedError(f"{path}: damaged gzip ({problem}); download it again") from None
    except FileNotFoundError:
        _missing(path)
    except UnicodeDecodeError as problem:
        line = problem.object.count(b"\n", 0, problem.start) + 1
        raise SeedError(
            f"{path}, line {line}: not UTF-8 text ({problem.reason}); save it as UTF-8"
        ) from None
    except OSError as problem:
        reason = problem.strerror or problem
        raise SeedError(f"{path} cannot be read ({reason}); check the path") from None


def _parse_lines(text: str, path: Path) -> list[dict[str, Any]]:
    rows = []
    # not splitlines(): it also splits at U+2028 and the like, which JSON allows inside a text
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        rows.append(_parse(line, path, number))
        _check_object(rows[-1], f"{path}, line {number}", "one JSON object a line")
    return rows


def _check_object(row: Any, where: str, expected: str) -> None:
    if not isinstance(row, dict):
        raise SeedError(f"{where}: a {type(row).__name__}; write {expected}")


def _parse(
    text: str,
    path: Path,
    line: int | None = None,
    as_object: Callable[[list[tuple[str, Any]]], Any] | None = None,
) -> Any:
    """The value of JSON text; `line`: its number in the file, if it is only a line of it."""
    try:
        value = json.loads(text, object_pairs_hook=as_object)
        if SURROGATE.search(text):  # half an emoji, as a cut text ends: no file can hold it
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except json.JSONDecodeError as problem:
        where = f"{path}, line {line or problem.lineno}, column {problem.colno}"
        raise SeedError(f"{where}: not JSON ({problem.msg}); repair or download it again") from None
    except UnicodeEncodeError as problem:
        found = f"a text holds half a character, {problem.object[problem.start]!r}"
        _refuse(found, path, line)
    except (ValueError, RecursionError) as problem:
        _refuse(str(problem), path, line)


def _refuse(reason: str, path: Path, line: int | None) -> NoReturn:
    where = f"{path}, line {line}" if line else str(path)
    raise SeedError(f"{where}: JSON that cannot be read ({reason}); repair it") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        twice = next(key for key, n in Counter(key for key, _ in pairs).items() if n > 1)
        raise ValueError(f"{twice!r:.60} is named twice in one object")
    return values


def _missing(path: Path) -> NoReturn:
    """Raise SeedError for a file that is not there, naming what its folder holds."""
    folder = path.parent
    if not folder.is_dir():
        raise SeedError(
            f"{path} is missing: there is no folder {folder}; run: seednb doctor"
        ) from None
    there = _listed(sorted(item for item in folder.iterdir() if not item.name.startswith(".")))
    raise SeedError(f"{path} is missing; {folder} holds {there}; run: seednb doctor") from None


def _listed(paths: list[Path]) -> str:
    more = f" and {len(paths) - LISTED} more" if len(paths) > LISTED else ""
    return (", ".join(path.name for path in paths[:LISTED]) or "nothing") + more
