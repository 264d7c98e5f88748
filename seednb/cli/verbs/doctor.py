"""Verbs that tell and change nothing: `plan`, `doctor` and `params`."""

import argparse
import json
from dataclasses import asdict
from itertools import groupby
from typing import Any

from seednb.cli.options import DEFAULT_PARAMS, add_profile, add_verb, overrides
from seednb.core.console import marked, styled
from seednb.model import cost_model

PLANS = """
seednb plan --card h100
seednb plan --gpus 8 --model llava-1.5-13b --examples-a-step 128
python benchmarks/projection.py      (from 1 to 1,024 cards)
"""
EXAMINATIONS = """
seednb doctor --params params/llava-1.5-7b.yaml
seednb doctor --json
"""


def add(verbs: Any) -> None:
    """Add the verbs and their options."""
    verb = add_verb(verbs, "plan", plan, "hours and memory of a full run", PLANS)
    verb.add_argument("--gpus", type=int, default=1, metavar="N", help="cards (default: 1)")
    verb.add_argument("--card", default="h100", choices=tuple(cost_model.CARDS), help="default: h100")  # fmt: skip
    verb.add_argument("--model", default="llava-1.5-7b", choices=tuple(cost_model.SHAPES), help="default: llava-1.5-7b")  # fmt: skip
    verb.add_argument("--pairs", type=int, default=150_000)
    verb.add_argument("--epochs", type=int, default=3)
    verb.add_argument("--examples-a-step", type=int, metavar="G", help="default: as many as all cards hold at once")  # fmt: skip
    verb.add_argument("--json", action="store_true", help="as one JSON object")

    verb = add_verb(verbs, "doctor", doctor, "machine, versions, data, licences, next command", EXAMINATIONS)  # fmt: skip
    add_profile(verb)
    verb.add_argument("--json", action="store_true", help="files, downloads and checksums as one JSON object")  # fmt: skip

    add_verb(verbs, "params", params, "every parameter: default, range, unit, meaning", "seednb params")  # fmt: skip


def plan(options: argparse.Namespace) -> None:
    """Print what a run takes: settings, memory, seconds a step, hours."""
    from seednb.core.profiles import load_params

    measured = cost_model.Measured.read(load_params(DEFAULT_PARAMS).root)
    card = cost_model.CARDS[options.card]
    run = cost_model.plan(
        measured,
        card,
        cost_model.SHAPES[options.model],
        n_cards=options.gpus,
        n_samples=options.pairs * options.epochs,
        examples_a_step=options.examples_a_step,
    )
    if options.json:
        print(json.dumps(asdict(run) | {"hours": run.hours}))
        return
    print(f"projected from {cost_model.RESULTS}/{cost_model.TRAINING}.json (measured: {measured.card.name})")  # fmt: skip
    print(f"a card  {run.settings}, {run.peak_gib:.1f} of {card.memory_gib} GiB")
    print(f"a step  {run.examples_a_step} examples, {run.step_s:.3g} s, of which {run.sharing_s:.2g} s add gradients")  # fmt: skip
    print(f"in all  {run.n_steps} steps, {run.hours:.3g} hours on {run.n_cards} {card.name}")


def doctor(options: argparse.Namespace) -> None:
    """Say what is there, what is missing, and the next command."""
    from seednb.cli.examination import examine, facts
    from seednb.core.profiles import load_params

    profile = load_params(options.params, overrides(options))
    print(json.dumps(facts(profile)) if options.json else marked(examine(profile)))


def params(options: argparse.Namespace) -> None:
    """Print every parameter."""
    from seednb.core.profiles import describe

    for section, rows in groupby(describe(), key=lambda row: row["section"]):
        print(f"\n{styled(section, 'bold')}")
        for row in rows:
            note = ", ".join(text for text in (row["allowed"], row["unit"]) if text)
            meaning = row["meaning"] + (f" ({note})" if note else "")
            print(f"  {row['name']:<24}{row['default'] or repr(''):<40} {meaning}")
