"""Files written whole or not at all, and journals that grow line by line and outlive kill -9."""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors import SafetensorError

from seednb.core.errors import SeedError

PARTIAL, JOURNAL, LOCK = ".partial", ".journal", ".lock"  # of a stage that is being made


def cut_torn_end(file: Path) -> None:
    """Remove what follows the last line break: a line that a killed run did not finish."""
    if not file.is_file():
        return
    content = file.read_bytes()
    n_whole = content.rfind(b"\n") + 1
    if n_whole < len(content):
        with writing(file):
            os.truncate(file, n_whole)  # never less than what was whole, killed or not


def append_lines(file: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Add JSON lines in one write, and wait until they are on the disk.

    Raises SeedError where the disk is full or the folder is read-only.
    """
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab") as stream:
            stream.write(text.encode())
            stream.flush()
            os.fsync(stream.fileno())


class Journal:
    """The chunks of a long job that are done: a run that was killed goes on after them.

    Chunks are kept whole, since what a batch computes depends, in the last bits, on what else is in
    it. Each process writes a file of its own and reads those of all.
    """

    def __init__(self, name: Path | None, process: int = 0) -> None:
        """`name`: files `<name>.<process>.journal`; None keeps nothing."""
        self.name = name
        self.file = None if name is None else name.with_name(f"{name.name}.{process}{JOURNAL}")

    def read(self) -> dict[int, list[Any]]:
        """Number of a chunk -> its results, of all processes that ever wrote."""
        done: dict[int, list[Any]] = {}
        if self.name is None or self.file is None:
            return done
        cut_torn_end(self.file)
        for file in sorted(self.name.parent.glob(f"{self.name.name}.*{JOURNAL}")):
            for line in file.read_bytes().split(b"\n")[:-1]:  # whole lines; another may be at work
                row = json.loads(line)
                done[row["chunk"]] = row["results"]
        return done

    def add(self, chunk: int, results: list[Any]) -> None:
        """Keep the results (JSON) of a chunk."""
        if self.file is not None:
            append_lines(self.file, [{"chunk": chunk, "results": results}])


def write_json(path: Path, value: Any) -> None:
    """Write JSON; a reader sees the old file or the new one, never half of it."""
    write_text(path, json.dumps(value, indent=1, default=str) + "\n")


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON lines, atomically."""
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, atomically."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes, atomically."""
    with replacing(path) as partial:
        partial.write_bytes(content)


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a table as parquet, atomically."""
    with replacing(path) as partial:
        frame.to_parquet(partial)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file or folder to write in place of `path`; once it is whole and on the disk, it moves there.

    Killed or failing at any moment, `path` is what it was (a folder may also be gone). It is written
    in a folder of its own, since safetensors leaves a file of a name of its own when it is killed.
    Raises SeedError as `writing` does.
    """
    room = path.with_name(path.name + PARTIAL)
    with writing(path):
        shutil.rmtree(room, ignore_errors=True)
        room.mkdir(parents=True)
        try:
            yield room / path.name
            for file in room.rglob("*"):
                sync(file)
            if path.is_dir() and (room / path.name).is_dir():  # a file never takes a folder's place
                shutil.rmtree(path)
            (room / path.name).replace(path)
            sync(path.parent)
        finally:
            shutil.rmtree(room, ignore_errors=True)  # a full disk needs its space


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns what the disk refuses into a SeedError: it is full, the folder is read-only, …"""
    try:
        yield
    except (OSError, SafetensorError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise SeedError(
            f"{path} cannot be written ({reason}); free the disk or name a folder that can be "
            "written, then run the same command again: what is finished is kept"
        ) from problem


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk and outlive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_json(path: Path) -> Any:
    """Read a file that `write_json` wrote. Raises SeedError if something else has been at it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as problem:
        raise SeedError(f"{path} is damaged ({problem}); delete its folder and run again") from None
