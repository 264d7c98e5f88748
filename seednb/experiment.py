"""One profile at work: its data, trainings and answers, each made once and then found by its key."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from seednb.artifacts import (
    Stage,
    code_fingerprint,
    digest,
    fingerprint,
    folder_fingerprint,
    read_json,
    write_json,
    write_lines,
)
from seednb.config import Params, load_params
from seednb.data.files import read_json_lines
from seednb.data.instruct import Pair, read_pairs
from seednb.data.pictures import Pictures
from seednb.data.prompts import TEMPLATES
from seednb.decoding import MentionPenalty
from seednb.errors import SeedError
from seednb.evaluate import (
    Contrast,
    answer_probes,
    caption_pictures,
    match_mentions,
    mention_tokens,
)
from seednb.examples import Examples
from seednb.metrics.vocabulary import find_mentions
from seednb.model import (
    Bundle,
    add_adapter,
    check_adapter,
    load_adapter,
    load_bundle,
    one_card_each,
)
from seednb.preparation import Prepared, data_inputs, prepare
from seednb.scoring import Answers, metric_rows
from seednb.teacher_cache import TeacherCache
from seednb.trainer import ADAPTER, CURVE, train
from seednb.versions import RECIPES, Recipe

TRAINED = ("v4", "v5", "v6", "v7", "sft", "distill_only")
TRUTHFUL = ("sft_truthful", "v7_truthful")
SAMPLING = "sampling_"  # and a number: the base model, sampled
ANSWERING = ("base", *TRAINED, *TRUTHFUL, "contrastive", "mention_control")


@dataclass(frozen=True)
class Training:
    """A finished training run."""

    recipe: Recipe
    labels: str
    folder: Path
    curve: pd.DataFrame
    seconds: float


class Experiment:
    """All that a notebook asks for. Nothing is computed before it is asked for, or twice."""

    def __init__(self, params: Params) -> None:
        """Use `Experiment.open` in a notebook."""
        self.params = params
        self.runs = params.path(params.run.runs_dir) / params.run.profile
        self.template = TEMPLATES[params.model.prompt_template]

    @classmethod
    def open(cls, params_file: str, overrides: Mapping[str, Any] | None = None) -> "Experiment":
        """Open a profile by its parameter file."""
        return cls(load_params(params_file, overrides))

    @cached_property
    def data(self) -> Prepared:
        """Pairs, probes and ground truth."""
        return prepare(self.params, self.runs)

    def bundle(self, model: str = "base") -> Bundle:
        """A freshly loaded model: the base, or a trained version with its adapter on."""
        bundle = load_bundle(self._model_source(), self.params.model)
        if model in ("base", "contrastive", "mention_control", *self.sampled):
            return bundle
        return self.adapted(self.train(*_version_and_labels(model)).folder / ADAPTER)

    def pictures(self, split: str, bundle: Bundle) -> Pictures:
        """Reader of the pictures of "train" or "val"."""
        folder = (self.data.train if split == "train" else self.data.val).image_dir
        return bundle.pictures(folder, self.params.data.image_fit)

    def train(
        self,
        version: str,
        labels: str = "replay",
        epochs: int | None = None,
        pairs_file: Path | None = None,
    ) -> Training:
        """Train a version, or find that run by its key.

        `labels`: "replay" or "truthful"; `pairs_file` replaces both. A run that was interrupted goes
        on from its last checkpoint.
        """
        if version not in RECIPES:
            raise SeedError(f"version {version!r} is unknown; there are {', '.join(RECIPES)}")
        recipe = replace(RECIPES[version], epochs=epochs or RECIPES[version].epochs)
        processes = one_card_each()
        with processes.main_process_first():  # the first to come draws the world
            n = round(recipe.data_share * self.params.data.n_pairs)
            pairs = read_pairs(pairs_file) if pairs_file else self.data.pairs[labels][:n]
            stage = self._train_stage(recipe, labels, pairs_file)
            is_finished = stage.is_finished
        if not is_finished:
            started = time.perf_counter()
            self._train(recipe, pairs, stage.folder)
            if processes.is_main_process:
                stage.finish(time.perf_counter() - started)
            processes.wait_for_everyone()
        curve = pd.read_parquet(stage.path(CURVE))
        return Training(recipe, labels, stage.folder, curve, stage.manifest()["seconds"])

    def answers(self, model: str) -> Answers:
        """What a model answers to the probes and writes as captions: its records."""
        stage = self._answer_stage(model)
        processes = one_card_each()
        if not stage.is_finished:
            started = time.perf_counter()
            records = self._answer(model)
            if processes.is_main_process:
                for name, rows in records.items():
                    write_lines(stage.path(f"{name}.jsonl"), rows)
                stage.finish(time.perf_counter() - started)
            processes.wait_for_everyone()
        probes = stage.path("probes.jsonl")
        return Answers(
            model=model,
            probes=read_json_lines(probes) if probes.is_file() else [],
            captions=read_json_lines(stage.path("captions.jsonl")),
            folder=stage.folder.relative_to(self.runs),
        )

    def stages(self, model: str) -> list[Stage]:
        """What must be finished before `answers(model)` only reads: its training, its answers."""
        needed = self.stages("v7") if model == "mention_control" else []
        if model in (*TRAINED, *TRUTHFUL):
            version, labels = _version_and_labels(model)
            needed = [self._train_stage(RECIPES[version], labels)]
        return [*needed, self._answer_stage(model)]

    @property
    def sampled(self) -> list[str]:
        """Names of the base model's runs by sampling."""
        return [f"{SAMPLING}{n}" for n in range(1, self.params.evaluation.sampling_runs + 1)]

    def metrics(self, models: Sequence[str] = ()) -> list[dict[str, Any]]:
        """The report's numbers: one row a model, benchmark, split and metric, with intervals.

        Of all models, unless some are named.
        """
        named = models or (*ANSWERING, *self.sampled)
        answers = {model: self.answers(model) for model in named}
        stage = Stage(
            self.runs,
            "metrics",
            {
                "answers": [str(answer.folder) for answer in answers.values()],
                "parameters": self.params.values("evaluation"),
                "code": code_fingerprint("scoring"),
            },
        )
        file = stage.path("metrics.json")
        if not stage.is_finished:
            started = time.perf_counter()
            write_json(file, metric_rows(answers, self.data, self.params.evaluation))
            stage.finish(time.perf_counter() - started)
        return read_json(file)

    def compare(self, adapter: Path, with_base: bool) -> pd.DataFrame:
        """Levels of an adapter on POPE and CHAIR; with the base model, and the difference to it."""
        adapted = self.adapted(adapter)
        probes, captions = self._ask(adapted, None)
        answers = {"adapter": Answers("adapter", probes, captions, adapter)}
        if with_base:
            answers = {"base": self.answers("base")} | answers
        rows = pd.DataFrame(metric_rows(answers, self.data, self.params.evaluation))
        return rows.drop(columns=["records", "variant"])

    def adapted(self, adapter: Path) -> Bundle:
        """The base model with an adapter from a folder."""
        check_adapter(adapter)
        bundle = self.bundle()
        return Bundle(load_adapter(bundle.model, adapter), bundle.processor, bundle.device)

    def _ask(
        self, bundle: Bundle, contrast: Contrast | None, draw: str | None = None
    ) -> tuple[list[Any], list[Any]]:
        """(probe records, caption records) of a model on the validation pictures."""
        settings = (self.pictures("val", bundle), self.params.evaluation, self.template)
        how: dict[str, Any] = {"contrast": contrast, "draw": draw}
        probes = answer_probes(bundle, self.data.probes, *settings, **how)
        captions = caption_pictures(bundle, self.data.to_caption, *settings, **how)
        return probes, captions

    def _model_source(self) -> str:
        source = self.params.model.model
        folder = self.params.path(source)
        return str(folder) if folder.is_dir() else source

    @cached_property
    def _model_key(self) -> str:
        source = Path(self._model_source())
        return folder_fingerprint(source) if source.is_dir() else str(source)

    def _common_inputs(self) -> dict[str, Any]:
        model = self.params.values("model") | {"model": self._model_key}
        return {"data": data_inputs(self.params, self.runs), "model": model}

    def _train_stage(self, recipe: Recipe, labels: str, pairs_file: Path | None = None) -> Stage:
        settings = {k: v for k, v in asdict(recipe).items() if k not in ("reason", "symptom")}
        inputs = self._common_inputs() | {
            "recipe": settings,
            "labels": labels,
            "train": self.params.values("train"),
            "code": code_fingerprint("trainer", "preparation"),
        }
        if pairs_file:
            inputs["labels"] = fingerprint(pairs_file)
        return Stage(self.runs, f"train-{recipe.name}-{labels}", inputs)

    def _train(self, recipe: Recipe, pairs: Sequence[Pair], folder: Path) -> None:
        on_host = self.params.train.shard_layers  # a card need not hold it all
        bundle = load_bundle(self._model_source(), self.params.model, on_host=on_host)
        examples = Examples.of(pairs, bundle, self.pictures("train", bundle), self.template)
        model = add_adapter(bundle.model, self.params.model, self.params.train.seed)
        train(model, bundle, examples, recipe, self.params.train, folder, self._teacher_cache())

    def _teacher_cache(self) -> TeacherCache | None:
        """What the frozen teacher said, for all versions that learn from the same one."""
        budget = self.params.train.teacher_cache_gib * 2**30
        noise = {
            name: getattr(self.params.train, name) for name in ("seed", "noise", "noise_alpha")
        }
        inputs = self._common_inputs() | {"noise": noise, "code": code_fingerprint("teacher")}
        folder = self.runs / "teacher" / digest(inputs)
        return TeacherCache(folder, budget) if budget else None

    def _answer_stage(self, model: str) -> Stage:
        inputs = self._common_inputs() | {
            "answering": model,
            "evaluation": self.params.values("evaluation"),
            "code": code_fingerprint("evaluate", "preparation"),
        }
        for name in ("resamples", "bootstrap_seed", "pope_parser", "sampling_runs"):
            inputs["evaluation"].pop(name)
        if model in (*TRAINED, *TRUTHFUL):
            version, labels = _version_and_labels(model)
            inputs["adapter"] = self._train_stage(RECIPES[version], labels).key
        elif model == "mention_control":
            inputs["matched"] = self._answer_stage("v7").key
        return Stage(self.runs, f"answers-{model}", inputs)

    def _answer(self, model: str) -> dict[str, list[dict[str, Any]]]:
        """Records by kind."""
        evaluation = self.params.evaluation
        bundle = self.bundle(model)
        if model == "mention_control":
            return self._cautious_captions(bundle)
        contrast = None
        if model == "contrastive":
            contrast = Contrast(evaluation.contrast_beta, evaluation.contrast_alpha)
        draw = model if model in self.sampled else None
        probes, captions = self._ask(bundle, contrast, draw)
        return {"probes": probes, "captions": captions}

    def _cautious_captions(self, bundle: Bundle) -> dict[str, list[dict[str, Any]]]:
        """The base model under a mention penalty that brings its mentions to v7's number."""
        vocabulary = self.data.vocabulary
        tokens = mention_tokens(bundle, sorted(word.strip() for word in vocabulary.object_of))
        settings = (self.pictures("val", bundle), self.params.evaluation, self.template)

        def n_mentions(records: list[dict[str, Any]]) -> int:
            return sum(len(find_mentions(record["caption"], vocabulary)) for record in records)

        def write(penalty: float) -> list[dict[str, Any]]:
            processor = MentionPenalty(tokens, penalty)
            return caption_pictures(bundle, self.data.to_caption, *settings, penalty=processor)

        wanted = n_mentions(self.answers("v7").captions)
        penalty, captions = match_mentions(write, n_mentions, wanted)
        return {"captions": captions, "penalty": [{"penalty_nats": penalty}]}


def _version_and_labels(model: str) -> tuple[str, str]:
    """ "v7_truthful" is v7 on truthful labels."""
    if model.endswith("_truthful"):
        return model.removesuffix("_truthful"), "truthful"
    return model, "replay"
