"""Tasks in processes of their own: none takes another with it."""

import os
import time

from seednb.core.workers import GPUS, KILLED, run_all


def square(number):
    """A task that fails in two ways."""
    if number == 2:
        raise ValueError("two is odd")
    if number == 3:
        os._exit(9)  # as the system does when memory runs out
    return number**2


def surroundings(_):
    """What a process sees; slow enough that no process takes two tasks."""
    time.sleep(1)
    return os.environ.get(GPUS), os.environ.get("OMP_NUM_THREADS")


def test_a_task_that_fails_or_is_killed_takes_no_other_with_it():
    ticks = []
    outcomes = {o.index: o for o in run_all(square, range(6), 2, tick=lambda: ticks.append(1))}
    assert sorted(outcomes) == list(range(6)) and ticks
    assert outcomes[2].error == "ValueError: two is odd"
    assert outcomes[3].error == KILLED
    assert [outcomes[n].result for n in (0, 1, 4, 5)] == [0, 1, 16, 25]


def test_a_killed_task_that_ran_alone_is_blamed_and_the_rest_go_on():
    outcomes = {o.index: o for o in run_all(square, [3, 4], 1)}
    assert outcomes[0].error == KILLED and outcomes[1].result == 16


def test_each_process_has_one_thread_and_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    seen = {outcome.result for outcome in run_all(surroundings, range(2), 2, gpus=["3", "5"])}
    assert seen == {("3", "1"), ("5", "1")}
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_a_single_process_keeps_its_threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert [o.result[1] for o in run_all(surroundings, [0], 1)] == ["7"]
