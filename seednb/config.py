"""Parameters: flat YAML or `key=value` in, validated frozen dataclasses out.

Every field carries its meaning, unit and range once; `seednb params`, the checks and the error
messages all read them from here. A long file, because all parameters stand in it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import Field, asdict, dataclass, field, fields
from pathlib import Path
from reprlib import Repr
from types import NoneType
from typing import Any, get_args, get_type_hints

import yaml

from seednb.errors import SeedError

LARGEST = 2**63  # whole numbers end there in tables and random generators


def knob(
    default: Any,
    meaning: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A parameter: its default, its meaning, and what it may be."""
    details = {"meaning": meaning, "unit": unit, "low": low, "high": high, "choices": choices}
    return field(default=default, metadata=details)


class Section:
    """Base of the sections below: checks types and ranges when an instance is made."""

    def __post_init__(self) -> None:
        """Raise SeedError for the first field whose value is not allowed."""
        hints = get_type_hints(type(self))
        for item in fields(self):  # type: ignore[arg-type]
            value = _coerce(item.name, getattr(self, item.name), hints[item.name])
            object.__setattr__(self, item.name, value)
            _check_range(item, value)


@dataclass(frozen=True)
class CurationParams(Section):
    """Which instruction pairs are left out; by default none. See `seednb.data.curation`."""

    max_question_overlap: float | None = knob(
        None,
        "leave out a pair whose question shares more of its trigrams with one to the same picture",
        low=0,
        high=1,
    )
    max_answer_overlap: float | None = knob(
        None,
        "leave out a pair whose answer shares more of its trigrams with one about the same picture",
        low=0,
        high=1,
    )
    drop_trivial_answers: bool = knob(
        False, "leave out pairs whose answer is one word, or a mere yes or no"
    )
    min_answer_words: int = knob(0, "leave out pairs with a shorter answer", unit="words", low=0)
    max_answer_words: int | None = knob(
        None, "leave out pairs with a longer answer; unset: none", unit="words", low=1
    )


@dataclass(frozen=True)
class DataParams(CurationParams):
    """Which pictures, annotations and instruction labels."""

    generator: str = knob("none", "data set to generate first", choices=("none", "pocket"))
    world_seed: int = knob(0, "seed of the generated world", low=0)
    n_train_images: int = knob(1600, "generated training pictures", unit="images", low=1)
    n_val_images: int = knob(1000, "generated validation pictures", unit="images", low=1)
    data_root: str = knob("data", "folder below which the files lie (unless generated)")
    train_images: str = knob("train", "folder of training pictures")
    train_instances: str = knob("annotations/instances_train.json", "COCO instances (training)")
    train_captions: str = knob("annotations/captions_train.json", "COCO captions (training)")
    instruct: str = knob("", "LLaVA-Instruct JSON; empty: built from the annotations")
    val_images: str = knob("", "folder of validation pictures; empty: as training")
    val_instances: str = knob("", "COCO instances (validation); empty: split off by image id")
    val_captions: str = knob("", "COCO captions (validation)")
    train_questions: str = knob("", "yes/no questions by kind, for truthful labels; empty: none")
    val_questions: str = knob("", "yes/no questions by kind (validation), JSON lines; empty: none")
    val_fraction: float = knob(0.5, "share of ids that is split off", low=0.05, high=0.95)
    n_pairs: int = knob(1600, "n, the size of one training run", unit="pairs", low=1)
    image_fit: str = knob("pad", "how a picture becomes square", choices=("pad", "crop"))


@dataclass(frozen=True)
class ModelParams(Section):
    """Which model and adapter."""

    model: str = knob("seednb/assets/pocket-llava", "checkpoint folder or hub name")
    prompt_template: str = knob("plain", "prompt around a question", choices=("plain", "vicuna_v1"))
    precision: str = knob("auto", "weights", choices=("auto", "float32", "bfloat16", "float16"))
    lora_r: int = knob(64, "rank of the adapter", low=1, high=1024)
    lora_alpha: int = knob(128, "scale of the adapter is lora_alpha / lora_r", low=1, high=4096)
    lora_dropout: float = knob(0.05, "dropout before the adapter", low=0, high=0.9)
    lora_scope: str = knob(
        "all",
        "q,k,v,o_proj everywhere, or in the language model",
        choices=("all", "language_model"),
    )


