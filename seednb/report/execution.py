"""One notebook through papermill; whatever stops it, the failure names the cell and the next step."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
from traitlets.config import Config

from seednb.core.console import hides_progress
from seednb.core.errors import SeedError
from seednb.core.workers import TaskResult, run_all

QUIET = {"extra_arguments": ["--log-level=50"]}  # of a kernel: its end is no error
Task = tuple[Path, Path, Mapping[str, Any]]  # the arguments of `execute`
ADDED = ("injected-parameters", "papermill-error-cell-tag")  # cells that papermill puts in


def execute_all(tasks: Sequence[Task], jobs: int) -> Iterator[TaskResult]:
    """Run notebooks, `jobs` at a time; each result is its seconds, or says what `execute` raised."""
    if jobs > 1 and len(tasks) > 1:
        yield from run_all(_timed, tasks, min(jobs, len(tasks)))
        return
    for index, task in enumerate(tasks):
        try:
            yield TaskResult(index, _timed(task))
        except SeedError as error:
            yield TaskResult(index, error=str(error))


def _timed(task: Task) -> float:
    started = time.perf_counter()
    execute(*task)
    return time.perf_counter() - started


def execute(source: Path, executed: Path, parameters: Mapping[str, Any]) -> None:
    """Run a notebook in its own folder; `executed` receives its cells with their outputs.

    Raises SeedError that says which cell failed and why: an exception in it, a kernel that died, a
    kernel that does not start, a disk that is full.
    """
    # they bring in IPython, so no other verb should wait for them
    import papermill
    from jupyter_client.kernelspec import NoSuchKernel
    from nbclient.exceptions import DeadKernelError

    # it warns of every key of a profile that its first cell does not hold; the notebook knows them
    logging.getLogger("papermill").setLevel(logging.ERROR)
    try:
        executed.unlink(missing_ok=True)  # of a run before: it would name that run's cell
        with TemporaryDirectory(prefix="seednb-") as sockets:
            # no port that others could read, and no name that another kernel has
            manager = {"transport": "ipc", "ip": f"{sockets}/kernel"}
            papermill.execute_notebook(
                str(source),
                str(executed),
                parameters=dict(parameters),
                cwd=str(source.parent),
                kernel_name="python3",
                progress_bar=not hides_progress() and {"desc": source.stem, "leave": False},
                config=Config({"KernelManager": manager, "NotebookClient": QUIET}),
            )
        _forget_folders(executed)
    except papermill.PapermillExecutionError as error:
        raise _failure(source, executed, f"{error.ename}: {error.evalue}") from error
    except DeadKernelError as error:
        why = (
            "its kernel died, most often because memory ran out; lower batch_size and "
            "eval_batch_size, or end other programs, then run the same command again: what is "
            "finished is kept"
        )
        raise _failure(source, executed, why) from error
    except NoSuchKernel as error:
        why = 'there is no kernel python3; run: pip install -c constraints.txt -e ".[notebooks]"'
        raise _failure(source, executed, why) from error
    except Exception as error:  # a kernel that does not start or answer, a disk that is full, …
        lines = str(error).strip().splitlines() or ["no reason given"]
        why = f"{type(error).__name__}: {lines[0]}; run the same command again"
        raise _failure(source, executed, why) from error


def _forget_folders(executed: Path) -> None:
    """Keep the names of the two notebooks, which papermill notes, without this machine's folders."""
    notebook = nbformat.read(executed, as_version=4)
    for key in ("input_path", "output_path"):
        notebook.metadata.papermill[key] = Path(notebook.metadata.papermill[key]).name
    nbformat.write(notebook, executed)


def _failure(source: Path, executed: Path, why: str) -> SeedError:
    cell = _stopped_at(executed)
    where = f"in cell {cell[0]} ({cell[1]})" if cell else "before its first cell"
    return SeedError(f"{source.stem} failed {where}: {why}; see {executed}")


def _stopped_at(executed: Path) -> tuple[int, str] | None:
    """Number and first line of the last cell that began, counted as in the notebook's source."""
    try:
        cells = nbformat.read(executed, as_version=4).cells
    except (OSError, ValueError, nbformat.ValidationError):
        return None
    cells = [cell for cell in cells if not set(ADDED) & set(cell.metadata.get("tags", ()))]
    began = [
        number
        for number, cell in enumerate(cells, start=1)
        if cell.metadata.get("papermill", {}).get("start_time")
    ]
    if not began:
        return None
    lines = cells[began[-1] - 1].source.strip().splitlines()
    return began[-1], lines[0] if lines else "empty"
