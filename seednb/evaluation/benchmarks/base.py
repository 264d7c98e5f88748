"""What a benchmark's file declares, and what several of them need.

Each file of this package ends in one `BENCHMARK`: where its data comes from and how it lies on disk,
what is asked of a model, how answers are scored, and which figures its papers print. The registry
collects them; `--help`, `choices`, `seednb doctor` and the tables derive from it.

Nothing is downloaded by this project. The commands are run in the folder of benchmarks (parameter
`benchmarks_dir`, default `data/benchmarks`) and leave the layout that `seednb evaluate --benchmarks`
reads. A checksum is given only for files that were at hand when the scorers were checked against
published figures; of any other file `seednb doctor` prints the sha256, for two people to compare.
"""

from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from seednb.core.errors import SeedError
from seednb.core.profiles import Params
from seednb.evaluation.comparison import Label, compare_sums
from seednb.evaluation.parsers import Language
from seednb.evaluation.records import Record
from seednb.evaluation.stats import Statistic

COCO = "http://images.cocodataset.org"
HUB = "https://huggingface.co"
GITHUB = "https://github.com"
OFFICIAL = "official"
ONE_WORD = "\nAnswer the question using a single word or phrase."  # as LLaVA's evaluation asks
YES_NO = (" Yes", " No")  # first tokens whose logits make a margin

AnswersByModel = Mapping[
    str, Mapping[str, Sequence[Record]]
]  # model -> name of the asked part -> lines
Option = tuple[str, dict[str, Any]]  # flag, and what argparse takes with it


class Absent(SeedError):
    """The data of a benchmark is not there."""


@dataclass(frozen=True)
class Download:
    """One download. Each of its files is named by where it may lie, below the folder of benchmarks.

    Names are paths or patterns; the first is where the commands put it.
    """

    name: str
    title: str
    url: str
    licence: str
    files: tuple[tuple[str, ...], ...]
    commands: tuple[str, ...]
    sha256: Mapping[str, str] = field(default_factory=dict)  # first name -> of the checked copy


VAL2014 = Download(
    "val2014",
    "COCO images, val2014",
    f"{COCO}/zips",
    "each photograph under its own Flickr licence",
    (("val2014", "coco/val2014"),),
    (f"wget {COCO}/zips/val2014.zip", "unzip val2014.zip"),
)


@dataclass(frozen=True)
class Folders:
    """Where to look: the folder of benchmarks first, then the profile's own data."""

    benchmarks: Path
    data: Path
    shown: str  # the folder of benchmarks in messages, as the profile writes it

    @classmethod
    def of(cls, params: Params) -> "Folders":
        """Those of a profile."""
        name = params.run.benchmarks_dir
        return cls(params.path(name), params.path(params.data.data_root), name)

    def locate(self, benchmark: "Benchmark") -> list[Path]:
        """Files and folders that a benchmark needs, in the order of its downloads' files.

        Raises `Absent`.
        """
        return [
            self.find(names, download, benchmark.name)
            for download in benchmark.downloads
            for names in download.files
        ]

    def find(self, names: Sequence[str], download: Download, wanted_by: str) -> Path:
        """The first of some files or folders that is there; raises `Absent` with the download."""
        for place in (self.benchmarks, self.data):
            for name in names:
                found = sorted(place.glob(name))
                if found:
                    return found[0]
        raise Absent(
            f"{wanted_by}: {names[0]} is not in {self.shown}; run there: "
            f"{' && '.join(download.commands)}"
        )


@dataclass(frozen=True)
class CaptionSettings:
    """What CHAIR asks of the profile: the prompt, how many images, and the seed that draws them."""

    prompt: str
    n_images: int
    seed: int


@dataclass(frozen=True)
class Asked:
    """Questions about the images of one folder, answered into one file.

    Every question is a row with `question_id`, `image` and `text`. `entry` is what the benchmark's
    scorer wants back beside the answer, under the key `reply`; `yes_no` are the two words of a
    yes/no question, and `choices` those of a multiple-choice one, whose `question` alone is asked
    when choices are ranked by likelihood.
    """

    name: str
    questions: list[Record]
    images: Path
    ranked: bool = False  # choices by likelihood instead of an answer in words


