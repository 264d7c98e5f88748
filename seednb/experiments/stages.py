"""Where each result of a profile lies and what decides it; nothing is loaded or computed for that.

A result's inputs are the parameters that it reads, and fingerprints of the files. A parameter that
stands in none of the lists below is an input wherever its section is read: to forget one costs a
second run, never two results under one key. docs/parameters-and-stages.md is the table.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from seednb.core.params import CurationParams
from seednb.core.profiles import Params
from seednb.core.stage import Stage, digest, fingerprint, folder_fingerprint, version_of
from seednb.data.readers import find_one
from seednb.method.perturbation import View
from seednb.method.recipes import CONTROLS, RECIPES, REPORTED, Recipe, with_overrides

TRAINED = tuple(recipe.name for recipe in (*REPORTED, *CONTROLS))
TRUTHFUL = ("sft_truthful", "v7_truthful")
SAMPLING = "sampling_"  # and a number: the base model, sampled
ANSWERING = ("base", *TRAINED, *TRUTHFUL, "contrastive", "mention_control")

# Section data. Some count through the place of the files, and `image_fit` with the model.
CURATION = tuple(item.name for item in fields(CurationParams))
PLACE = ("generator", "data_root", "n_train_images", "n_val_images", "image_fit")
OF_TRAINING = (*CURATION, "n_pairs", "instruct", "train_questions")
OF_VALIDATION = ("val_images", "val_captions", "val_questions")
SPLIT_OFF = ("train_instances", "train_captions", "val_fraction")  # where val_instances is empty
# Section model.
ADAPTER = ("lora_r", "lora_alpha", "lora_dropout", "lora_scope")
# Section train: these change a run's time, memory or log, and nothing that it writes.
WITHOUT_EFFECT = ("log_every", "checkpoint_every", "data_workers", "gradient_checkpointing")
# Section evaluation.
QUESTIONS = ("pope_images", "pope_min_objects", "question_images", "caption_images",
             "vocabulary", "chair_variant")  # fmt: skip
ASKING = ("probe_suffix", "caption_prompt", "max_new_tokens", "eval_batch_size", "compile_probes",
          "caption_beams")  # fmt: skip
CONTRAST = ("contrast_beta", "contrast_alpha", "contrast_perturbation", "contrast_plausibility")
SCORING = ("pope_parser", "resamples", "bootstrap_seed")
OF_CHAPTERS = ("sampling_runs", "probe_languages")  # which models, which languages


class Stages:
    """The stages of one profile, finished or not, and the inputs that several kinds share."""

    def __init__(self, params: Params, runs: Path) -> None:
        """`runs`: the profile's folder of finished stages."""
        self.params, self.runs = params, runs

    @property
    def world(self) -> Stage:
        """The generated world."""
        data = self.params.data
        sizes = {"n_train": data.n_train_images, "n_val": data.n_val_images}
        return Stage(self.runs, "world", {"seed": data.world_seed, **sizes})

    @cached_property
    def training_data(self) -> dict[str, Any]:
        """What decides the instruction pairs and their images."""
        data = self.params.data
        values = _without(self.params.values("data"), PLACE, OF_VALIDATION, ("val_instances",))
        if data.val_instances:
            values.pop("val_fraction")
        named = [data.train_instances, data.train_captions, data.instruct, data.train_questions]
        return {
            "version": version_of("pairs"),
            "splits_off": not data.val_instances,
            **values,
            **self._files([data.n_train_images], named),
        }

    @cached_property
    def validation_data(self) -> dict[str, Any]:
        """What decides the probes, the questions, the images to caption, and the truth."""
        data, evaluation = self.params.data, self.params.evaluation
        values = _without(self.params.values("data"), PLACE, OF_TRAINING)
        named = [data.val_instances, data.val_captions, data.val_questions]
        size = data.n_val_images
        if data.val_instances:
            values = _without(values, SPLIT_OFF, ("train_images",) if data.val_images else ())
        else:
            named += [data.train_instances, data.train_captions]
            size = data.n_train_images
        asked = {name: getattr(evaluation, name) for name in QUESTIONS}
        return {
            "version": version_of("questions"),
            **values,
            **asked,
            "vocabulary": fingerprint(self.params.path(evaluation.vocabulary)),
            **self._files([size], named),
        }

    @cached_property
    def model(self) -> dict[str, Any]:
        """What decides the base model's answers, apart from its questions."""
        values = _without(self.params.values("model"), ADAPTER)
        source = Path(self.model_source)
        key = folder_fingerprint(source) if source.is_dir() else str(source)
        return values | {"model": key, "image_fit": self.params.data.image_fit}

    @property
    def model_source(self) -> str:
        """The checkpoint's folder, or its hub name."""
        source = self.params.model.model
        folder = self.params.path(source)
        return str(folder) if folder.is_dir() else source

    def training(self, recipe: Recipe) -> dict[str, Any]:
        """What decides a training: pairs, model and adapter, and how the recipe is followed."""
        train = self.params.train
        settled = with_overrides(recipe, train)
        settings = _without(asdict(settled), ("reason", "symptom"))
        values = _without(
            self.params.values("train"), WITHOUT_EFFECT, _settled(), ("teacher_cache_gib",)
        )
        return {
            "data": self.training_data,
            "model": self.model | {name: getattr(self.params.model, name) for name in ADAPTER},
            "recipe": settings,
            "train": values | self._view(settled),
            "teacher_cache": train.teacher_cache_gib
            > 0,  # how views share a forward pass depends on it
        }

    def asking(self, contrasted: bool = False) -> dict[str, Any]:
        """The parameters that decide answers to given questions."""
        unread = (*QUESTIONS, *SCORING, *OF_CHAPTERS, *(() if contrasted else CONTRAST))
        return _without(self.params.values("evaluation"), unread)

    @property
    def scoring(self) -> dict[str, Any]:
        """The parameters that decide figures from given answers."""
        asked = tuple(name for name in QUESTIONS if name not in ("vocabulary", "chair_variant"))
        values = _without(self.params.values("evaluation"), asked, ASKING, CONTRAST, OF_CHAPTERS)
        return values | {"vocabulary": self.validation_data["vocabulary"]}

    def train(self, recipe: Recipe, labels: str, pairs_file: Path | None = None) -> Stage:
        """A training; `pairs_file` replaces the labels of the profile's data."""
        own = fingerprint(pairs_file) if pairs_file else labels
        inputs = self.training(recipe) | {"labels": own}
        return Stage(self.runs, f"train-{recipe.name}-{labels}", inputs)

    def self_labels(self, n: int) -> Stage:
        """The base model's own answers to the first n training questions."""
        evaluation = self.params.evaluation
        names = ("max_new_tokens", "eval_batch_size")
        asking = {name: getattr(evaluation, name) for name in names}
        inputs = {"data": self.training_data, "model": self.model, "n": n, "evaluation": asking}
        return Stage(self.runs, "labels-self", inputs)

    def teacher(self, recipe: Recipe) -> Path:
        """The folder of the frozen teacher's states, for all versions that learn from the same one.

        Texts are named in it by their tokens. It keeps the noisy view only of noise that never
        changes, so other noise is no input.
        """
        data, train = self.params.data, self.params.train
        settled = with_overrides(recipe, train)
        noise: dict[str, Any] = {}
        if train.noise == "per_image_seed":
            view = {"perturbation": settled.perturbation, **self._view(settled)}
            noise = {"seed": train.seed, "text_corruption": settled.text_corruption, **view}
        inputs = {
            "version": version_of("teacher"),
            "model": self.model,
            "images": {"folder": data.train_images, **self._files([], [data.train_instances])},
            "noise": noise,
            "rounding": [train.attention, train.compile_layers],
        }
        return self.runs / "teacher" / digest(inputs)

    def answers(self, model: str, **more: Any) -> Stage:
        """The answers of a model of `ANSWERING` about the validation images.

        "adapter" is any other model; `more` are then the inputs that tell it from others.
        """
        contrasted = model == "contrastive" or "contrast" in more
        inputs = {
            "data": self.validation_data,
            "model": self.model,
            "answering": model,
            "evaluation": self.asking(contrasted),
            **more,
        }
        if model in (*TRAINED, *TRUTHFUL):
            version, labels = version_and_labels(model)
            inputs["adapter"] = self.train(RECIPES[version], labels).key
        elif model == "mention_control":
            inputs["matched"] = self.answers("v7").key
        return Stage(self.runs, f"answers-{model}", inputs)

    def metrics(self, answers: Iterable[Path]) -> Stage:
        """The report's numbers, from the answers in some folders."""
        inputs = {"answers": [str(folder) for folder in answers], "parameters": self.scoring}
        return Stage(self.runs, "metrics", inputs)

    def needed(self, model: str) -> list[Stage]:
        """What must be finished before a model's answers are only read: its training, its answers."""
        needed = self.needed("v7") if model == "mention_control" else []
        if model in (*TRAINED, *TRUTHFUL):
            version, labels = version_and_labels(model)
            needed = [self.train(RECIPES[version], labels)]
        return [*needed, self.answers(model)]

    def _files(self, sizes: Sequence[int], names: Sequence[str]) -> dict[str, Any]:
        """A data set's folder, and fingerprints of some of its files; or how the world is generated.

        A world's images depend on its seed and their own number alone, and `sizes` says how many.
        """
        data = self.params.data
        if data.generator == "pocket":
            return {"world": [version_of("world"), data.world_seed, *sizes]}
        root = self.params.path(data.data_root)
        prints = {name: fingerprint(find_one(root, name)) for name in names if name}
        return {"data_root": data.data_root, "files": prints}

    def _view(self, settled: Recipe) -> dict[str, Any]:
        """The parameters that a recipe's noisy view is made of."""
        names = View(settled.perturbation).reads
        return {name: getattr(self.params.train, name) for name in names}


def version_and_labels(model: str) -> tuple[str, str]:
    """ "v7_truthful" is v7 on truthful labels."""
    if model.endswith("_truthful"):
        return model.removesuffix("_truthful"), "truthful"
    return model, "replay"


def _settled() -> tuple[str, ...]:
    """Parameters that count through the settled recipe, or only where its noisy view reads them."""
    of_recipe = (item.name for item in fields(Recipe))
    return (*of_recipe, *(item.name for item in fields(View)), "fgsm_step")


def _without(values: Mapping[str, Any], *left_out: Iterable[str]) -> dict[str, Any]:
    unwanted = {name for names in left_out for name in names}
    return {name: value for name, value in values.items() if name not in unwanted}
