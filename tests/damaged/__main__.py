"""Print every damaged input with what became of it: python -m tests.damaged [words of a name]"""

import sys
import warnings

from . import outcomes


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