@dataclass(frozen=True)
class Material:
    """One benchmark: what is asked, what is true, and the files that decide both."""

    benchmark: str
    asked: tuple[Asked, ...]
    truth: Record
    files: tuple[Path, ...]

    def images(self) -> list[str]:
        """The names of all images that are asked about, each once."""
        return list(dict.fromkeys(row["image"] for part in self.asked for row in part.questions))


@dataclass(frozen=True)
class Remarks:
    """Sentences about a score: what it is, and what it lacks for want of word data."""

    notes: list[str] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Headline:
    """The figures that papers print: metrics, of some splits or of all (None)."""

    metrics: tuple[str, ...]
    splits: tuple[str, ...] | None = None

    def has(self, row: Record) -> bool:
        """Whether a row of the benchmark is one of them."""
        return row["metric"] in self.metrics and (
            self.splits is None or row["split"] in self.splits
        )


@dataclass(frozen=True)
class Scored:
    """What `seednb score` prints: figures, rows against a baseline, or tables instead of figures."""

    figures: Record
    comparison: Sequence[Record] = ()
    tables: Sequence[tuple[str, pd.DataFrame]] = ()  # (sentence above, table), for people


@dataclass(frozen=True)
class Benchmark:
    """One benchmark, as everything that lists benchmarks reads it."""

    name: str
    title: str  # in the help of `seednb score`
    downloads: tuple[Download, ...]  # all of them are needed; the first is its own
    headline: Headline
    read_files: Callable[[Folders, CaptionSettings], Material]
    compare: Callable[[Record, AnswersByModel, Label, Remarks], Iterator[Record]]
    score_files: Callable[[Namespace], Scored]
    options: tuple[Option, ...]  # of `seednb score`
    examples: tuple[str, ...]
    read_questions: Callable[[Path], list[Record]] | None = None  # of `seednb answer`
    read_questions_in: Callable[[Path, Language, Path], list[Record]] | None = None
    extras: tuple[Download, ...] = ()  # downloads that it can do without
    position: int = 100  # in lists
    verb: str = ""  # after `seednb score` and `seednb answer --benchmark`, if it is not the name

    @property
    def command(self) -> str:
        """Its name after `seednb score`."""
        return self.verb or self.name


def option(flag: str, help: str | None = None, **more: Any) -> Option:
    """An option of `seednb score`."""
    return flag, {"help": help} | more


AS_JSON = option("--json", "one JSON object", action="store_true")


def answer_options(content: str) -> tuple[Option, ...]:
    """The file of answers, whether it may be incomplete, and the form of the scores."""
    return (
        option("--answers", content, required=True, type=Path),
        option("--allow-partial", "score the ids that both files hold", action="store_true"),
        AS_JSON,
    )


def rows_if_any(
    sums: Mapping[str, pd.DataFrame],
    statistics: Mapping[str, Statistic],
    label: Label,
    **place: Any,
) -> Iterator[Record]:
    """Rows of figures, if the benchmark's files hold any question of the kind.

    `place` is what the label does not say yet: `split` and `variant`.
    """
    if all(len(frame) for frame in sums.values()):
        yield from compare_sums(sums, statistics, replace(label, **place))


def rows_under(key: str, document: Any, path: Path) -> list[Record]:
    """The list of objects under a key of an official file."""
    rows = document.get(key) if isinstance(document, dict) else None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise SeedError(f"{path} has no list of objects under {key!r}; give the official file")
    return rows


def get(row: Any, key: str, file: Path, kind: type = object) -> Any:
    """A value, of one type if that is named, that every entry of a question file must have."""
    if not isinstance(row, dict) or key not in row:
        raise SeedError(f"{file}: an entry has no {key!r}; give the official question file")
    if not isinstance(row[key], kind):
        raise SeedError(f"{file}: {key!r} is {row[key]!r:.60} in an entry; give the official file")
    return row[key]
