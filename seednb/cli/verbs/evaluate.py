"""`seednb evaluate`: POPE and CHAIR of an adapter, or published benchmarks."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seednb.cli.options import Parser, add_dry_run, add_profile, add_verb, open_experiment
from seednb.core.errors import SeedError

if TYPE_CHECKING:
    from seednb.experiments.experiment import Experiment

EXAMPLES = """
seednb evaluate --model runs/pocket/train-v7-replay-…/adapter --compare
seednb evaluate --params params/llava-1.5-7b.yaml --benchmarks pope,chair,mme --model runs/…/adapter --json
"""


def add(verbs: Any) -> None:
    """Add the verb."""
    verb = add_verb(verbs, "evaluate", evaluate, "POPE and CHAIR of an adapter, or published benchmarks", EXAMPLES)  # fmt: skip
    verb.later = _add_options


def _add_options(verb: Parser) -> None:
    from seednb.evaluation.benchmarks.registry import BENCHMARKS

    add_profile(verb)
    verb.add_argument("--model", type=Path, help="adapter folder")
    verb.add_argument("--benchmarks", default="", metavar="NAME,NAME", help=f"published benchmarks below benchmarks_dir: {', '.join(BENCHMARKS)}, or all; the base model and, with --model, the adapter")  # fmt: skip
    verb.add_argument("--trained-on", metavar="PAIRS.json", help="the adapter's training pairs, to refuse benchmarks about the same images (default: the profile's); unknown: no such check")  # fmt: skip
    verb.add_argument("--json", action="store_true", help="with --benchmarks: rows as in metrics.json")  # fmt: skip
    verb.add_argument("--compare", action="store_true", help="also the base model, and the difference")  # fmt: skip
    verb.add_argument("--contrast", action="store_true", help="decode from purified logits, too: -p contrast_beta=…, caption_beams=…")  # fmt: skip
    verb.add_argument("--pope-n", type=int, metavar="N", help="images to probe")
    verb.add_argument("--chair-n", type=int, metavar="N", help="images to caption")
    add_dry_run(verb)


def evaluate(options: argparse.Namespace) -> None:
    """Probe and caption with an adapter, with --compare also with the base; or run benchmarks."""
    from seednb.cli.dry_run import show_benchmarks, show_evaluate
    from seednb.core.devices import process_state
    from seednb.evaluation.benchmarks.registry import BENCHMARKS
    from seednb.report.tables import as_text

    lab = open_experiment(options, pope_images=options.pope_n, caption_images=options.chair_n)
    adapter, compare, contrast = options.model, options.compare, options.contrast
    if not adapter and not options.benchmarks:
        raise SeedError(
            "give --model FOLDER, or --benchmarks NAME,NAME; see: seednb evaluate --help"
        )
    if contrast and options.benchmarks:
        raise SeedError("--contrast goes with POPE and CHAIR of an adapter, not with --benchmarks")
    names = [name.strip() for name in options.benchmarks.split(",") if name.strip()]
    names = list(BENCHMARKS) if names == ["all"] else names
    if options.dry_run:
        would_ask = show_evaluate(lab.params, adapter, compare, contrast)
        for line in show_benchmarks(lab.params, names, adapter) if names else would_ask:
            print(line)
    elif options.benchmarks:
        _run_benchmarks(lab, names, options)
    else:
        table = lab.compare(adapter, compare, contrast)
        if process_state().is_main_process:
            print(as_text(table))


def _run_benchmarks(lab: "Experiment", names: Sequence[str], options: argparse.Namespace) -> None:
    """Answer, score and print; a benchmark without data gets a sentence on stderr.

    Raises SeedError if none could be scored.
    """
    from seednb.core.devices import process_state
    from seednb.experiments.published import Benchmarks
    from seednb.report.tables import as_text, difference_table, headlines, level_table

    rows = []
    is_main = process_state().is_main_process
    for outcome in Benchmarks(lab).run(names, options.model, options.trained_on):
        rows += outcome.rows
        for note in outcome.notes if is_main else ():
            print(note, file=sys.stderr)
    if not rows:
        raise SeedError("no benchmark could be scored; the sentences above say how to get the data")
    if not is_main:
        return
    if options.json:
        print(json.dumps(rows))
        return
    print(as_text(level_table(headlines(rows))))
    differences = difference_table(headlines(rows))
    if len(differences):
        print(f"\nminus the base model, in points\n{as_text(differences)}")
    print(f"\nall {len(rows)} rows: add --json; they are kept in {lab.runs}/scores-*/scores.json")
