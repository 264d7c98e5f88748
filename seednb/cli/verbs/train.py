"""`seednb train`: one version's adapter; an unfinished run goes on from its last checkpoint."""

import argparse
from pathlib import Path
from typing import Any

from seednb.cli.options import (
    add_dry_run,
    add_profile,
    add_verb,
    open_experiment,
    refuse_less_than_one,
)
from seednb.core.console import sparkline
from seednb.method.recipes import LABELS, RECIPES, SELF

EXAMPLES = """
seednb train --version v7
accelerate launch -m seednb.cli train --params params/llava-1.5-7b.yaml --version v7
"""


def add(verbs: Any) -> None:
    """Add the verb and its options."""
    verb = add_verb(verbs, "train", train, "train one version's adapter", EXAMPLES)
    add_profile(verb)
    verb.add_argument("--version", default="v7", choices=tuple(RECIPES), help="default: v7")
    verb.add_argument("--epochs", type=int, help="instead of the version's")
    verb.add_argument("--data", type=Path, help="instruction pairs (JSON) instead of the profile's")
    verb.add_argument("--labels", default=LABELS[0], choices=(*LABELS, SELF))
    verb.add_argument("--resume", action="store_true", help="go on from the last checkpoint (default: an unfinished run always does)")  # fmt: skip
    add_dry_run(verb)


def train(options: argparse.Namespace) -> None:
    """Train and say where the adapter lies; or show what would be trained."""
    from seednb.cli.dry_run import show_train
    from seednb.core.devices import process_state
    from seednb.training.history import CURVE

    refuse_less_than_one("--epochs", options.epochs)
    lab = open_experiment(options)
    version, labels, epochs, pairs = options.version, options.labels, options.epochs, options.data
    if options.dry_run:
        for line in show_train(lab.params, version, labels, epochs, pairs):
            print(line)
        return
    training = lab.train(version, labels, epochs, pairs)
    if process_state().is_main_process:
        loss = training.curve["loss"].dropna().tolist()
        print(f"loss     {sparkline(loss)} {loss[0]:.3f} to {loss[-1]:.3f} in {len(loss)} steps")
        print(f"curve:   {training.folder / CURVE}")
        print(f"adapter: {training.folder / 'adapter'} ({training.seconds:.0f} s)")
