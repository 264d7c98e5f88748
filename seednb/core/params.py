"""Every parameter: default, meaning, unit and range, from which checks and messages are made."""

import re
from dataclasses import dataclass

from seednb.core.errors import SeedError
from seednb.core.schema import Section, knob, shown


@dataclass(frozen=True)
class CurationParams(Section):
    """Which instruction pairs are left out; by default none. See `seednb.data.curation`."""

    max_question_overlap: float | None = knob(
        None,
        "leave out a pair whose question shares more of its trigrams with one to the same image",
        low=0,
        high=1,
    )
    max_answer_overlap: float | None = knob(
        None,
        "leave out a pair whose answer shares more of its trigrams with one about the same image",
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
    """Which images, annotations and instruction labels."""

    generator: str = knob("none", "data set to generate first", choices=("none", "pocket"))
    world_seed: int = knob(0, "seed of the generated world", low=0)
    n_train_images: int = knob(1600, "generated training images", unit="images", low=1)
    n_val_images: int = knob(1000, "generated validation images", unit="images", low=1)
    data_root: str = knob(
        "data", "folder below which the files lie (unless generated)", is_path=True
    )
    train_images: str = knob("train", "folder of training images")
    train_instances: str = knob("annotations/instances_train.json", "COCO instances (training)")
    train_captions: str = knob("annotations/captions_train.json", "COCO captions (training)")
    instruct: str = knob("", "LLaVA-Instruct JSON; empty: built from the annotations")
    val_images: str = knob("", "folder of validation images; empty: as training")
    val_instances: str = knob("", "COCO instances (validation); empty: split off by image id")
    val_captions: str = knob("", "COCO captions (validation)")
    train_questions: str = knob("", "yes/no questions by kind, for truthful labels; empty: none")
    val_questions: str = knob("", "yes/no questions by kind (validation), JSON lines; empty: none")
    val_fraction: float = knob(0.5, "share of ids that is split off", low=0.05, high=0.95)
    n_pairs: int = knob(1600, "n, the size of one training run", unit="pairs", low=1)
    image_fit: str = knob("pad", "how an image becomes square", choices=("pad", "crop"))


@dataclass(frozen=True)
class ModelParams(Section):
    """Which model and adapter."""

    model: str = knob("seednb/assets/pocket-llava", "checkpoint folder or hub name", is_path=True)
    prompt_template: str = knob("plain", "prompt around a question", choices=("plain", "vicuna_v1"))
    precision: str = knob(
        "auto",
        "weights; fp8: 8 bits in the decoder's products (CUDA 8.9 and later), fp8_teacher: in the "
        "teacher's only; nf4: 4-bit weights of the decoder (bitsandbytes)",
        choices=("auto", "float32", "bfloat16", "float16", "fp8", "fp8_teacher", "nf4"),
    )
    lora_r: int = knob(64, "rank of the adapter", low=1, high=1024)
    lora_alpha: int = knob(128, "scale of the adapter is lora_alpha / lora_r", low=1, high=4096)
    lora_dropout: float = knob(0.05, "dropout before the adapter", low=0, high=0.9)
    lora_scope: str = knob(
        "all", "q,k,v,o_proj everywhere or in the language model", choices=("all", "language_model")
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
        "what makes the noisy view of an image; unset: as the version says",
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
        "an image's noise: new in every epoch, or always the same",
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
        None, "processes that read images ahead; unset: 4 a GPU, none on a CPU", low=0
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
        "", "file of healthy bands (seednb check RUN --calibrate FILE); empty: none", is_path=True
    )
    stall_after_s: float = knob(
        300, "a step that waits longer for its data has stalled", unit="s", low=0.1
    )


@dataclass(frozen=True)
class EvaluationParams(Section):
    """What is asked, and how answers are scored."""

    pope_images: int = knob(500, "validation images that are probed, at most", unit="images", low=1)
    pope_min_objects: int = knob(3, "objects a probed image must hold", unit="objects", low=1)
    question_images: int = knob(
        400, "validation images asked questions by kind, at most", unit="images", low=1
    )
    probe_suffix: str = knob("", "text after each probe")
    caption_images: int = knob(
        500, "validation images that are captioned, at most", unit="images", low=1
    )
    caption_prompt: str = knob("Describe this image.", "question that asks for a caption")
    max_new_tokens: int = knob(512, "longest caption", unit="tokens", low=1)
    eval_batch_size: int = knob(
        16, "images of one forward pass, each with its probes; or questions", unit="images", low=1
    )
    compile_probes: bool = knob(
        False, "compile the layers that answer probes (pays on tens of thousands of probes)"
    )
    vocabulary: str = knob(
        "seednb/assets/vocabulary.txt", "object words, CHAIR's file format", is_path=True
    )
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
        250, "images of the search, and as many fresh ones", unit="images", low=2
    )
    ablation_jobs: int | None = knob(
        None, "trainings at a time; unset: one a core, or one beside a GPU", low=1
    )


@dataclass(frozen=True)
class RunParams(Section):
    """Where results go and what the report says above them."""

    profile: str = knob("pocket", "name of the folders below runs/ and reports/")
    runs_dir: str = knob("runs", "finished stages", is_path=True)
    reports_dir: str = knob("reports", "finished reports", is_path=True)
    benchmarks_dir: str = knob(
        "data/benchmarks", "published benchmarks (layouts: seednb doctor)", is_path=True
    )
    notice: str = knob("", "warning on the report's first screen")

    def __post_init__(self) -> None:
        """Raise SeedError also for a profile that is no folder's name."""
        super().__post_init__()
        if not re.fullmatch(r"\w[\w.-]*", self.profile, re.ASCII):
            raise SeedError(
                f"profile={shown(self.profile)}: must be a folder's name of letters, digits, dot, "
                "dash and underscore"
            )
