"""Finished stages on disk: typed files, written whole or not at all, found again by their key."""

import ast
import hashlib
import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors import SafetensorError

from seednb.errors import SeedError

PACKAGE = Path(__file__).parent
MANIFEST = "manifest.json"
WHOLE_FILE = 64 * 1024 * 1024  # bytes; of a larger file, size and both ends are hashed
END = 1024 * 1024  # bytes
PARTIAL, JOURNAL, LOCK = ".partial", ".journal", ".lock"  # of a stage that is being made


class Stage:
    """A folder `runs/<profile>/<name>-<key>/` that counts as finished once it has a manifest."""

    def __init__(self, runs: Path, name: str, inputs: Mapping[str, Any]) -> None:
        """`inputs`: everything that decides the result; the key is their hash."""
        self.name, self.inputs = name, dict(inputs)
        self.key = digest(self.inputs)
        self.folder = runs / f"{name}-{self.key}"

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
        deleted after it.
        """
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


def code_fingerprint(*modules: str) -> str:
    """Hash of modules of this package and of all that they import from it, directly or not.

    Editing the report's layout does not touch the key of a training run.
    """
    waiting, seen = [f"seednb.{name}" for name in modules], dict[str, str]()
    while waiting:
        name = waiting.pop()
        for file in _source_files(name):
            if str(file) not in seen:
                seen[str(file)] = fingerprint(file)
                waiting += _imports(file)
    return digest({str(Path(k).relative_to(PACKAGE)): v for k, v in seen.items()})


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
    commands = (["rev-parse", "--short", "HEAD"], ["status", "--porcelain"])
    try:
        commit, changes = (
            subprocess.run(
                ["git", *command], cwd=PACKAGE, capture_output=True, text=True, check=True
            ).stdout.strip()
            for command in commands
        )
    except (OSError, subprocess.CalledProcessError):
        return "no git"
    return commit + ("+" if changes else "")


def _source_files(module: str) -> list[Path]:
    """The file of a module, or all files of a package."""
    path = PACKAGE.joinpath(*module.split(".")[1:])
    if path.is_dir():
        return sorted(path.rglob("*.py"))
    return [path.with_suffix(".py")] if path.with_suffix(".py").is_file() else []


@cache
def _imports(file: Path) -> tuple[str, ...]:
    """Modules of this package that a file imports."""
    return imported_modules(file.read_text(encoding="utf-8"))


def imported_modules(source: str) -> tuple[str, ...]:
    """Modules of this package that some Python source imports, wherever in it."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(name for name in found if name.startswith("seednb."))
