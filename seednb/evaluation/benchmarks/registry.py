"""Every benchmark of this package, found by its file: what is listed anywhere derives from here."""

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from seednb.core.errors import SeedError
from seednb.data.readers import read_json_lines
from seednb.evaluation import benchmarks
from seednb.evaluation.benchmarks.base import (
    AnswersByModel,
    Benchmark,
    CaptionSettings,
    Download,
    Folders,
    Material,
    Remarks,
)
from seednb.evaluation.comparison import Label
from seednb.evaluation.parsers import NAMES, language_named
from seednb.evaluation.records import Record

OTHERS = ("base", "inventory", "registry")  # files of this package that are no benchmark
LINES = "lines"  # any questions, one a line


def _found() -> dict[str, Benchmark]:
    names = [module.name for module in iter_modules(benchmarks.__path__)]
    found: list[Benchmark] = [
        import_module(f"{benchmarks.__name__}.{name}").BENCHMARK
        for name in names
        if name not in OTHERS
    ]
    return {one.name: one for one in sorted(found, key=lambda one: (one.position, one.name))}


BENCHMARKS = _found()
ASKED = {LINES: read_json_lines} | {  # what `seednb answer --benchmark` takes -> its reader
    one.command: one.read_questions for one in BENCHMARKS.values() if one.read_questions
}


def downloads() -> list[Download]:
    """Each benchmark's own download, then what they share or can do without, each once."""
    own = [one.downloads[0] for one in BENCHMARKS.values()]
    more = [d for one in BENCHMARKS.values() for d in (*one.downloads[1:], *one.extras)]
    return list({download.name: download for download in (*own, *more)}.values())


def benchmark_named(name: str) -> Benchmark:
    """The benchmark, or SeedError listing the names."""
    if name not in BENCHMARKS:
        raise SeedError(f"benchmark {name!r} is unknown; there are {', '.join(BENCHMARKS)}")
    return BENCHMARKS[name]


def read_benchmark(name: str, folders: Folders, captions: CaptionSettings) -> Material:
    """A benchmark's questions and truth.

    Raises SeedError for an unknown benchmark and malformed files, and `Absent` for missing ones.
    """
    return benchmark_named(name).read_files(folders, captions)


def score_benchmark(
    material: Material, answers: AnswersByModel, label: Label
) -> tuple[list[Record], Remarks]:
    """Every published figure of a benchmark for each model, with differences to the base.

    `label` has the file names of the records and the bootstrap's settings; split and variant are
    filled in. What needs word data that is not there is left out and named.
    """
    remarks = Remarks()
    compare = BENCHMARKS[material.benchmark].compare
    return list(compare(material.truth, answers, label, remarks)), remarks


def read_questions(
    file: Path,
    images: Path,
    benchmark: str = LINES,
    language: str | None = None,
    names: Path | None = None,
) -> list[Record]:
    """The questions of a published benchmark (`ASKED`), checked.

    "lines" are any questions as POPE, LLaVA and others write them: `question_id`, `image` and
    `text`, one a line, and `choices`, a list, where there are some. `language` asks POPE's in
    another language, with object names from `names` or this project's table. Raises SeedError for
    an unknown benchmark or language and as `check_questions` does.
    """
    from seednb.evaluation.answer_files import check_questions  # brings torch: scoring needs none

    if benchmark not in ASKED:
        raise SeedError(f"benchmark {benchmark!r} is unknown; there are {', '.join(ASKED)}")
    if language:
        translated = {b.command: b.read_questions_in for b in BENCHMARKS.values()}.get(benchmark)
        if translated is None:
            raise SeedError(f"--language is for --benchmark pope, not {benchmark}; leave it out")
        rows = translated(file, language_named(language), names or NAMES)
    else:
        rows = ASKED[benchmark](file)
    check_questions(rows, file, images)
    return rows
