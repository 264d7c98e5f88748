"""Finished stages on disk: typed files, written whole or not at all, found again by their key.

A key is made of the version of the stage's kind and of the inputs that matter to it; what a kind's
results mean is watched by tests/experiments/test_mathematics.py.
"""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors import SafetensorError

from seednb.errors import SeedError

MANIFEST = "manifest.json"
WHOLE_FILE = 64 * 1024 * 1024  # bytes; of a larger file, size and both ends are hashed
END = 1024 * 1024  # bytes
PARTIAL, JOURNAL, LOCK = ".partial", ".journal", ".lock"  # of a stage that is being made
# What the results of each kind mean. Raised by hand when the same inputs come to mean another result.
VERSIONS = {
    "world": 1,  # the generated pictures and annotations
    "pairs": 1,  # training pairs from a data set's files
    "questions": 1,  # probes, questions and true objects from a data set's files
    "labels": 1,  # the base model's own answers as labels
    "teacher": 1,  # the frozen teacher's hidden states
    "train": 1,
    "answers": 1,
    "metrics": 1,
    "ablation": 1,  # answers of a short training
    "rows": 1,  # metric rows of short trainings
    "robust": 1,  # answers under other wordings and worse pictures
    "benchmark": 1,  # answers to a published benchmark
    "scores": 1,  # metric rows of a published benchmark
    "fault": 1,  # a training with a bug planted
}


class Stage:
    """A folder `runs/<profile>/<name>-<key>/` that counts as finished once it has a manifest."""

    def __init__(self, runs: Path, name: str, inputs: Mapping[str, Any]) -> None:
        """`inputs`: all that decides the result, but the version of its kind, which `name` begins with.

        The key is the hash of both. Raises ValueError for a kind that has no version.
        """
        self.name, self.inputs = name, {"version": version_of(name.split("-")[0]), **inputs}
        self.key = digest(self.inputs)
        self.folder = runs / f"{name}-{self.key}"
        self.stays_open = False  # set by its maker where something is lacking: made anew next time

    @property
    def is_finished(self) -> bool:
        """Whether the stage was completed with exactly these inputs."""
        return (self.folder / MANIFEST).is_file()

    @property
    def lock(self) -> Path:
        """The file that whoever makes the stage holds locked."""
        return self.folder / f"stage{LOCK}"

    def path(self, file: str) -> Path:
        """A file of the stage, whether or not it exists."""
        return self.folder / file

    def finish(self, seconds: float) -> None:
        """Write the manifest: inputs, file hashes, versions, commit. The stage is then found.

        The files reach the disk before it; the journals, which an unfinished stage needs, are
        deleted after it. A stage that stays open gets none.
        """
        if self.stays_open:
            return
        for room in [*self.folder.rglob(f"*{PARTIAL}")]:  # of a run that was killed
            shutil.rmtree(room, ignore_errors=True)
        files = sorted(p for p in self.folder.rglob("*") if p.is_file() and p.suffix != ".jpg")
        files = [p for p in files if not {JOURNAL, LOCK} & set(p.suffixes)]
        with writing(self.folder):
            for path in files:
                _sync(path)
        write_json(
            self.folder / MANIFEST,
            {
                "stage": self.name,
                "key": self.key,
                "inputs": self.inputs,
                "seconds": round(seconds, 1),
                "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
                "files": {str(p.relative_to(self.folder)): fingerprint(p) for p in files},
                "versions": versions(),
                "commit": git_commit(),
            },
        )
        for path in self.folder.rglob(f"*{JOURNAL}"):
            path.unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove what a kill right after the manifest was written left of its writing."""
        shutil.rmtree(self.folder / f"{MANIFEST}{PARTIAL}", ignore_errors=True)

    def manifest(self) -> dict[str, Any]:
        """The manifest of a finished stage."""
        if not self.is_finished:
            raise SeedError(
                f"stage {self.name} is not finished in {self.folder}; run: seednb report"
            )
        return read_json(self.folder / MANIFEST)


def version_of(kind: str) -> int:
    """The version of a kind of result, for its key. Raises ValueError if it has none."""
    if kind not in VERSIONS:
        raise ValueError(
            f"results of kind {kind!r} have no version; there are {', '.join(VERSIONS)}"
        )
    return VERSIONS[kind]


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
                _sync(file)
            if path.is_dir() and (room / path.name).is_dir():  # a file never takes a folder's place
                shutil.rmtree(path)
            (room / path.name).replace(path)
            _sync(path.parent)
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


def _sync(path: Path) -> None:
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


def digest(value: Any) -> str:
    """Twelve hexadecimal digits that change whenever the value does."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def fingerprint(path: Path) -> str:
    """sha256 of a file; of one over 64 MiB, of its size and of its first and last MiB."""
    sha = hashlib.sha256()
    size = path.stat().st_size
    with path.open("rb") as stream:
        if size <= WHOLE_FILE:
            sha.update(stream.read())
        else:
            sha.update(f"{size}:".encode() + stream.read(END))
            stream.seek(-END, os.SEEK_END)
            sha.update(stream.read(END))
    return sha.hexdigest()


def folder_fingerprint(folder: Path) -> str:
    """Fingerprint of all files directly in a folder (a checkpoint, an adapter)."""
    return digest({p.name: fingerprint(p) for p in sorted(folder.iterdir()) if p.is_file()})


def versions() -> dict[str, str]:
    """Versions of what decides the numbers."""
    names = (
        "torch",
        "transformers",
        "peft",
        "accelerate",
        "numpy",
        "pillow",
        "pandas",
        "tokenizers",
    )
    return {"python": platform.python_version()} | {name: version(name) for name in names}


def git_commit() -> str:
    """The commit of the source tree, "+" if there are changes, or "no git"."""
    here = Path(__file__).parent
    commands = (["rev-parse", "--short", "HEAD"], ["status", "--porcelain"])
    try:
        commit, changes = (
            subprocess.run(
                ["git", *command], cwd=here, capture_output=True, text=True, check=True
            ).stdout.strip()
            for command in commands
        )
    except (OSError, subprocess.CalledProcessError):
        return "no git"
    return commit + ("+" if changes else "")