@dataclass(frozen=True)
class TrainParams(Section):
    """How an adapter is trained, where the version's recipe does not say it."""

    seed: int = knob(42, "seed of order, noise and adapter", low=0)
    batch_size: int = knob(1, "examples of one forward pass", unit="examples", low=1)
    grad_accum: int = knob(8, "forward passes of one optimiser step", low=1)
    learning_rate: float = knob(2e-6, "peak learning rate of v4 to v7", low=0, high=1)
    warmup_share: float = knob(0.03, "share of steps with rising rate", low=0, high=1)
    max_grad_norm: float = knob(1.0, "gradient norm is clipped here", low=0)
    tokens_per_pass: int | None = knob(
        None, "cut forward passes by tokens; unset: by batch_size", unit="tokens", low=1
    )
    noise_alpha: float = knob(
        0.3,
        "kept share in the noisy view: of signal power (gaussian), of area (mask)",
        low=0,
        high=1,
    )
    perturbation: str | None = knob(
        None,
        "what makes the noisy view of a picture; unset: as the version says",
        choices=(
            "gaussian", "ddpm", "mask", "objects", "blur", "downsample", "blank", "fgsm", "none"
        ),
    )  # fmt: skip
    ddpm_step: int = knob(500, "diffusion step of perturbation ddpm", low=0, high=1000)
    view_cells: int = knob(6, "cells along a side, for mask, downsample and blur", low=1, high=64)
    fgsm_step: float = knob(
        0.1, "largest change of a pixel by fgsm", unit="standard deviations", low=0, high=10
    )
    text_corruption: float | None = knob(
        None, "share of a question's tokens replaced in the noisy view", low=0, high=1
    )
    noisy_share: float | None = knob(
        None, "least confident share of examples that is shown the noisy view", low=0, high=1
    )
    noise: str = knob(
        "per_epoch",
        "a picture's noise: new in every epoch, or always the same",
        choices=("per_epoch", "per_image_seed"),
    )
    confidence: str | None = knob(
        None,
        "what calls a token unsure; unset: as the version says",
        choices=("max_logprob", "entropy", "margin", "mc_dropout"),
    )
    pooling: str | None = knob(
        None, "from tokens' confidences to an example's", choices=("mean", "trimmed", "lowest")
    )
    beta_rule: str | None = knob(
        None,
        "from confidence to beta; unset: as the version says",
        choices=("quantiles", "rank", "sigmoid", "tanh", "fixed", "curriculum"),
    )
    beta_tau: float = knob(0.1, "width of the rules sigmoid and tanh", unit="nats", low=1e-6)
    beta_per_token: bool | None = knob(None, "a beta for each answer token, not each example")
    purified_space: str | None = knob(
        None,
        "where clean and noisy are contrasted",
        choices=("logits", "probabilities", "plausible"),
    )
    divergence: str | None = knob(
        None,
        "between student and target; unset: as the version says",
        choices=("reverse", "forward", "js", "skew_reverse", "skew_forward"),
    )
    beta_values: tuple[float, ...] = knob(
        (1.1, 0.8, 0.6, 0.4), "strengths, largest first", low=0, high=4
    )
    beta_quantiles: tuple[float, ...] = knob(
        (0.25, 0.5, 0.75), "confidence quantiles between the strengths", low=0, high=1
    )
    beta_window: int = knob(1000, "confidences that are remembered", unit="examples", low=1)
    temperature: float | None = knob(None, "T; unset: as the version says", low=0.05, high=20)
    distill_weight: float | None = knob(
        None, "share of distillation; unset: as the version", low=0, high=1
    )
    gradient_checkpointing: str = knob(
        "auto",
        "recompute activations to save memory; auto: once a GPU's memory has run out",
        choices=("auto", "always", "never"),
    )
    attention: str = knob(
        "auto",
        "block_sparse skips what a mask forbids, dense computes it; auto: block_sparse on CUDA",
        choices=("auto", "dense", "block_sparse"),
    )
    compile_layers: bool = knob(
        False, "compile decoder, vision tower and losses (half a minute; pays on long runs)"
    )
    shard_layers: bool = knob(
        False, "each card holds a part of the decoder: for models larger than a card"
    )
    teacher_cache_gib: float = knob(
        0, "disk for the frozen teacher's hidden states; 0: none", unit="GiB", low=0
    )
    data_workers: int | None = knob(
        None, "processes that read pictures ahead; unset: 4 a GPU, none on a CPU", low=0
    )
    sample_every: int | None = knob(
        None,
        "the student writes two short samples each this many steps, to see whether it repeats "
        "itself; unset: 20 times a run, 10 steps apart or more; 0: never",
        unit="steps",
        low=0,
    )
    log_every: int = knob(100, "log line and curve row each this many steps", unit="steps", low=1)
    checkpoint_every: int = knob(500, "resumable checkpoint", unit="steps", low=1)

    def __post_init__(self) -> None:
        """Raise SeedError also where betas and quantiles do not fit together."""
        super().__post_init__()
        values, quantiles = self.beta_values, self.beta_quantiles
        if len(values) != len(quantiles) + 1:
            raise SeedError(
                f"beta_values has {len(values)} numbers and beta_quantiles {len(quantiles)}: there "
                "must be one value more than quantiles"
            )
        falls = list(values) == sorted(values, reverse=True)
        if not falls or list(quantiles) != sorted(quantiles):
            raise SeedError(
                f"beta_values={shown(list(values))} must fall and beta_quantiles="
                f"{shown(list(quantiles))} rise: a low confidence gets a large beta"
            )


