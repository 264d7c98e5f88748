"""Short trainings of variants over seeds, answered on chosen pictures, each made once.

A variant is the profile with some parameters changed; `Experiment` trains it and finds it by its key.
What this adds are the pictures that are asked about, several runs at a time, and intervals that
cover seeds as well as images.
"""

import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from seednb.artifacts import Stage, read_json, write_json, write_lines
from seednb.data.files import read_json_lines
from seednb.evaluate import Contrast, answer_probes, caption_pictures
from seednb.experiments.experiment import Experiment
from seednb.lock import UNTIL_DONE_S
from seednb.making import making
from seednb.model import default_device
from seednb.terminal import hides_progress
from seednb.trainer import ADAPTER

Row = dict[str, Any]
PICTURES = ("search", "fresh")
SPLIT = "adversarial"  # POPE's hardest
FIRST_FRESH_SEED = 1000  # added to the seeds of the confirmation


@dataclass(frozen=True)
class Variant:
    """What is tried: a version, and what is changed of the profile."""

    name: str
    family: str = ""
    version: str = "v7"  # "base": nothing is trained
    changes: Mapping[str, Any] = field(default_factory=dict)  # of parameters
    labels: str = "replay"
    data: float = 1.0  # pairs, in units of a short training
    contrast: bool = False  # decoded from purified logits?

    @property
    def is_trained(self) -> bool:
        """Whether there is anything to train."""
        return self.version != "base"


@dataclass(frozen=True)
class Run:
    """One variant with one seed, asked about some pictures."""

    params_file: str
    overrides: Mapping[str, Any]
    variant: Variant
    seed: int
    pictures: str = "search"
    whole: bool = False  # trained on all n pairs?

    def open(self) -> Experiment:
        """The experiment with the variant's parameters."""
        plain = Experiment.open(self.params_file, self.overrides).params
        share = 1.0 if self.whole else plain.ablation.ablation_share
        n_pairs = max(1, round(share * self.variant.data * plain.data.n_pairs))
        changes = {"n_pairs": n_pairs, "seed": self.seed, "caption_images": 10**9}
        lab = Experiment.open(
            self.params_file, {**self.overrides, **self.variant.changes, **changes}
        )
        lab.patience_s = UNTIL_DONE_S  # runs beside each other share stages
        return lab


@dataclass(frozen=True)
class Result:
    """What a run answered, and what it cost."""

    run: Run
    probes: list[Row]
    captions: list[Row]
    cost: Row  # samples_per_s of training, tokens_per_s of captions; None where there is none
    folder: str


def make(run: Run) -> Path:
    """Train and ask, or find; returns the folder of the answers."""
    lab = run.open()
    stage = answers_stage(run, lab)
    with making(stage, lab.patience_s) as is_left:
        if is_left:
            _ask(run, lab, stage)
    return stage.folder


def answers_stage(run: Run, lab: Experiment) -> Stage:
    """Where the answers of a run lie, finished or not; `lab`: the run's own."""
    variant = run.variant
    inputs: Row = {
        "trained": lab.train_key(variant.version, variant.labels) if variant.is_trained else "",
        "data": lab.stages.validation_data,
        "model": lab.stages.model,
        "evaluation": lab.stages.asking(variant.contrast),
        "pictures": [run.pictures, lab.params.ablation.ablation_images],
        "contrast": variant.contrast,
    }
    return Stage(lab.runs, f"ablation-{variant.version}", inputs)


def _ask(run: Run, lab: Experiment, stage: Stage) -> None:
    variant = run.variant
    cost: Row = {"samples_per_s": None}
    if variant.is_trained:
        training = lab.train(variant.version, variant.labels)
        cost["samples_per_s"] = float(training.curve["examples_per_s"].iloc[-1])
        bundle = lab.adapted(training.folder / ADAPTER)
    else:
        bundle = lab.bundle()
    contrast = Contrast.of(lab.params.evaluation) if variant.contrast else None
    settings = (lab.pictures("val", bundle), lab.params.evaluation, lab.template)
    images, probes = asked(lab, run.pictures)
    answers = answer_probes(bundle, probes, *settings, contrast=contrast)
    began = time.perf_counter()
    captions = caption_pictures(bundle, images, *settings, contrast=contrast)
    n_tokens = sum(record["n_tokens"] for record in captions)
    cost["tokens_per_s"] = n_tokens / (time.perf_counter() - began)
    write_lines(stage.path("probes.jsonl"), answers)
    write_lines(stage.path("captions.jsonl"), captions)
    write_json(stage.path("cost.json"), cost)


