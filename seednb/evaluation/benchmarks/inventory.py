"""What of the published benchmarks and of their word data is on this machine, file by file."""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from seednb.evaluation.benchmarks.base import GITHUB, Absent, Download, Folders
from seednb.evaluation.benchmarks.registry import downloads
from seednb.evaluation.words import SPACY_MODEL

# Word data that Python packages look up by themselves.
NLTK_DATA = {  # path below an NLTK data folder -> licence
    "tokenizers/punkt_tab": "see source",
    "taggers/averaged_perceptron_tagger_eng": "see source",
    "corpora/wordnet": "WordNet licence",
}
NLTK_SOURCE = "https://www.nltk.org/nltk_data"
SPACY_SOURCE = f"{GITHUB}/explosion/spacy-models"
SPACY_LICENCE = "MIT"
SPACY_COMMAND = f"pip install spacy && python -m spacy download {SPACY_MODEL}"
CHECKED = "the copy that this project was checked with"
OTHER = "another copy than the one that this project was checked with"
UNPUBLISHED = "no checksum is known: compare it with another copy"


@dataclass(frozen=True)
class FoundFile:
    """A file or folder that is there, its sha256 (folders of images have none), what that says."""

    path: str
    sha256: str | None
    verdict: str


@dataclass(frozen=True)
class Item:
    """One download: a benchmark, images, or word data."""

    name: str
    title: str
    source: str
    licence: str
    missing: tuple[str, ...]
    found: tuple[FoundFile, ...]
    commands: tuple[str, ...]

    def as_row(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"is_complete": not self.missing}

    def as_lines(self, folder: Path = Path("/")) -> Iterator[str]:
        """For people: what it is, what is missing and how to get it, the checksums of the rest.

        Paths are shown from `folder` if they lie below it.
        """
        state = "missing" if not self.found else "in part" if self.missing else "found"
        yield f"  {state:<8} {self.name}: {self.title}; {self.source}; {self.licence}"
        if self.missing:
            yield f"             lacks {', '.join(self.missing)}; run:"
            yield from (f"               {command}" for command in self.commands)
        for file in self.found:
            path, checksum = Path(file.path), f"sha256 {file.sha256}: " if file.sha256 else ""
            shown = path.relative_to(folder) if path.is_relative_to(folder) else path
            yield f"             {shown}: {checksum}{file.verdict}"


def benchmark_items(folders: Folders) -> list[Item]:
    """Every download of the benchmarks, with its files that are there."""
    return [_download_item(download, folders) for download in downloads()]


def word_items() -> list[Item]:
    """NLTK's data for CHAIR and AMBER, and spaCy's vectors for AMBER."""
    return [*(_nltk_item(resource, licence) for resource, licence in NLTK_DATA.items()), _spacy()]


def sha256_of(path: Path) -> str:
    """sha256 of a file; of a folder, that of its files' `sha256sum` lines, sorted by name."""
    if path.is_file():
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    files = sorted(file for file in path.rglob("*") if file.is_file())
    lines = [f"{sha256_of(file)}  {file.relative_to(path).as_posix()}\n" for file in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _download_item(download: Download, folders: Folders) -> Item:
    found, missing = [], []
    for names in download.files:
        try:
            path = folders.find(names, download, download.name)
        except Absent:
            missing.append(names[0])
        else:
            found.append(_found(path, download.sha256.get(names[0])))
    return Item(
        name=download.name,
        title=download.title,
        source=download.url,
        licence=download.licence,
        missing=tuple(missing),
        found=tuple(found),
        commands=download.commands,
    )


def _found(path: Path, known: str | None) -> FoundFile:
    if path.is_dir():
        return FoundFile(str(path), None, f"a folder of {sum(1 for _ in path.iterdir())} entries")
    sha256 = sha256_of(path)
    if known is None:
        return FoundFile(str(path), sha256, UNPUBLISHED)
    return FoundFile(str(path), sha256, CHECKED if sha256 == known else f"{OTHER} ({known})")


def _nltk_item(resource: str, licence: str) -> Item:
    name, path = resource.split("/")[1], _nltk_path(resource)
    found = (FoundFile(str(path), sha256_of(path), UNPUBLISHED),) if path else ()
    missing = () if path else (resource,)
    command = f"python -m nltk.downloader {name}"
    return Item(name, "NLTK data", NLTK_SOURCE, licence, missing, found, (command,))


def _nltk_path(resource: str) -> Path | None:
    """Where NLTK finds a resource, unpacked or as a zip."""
    import nltk

    for folder in map(Path, nltk.data.path):
        for path in (folder / resource, folder / f"{resource}.zip"):
            if path.exists():
                return path
    return None


def _spacy() -> Item:
    try:
        found = [FoundFile(SPACY_MODEL, None, f"version {version(SPACY_MODEL)}")]
    except PackageNotFoundError:
        found = []
    missing = () if found else (SPACY_MODEL,)
    title = "spaCy's large English vectors"
    commands = (SPACY_COMMAND,)
    return Item("spacy", title, SPACY_SOURCE, SPACY_LICENCE, missing, tuple(found), commands)
