"""What the chapters will ask for, made before them and side by side: one process a core.

A chapter alone trains and answers for one model after the other, and one small model keeps two cores
little busier than one. What is made here is found by its key when the chapter asks.
"""

import os
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from joblib import cpu_count
from tqdm import tqdm

from seednb.core.console import hides_progress
from seednb.core.devices import default_device
from seednb.core.errors import SeedError
from seednb.core.files import UNTIL_DONE_S
from seednb.core.profiles import Params
from seednb.core.stage import Stage
from seednb.core.workers import run_all
from seednb.experiments.experiment import Experiment
from seednb.experiments.fault_injection import FAULTS, fault_stage, run_fault
from seednb.experiments.robustness import ask_variants, variants_stage
from seednb.experiments.stages import ANSWERING

EVALUATION, INJECTION = "08", "13"
# Chapter -> the models whose answers it shows; the evaluation shows all, by other wordings two.
SHOWN = {
    "02": ("base",),
    "03": ("base",),
    "04": ("base", "v4"),
    "05": ("base", "v4", "v5"),
    "06": ("base", "v5", "v6"),
    "07": ("base", "v6", "v7"),
}
REWORDED = ("base", "v7")
MOST_JOBS = 8  # processes of about a gigabyte each, with a model of at most
LARGEST_MODEL = 100 * 2**20  # bytes


@dataclass(frozen=True)
class Work:
    """What a chapter asks for: how it is made, and the stage that is finished then."""

    make: Callable[[Experiment], Any]
    stage: Stage


def make_ahead(params: Params, chapters: Collection[str]) -> None:
    """Make what some chapters (their numbers) will ask for; one line says what it took.

    Only of a small model on the processor: a GPU is busy with one, and a large one fills the memory.
    What fails here is left to its chapter, which tries again and says why.
    """
    lab = Experiment(params)
    try:
        left = [work for work in wanted(lab, chapters) if not work.stage.is_finished]
    except (SeedError, OSError):  # an input is missing: the first chapter says which
        return
    jobs = min(cpu_count(), MOST_JOBS, len(left))
    weights = Path(lab.stages.model_source).glob("*.safetensors")
    is_small = 0 < sum(file.stat().st_size for file in weights) <= LARGEST_MODEL
    if jobs < 2 or not is_small or default_device().type != "cpu":
        return
    began, tasks = time.perf_counter(), [(params, work) for work in left]
    with tqdm(total=len(tasks), desc="ahead", leave=False, disable=hides_progress()) as bar:
        for _ in run_all(_make, tasks, jobs):
            bar.update()
    seconds = time.perf_counter() - began
    print(f"{len(tasks)} trainings and answers, {jobs} at a time  {seconds:5.0f} s", flush=True)


def wanted(lab: Experiment, chapters: Collection[str]) -> list[Work]:
    """What some chapters ask for, each once; what waits for most comes first."""
    evaluated = (*ANSWERING, *lab.sampled) if EVALUATION in chapters else ()
    models = {*evaluated, *(model for number in chapters for model in SHOWN.get(number, ()))}
    order = (*lab.sampled, *ANSWERING)
    works = [
        Work(partial(Experiment.answers, model=model), lab.stages.answers(model))
        for model in sorted(models, key=order.index, reverse=True)
    ]
    if EVALUATION in chapters:
        works += [
            Work(partial(ask_variants, model=model), variants_stage(lab, model))
            for model in REWORDED
        ]
    if INJECTION in chapters:
        works += [
            Work(partial(run_fault, fault=fault), fault_stage(lab, fault)) for fault in FAULTS
        ]
    return works


def _make(task: tuple[Params, Work]) -> None:
    """In a process of its own, which says nothing: two runs' lines would be mixed."""
    params, work = task
    lab = Experiment(params)
    lab.patience_s = UNTIL_DONE_S  # several wait for one training
    with Path(os.devnull).open("w") as nothing:
        for stream in (sys.stdout, sys.stderr):  # the descriptors: libraries hold the old streams
            stream.flush()
            os.dup2(nothing.fileno(), stream.fileno())
    work.make(lab)
