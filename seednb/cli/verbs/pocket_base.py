"""`seednb pocket-base`: train a pocket checkpoint from nothing."""

import argparse
from pathlib import Path
from typing import Any

from seednb.cli.options import add_verb

EXAMPLES = """
seednb pocket-base --output my-base --seed 1      (about 18 minutes on one core)
"""


def add(verbs: Any) -> None:
    """Add the verb and its options."""
    verb = add_verb(verbs, "pocket-base", pocket_base, "re-train the pocket checkpoint", EXAMPLES)
    verb.add_argument("--output", required=True, type=Path, help="checkpoint folder to write")
    verb.add_argument("--seed", type=int, default=0)
    verb.add_argument("--device", default="cpu", help="cpu or cuda")


def pocket_base(options: argparse.Namespace) -> None:
    """Train, and say how long it took."""
    from seednb.model.pocket_base.build import build_base
    from seednb.model.pocket_base.recipe import BaseRecipe

    seconds = build_base(BaseRecipe(seed=options.seed), options.output, options.device)
    print(f"checkpoint: {options.output} ({sum(seconds.values()):.0f} s)")
