"""Verbs that need no model: `seednb score BENCHMARK` and `seednb build-pope`."""

import argparse
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seednb.cli.options import Parser, add_verb
from seednb.core.errors import SeedError

if TYPE_CHECKING:
    from seednb.evaluation.benchmarks.base import Benchmark

Row = dict[str, Any]


PROBES = """
seednb build-pope --objects gt.json --split adversarial > probes.jsonl
"""


def add(verbs: Any) -> None:
    """Add `score` with its benchmarks, and `build-pope`."""
    scores = verbs.add_parser(
        "score",
        help="score answers that any model wrote",
        description="Score answers that any model wrote; no model runs.",
        epilog="examples: seednb score pope --help, seednb score vqa --help",
    )
    scores.later = _add_benchmarks
    verb = add_verb(verbs, "build-pope", build_pope, "POPE probes from annotations", PROBES)
    verb.add_argument("--objects", required=True, type=Path, help="JSON: image -> list of objects")
    verb.add_argument("--split", required=True, choices=("random", "popular", "adversarial"))
    verb.add_argument("--images", type=Path, help="text file: images to probe, one a line")
    verb.add_argument("--seed", type=int, default=42)


def _add_benchmarks(scores: Parser) -> None:
    from seednb.evaluation.benchmarks.registry import BENCHMARKS

    benchmarks = scores.add_subparsers(required=True, metavar="BENCHMARK")
    for one in BENCHMARKS.values():
        verb = add_verb(
            benchmarks, one.command, partial(score, one), one.title, "\n".join(one.examples)
        )
        for flag, settings in one.options:
            verb.add_argument(flag, **settings)


def score(benchmark: "Benchmark", options: argparse.Namespace) -> None:
    """Score and print. A SeedError begins with the scored file: the scorer is given rows, not files."""
    given = {key: value for key, value in vars(options).items() if isinstance(value, Path)}
    try:
        scored = benchmark.score_files(options)
    except SeedError as problem:
        if any(str(path) in str(problem) for path in given.values()):
            raise
        file = next(given[key] for key in ("answers", "captions", "results") if key in given)
        raise SeedError(f"{file}: {problem}") from problem
    if options.json and scored.figures:
        both = scored.figures | ({"comparison": scored.comparison} if scored.comparison else {})
        print(json.dumps({key: _or_null(value) for key, value in both.items()}))
    elif scored.tables:
        _print_tables(scored.tables)
    else:
        for key, value in _flat(scored.figures):
            print(f"{key:<24}{value:.5f}" if isinstance(value, float) else f"{key:<24}{value}")
        if scored.comparison:
            _print_comparison(scored.comparison)


def build_pope(options: argparse.Namespace) -> None:
    """Print probes as JSON lines."""
    from seednb.data.probes import build_probes, read_objects

    objects = read_objects(options.objects)
    if options.images:
        objects = _chosen(objects, options.images)
    for probe in build_probes(objects, options.split, seed=options.seed):
        print(json.dumps(probe))


def _chosen(objects: dict[str | int, list[str]], images: Path) -> dict[str | int, list[str]]:
    """The objects of the images that a text file names, in its order."""
    from seednb.evaluation.records import list_ids

    try:
        names = images.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as problem:
        raise SeedError(f"{images} cannot be read ({problem}); check the path") from None
    unknown = [name for name in names if name not in objects]
    if unknown:
        raise SeedError(f"{images}: no objects are known of {list_ids(unknown)}; drop those lines")
    return {name: objects[name] for name in names}


def _print_tables(tables: Sequence[tuple[str, Any]]) -> None:
    from seednb.report.tables import as_text

    for sentence, table in tables:
        if sentence:
            print(sentence)
        if len(table):
            print(as_text(table))


def _print_comparison(rows: Sequence[Row]) -> None:
    """Levels, then differences to the base and to each control."""
    from seednb.evaluation.comparison import BASE, METHOD
    from seednb.report.tables import difference_table, level_table

    controls = [row["versus"] for row in rows if row["model"] == METHOD]
    versus = dict.fromkeys([BASE, *filter(None, controls)])
    title = "levels, in percent (mentions: a caption), with 95% intervals over images"
    _print_tables([(f"\n{title}", level_table(rows))])
    _print_tables([(f"\nminus {one}, in points", difference_table(rows, one)) for one in versus])
    if rows[0]["benchmark"] == "pope" and not any(row["metric"] == "auc" for row in rows):
        print("\nno AUC and no re-fitted threshold: the answers have no margins")


def _or_null(value: Any) -> Any:
    """A ratio of nothing is NaN, which JSON does not have."""
    return None if value != value else value


def _flat(scores: Row, prefix: str = "") -> list[tuple[str, Any]]:
    """The figures, the names of nested ones joined by dots."""
    lines: list[tuple[str, Any]] = []
    for key, value in scores.items():
        name = f"{prefix}{key}"
        lines += _flat(value, f"{name}.") if isinstance(value, dict) else [(name, value)]
    return lines
