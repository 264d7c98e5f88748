"""Finished stages on disk: folders found again by a key of all that decides their content."""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list

from seednb.core import files
from seednb.core.devices import process_state
from seednb.core.errors import SeedError

MANIFEST = "manifest.json"
WHOLE_FILE = 64 * 1024 * 1024  # bytes; of a larger file, size and both ends are hashed
END = 1024 * 1024  # bytes
# What the results of each kind mean. Raised by hand when the same inputs come to mean another result.
VERSIONS = {
    "world": 1,  # the generated images and annotations
    "pairs": 1,  # training pairs from a data set's files
    "questions": 1,  # probes, questions and true objects from a data set's files
    "labels": 2,  # the base model's own answers as labels
    "teacher": 2,  # the frozen teacher's hidden states
    "train": 2,
    "answers": 2,
    "metrics": 2,
    "ablation": 2,  # answers of a short training
    "rows": 1,  # metric rows of short trainings
    "robust": 2,  # answers under other wordings and worse images
    "benchmark": 2,  # answers to a published benchmark
    "scores": 1,  # metric rows of a published benchmark
    "fault": 2,  # a training with a bug planted
}
LIBRARIES = (  # their versions decide the numbers
    "torch", "transformers", "peft", "accelerate", "numpy", "pillow", "pandas", "tokenizers"
)  # fmt: skip


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
        return self.folder / f"stage{files.LOCK}"

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
        for room in list(self.folder.rglob(f"*{files.PARTIAL}")):  # of a run that was killed
            shutil.rmtree(room, ignore_errors=True)
        made = [
            path
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
            and path.suffix != ".jpg"
            and not {files.JOURNAL, files.LOCK} & {*path.suffixes}
        ]
        with files.writing(self.folder):
            for path in made:
                files.sync(path)
        files.write_json(
            self.folder / MANIFEST,
            {
                "stage": self.name,
                "key": self.key,
                "inputs": self.inputs,
                "seconds": round(seconds, 1),
                "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
                "files": {str(p.relative_to(self.folder)): fingerprint(p) for p in made},
                "versions": versions(),
                "commit": git_commit(),
            },
        )
        for path in self.folder.rglob(f"*{files.JOURNAL}"):
            path.unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove what a kill right after the manifest was written left of its writing."""
        shutil.rmtree(self.folder / f"{MANIFEST}{files.PARTIAL}", ignore_errors=True)

    def manifest(self) -> dict[str, Any]:
        """The manifest of a finished stage. Raises SeedError if it is not finished."""
        if not self.is_finished:
            raise SeedError(
                f"stage {self.name} is not finished in {self.folder}; run: seednb report"
            )
        return files.read_json(self.folder / MANIFEST)


@contextmanager
def making(
    stage: Stage, patience_s: float = files.PATIENCE_S, together: bool = True
) -> Iterator[bool]:
    """Whether a stage is left to make; the caller then makes it, and at the end it is finished.

    All processes of a run get the same answer, and its main process holds the stage's lock meanwhile;
    unless `together`, each process is a run of its own. Another run that makes the same stage is
    awaited for `patience_s` seconds, and is then a SeedError with its pid.
    """
    processes = process_state()
    leads = processes.is_main_process or not together
    must_lock = leads and not stage.is_finished
    if leads and not must_lock:
        stage.tidy()
    with files.locked(stage.lock, stage.folder.name, patience_s) if must_lock else nullcontext():
        is_left = not stage.is_finished
        if together:
            (is_left,) = broadcast_object_list([is_left])
        started = time.perf_counter()
        yield is_left
        if is_left and leads:
            stage.finish(time.perf_counter() - started)
        if is_left and together:
            processes.wait_for_everyone()


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
    """Versions of Python and of `LIBRARIES`."""
    return {"python": platform.python_version()} | {name: version(name) for name in LIBRARIES}


def git_commit() -> str:
    """The commit of the source tree, "+" if there are changes, or "no git"."""

    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        return subprocess.check_output(
            command, cwd=Path(__file__).parent, stderr=subprocess.DEVNULL, text=True
        ).strip()

    try:
        return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "no git"
