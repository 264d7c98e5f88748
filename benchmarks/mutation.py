"""Mutation testing: how many small wrong changes to the mathematics do the modules' own tests notice?

python benchmarks/mutation.py                    (one core, about a quarter of an hour)
python benchmarks/mutation.py purify stats       (some modules; the other rows stay as they are)
"""

import io
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from hypothesis import settings
from mutants import Mutant, mutants
from results import RESULTS, write_result

from seednb.artifacts import read_json

ROOT = Path(__file__).parents[1]
MOST = 30  # about as many mutants of each benchmark's module, evenly spaced; of the rest, all
LIMIT_S = 60  # of processor time: a mutant that takes longer hangs, and so is noticed
REASONS = Path(__file__).with_name("mutation_survivors.json")
SLOW = "not browser and not reference"
EVALUATION = "evaluation.benchmarks."
TESTS = {  # module -> its tests, below tests/
    "purify": ["test_purify", "test_properties"],
    "losses": ["test_losses", "test_properties"],
    "stats": ["test_stats", "test_significance", "test_properties"],
    "data.probes": ["evaluation/benchmarks/test_pope"],
    "data.vocabulary": ["evaluation/benchmarks/test_chair"],
    "evaluation.controls": ["evaluation/test_controls"],
    "evaluation.parsers": ["evaluation/benchmarks/test_pope", "test_properties"],
    "evaluation.records": ["evaluation/benchmarks/test_pope", "evaluation/benchmarks/test_vqav2"],
    "evaluation.words": ["evaluation/benchmarks/test_vqav2", "test_properties"],
    f"{EVALUATION}pope": ["evaluation/benchmarks/test_pope", "test_properties"],
    f"{EVALUATION}chair": ["evaluation/benchmarks/test_chair"],
} | {
    f"{EVALUATION}{name}": [f"evaluation/benchmarks/test_{name}", "evaluation/benchmarks/test_sums"]
    for name in ("vqav2", "mme", "seedbench", "hallusionbench", "amber")
}


class Changed(MetaPathFinder, InspectLoader):
    """Imports one module from a mutant's source."""

    def __init__(self, name: str, mutant: Mutant) -> None:
        self.name, self.mutant = name, mutant

    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        """Only the mutated module is ours."""
        if fullname != self.name:
            return None
        spec = ModuleSpec(fullname, self, origin=str(_file(fullname)))
        spec.has_location = True  # modules look for data files beside their own
        return spec

    def get_source(self, fullname: str) -> str:
        """The mutant."""
        return self.mutant.source


def main(names: Sequence[str]) -> None:
    """Every mutant of every module in a process of its own; write what was not noticed, and why."""
    sys.path.insert(0, str(ROOT / "tests"))
    # the same examples for every mutant; no deadline, since a busy machine must kill none
    settings.register_profile("mutants", deadline=None, database=None, derandomize=True)
    settings.load_profile("mutants")
    results = RESULTS / "mutation.json"
    old = read_json(results)["rows"] if results.is_file() else []
    row_of = {row["name"]: row for row in old} | {n: _module_row(n) for n in names or TESTS}
    rows = [row_of[name] for name in TESTS if name in row_of]
    n, n_killed = (sum(int(row[key]) for row in rows) for key in ("mutants", "killed"))
    headline = {"mutants": n, "killed_share": round(n_killed / n, 4)}
    print(headline)
    print(write_result("mutation", rows, headline))


def _module_row(name: str) -> dict[str, object]:
    started = time.perf_counter()
    known = json.loads(REASONS.read_text(encoding="utf-8")) if REASONS.is_file() else {}
    files = [str(ROOT / f"tests/{test}.py") for test in TESTS[name]]
    module = f"seednb.{name}"
    if _run_tests(files) != 0:  # here, so that every fork finds torch and the like imported
        raise SystemExit(f"the tests of {name} fail without a mutant")
    own = [key for key, value in sys.modules.items() if _is_ours(value)]
    for key in own:
        del sys.modules[key]
    possible = list(mutants(_file(module).read_text(encoding="utf-8")))
    step = max(1, len(possible) // MOST) if name.startswith(("data.", "evaluation.")) else 1
    made = possible[::step]
    alive = [mutant for mutant in made if _passes(files, Changed(module, mutant))]
    survivors = [
        {"line": m.line, "change": m.change, "reason": known.get(name, {}).get(m.change, "")}
        for m in alive
    ]
    for each in survivors:
        print(f"  {name}:{each['line']}  {each['change']}  ({each['reason'] or 'not looked at'})")
    seconds = time.perf_counter() - started
    print(f"{name}: {len(made) - len(alive)} of {len(made)} in {seconds:.0f} s", flush=True)
    return {
        "name": name,
        "possible_mutants": len(possible),
        "mutants": len(made),
        "killed": len(made) - len(alive),
        "killed_share": round(1 - len(alive) / len(made), 4),
        "seconds": round(seconds, 1),
        "survivors": survivors,
    }


def _is_ours(module: ModuleType) -> bool:
    """Whether a module may have seen the unchanged one."""
    file = getattr(module, "__file__", None) or ""
    return file.startswith((str(ROOT / "seednb"), str(ROOT / "tests")))


def _passes(files: list[str], changed: Changed) -> bool:
    """Whether the tests pass with a mutant, in a fork of this process."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
            sys.meta_path.insert(0, changed)
            status = _run_tests(files)
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return status == 0


def _run_tests(files: list[str]) -> int:
    import pytest

    options = [
        "-x",
        "-q",
        "-m",
        SLOW,
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
        "-W",
        "ignore",
    ]
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        return int(pytest.main([*options, f"--rootdir={ROOT}", *files]))


def _file(module: str) -> Path:
    return (ROOT / module.replace(".", "/")).with_suffix(".py")


if __name__ == "__main__":
    main(sys.argv[1:])