def asked(lab: Experiment, pictures: str) -> tuple[list[Row], list[Row]]:
    """(pictures to caption, probes about them): every other validation picture is kept as fresh.

    Probed pictures come first; at most `ablation_images`.
    """
    hardest = [probe for probe in lab.data.probes if probe["split"] == SPLIT]
    probed, start = {probe["image"] for probe in hardest}, PICTURES.index(pictures)
    rest = [row for row in lab.data.to_caption if row["file_name"] not in probed]
    first = [row for row in lab.data.to_caption if row["file_name"] in probed]
    chosen = [*first[start::2], *rest[start::2]][: lab.params.ablation.ablation_images]
    names = {row["file_name"] for row in chosen}
    return chosen, [probe for probe in hardest if probe["image"] in names]


def runs_of(
    lab: Experiment,
    params_file: str,
    overrides: Mapping[str, Any],
    variants: Iterable[Variant],
    pictures: str = "search",
    whole: bool = False,
) -> list[Run]:
    """Each variant with each seed; fresh pictures come with fresh seeds. What is not trained: once."""
    first = lab.params.train.seed + FIRST_FRESH_SEED * PICTURES.index(pictures)
    n_seeds = lab.params.ablation.ablation_seeds
    return [
        Run(params_file, overrides, variant, first + number, pictures, whole)
        for variant in variants
        for number in range(n_seeds if variant.is_trained else 1)
    ]


def run_all(runs: Sequence[Run], jobs: int | None) -> list[Result]:
    """Make what is not there yet, `jobs` at a time, with a bar that shows the time left.

    Several runs go to processes of one thread each: on two cores about twice as fast as one after
    the other with two threads. Beside a GPU, or with one job, they run here.
    """
    jobs = jobs or (1 if default_device().type != "cpu" else os.cpu_count() or 1)
    _ = runs[0].open().data  # the world is drawn once, before processes could race for it
    folders: dict[int, Path] = {}
    with tqdm(total=len(runs), desc="runs", unit="run", disable=hides_progress()) as bar:
        for number, folder in _made(runs, min(jobs, len(runs))):
            folders[number] = folder
            bar.update()
    return [_read(run, folders[number]) for number, run in enumerate(runs)]


def _made(runs: Sequence[Run], jobs: int) -> Iterator[tuple[int, Path]]:
    if jobs == 1:
        for number, run in enumerate(runs):
            with quiet():
                folder = make(run)
            yield number, folder
        return
    with ProcessPoolExecutor(jobs, get_context("spawn"), _one_thread) as pool:
        futures = {pool.submit(make, run): number for number, run in enumerate(runs)}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _one_thread() -> None:
    """In a process of its own: one thread, and nothing printed over the bar."""
    torch.set_num_threads(1)
    silent = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(silent, descriptor)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Bars and log lines of a run are left out."""
    with (
        open(os.devnull, "w") as nowhere,  # noqa: PTH123
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield


def _read(run: Run, folder: Path) -> Result:
    return Result(
        run,
        read_json_lines(folder / "probes.jsonl"),
        read_json_lines(folder / "captions.jsonl"),
        read_json(folder / "cost.json"),
        folder.name,
    )


def merged(*variants: Variant, name: str) -> Variant:
    """Several variants' changes in one; a later one wins. Raises ValueError for different versions."""
    if len({variant.version for variant in variants}) != 1:
        raise ValueError("only variants of one version can be merged")
    changes = {key: value for variant in variants for key, value in variant.changes.items()}
    contrast = any(variant.contrast for variant in variants)
    return replace(variants[0], name=name, family="combined", changes=changes, contrast=contrast)
