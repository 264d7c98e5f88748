"""Which lines of `seednb` the tests run, by folder; commands and notebooks that they start count too.

python benchmarks/covered.py                   (all tests; about a quarter of an hour on one core)
python benchmarks/covered.py tests/test_x.py   (some tests; writes nothing)
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from results import write_result

ROOT = Path(__file__).parents[1]
LOW = 0.8  # modules below are named


def main(tests: Sequence[str]) -> None:
    """Run the tests, print the share of each folder and the modules that are low; write the result."""
    with tempfile.TemporaryDirectory(prefix="covered-") as folder:
        report = measure(Path(folder), tests)
    rows = folder_rows(report["files"])
    for row in rows:
        print(f"{row['name']:<24} {row['covered']:>5} of {row['lines']:>5}  {row['share']:.1%}")
        for module, share in row["low"].items():
            print(f"    {module:<32} {share:.1%}")
    lines, covered = (sum(row[key] for row in rows) for key in ("lines", "covered"))
    headline: dict[str, float] = {"lines": lines, "share": round(covered / lines, 4)}
    print(headline)
    if not tests:
        print(write_result("coverage", rows, headline))


def measure(folder: Path, tests: Sequence[str]) -> dict[str, Any]:
    """The report of coverage.py on a run of the tests, which must pass."""
    environment = os.environ | {"COVERAGE_FILE": str(folder / "lines")}

    def coverage(*arguments: str) -> None:
        command = [sys.executable, "-m", "coverage", *arguments]
        subprocess.run(command, cwd=ROOT, env=environment, check=True)

    coverage("run", "-m", "pytest", "-p", "no:cacheprovider", *tests)
    coverage("combine", "--quiet")
    coverage("json", "--quiet", "-o", str(folder / "report.json"))
    report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return report


def folder_rows(files: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a folder of modules; `low` names those of which the tests run less than `LOW`."""
    summaries = defaultdict(dict)
    for name, file in files.items():
        if file["summary"]["num_statements"]:
            summaries[str(Path(name).parent)][Path(name).name] = file["summary"]
    return [
        {
            "name": folder,
            "modules": len(modules),
            "lines": (lines := sum(each["num_statements"] for each in modules.values())),
            "covered": (covered := sum(each["covered_lines"] for each in modules.values())),
            "share": round(covered / lines, 4),
            "low": {
                module: round(each["covered_lines"] / each["num_statements"], 4)
                for module, each in sorted(modules.items())
                if each["covered_lines"] < LOW * each["num_statements"]
            },
        }
        for folder, modules in sorted(summaries.items())
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
