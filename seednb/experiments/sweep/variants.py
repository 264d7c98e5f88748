"""One variant with one seed: its training, its answers about some images, and their cost.

A variant is the profile with some parameters changed. Grids of sweeps and plans of ablations are
both lists of such cells.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from seednb.core.files import UNTIL_DONE_S, read_json, write_json, write_lines
from seednb.core.profiles import Params
from seednb.core.stage import Stage, making
from seednb.evaluation.evaluator import Contrast, answer_probes, write_captions
from seednb.evaluation.records import Answers
from seednb.experiments.experiment import Experiment, stored_answers
from seednb.training.trainer import ADAPTER

Row = dict[str, Any]
HALVES = ("search", "fresh")  # of the validation images; "all" are those of the report
SPLIT = "adversarial"  # POPE's hardest
UNTRAINED = ("base", "contrastive")  # nothing is trained, so no seed changes them


@dataclass(frozen=True)
class Variant:
    """A version, and the profile's parameters that are changed for it."""

    name: str
    family: str = ""
    version: str = "v7"
    changes: Mapping[str, Any] = field(default_factory=dict)  # of parameters
    labels: str = "replay"
    data: float = 1.0  # pairs, in units of a short training
    contrast: bool = False  # decoded from purified logits?

    @property
    def is_trained(self) -> bool:
        """Whether there is anything to train."""
        return self.version not in UNTRAINED


@dataclass(frozen=True)
class Cell:
    """One variant with one seed, asked about some images."""

    number: int  # its place in the grid or plan, from 0
    params: Params  # the same for all cells, but for the number of pairs
    variant: Variant
    seed: int | None = None  # None: the profile's
    images: str = "all"

    def open(self) -> Experiment:
        """The experiment with this cell's parameters."""
        seed = {} if self.seed is None else {"seed": self.seed}
        lab = Experiment(self.params.changed({**self.variant.changes, **seed}))
        lab.patience_s = UNTIL_DONE_S  # cells beside each other share stages
        return lab

    @property
    def title(self) -> str:
        """ "v7, noise_alpha=0.1, seed 2"."""
        return self.variant.name + ("" if self.seed is None else f", seed {self.seed}")

    def needs(self, lab: Experiment) -> list[Stage]:
        """The stages that `make` finishes."""
        if self.images == "all":
            return [stage for model in self._models for stage in lab.stages.needed(model)]
        return [self._stage(lab)]

    def make(self) -> Experiment:
        """Train and ask, unless it is done; returns the experiment."""
        lab = self.open()
        if self.images == "all":
            for model in self._models:
                lab.answers(model)
            return lab
        stage = self._stage(lab)
        with making(stage, lab.patience_s) as is_left:
            if is_left:
                self._make(lab, stage)
        return lab

    def answers(self, lab: Experiment) -> Answers:
        """The records of a finished cell."""
        if self.images == "all":
            return lab.answers(self.variant.version)
        return stored_answers(self.variant.name, self._stage(lab))

    def cost(self, lab: Experiment) -> Row:
        """samples_per_s of training and tokens_per_s of captions; None where there is none."""
        return read_json(self._stage(lab).path("cost.json"))

    @property
    def _models(self) -> list[str]:
        """The version and what it is compared with, each once."""
        return [*dict.fromkeys((self.variant.version, "base"))]

    def _stage(self, lab: Experiment) -> Stage:
        variant = self.variant
        inputs: Row = {
            "trained": lab.train_key(variant.version, variant.labels) if variant.is_trained else "",
            "data": lab.stages.validation_data,
            "model": lab.stages.model,
            "evaluation": lab.stages.asking(variant.contrast),
            "images": [self.images, lab.params.ablation.ablation_images],
            "contrast": variant.contrast,
        }
        return Stage(lab.runs, f"ablation-{variant.version}", inputs)

    def _make(self, lab: Experiment, stage: Stage) -> None:
        variant, cost = self.variant, Row(samples_per_s=None)
        if variant.is_trained:
            training = lab.train(variant.version, variant.labels)
            cost["samples_per_s"] = float(training.curve["examples_per_s"].iloc[-1])
            bundle = lab.adapted(training.folder / ADAPTER)
        else:
            bundle = lab.bundle()
        contrast = Contrast.of(lab.params.evaluation) if variant.contrast else None
        reader, params = lab.image_reader("val", bundle), lab.params.evaluation
        images, probes = asked(lab, self.images)
        answers = answer_probes(bundle, probes, reader, params, contrast)
        began = time.perf_counter()
        captions = write_captions(bundle, images, reader, params, contrast)
        n_tokens = sum(record["n_tokens"] for record in captions)
        cost["tokens_per_s"] = n_tokens / (time.perf_counter() - began)
        write_lines(stage.path("probes.jsonl"), answers)
        write_lines(stage.path("captions.jsonl"), captions)
        write_json(stage.path("cost.json"), cost)


def asked(lab: Experiment, half: str) -> tuple[list[Row], list[Row]]:
    """(images to caption, probes about them): every other validation image is kept as fresh.

    Probed images come first; at most `ablation_images`.
    """
    hardest = [probe for probe in lab.data.probes if probe["split"] == SPLIT]
    probed, start = {probe["image"] for probe in hardest}, HALVES.index(half)
    rest = [row for row in lab.data.to_caption if row["file_name"] not in probed]
    first = [row for row in lab.data.to_caption if row["file_name"] in probed]
    chosen = [*first[start::2], *rest[start::2]][: lab.params.ablation.ablation_images]
    names = {row["file_name"] for row in chosen}
    return chosen, [probe for probe in hardest if probe["image"] in names]


def merged(*variants: Variant, name: str) -> Variant:
    """Several variants' changes in one; a later one wins. Raises ValueError for different versions."""
    if len({variant.version for variant in variants}) != 1:
        raise ValueError("only variants of one version can be merged")
    changes = {key: value for variant in variants for key, value in variant.changes.items()}
    contrast = any(variant.contrast for variant in variants)
    return replace(variants[0], name=name, family="combined", changes=changes, contrast=contrast)
