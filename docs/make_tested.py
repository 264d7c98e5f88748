"""Write the results into docs/how-it-is-tested.md: python docs/make_tested.py

A row is made from the file that its check leaves behind. Two of these files are too large to be
committed; where one of them is absent its row stays as it is, with the date and the commit it is of.
"""

import json
import re
import subprocess
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/how-it-is-tested.md"
RESULTS = "benchmarks/results"


def mutants(result: dict[str, Any]) -> str:
    """Of `mutmut export-cicd-stats`; a mutant that never ends is noticed, too."""
    noticed = result["killed"] + result["timeout"]
    return f"{noticed / result['total']:.1%} of {result['total']} mutants noticed"


def kill_points(result: dict[str, Any]) -> str:
    """Of `benchmarks/kill_points.py`."""
    figures = result["headline"]
    return f"{figures['identical']} of {figures['kill_points']} second runs ended at the same bytes"


def damaged_inputs(result: dict[str, Any]) -> str:
    """Of `benchmarks/damaged_inputs.py`."""
    figures = result["headline"]
    return (
        f"of {figures['inputs']} inputs {figures['works']} work, {figures['skipped']} are skipped and "
        f"counted, {figures['error']} are refused in a sentence, {figures['crash']} crash"
    )


def coverage(result: dict[str, Any]) -> str:
    """Of `coverage json`."""
    totals = result["totals"]
    share = totals["covered_lines"] / totals["num_statements"]
    return f"{share:.1%} of {totals['num_statements']} statements run"


CHECKS: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "Mutants": ("mutants/mutmut-cicd-stats.json", mutants),
    "Kill points": (f"{RESULTS}/kill_points.json", kill_points),
    "Damaged inputs": (f"{RESULTS}/damaged_inputs.json", damaged_inputs),
    "Coverage": ("coverage.json", coverage),
}


def main() -> None:
    """Replace the rows whose files are there."""
    page = PAGE.read_text(encoding="utf-8")
    for name, (path, sentence) in CHECKS.items():
        if (file := ROOT / path).is_file():
            result = json.loads(file.read_text(encoding="utf-8"))
            cells = " | ".join([name, sentence(result), *origin(file, result)])
            page = re.sub(rf"^\| {name} \|.*$", f"| {cells} |", page, flags=re.MULTILINE)
    PAGE.write_text(page, encoding="utf-8")


def origin(file: Path, result: dict[str, Any]) -> tuple[str, str]:
    """Date and commit of a result: those it was committed with, or else today's."""
    commit = git("log", "-1", "--format=%h", "--", str(file))
    if commit:
        return result["date"], commit
    return date.fromtimestamp(file.stat().st_mtime).isoformat(), git("rev-parse", "--short", "HEAD")


def git(*arguments: str) -> str:
    """What git prints."""
    command = ["git", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


if __name__ == "__main__":
    main()
