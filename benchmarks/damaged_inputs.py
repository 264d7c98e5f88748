"""What becomes of every damaged input of the tests: it works, is skipped and counted, or is refused.

python benchmarks/damaged_inputs.py            (any machine; a quarter of a minute)
"""

import sys
import warnings
from collections import Counter
from pathlib import Path

from results import write_result

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from damaged import CRASH, ERROR, SKIPPED, WORKS, outcomes


def main() -> None:
    """Run every case in a folder of its own; write names, outcomes and sentences."""
    warnings.simplefilter("ignore")
    rows = [
        {"name": case.name, "expected": case.expected, "outcome": happened.kind}
        | {
            "detail": happened.detail.replace(str(Path.cwd()), "…"),
            "seconds": round(happened.seconds, 2),
        }
        for case, happened in outcomes()
    ]
    counts = Counter(row["outcome"] for row in rows)
    headline: dict[str, float] = {"inputs": len(rows)}
    headline |= {kind: counts[kind] for kind in (WORKS, SKIPPED, ERROR, CRASH)}
    headline["slowest_s"] = max(float(row["seconds"]) for row in rows)
    print(headline)
    print(write_result("damaged_inputs", rows, headline))


if __name__ == "__main__":
    main()
