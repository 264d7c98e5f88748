"""Files written whole or not at all, journals that outlive kill -9, and locks between processes."""

import json
import os
import shutil
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout
from safetensors import SafetensorError

from seednb.core.errors import SeedError

PARTIAL, JOURNAL, LOCK = ".partial", ".journal", ".lock"  # suffixes of what is unfinished
# The children of a killed run notice within 5 s that it is gone; until then they hold its lock.
PATIENCE_S = 7.0
UNTIL_DONE_S = -1.0  # as `patience_s`: however long it takes


def write_json(path: Path, value: Any) -> None:
    """Write JSON, atomically: a reader sees the old file or the new one, never half of it."""
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


def read_json(path: Path) -> Any:
    """Read a file that `write_json` wrote. Raises SeedError if it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as problem:
        raise SeedError(f"{path} is damaged ({problem}); delete its folder and run again") from None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path to write; once that is whole and on the disk, it takes the place of `path`.

    Killed or failing at any moment, `path` is what it was (a folder may also be gone). The temporary
    path has a folder of its own, since a killed safetensors leaves a file under a name of its own.
    Raises SeedError as `writing` does.
    """
    room = path.with_name(f"{path.name}{PARTIAL}")
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
    """Turns into a SeedError what the disk refuses: it is full, the folder is read-only, …"""
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


def append_lines(file: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Add JSON lines in one write, and wait until they are on the disk.

    Raises SeedError as `writing` does.
    """
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab") as stream:
            stream.write(text.encode())
            stream.flush()
            os.fsync(stream.fileno())


def cut_torn_end(file: Path) -> None:
    """Remove what follows the last line break: the rest of a line that a killed run began.

    Raises SeedError as `writing` does.
    """
    if not file.is_file():
        return
    content = file.read_bytes()
    n_whole = content.rfind(b"\n") + 1
    if n_whole < len(content):
        with writing(file):
            os.truncate(file, n_whole)  # never less than what was whole, killed or not


class Journal:
    """The finished chunks of a long job, which resumes after them when it was killed.

    Chunks are kept whole, since what a batch computes depends, in the last bits, on what else is in
    it. Each process writes a file of its own and reads those of all.
    """

    def __init__(self, name: Path | None, process: int = 0) -> None:
        """`name`: files `<name>.<process>.journal`; None keeps nothing."""
        self.name = name
        self.file = name and name.with_name(f"{name.name}.{process}{JOURNAL}")

    def read(self) -> dict[int, list[Any]]:
        """Number of a chunk -> its results, of all processes that ever wrote."""
        done: dict[int, list[Any]] = {}
        if self.name and self.file:
            cut_torn_end(self.file)
            for file in sorted(self.name.parent.glob(f"{self.name.name}.*{JOURNAL}")):
                for line in file.read_bytes().split(b"\n")[:-1]:  # whole lines; others may write
                    row = json.loads(line)
                    done[row["chunk"]] = row["results"]
        return done

    def add(self, chunk: int, results: list[Any]) -> None:
        """Keep the results (JSON) of a chunk."""
        if self.file:
            append_lines(self.file, [{"chunk": chunk, "results": results}])


@contextmanager
def locked(file: Path, work: str, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Hold the lock `file` while `work`, the name of what is made, is being made.

    The kernel releases the lock with the process, so kill -9 leaves none behind. The owner's pid
    stands beside it, in `<file>.pid`. Raises SeedError with that pid if another process still holds
    it after `patience_s` seconds, and as `writing` does.
    """
    lock, owner = FileLock(file), file.with_name(f"{file.name}.pid")
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=patience_s, poll_interval=0.05)
        except Timeout:
            raise SeedError(
                f"{work} is being made by {_read_owner(owner)}; wait until it has finished or end "
                "it, then run the same command again"
            ) from None
    try:
        write_text(owner, f"{os.getpid()} {socket.gethostname()}\n")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def _read_owner(file: Path) -> str:
    """ "process 123", and on which machine if on another one than this."""
    try:
        pid, host = file.read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return "another process"
    return f"process {pid}" + (f" on {host}" if host != socket.gethostname() else "")
