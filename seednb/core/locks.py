"""One run at a time makes a stage; the second is told who the first is."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from accelerate.utils import broadcast_object_list
from filelock import FileLock, Timeout

from seednb.core.devices import one_card_each
from seednb.core.errors import SeedError
from seednb.core.files import write_text, writing
from seednb.core.stage import Stage

# The readers of a killed run notice within 5 s that it is gone; until then they hold its lock.
PATIENCE_S = 7.0
UNTIL_DONE_S = -1.0  # as `patience_s`: however long it takes


@contextmanager
def alone(file: Path, work: str, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Hold the lock `file` while `work`, which has a name, is being done.

    The kernel releases the lock with the process, so kill -9 leaves none behind. The owner's pid
    stands beside it, in `<file>.pid`. Raises SeedError with that pid if another process still holds
    it after `patience_s` seconds, and as `writing` does.
    """
    lock, owner = FileLock(file), file.with_name(f"{file.name}.pid")
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=patience_s, poll_interval=0.05)
        except Timeout:
            raise SeedError(
                f"{work} is being made by {_read_owner(owner)}; wait until it has finished or end "
                "it, then run the same command again"
            ) from None
    try:
        write_text(owner, f"{os.getpid()} {socket.gethostname()}\n")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def _read_owner(file: Path) -> str:
    """ "process 123", and on which machine if on another one than this."""
    try:
        pid, host = file.read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return "another process"
    return f"process {pid}" + (f" on {host}" if host != socket.gethostname() else "")


@contextmanager
def making(stage: Stage, patience_s: float = PATIENCE_S, together: bool = True) -> Iterator[bool]:
    """Whether a stage is left to make; the caller then makes it, and at the end it is finished.

    All processes of a run get the same answer, and its main process holds the stage's lock meanwhile;
    unless `together`, each process is a run of its own. Another run that makes the same stage is
    awaited for `patience_s` seconds, and is then a SeedError with its pid.
    """
    processes = one_card_each()
    leads = processes.is_main_process or not together
    with ExitStack() as held:
        if leads and not stage.is_finished:
            held.enter_context(alone(stage.lock, stage.folder.name, patience_s))
        elif leads:
            stage.tidy()
        is_left = not stage.is_finished
        if together:
            (is_left,) = broadcast_object_list([is_left])
        started = time.perf_counter()
        yield is_left
        if is_left and leads:
            stage.finish(time.perf_counter() - started)
        if is_left and together:
            processes.wait_for_everyone()
