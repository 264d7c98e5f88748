"""Independent tasks in processes of their own; a task that fails or is killed takes no other with it.

The processes are loky's, which scikit-learn's joblib brings. Each slot is a pool of one process, so
a process that the system kills is known to be that of its own task.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from joblib.externals.loky import FIRST_COMPLETED, BrokenProcessPool, Future, wait
from joblib.externals.loky import ProcessPoolExecutor as Pool

# Two processes of two threads on two cores take 5 to 7 times as long as of one thread each.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
GPUS = "CUDA_VISIBLE_DEVICES"
TICK_S = 1.0
KILLED = "its process was killed; most often memory ran out, so try fewer --jobs"


@dataclass(frozen=True)
class TaskResult:
    """What the task number `index` returned, or, if it failed, the error in words."""

    index: int
    result: Any = None
    error: str = ""


def run_all(
    function: Callable[[Any], Any],
    tasks: Sequence[Any],
    jobs: int,
    gpus: Sequence[str] = (),
    tick: Callable[[], None] = lambda: None,
) -> Iterator[TaskResult]:
    """Call a function on each task, `jobs` at a time; the results come as the tasks end.

    With several jobs each process has one thread. `gpus`: names of the GPUs, one for each process
    in turn. `tick` is called each second.
    """
    threads = dict.fromkeys(THREADS, "1") if jobs > 1 else {}
    free = [threads | ({GPUS: gpus[n % len(gpus)]} if gpus else {}) for n in range(jobs)]
    slots = [(Pool(1, env=environment), environment) for environment in free]
    waiting, in_flight = list(range(len(tasks))), dict[Future, tuple[int, Any]]()
    try:
        while waiting or in_flight:
            while waiting and slots:
                index, slot = waiting.pop(0), slots.pop(0)
                in_flight[slot[0].submit(_attempt, function, index, tasks[index])] = index, slot
            ended, _ = wait(in_flight, TICK_S, FIRST_COMPLETED)
            tick()
            for future in ended:
                index, (pool, environment) = in_flight.pop(future)
                try:
                    result = future.result()
                except BrokenProcessPool:
                    result = TaskResult(index, error=KILLED)
                    pool.shutdown()
                    pool = Pool(1, env=environment)
                slots.append((pool, environment))
                yield result
    finally:
        for pool, _ in slots:
            pool.shutdown()
        for _, (pool, _) in in_flight.values():  # of a run that was interrupted
            pool.shutdown(kill_workers=True)


def _attempt(function: Callable[[Any], Any], index: int, task: Any) -> TaskResult:
    """In the process: an exception goes back as words, since not every one can be pickled."""
    try:
        return TaskResult(index, function(task))
    except Exception as error:
        return TaskResult(index, error=f"{type(error).__name__}: {error}")
