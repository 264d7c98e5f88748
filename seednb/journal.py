"""Files that grow line by line and outlive kill -9: a torn last line is cut off, and its work redone."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from seednb.artifacts import JOURNAL, writing


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
