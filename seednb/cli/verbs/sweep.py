"""`seednb sweep`: list, run or gather the cells of a sweep file."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seednb.cli.options import add_overrides, add_verb, overrides, refuse_less_than_one
from seednb.core.errors import SeedError

if TYPE_CHECKING:
    from seednb.experiments.sweep.grid import Sweep

EXAMPLES = """
seednb sweep params/sweeps/alpha.yaml --dry-run
seednb sweep params/sweeps/alpha.yaml --jobs 2
sbatch --array=0-11 --wrap 'seednb sweep params/sweeps/alpha.yaml --cell $SLURM_ARRAY_TASK_ID'
"""


def add(verbs: Any) -> None:
    """Add the verb and its options."""
    verb = add_verb(verbs, "sweep", sweep, "a grid over parameters, versions and seeds", EXAMPLES)
    verb.add_argument("file", type=Path, metavar="FILE.yaml", help="keys: params, version, grid, seeds, benchmarks")  # fmt: skip
    add_overrides(verb, "one parameter of every cell; list: seednb params")
    verb.add_argument("--jobs", type=int, metavar="N", help="cells at a time (default: one a GPU, or else one a core)")  # fmt: skip
    what = verb.add_mutually_exclusive_group()
    what.add_argument("--dry-run", action="store_true", help="list the cells with their number and predicted time")  # fmt: skip
    what.add_argument("--cell", type=int, metavar="NUMBER", help="run this cell only, in this process: for a scheduler's array job")  # fmt: skip
    what.add_argument("--gather", action="store_true", help="run nothing; tables of the finished cells")  # fmt: skip


def sweep(options: argparse.Namespace) -> None:
    """Run what is not finished, and write the tables."""
    from seednb.experiments.sweep.grid import load_sweep
    from seednb.experiments.sweep.run import log_of, run_cell, run_sweep, write_tables

    refuse_less_than_one("--jobs", options.jobs)
    asked = load_sweep(options.file, overrides(options))
    cells = asked.cells()
    if options.dry_run:
        print(_listing(asked, options.jobs or 1))
    elif options.cell is not None:
        if not 0 <= options.cell < len(cells):
            raise SeedError(
                f"--cell {options.cell}: {options.file} has cells 0 to {len(cells) - 1}"
            )
        run_cell(cells[options.cell])
        print(f"finished: cell {options.cell} ({cells[options.cell].title})")
    elif options.gather:
        print(f"tables: {write_tables(asked)}")
    else:
        failed = run_sweep(asked, options.jobs)
        for outcome in failed:
            log = log_of(asked.folder / "logs", cells[outcome.index])
            print(f"failed: cell {outcome.index} ({cells[outcome.index].title}): {outcome.error}; see {log}")  # fmt: skip
        if len(failed) < len(cells):
            print(f"tables: {asked.folder} (results and over_seeds, as CSV and parquet)")
        if failed:
            raise SeedError(f"{len(failed)} of {len(cells)} cells failed; the same command tries them again")  # fmt: skip


def _listing(asked: "Sweep", jobs: int) -> str:
    """The cells as a table, the time that they take together, and how a cluster runs them."""
    import pandas as pd

    from seednb.experiments.sweep.schedule import plan, total_s
    from seednb.report.tables import as_text

    planned = plan(asked.cells())
    table = pd.DataFrame(
        {
            "cell": each.cell.number,
            "version": each.cell.variant.version,
            "seed": "" if each.cell.seed is None else each.cell.seed,
            **{name: str(value) for name, value in each.cell.variant.changes.items()},
            "state": "finished" if each.is_finished else "to do",
            "predicted": "" if each.is_finished else _duration(each.predicted_s),
        }
        for each in planned
    )
    todo = [each for each in planned if not each.is_finished]
    lines = [as_text(table), f"{len(planned) - len(todo)} of {len(planned)} cells are finished"]
    if todo:
        together = total_s(each.predicted_s for each in todo)
        unknown = "? (nothing like them has run yet: --cell 0 would tell)"
        time = unknown if together is None else _duration(together / jobs)
        lines[-1] += f"; the others take about {time} with {jobs} at a time"
        numbers = ",".join(str(each.cell.number) for each in todo)
        lines.append(f"on a cluster: sbatch --array={numbers} --wrap 'seednb sweep {asked.file} --cell $SLURM_ARRAY_TASK_ID'")  # fmt: skip
    return "\n".join(lines)


def _duration(seconds: float | None) -> str:
    """ "45 s", "12 min", "3.4 h"; "?" where nothing is known."""
    if seconds is None:
        return "?"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
