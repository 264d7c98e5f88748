"""Running cells, each in a process of its own; a finished cell is not run again."""

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import torch
from joblib import cpu_count

from seednb.core.devices import default_device
from seednb.core.errors import SeedError
from seednb.core.workers import GPUS, TaskResult, run_all
from seednb.experiments.sweep.grid import Sweep
from seednb.experiments.sweep.schedule import Planned, Progress, plan
from seednb.experiments.sweep.tables import cell_rows, write_rows
from seednb.experiments.sweep.variants import Cell


def run_sweep(sweep: Sweep, jobs: int | None = None) -> list[TaskResult]:
    """Make the cells that are not finished, and write the tables; returns the failures.

    Arguments and failures are those of `run_cells`. Each cell writes a log beside the tables.
    """
    planned = plan(sweep.cells())
    failed = run_cells(planned, jobs, sweep.folder / "logs")
    if len(failed) < len(planned):
        write_tables(sweep)
    return failed


def write_tables(sweep: Sweep) -> Path:
    """Write the tables of the finished cells; returns their folder. SeedError if there are none."""
    finished = [each.cell for each in plan(sweep.cells()) if each.is_finished]
    if not finished:
        raise SeedError(f"{sweep.file}: no cell is finished; run: seednb sweep {sweep.file}")
    return write_rows(sweep, finished)


def run_cells(planned: Sequence[Planned], jobs: int | None, logs: Path) -> list[TaskResult]:
    """Make the cells that are not finished, `jobs` at a time; what a cell prints goes to its log.

    A live bar shows the time left. Without `jobs`: one a GPU, or else one a core. Returns the
    outcomes of the cells that failed; `index` is their number.
    """
    todo = [each.cell for each in planned if not each.is_finished]
    gpus = _gpus()
    default = len(gpus) or (cpu_count() if default_device().type == "cpu" else 1)
    jobs = min(jobs or default, max(1, len(todo)))
    failed: list[TaskResult] = []
    with Progress(planned, jobs) as progress:
        tasks = [(cell, log_of(logs, cell)) for cell in todo]
        for outcome in run_all(_logged, tasks, jobs, gpus, progress.tick):
            if outcome.error:
                failed.append(TaskResult(todo[outcome.index].number, error=outcome.error))
            progress.advance(outcome.index, bool(outcome.error))
    return failed


def run_cell(cell: Cell) -> None:
    """Train, evaluate and score one cell."""
    lab = cell.make()
    if cell.images == "all":
        cell_rows(cell, lab)


def log_of(logs: Path, cell: Cell) -> Path:
    """The file that holds a cell's output."""
    return logs / f"cell-{cell.number:03d}.log"


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
