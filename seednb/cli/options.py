"""What the verbs share: how one is added, and the options that name a profile and change it.

argparse and not typer: a verb of typer's has as many lines, and excludes options from each other by
hand. Its import takes as long as our whole --help, which would run the examples together in one paragraph.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seednb.core.errors import SeedError

if TYPE_CHECKING:
    from seednb.experiments.experiment import Experiment

DEFAULT_PARAMS = Path("params/pocket.yaml")


class Parser(argparse.ArgumentParser):
    """A parser that may add its options when it is asked for, so that other verbs need no imports."""

    later: Callable[["Parser"], None] | None = None

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does, with all options."""
        if self.later:
            add, self.later = self.later, None
            add(self)
        return super().parse_known_args(args, namespace)


def add_verb(
    verbs: Any, name: str, function: Callable[[argparse.Namespace], None], help: str, examples: str
) -> Parser:
    """A sub-parser whose --help ends with `examples`, one a line, and whose `verb` is `function`."""
    verb: Parser = verbs.add_parser(
        name,
        help=help,
        description=help[0].upper() + help[1:] + ".",
        epilog="\n  ".join(["examples:", *examples.strip().splitlines()]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.set_defaults(verb=function)
    return verb


def add_profile(verb: Parser) -> None:
    """--params and -p, which `overrides` and `open_experiment` read."""
    verb.add_argument("--params", type=Path, default=DEFAULT_PARAMS, help=f"profile (default: {DEFAULT_PARAMS})")  # fmt: skip
    add_overrides(verb, "override one parameter; list: seednb params")


def add_overrides(verb: Parser, help: str) -> None:
    """-p alone."""
    verb.add_argument("-p", action="append", default=[], metavar="key=value", dest="overrides", help=help)  # fmt: skip


def add_dry_run(verb: Parser) -> None:
    """--dry-run."""
    verb.add_argument("--dry-run", action="store_true", help="say what would run, and check the inputs")  # fmt: skip


def overrides(options: argparse.Namespace) -> dict[str, Any]:
    """The -p options; a path that exists is made absolute, as it was meant where it was typed."""
    from seednb.core.profiles import declared, parse_override

    values = dict(parse_override(text) for text in options.overrides)
    paths = {item.name for _, item in declared() if item.metadata["is_path"]}
    for key in values.keys() & paths:
        path = Path(str(values[key])).expanduser()
        if path.exists():
            values[key] = str(path.resolve())
    return values


def open_experiment(options: argparse.Namespace, **parameters: Any) -> "Experiment":
    """The profile at work; `parameters` that are not None win over its file and over -p."""
    from seednb.experiments.experiment import Experiment

    changed = {key: value for key, value in parameters.items() if value is not None}
    return Experiment.open(options.params, overrides(options) | changed)


def refuse_less_than_one(option: str, value: int | None) -> None:
    """Raise SeedError for a count that was given and is not at least 1."""
    if value is not None and value < 1:
        raise SeedError(f"{option} {value}: must be at least 1")