@dataclass(frozen=True)
class MonitorParams(Section):
    """What watches a training; none of it changes what is learnt."""

    monitor: str = knob(
        "warn",
        "what a finding does: nothing, a line and findings.json, or the end of the run",
        choices=("off", "warn", "stop"),
    )
    healthy_bands: str = knob(
        "", "file of healthy bands (seednb check RUN --calibrate FILE); empty: none"
    )
    stall_after_s: float = knob(
        300, "a step that waits longer for its data has stalled", unit="s", low=0.1
    )


@dataclass(frozen=True)
class EvaluationParams(Section):
    """What is asked, and how answers are scored."""

    pope_images: int = knob(
        500, "validation pictures that are probed, at most", unit="images", low=1
    )
    pope_min_objects: int = knob(3, "objects a probed picture must hold", unit="objects", low=1)
    question_images: int = knob(
        400, "validation pictures asked questions by kind, at most", unit="images", low=1
    )
    probe_suffix: str = knob("", "text after each probe")
    caption_images: int = knob(
        500, "validation pictures that are captioned, at most", unit="images", low=1
    )
    caption_prompt: str = knob("Describe this image.", "question that asks for a caption")
    max_new_tokens: int = knob(512, "longest caption", unit="tokens", low=1)
    eval_batch_size: int = knob(
        16, "pictures of one forward pass, each with its probes; or questions", unit="images", low=1
    )
    compile_probes: bool = knob(
        False, "compile the layers that answer probes (pays on tens of thousands of probes)"
    )
    vocabulary: str = knob("seednb/assets/vocabulary.txt", "object words, CHAIR's file format")
    chair_variant: str = knob(
        "pocket", "how words become singular", choices=("pocket", "lemma", "pattern")
    )
    pope_parser: str = knob(
        "official", "how an answer becomes yes or no", choices=("official", "strict")
    )
    probe_languages: str = knob(
        "", "also probe in these languages, e.g. zh,de,es,fr (models that speak them)"
    )
    sampling_runs: int = knob(3, "times that the base model also answers by sampling", low=1)
    contrast_beta: float = knob(0.7, "beta of contrastive decoding", low=0, high=4)
    contrast_alpha: float = knob(0.3, "noise_alpha of contrastive decoding", low=0, high=1)
    contrast_perturbation: str = knob(
        "gaussian",
        "what makes the noisy view of contrastive decoding",
        choices=("gaussian", "ddpm", "mask", "blur", "downsample", "blank"),
    )
    contrast_plausibility: float = knob(
        0, "words below this share of the largest probability are forbidden; 0: none", low=0, high=1
    )
    caption_beams: int = knob(1, "beams of a caption's search; 1: greedy", low=1)
    resamples: int = knob(2000, "bootstrap resamples", low=100)
    bootstrap_seed: int = knob(0, "seed of the bootstrap", low=0)


