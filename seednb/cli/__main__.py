"""Command line: the same verbs as the library. Imports stay inside the verbs, so --help is quick."""

import sys
from collections.abc import Sequence

from seednb.cli.demo import verb as demo
from seednb.cli.options import Parser
from seednb.cli.verbs import (
    answer,
    check,
    doctor,
    evaluate,
    pocket_base,
    prepare_data,
    report,
    score,
    sweep,
    train,
)
from seednb.core.errors import SeedError

VERBS = (
    report, prepare_data, train, evaluate, answer, demo, check, score, sweep, pocket_base, doctor
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb. Returns 0 on success, 1 on a named failure; argparse exits with 2 on wrong usage."""
    options = build_parser().parse_args(arguments)
    try:
        options.verb(options)
    except SeedError as error:
        if options.debug:
            raise
        print(f"seednb: {error}", file=sys.stderr)
        return 1
    return 0


def build_parser() -> Parser:
    """All verbs with their options and examples."""
    parser = Parser(prog="seednb", description="SEED against visual hallucination, step by step.")
    parser.add_argument("--debug", action="store_true", help="show the traceback of a failure")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for module in VERBS:
        module.add(verbs)
    return parser


if __name__ == "__main__":
    sys.exit(main())
