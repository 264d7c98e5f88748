"""`seednb evaluate --benchmarks`: published benchmarks, with tables for people or rows for machines."""

import argparse
import json
import sys
from typing import Any

from seednb.cli.options import Parser
from seednb.core.errors import SeedError


def add_benchmark_options(verb: Parser) -> None:
    """The options of `evaluate` that go with --benchmarks."""
    from seednb.evaluation.benchmarks.registry import BENCHMARKS

    verb.add_argument("--benchmarks", default="", metavar="NAME,NAME", help=f"published benchmarks below benchmarks_dir: {', '.join(BENCHMARKS)}, or all; the base model and, with --model, the adapter")  # fmt: skip
    verb.add_argument("--trained-on", metavar="PAIRS.json", help="the adapter's training pairs, to refuse benchmarks about the same images (default: the profile's); unknown: no such check")  # fmt: skip
    verb.add_argument("--json", action="store_true", help="with --benchmarks: rows as in metrics.json")  # fmt: skip


def wanted(listed: str) -> list[str]:
    """The names of a comma-separated list, or every one for "all"."""
    from seednb.evaluation.benchmarks.registry import BENCHMARKS

    names = [name.strip() for name in listed.split(",") if name.strip()]
    return list(BENCHMARKS) if names == ["all"] else names


def run_benchmarks(options: argparse.Namespace, lab: Any) -> None:
    """Answer, score and print; benchmarks without data get a sentence each.

    Raises SeedError if none could be scored.
    """
    from seednb.core.devices import one_card_each
    from seednb.experiments.published import Benchmarks
    from seednb.report.tables import as_text, difference_table, headlines, level_table

    names = wanted(options.benchmarks)
    rows = []
    speaks = one_card_each().is_main_process
    for outcome in Benchmarks(lab).run(names, options.model, options.trained_on):
        rows += outcome.rows
        for note in outcome.notes if speaks else ():
            print(note, file=sys.stderr)
    if not rows:
        raise SeedError("no benchmark could be scored; the sentences above say how to get the data")
    if not speaks:
        return
    if options.json:
        print(json.dumps(rows))
        return
    print(as_text(level_table(headlines(rows))))
    differences = difference_table(headlines(rows))
    if len(differences):
        print("\nminus the base model, in points")
        print(as_text(differences))
    print(f"\nall {len(rows)} rows: add --json; they are kept in {lab.runs}/scores-*/scores.json")
