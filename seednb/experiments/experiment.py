"""An experiment: one profile's data, trainings and answers, each made once and found by its key."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from peft import PeftModel

from seednb.core.devices import process_state
from seednb.core.errors import SeedError
from seednb.core.files import PATIENCE_S, read_json, write_json, write_lines
from seednb.core.profiles import Params, load_params
from seednb.core.stage import Stage, folder_fingerprint, making
from seednb.data.instruct import Pair, read_pairs, write_pairs
from seednb.data.readers import read_json_lines
from seednb.data.vocabulary import find_mentions
from seednb.evaluation.evaluator import (
    Contrast,
    answer_probes,
    match_mentions,
    mention_tokens,
    write_captions,
)
from seednb.evaluation.records import Answers
from seednb.experiments.dataset import Prepared, prepare, self_labelled
from seednb.experiments.metrics import metric_rows
from seednb.experiments.stages import ANSWERING, SAMPLING, Stages, version_and_labels
from seednb.method.recipes import RECIPES, SELF, Recipe
from seednb.model.generation import MentionPenalty
from seednb.model.inputs.pixels import Box, ImageReader, boxes_by_name
from seednb.model.loading import Bundle, load_bundle
from seednb.model.lora import add_adapter, check_adapter, load_adapter
from seednb.training.examples import Examples
from seednb.training.history import CURVE
from seednb.training.monitor import Bands, read_bands
from seednb.training.monitor.bands import NO_BANDS
from seednb.training.monitor.watch import watching
from seednb.training.teacher_cache import TeacherCache
from seednb.training.trainer import ADAPTER, train

Record = dict[str, Any]
Records = dict[str, list[Record]]  # of probes, questions, captions
METRICS = "metrics.json"
Answerer = Callable[..., list[Record]]  # answer_probes or write_captions


def stored_answers(model: str, stage: Stage) -> Answers:
    """The records of a finished stage; no probes or questions if none were asked."""
    probes, questions = (
        read_json_lines(file) if file.is_file() else []
        for file in (stage.path("probes.jsonl"), stage.path("questions.jsonl"))
    )
    captions = read_json_lines(stage.path("captions.jsonl"))
    return Answers(model, probes, captions, Path(stage.folder.name), questions)


@dataclass(frozen=True)
class Training:
    """A finished training run."""

    recipe: Recipe
    labels: str
    folder: Path
    curve: pd.DataFrame
    seconds: float


class Experiment:
    """A profile's results. Each is computed when it is first asked for, and once."""

    def __init__(self, params: Params) -> None:
        """Use `Experiment.open` in a notebook."""
        self.params = params
        self.runs = params.path(params.run.runs_dir) / params.run.profile
        self.stages = Stages(params, self.runs)
        self.patience_s = PATIENCE_S  # for another run that makes the same stage

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
        bundle = load_bundle(self.stages.model_source, self.params.model)
        if model in ("base", "contrastive", "mention_control", *self.sampled):
            return bundle
        return self.adapted(self.train(*version_and_labels(model)).folder / ADAPTER)

    @cached_property
    def _boxes(self) -> dict[str, dict[str, list[Box]]]:
        return {"train": boxes_by_name(self.data.train), "val": boxes_by_name(self.data.val)}

    def image_reader(self, split: str, bundle: Bundle) -> ImageReader:
        """Reader of the images of "train" or "val"."""
        source = self.data.train if split == "train" else self.data.val
        reader = bundle.image_reader(source.image_dir, self.params.data.image_fit)
        reader.boxes = self._boxes[split]
        return reader

    def small(self, **changes: Any) -> "Experiment":
        """The pocket model on a few images, whatever this experiment's model: for steps by hand.

        It is kept beside this experiment's runs; `changes` are parameters.
        """
        place = {"profile": "small", "runs_dir": str(self.runs.parent), "attention": "dense"}
        return Experiment.open(str(self.params.root / "params/smoke.yaml"), place | changes)

    def train(
        self,
        version: str,
        labels: str = "replay",
        epochs: int | None = None,
        pairs_file: Path | None = None,
    ) -> Training:
        """Train a version, or find that run by its key.

        `labels`: "replay", "truthful" or "self" (the model's own); `pairs_file` replaces them. A run
        that was interrupted resumes from its last checkpoint.
        """
        if version not in RECIPES:
            raise SeedError(f"version {version!r} is unknown; there are {', '.join(RECIPES)}")
        if epochs is not None and epochs < 1:
            raise SeedError(f"epochs={epochs}: must be at least 1")
        recipe = replace(RECIPES[version], epochs=epochs or RECIPES[version].epochs)
        with process_state().main_process_first():  # the first to come draws the world
            data = self.data
        pairs_file = pairs_file or self._own_pairs(recipe, labels)
        n = self._n_pairs(recipe)
        pairs = read_pairs(pairs_file) if pairs_file else data.pairs[labels][:n]
        stage = self.stages.train(recipe, labels, pairs_file)
        with making(stage, self.patience_s) as is_left:
            if is_left:
                self._train(recipe, pairs, stage.folder)
        curve = pd.read_parquet(stage.path(CURVE))
        return Training(recipe, labels, stage.folder, curve, stage.manifest()["seconds"])

    def train_key(self, version: str, labels: str = "replay") -> str:
        """The key of a version's training, which need not have run."""
        recipe = RECIPES[version]
        return self.stages.train(recipe, labels, self._own_pairs(recipe, labels)).key

    def _n_pairs(self, recipe: Recipe) -> int:
        return round(recipe.data_share * self.params.data.n_pairs)

    def _own_pairs(self, recipe: Recipe, labels: str) -> Path | None:
        """The file of labels that are the model's own; None for other labels."""
        return self.self_labels(self._n_pairs(recipe)) if labels == SELF else None

    def self_labels(self, n: int) -> Path:
        """File of the first n training questions with the base model's own answers."""
        stage = self.stages.self_labels(n)
        file = stage.path("pairs.json")
        with making(stage, self.patience_s) as is_left:
            if is_left:
                bundle = self.bundle()
                pairs = self_labelled(
                    bundle,
                    self.data.pairs["replay"][:n],
                    self.image_reader("train", bundle),
                    self.params.evaluation,
                    kept=file,
                )
                if process_state().is_main_process:
                    write_pairs(file, pairs)
        return file

    def trained(self, version: str) -> Path | None:
        """Adapter folder of a version on replayed labels; None if that run is not finished."""
        stage = self.stages.train(RECIPES[version], "replay")
        return stage.folder / ADAPTER if stage.is_finished else None

    def answers(self, model: str) -> Answers:
        """A model's records: its answers to probes and questions, and its captions."""
        stage = self.stages.answers(model)
        return self._kept(model, stage, lambda: self._answer(model, stage))

    def _kept(self, model: str, stage: Stage, answer: Callable[[], Records]) -> Answers:
        """Records that a stage holds; `answer` makes them if it does not."""
        with making(stage, self.patience_s) as is_left:
            if is_left:
                records = answer()
                if process_state().is_main_process:
                    for name, rows in records.items():
                        write_lines(stage.path(f"{name}.jsonl"), rows)
        return stored_answers(model, stage)

    @property
    def sampled(self) -> list[str]:
        """Names of the base model's runs by sampling."""
        return [f"{SAMPLING}{n}" for n in range(1, self.params.evaluation.sampling_runs + 1)]

    def metrics(self, models: Sequence[str] = ()) -> list[Record]:
        """The report's numbers: one row a model, benchmark, split and metric, with intervals.

        Of all models, unless some are named.
        """
        stage = self.metrics_stage(models)
        with making(stage, self.patience_s) as is_left:
            if is_left:
                answers = {model: self.answers(model) for model in self._all_or(models)}
                rows = metric_rows(answers, self.data, self.params.evaluation)
                write_json(stage.path(METRICS), rows)
        return read_json(stage.path(METRICS))

    def metrics_stage(self, models: Sequence[str] = ()) -> Stage:
        """Where `metrics` keeps its rows, as metrics.json, finished or not."""
        answers = (self.stages.answers(model) for model in self._all_or(models))
        return self.stages.metrics(Path(stage.folder.name) for stage in answers)

    def _all_or(self, models: Sequence[str]) -> Sequence[str]:
        return models or (*ANSWERING, *self.sampled)

    def compare(self, adapter: Path, with_base: bool, contrasted: bool = False) -> pd.DataFrame:
        """Rows of an adapter on POPE and CHAIR; `with_base`: and of the base model, with differences.

        `contrasted`: it is decoded from purified logits, too (dual purification). Its records are
        kept in `runs`, under a key of the adapter's files.
        """
        check_adapter(adapter)
        inputs: dict[str, Any] = {"adapter": folder_fingerprint(adapter)}
        if contrasted:
            inputs["contrast"] = True
        stage = self.stages.answers("adapter", **inputs)
        records = self._kept(
            "adapter", stage, lambda: self._ask(self.adapted(adapter), stage, contrasted)
        )
        answers = {"adapter + contrast" if contrasted else "adapter": records}
        if with_base:
            answers = {"base": self.answers("base")} | answers
        rows = pd.DataFrame(metric_rows(answers, self.data, self.params.evaluation))
        return rows.drop(columns=["records", "variant"])

    def adapted(self, adapter: Path) -> Bundle:
        """The base model with an adapter from a folder."""
        check_adapter(adapter)
        bundle = self.bundle()
        return replace(bundle, model=load_adapter(bundle.model, adapter))

    def _ask(
        self, bundle: Bundle, stage: Stage, contrasted: bool = False, draw: str | None = None
    ) -> Records:
        """What a model answers about the validation images; a killed run resumes from `stage`."""
        data, params = self.data, self.params.evaluation
        reader = self.image_reader("val", bundle)
        contrast = Contrast.of(params) if contrasted else None

        def ask(answer: Answerer, rows: list[Record], name: str) -> list[Record]:
            how = {"contrast": contrast, "draw": draw, "kept": stage.path(name)}
            return answer(bundle, rows, reader, params, **how)

        return {
            "probes": ask(answer_probes, data.probes, "probes"),
            "questions": ask(answer_probes, data.questions, "questions"),
            "captions": ask(write_captions, data.to_caption, "captions"),
        }

    def _train(self, recipe: Recipe, pairs: Sequence[Pair], folder: Path) -> None:
        model, bundle, examples = self.start(pairs)
        cache = self._teacher_cache(recipe)
        with watching(self.params.monitor, self.bands, folder, bundle) as watch:
            train(model, bundle, examples, recipe, self.params.train, folder, cache, watch)

    def start(self, pairs: Sequence[Pair]) -> tuple[PeftModel, Bundle, Examples]:
        """What a training starts from: a new adapter on the base model, and the encoded pairs."""
        on_host = self.params.train.shard_layers  # a card need not hold it all
        bundle = load_bundle(self.stages.model_source, self.params.model, on_host=on_host)
        examples = Examples.of(pairs, bundle, self.image_reader("train", bundle))
        return (
            add_adapter(bundle.model, self.params.model, self.params.train.seed),
            bundle,
            examples,
        )

    @property
    def bands(self) -> Bands:
        """The profile's healthy bands; none if it names no file."""
        file = self.params.monitor.healthy_bands
        return read_bands(self.params.path(file)) if file else NO_BANDS

    def _teacher_cache(self, recipe: Recipe) -> TeacherCache | None:
        """The frozen teacher's states on disk, for all versions that learn from the same one."""
        budget = self.params.train.teacher_cache_gib * 2**30
        return TeacherCache(self.stages.teacher(recipe), budget) if budget else None

    def _answer(self, model: str, stage: Stage) -> Records:
        bundle = self.bundle(model)
        if model == "mention_control":
            return self._cautious_captions(bundle, stage)
        draw = model if model in self.sampled else None
        return self._ask(bundle, stage, contrasted=model == "contrastive", draw=draw)

    def _cautious_captions(self, bundle: Bundle, stage: Stage) -> Records:
        """The base model under a mention penalty that brings its mentions to v7's number."""
        vocabulary = self.data.vocabulary
        tokens = mention_tokens(bundle, sorted(word.strip() for word in vocabulary.object_of))
        reader = self.image_reader("val", bundle)

        def n_mentions(records: list[Record]) -> int:
            return sum(len(find_mentions(record["caption"], vocabulary)) for record in records)

        def write(penalty: float) -> list[Record]:
            return write_captions(
                bundle,
                self.data.to_caption,
                reader,
                self.params.evaluation,
                penalty=MentionPenalty(tokens, penalty),
                kept=stage.path(f"penalty-{penalty}"),
            )

        wanted = n_mentions(self.answers("v7").captions)
        penalty, captions = match_mentions(write, n_mentions, wanted)
        return {"captions": captions, "penalty": [{"penalty_nats": penalty}]}
