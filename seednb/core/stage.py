"""Finished stages on disk: folders found again by a key of all that decides their content."""

import ast
import hashlib
import inspect
import json
import os
import platform
import shutil
import subprocess
import textwrap
import time
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from seednb.core.errors import SeedError
from seednb.core.files import JOURNAL, LOCK, PARTIAL, read_json, sync, write_json, writing

MANIFEST = "manifest.json"
WHOLE_FILE = 64 * 1024 * 1024  # bytes; of a larger file, size and both ends are hashed
END = 1024 * 1024  # bytes
# What the results of each kind mean. Raised by hand when the same inputs come to mean another result.
VERSIONS = {
    "world": 1,  # the generated images and annotations
    "pairs": 1,  # training pairs from a data set's files
    "questions": 1,  # probes, questions and true objects from a data set's files
    "labels": 1,  # the base model's own answers as labels
    "teacher": 1,  # the frozen teacher's hidden states
    "train": 1,
    "answers": 1,
    "metrics": 1,
    "ablation": 1,  # answers of a short training
    "rows": 1,  # metric rows of short trainings
    "robust": 1,  # answers under other wordings and worse images
    "benchmark": 1,  # answers to a published benchmark
    "scores": 1,  # metric rows of a published benchmark
    "fault": 1,  # a training with a bug planted
}
PACKAGE = Path(__file__).parents[1]
# The last three: typing, and fields that Python versions fill differently.
UNSEEN = ("annotation", "returns", "type_comment", "type_params", "kind", "ctx")


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
                sync(path)
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


def code_fingerprint(*modules: str) -> str:
    """Hash of modules of this package and of all that they import from it, directly or not.

    Neither a docstring nor the move of a module to another folder changes it.
    """
    waiting, seen = [f"{PACKAGE.name}.{name}" for name in modules], dict[Path, str]()
    while waiting:
        for file in _source_files(waiting.pop()):
            if file not in seen:
                seen[file], imports = _read(file.read_text(encoding="utf-8"))
                waiting += imports
    return digest(sorted(seen.values()))


def code_hash(item: Any) -> str:
    """Hash of a function or class by its syntax tree; of a constant, by its value."""
    if inspect.isroutine(item) or inspect.isclass(item):
        return source_hash(inspect.getsource(inspect.unwrap(item)))
    return digest(repr(item))


def source_hash(source: str) -> str:
    """Hash of the syntax tree of some source: the same under every version of Python."""
    return digest(_outline(ast.parse(textwrap.dedent(source))))


def imported_modules(source: str) -> tuple[str, ...]:
    """Modules of this package that some Python source imports, wherever in it."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(name for name in found if name.startswith(f"{PACKAGE.name}."))


@cache
def _read(source: str) -> tuple[str, tuple[str, ...]]:
    return source_hash(source), imported_modules(source)


def _source_files(module: str) -> list[Path]:
    """The file of a module, or all files of a package."""
    path = PACKAGE.joinpath(*module.split(".")[1:])
    if path.is_dir():
        return sorted(path.rglob("*.py"))
    return [path.with_suffix(".py")] if path.with_suffix(".py").is_file() else []


def _outline(node: Any) -> Any:
    """A syntax tree as nested lists, without what no run depends on."""
    if isinstance(node, list):
        return [_outline(item) for item in node if not _is_docstring(item)]
    if not isinstance(node, ast.AST):
        return repr(node)
    if _is_own_import(node):  # the names count, not where they are found
        return ["import", [[alias.name, alias.asname] for alias in node.names]]  # type: ignore[attr-defined]
    return [type(node).__name__, *_fields(node)]


def _fields(node: ast.AST) -> Iterator[Any]:
    for name, value in ast.iter_fields(node):
        if isinstance(node, ast.JoinedStr):  # some Python 3.12 add empty pieces to an f-string
            value = [part for part in value if getattr(part, "value", None) != ""]
        if name not in UNSEEN and value is not None and value != []:
            yield [name, _outline(value)]


def _is_docstring(node: Any) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _is_own_import(node: ast.AST) -> bool:
    return isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE.name
