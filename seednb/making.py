"""Making a stage: once, by one run at a time, whatever the number of its processes."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from accelerate.utils import broadcast_object_list

from seednb.artifacts import Stage
from seednb.lock import PATIENCE_S, alone
from seednb.model import one_card_each


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
