"""Making a stage: once, by one run at a time, whatever the number of its processes."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from accelerate.utils import broadcast_object_list

from seednb.artifacts import Stage
from seednb.lock import alone
from seednb.model import one_card_each


@contextmanager
def making(stage: Stage) -> Iterator[bool]:
    """Whether a stage is left to make; the caller then makes it, and at the end it is finished.

    All processes of a run get the same answer. The main process holds the stage's lock meanwhile:
    another run of the same stage is a SeedError there, with the pid of this one.
    """
    processes = one_card_each()
    with ExitStack() as held:
        if processes.is_main_process and not stage.is_finished:
            held.enter_context(alone(stage.lock, stage.folder.name))
        elif processes.is_main_process:
            stage.tidy()
        (is_left,) = broadcast_object_list([not stage.is_finished])
        started = time.perf_counter()
        yield is_left
        if is_left:
            if processes.is_main_process:
                stage.finish(time.perf_counter() - started)
            processes.wait_for_everyone()