@dataclass(frozen=True)
class AblationParams(Section):
    """Chapters 10 and 11: many short trainings instead of one long one."""

    ablation_share: float = knob(
        0.25, "pairs of a short training, as a share of n_pairs", low=0.001, high=1
    )
    ablation_seeds: int = knob(3, "trainings of each variant", unit="seeds", low=1)
    ablation_images: int = knob(
        250, "pictures of the search, and as many fresh ones", unit="images", low=2
    )
    ablation_jobs: int | None = knob(
        None, "trainings at a time; unset: one a core, or one beside a GPU", low=1
    )


@dataclass(frozen=True)
class RunParams(Section):
    """Where results go and what the report says above them."""

    profile: str = knob("pocket", "name of the folders below runs/ and reports/")
    runs_dir: str = knob("runs", "finished stages")
    reports_dir: str = knob("reports", "finished reports")
    benchmarks_dir: str = knob("data/benchmarks", "published benchmarks (layouts: seednb doctor)")
    notice: str = knob("", "warning on the report's first screen")

    def __post_init__(self) -> None:
        """Raise SeedError also for a profile that is no folder's name."""
        super().__post_init__()
        if not re.fullmatch(r"\w[\w.-]*", self.profile, re.ASCII):
            raise SeedError(
                f"profile={shown(self.profile)}: must be a folder's name of letters, digits, dot, "
                "dash and underscore"
            )


SECTIONS: dict[str, type[Section]] = {
    "run": RunParams,
    "data": DataParams,
    "model": ModelParams,
    "train": TrainParams,
    "monitor": MonitorParams,
    "evaluation": EvaluationParams,
    "ablation": AblationParams,
}


@dataclass(frozen=True)
class Params:
    """All parameters of one profile."""

    run: RunParams
    data: DataParams
    model: ModelParams
    train: TrainParams
    monitor: MonitorParams
    evaluation: EvaluationParams
    ablation: AblationParams
    root: Path  # relative paths start here: the folder that holds params/

    def path(self, value: str) -> Path:
        """A parameter that is a path, made absolute."""
        return (self.root / Path(value).expanduser()).resolve()

    def values(self, *sections: str) -> dict[str, Any]:
        """The parameters of some sections (default: all) as one flat dictionary."""
        return {
            key: value
            for section in sections or tuple(SECTIONS)
            for key, value in asdict(getattr(self, section)).items()
        }


def load_params(file: Path | str, overrides: Mapping[str, Any] | None = None) -> Params:
    """Read a profile; `overrides` win over the file, the file over the defaults.

    Raises SeedError that names the key, the value and what is allowed.
    """
    file = Path(file).resolve()
    values = _read_yaml(file) | dict(overrides or {})
    owner = {item.name: name for name, cls in SECTIONS.items() for item in fields(cls)}  # type: ignore[arg-type]
    try:
        check_names(values, owner)
        parts = {
            name: cls(**{key: value for key, value in values.items() if owner[key] == name})
            for name, cls in SECTIONS.items()
        }
    except SeedError as problem:
        where = f"{file.name} with -p" if overrides else file.name
        raise SeedError(f"{where}: {problem}") from None
    return Params(**parts, root=file.parent.parent)  # type: ignore[arg-type]


def check_names(names: Iterable[str], known: Iterable[str]) -> None:
    """Raise SeedError for a parameter that is not known, with the name that may be meant."""
    known = list(known)
    for name in names:
        if name not in known:
            hint = suggestion(str(name), known)
            raise SeedError(f"unknown parameter {shown(name)}{hint}; list: seednb params")


def parse_override(text: str) -> tuple[str, Any]:
    """`key=value` from the command line; the value is read as YAML reads it."""
    key, equals, value = text.partition("=")
    if not equals:
        raise SeedError(f"-p {text}: expected key=value, for example -p n_pairs=400")
    return key.strip(), _parse_yaml(value, f"-p {text:.80}")


