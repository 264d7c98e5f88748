"""Independent tasks in processes of their own; a task that fails takes no other with it.

The engine is the standard library's ProcessPoolExecutor. Added are: one thread a process when there
are several, one GPU a process where there are any, and blame for a process that the system kills.
"""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

# Two processes of two threads on two cores take 5 to 7 times as long as of one thread each.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
GPUS = "CUDA_VISIBLE_DEVICES"
TICK_S = 1.0
KILLED = "its process was killed; most often memory ran out, so try fewer --jobs"


@dataclass(frozen=True)
class Outcome:
    """How one task ended: its result, or an error in words."""

    index: int
    result: Any = None
    error: str = ""


def run_all(
    function: Callable[[Any], Any],
    tasks: Sequence[Any],
    jobs: int,
    gpus: Sequence[str] = (),
    tick: Callable[[], None] = lambda: None,
) -> Iterator[Outcome]:
    """Call a function of a module on each task, `jobs` at a time; outcomes come as they end.

    `gpus`: names of the GPUs, handed out in turn. `tick` is called each second. When a process is
    killed, those that ran beside it cannot be told from it, so each of them is tried again alone.
    """
    waiting = deque(range(len(tasks)))
    while waiting:
        in_flight = yield from _run(function, tasks, waiting, jobs, gpus, tick)
        if len(in_flight) == 1:
            yield Outcome(in_flight[0], error=KILLED)
            continue
        for index in in_flight:
            if (yield from _run(function, tasks, deque([index]), 1, gpus, tick)):
                yield Outcome(index, error=KILLED)


def _run(
    function: Callable[[Any], Any],
    tasks: Sequence[Any],
    waiting: deque[int],
    jobs: int,
    gpus: Sequence[str],
    tick: Callable[[], None],
) -> Generator[Outcome, None, list[int]]:
    """Empty `waiting`; returns the tasks that ran when a process was killed, if one was.

    No more tasks are handed over than there are processes, so that these are all that ran.
    """
    context = get_context("spawn")  # a forked process cannot use CUDA, and may inherit locks
    free: Any = context.Queue()
    for number in range(jobs):
        free.put(gpus[number % len(gpus)] if gpus else None)
    in_flight: dict[Future[Outcome], int] = {}
    with (
        _environment(dict.fromkeys(THREADS, "1") if jobs > 1 else {}),
        ProcessPoolExecutor(jobs, context, _take_gpu, (free,)) as pool,
    ):
        try:
            while waiting or in_flight:
                while waiting and len(in_flight) < jobs:
                    started = pool.submit(_attempt, function, waiting[0], tasks[waiting[0]])
                    in_flight[started] = waiting.popleft()
                ended, _ = wait(in_flight, TICK_S, FIRST_COMPLETED)
                tick()
                for future in ended:
                    outcome = future.result()
                    del in_flight[future]
                    yield outcome
        except BrokenProcessPool:
            return list(in_flight.values())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    return []


def _attempt(function: Callable[[Any], Any], index: int, task: Any) -> Outcome:
    """In the process: an exception goes back as words, since not every one can be pickled."""
    try:
        return Outcome(index, function(task))
    except Exception as error:
        return Outcome(index, error=f"{type(error).__name__}: {error}")


def _take_gpu(free: Any) -> None:
    """In the process, before CUDA wakes up: see one GPU only."""
    if (name := free.get()) is not None:
        os.environ[GPUS] = name


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Environment that processes inherit; threads are counted when a library is loaded."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
