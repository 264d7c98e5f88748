"""One way to add a verb to the command line: its function, what it does, and commands that run.

argparse and not typer: a verb of typer's has as many lines, and excludes options from each other by
hand. Its import takes as long as our whole --help, which would run the examples together in one paragraph.
"""

import argparse
from collections.abc import Callable
from typing import Any


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
    verbs: Any, name: str, function: Callable[[argparse.Namespace], None], help: str, *examples: str
) -> Parser:
    """A sub-parser whose --help ends with `examples` and whose `verb` default is `function`."""
    lines = "\n".join(f"  {example}" for example in examples)
    verb: Parser = verbs.add_parser(
        name,
        help=help,
        description=help[0].upper() + help[1:] + ".",
        epilog=f"examples:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.set_defaults(verb=function)
    return verb
