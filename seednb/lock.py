"""One process at a time: the second is told who the first is."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from seednb.artifacts import write_text, writing
from seednb.errors import SeedError

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
