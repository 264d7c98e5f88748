"""`seednb prepare-data`: convert LLaVA-Instruct to instruction pairs."""

import argparse
from pathlib import Path
from typing import Any

from seednb.cli.options import add_overrides, add_verb, overrides

EXAMPLES = """
seednb prepare-data --input llava_instruct_150k.json --image-dir train2014 --output seed_50k.json --max-samples 50000
"""


def add(verbs: Any) -> None:
    """Add the verb and its options."""
    verb = add_verb(verbs, "prepare-data", prepare_data, "LLaVA-Instruct JSON -> instruction pairs", EXAMPLES)  # fmt: skip
    verb.add_argument("--input", required=True, type=Path, help="LLaVA-Instruct JSON")
    verb.add_argument("--image-dir", required=True, type=Path, help="folder of the images")
    verb.add_argument("--output", required=True, type=Path, help="JSON to write")
    verb.add_argument("--max-samples", type=int, help="stop after this many pairs")
    add_overrides(verb, "what to leave out: max_answer_overlap, drop_trivial_answers, …; see seednb params")  # fmt: skip


def prepare_data(options: argparse.Namespace) -> None:
    """Convert, and say what was written and left out."""
    from seednb.data import instruct
    from seednb.data.curation import Curator, curation

    summary = instruct.prepare_data(
        options.input,
        options.image_dir,
        options.output,
        options.max_samples,
        refuse=Curator(curation(overrides(options))),
    )
    for key, value in summary.items():
        print(f"{key}: {value}")
