"""A grid of trainings, each made once: run its cells, here or one at a time on a cluster.

A cell is finished when the stages of its answers are, so a sweep that was interrupted, or a run that
a notebook made, is found by its key and not made again.
"""

import os
import sys
import traceback
from pathlib import Path
from typing import Any

import torch

from seednb.errors import SeedError
from seednb.lock import UNTIL_DONE_S
from seednb.pool import GPUS, Outcome, run_all
from seednb.sweep_file import Cell, Sweep, load_sweep
from seednb.sweep_plan import Progress, plan, to_make
from seednb.sweep_table import cell_rows, pivot, read, write_rows

__all__ = [
    "Cell",
    "Sweep",
    "load_sweep",
    "pivot",
    "plan",
    "read",
    "run",
    "run_cell",
    "write_tables",
]

Row = dict[str, Any]


def run_cell(cell: Cell) -> list[Row]:
    """Train, answer and score one cell; returns its rows.

    Processes that need the same stage (the base model's answers, the generated world) wait for each
    other instead of making it twice.
    """
    lab = cell.open()
    lab.patience_s = UNTIL_DONE_S
    for model in dict.fromkeys((cell.version, "base")):
        lab.answers(model)
    return cell_rows(cell, lab)


def is_finished(cell: Cell) -> bool:
    """Whether the cell's answers are there."""
    return not any(to_make(cell, cell.open()))


def run(sweep: Sweep, jobs: int | None = None) -> list[Outcome]:
    """Make the cells that are not finished, `jobs` at a time, and write the tables.

    A live bar shows the time left. Without `jobs`: one a GPU, or else one a core. Each cell writes a
    log beside the tables. Returns the outcomes of the cells that failed; `index` is their number.
    """
    planned = plan(sweep.cells())
    todo = [each for each in planned if not each.is_finished]
    gpus = _gpus()
    jobs = min(jobs or len(gpus) or _cores(), max(1, len(todo)))
    tasks = [(each.cell, sweep.log(each.cell.number)) for each in todo]
    failed: list[Outcome] = []
    with Progress(planned, jobs) as progress:
        for outcome in run_all(_logged, tasks, jobs, gpus, progress.tick):
            if outcome.error:
                failed.append(Outcome(tasks[outcome.index][0].number, error=outcome.error))
            progress.advance(outcome.index, bool(outcome.error))
    if len(failed) < len(planned):
        write_tables(sweep)
    return failed


def write_tables(sweep: Sweep) -> Path:
    """Write the tables of the finished cells; returns their folder. SeedError if there are none."""
    finished = [cell for cell in sweep.cells() if is_finished(cell)]
    if not finished:
        raise SeedError(f"{sweep.file}: no cell is finished; run: seednb sweep {sweep.file}")
    return write_rows(sweep, finished)


def _logged(task: tuple[Cell, Path]) -> None:
    """In a process of its own: run a cell; all that it prints goes to its log."""
    cell, file = task
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as log:
        for stream in (sys.stdout, sys.stderr):  # the descriptors: libraries hold the old streams
            stream.flush()
            os.dup2(log.fileno(), stream.fileno())
    try:
        run_cell(cell)
    except Exception:
        traceback.print_exc()
        raise
    finally:
        sys.stdout.flush()


def _gpus() -> list[str]:
    """Names of the GPUs that this process may use."""
    visible = os.environ.get(GPUS)
    n = torch.cuda.device_count()
    return visible.split(",")[:n] if visible else [str(number) for number in range(n)]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
