"""Print every damaged input with what became of it: python -m tests.damaged [words of a name]"""

import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

from . import CASES, Case, Outcome, outcome


def outcomes(words: str = "") -> Iterator[tuple[Case, Outcome]]:
    """Each case whose name has the words, in a folder of its own, and what happened."""
    for case in CASES:
        if words in case.name:
            with tempfile.TemporaryDirectory() as folder:
                happened = outcome(case, Path(folder))
                detail = happened.detail.replace(folder, "…")
            yield case, Outcome(happened.kind, detail, happened.seconds)


def main(words: str) -> int:
    """Print the table; returns the number of cases that did not end as they should."""
    warnings.simplefilter("ignore")
    n_bad = 0
    for case, happened in outcomes(words):
        is_bad = happened.kind != case.expected
        n_bad += is_bad
        mark = "!" if is_bad else " "
        print(f"{mark} {happened.kind:<8}{case.name:<58}{happened.detail}", flush=True)
    print(f"{n_bad} ended otherwise than expected")
    return n_bad


if __name__ == "__main__":
    sys.exit(bool(main(" ".join(sys.argv[1:]))))