def describe() -> Iterator[dict[str, str]]:
    """Each parameter with default, range, unit and meaning (the rows of `seednb params`)."""
    for section, cls in SECTIONS.items():
        for item in fields(cls):  # type: ignore[arg-type]
            yield {
                "section": section,
                "name": item.name,
                "default": "unset" if item.default is None else str(item.default),
                "allowed": _allowed(item),
                "unit": item.metadata["unit"],
                "meaning": item.metadata["meaning"],
            }


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        known = ", ".join(sorted(f"params/{p.name}" for p in file.parent.glob("*.yaml")))
        raise SeedError(f"{file}: no such parameter file; there are: {known or 'none'}") from None
    except (OSError, UnicodeDecodeError) as problem:
        raise SeedError(f"{file} cannot be read as UTF-8 text ({problem}); check it") from None
    values = _parse_yaml(text, str(file))
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise SeedError(f"{file}: expected `key: value` lines")
    return values


class _OneKeyEach(yaml.SafeLoader):
    """YAML's own rule, that the last of two equal keys counts, would hide a slip."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        twice = [key for key in keys if keys.count(key) > 1]
        if twice:
            place = node.start_mark
            raise yaml.constructor.ConstructorError(None, None, f"{twice[0]!r} is set twice", place)
        return super().construct_mapping(node, deep)


def _parse_yaml(text: str, where: str) -> Any:
    try:
        return yaml.load(text, _OneKeyEach)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SeedError(f"{where}: not valid YAML: {' '.join(str(error).split())}") from None


def shown(value: Any) -> str:
    """A value for a message, cut short: YAML's aliases write a billion items in ten lines."""
    brief = Repr()
    brief.maxlevel, brief.maxstring, brief.maxother = 2, 80, 80
    try:
        return brief.repr(value)
    except ValueError:  # Python prints no number of more than 4300 digits
        return f"a number of {value.bit_length()} bits"


def suggestion(key: str, known: Iterable[str]) -> str:
    """ " (did you mean 'n_pairs'?)" if something known is spelled much like the key, else ""."""
    from difflib import get_close_matches

    close = get_close_matches(key, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _coerce(name: str, value: Any, hint: Any) -> Any:
    """The value as its declared type; YAML lists become tuples, whole numbers may be floats.

    YAML 1.1 reads 2e-6 as text, so text that spells a number is taken as one.
    """
    options = get_args(hint) if NoneType in get_args(hint) else (hint,)
    if value is None and NoneType in options:
        return None
    wanted = options[0]
    if get_args(wanted):  # tuple[float, ...]
        if isinstance(value, list | tuple):
            return tuple(_coerce(name, item, float) for item in value)
    elif wanted is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        with suppress(ValueError, OverflowError):
            return float(value)
    elif wanted is int and isinstance(value, int) and not isinstance(value, bool):
        if abs(value) < LARGEST:
            return value
    elif isinstance(value, wanted) and wanted is not int:
        return value
    type_name = "list of numbers" if get_args(wanted) else wanted.__name__
    raise SeedError(f"{name}={shown(value)}: must be of type {type_name}")


def _check_range(item: Field[Any], value: Any) -> None:
    low, high, choices = (item.metadata[key] for key in ("low", "high", "choices"))
    if choices and value is not None and value not in choices:
        raise SeedError(f"{item.name}={shown(value)}: must be one of {', '.join(choices)}")
    for number in value if isinstance(value, tuple) else (value,):
        if isinstance(number, str) or number is None:
            continue
        if (
            (low is not None and number < low)
            or (high is not None and number > high)
            or (number != number)
        ):
            raise SeedError(f"{item.name}={shown(value)}: must be {_allowed(item)}")


def _allowed(item: Field[Any]) -> str:
    low, high, choices = (item.metadata[key] for key in ("low", "high", "choices"))
    if choices:
        return " | ".join(choices)
    if low is None and high is None:
        return ""
    return f"at least {low}" if high is None else f"in [{low}, {high}]"
