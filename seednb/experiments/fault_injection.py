"""Fault injection: v7 with one historical failure at a time, and the name the monitor gives it."""

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
from jaxtyping import Float
from torch import Tensor

from seednb.core.errors import GradientLost, ImageTokensCut, SeedError
from seednb.core.profiles import Params
from seednb.core.stage import Stage, making
from seednb.data.instruct import Pair
from seednb.experiments.experiment import Experiment
from seednb.method.losses import precise
from seednb.method.recipes import RECIPES, Recipe
from seednb.model.inputs.collate import Batch
from seednb.model.inputs.pixels import ImageReader
from seednb.model.loading import Bundle
from seednb.model.lora import add_adapter
from seednb.training.examples import Examples
from seednb.training.history import read_curve
from seednb.training.monitor import Finding
from seednb.training.monitor.findings import read_findings
from seednb.training.monitor.watch import watching
from seednb.training.trainer import Run, train

BLOCK = 64  # weights that share a scale, as in 4-bit training
N_LEVELS = 7  # on each side of zero, in 4 bits
N_LEFT = 24  # tokens of a prompt that a tokenizer leaves with a small max_length
N_BEFORE_HANG = 24  # batches that are read before the reader hangs
v7 = RECIPES["v7"]


@dataclass(frozen=True)
class Fault:
    """One historical failure: what the report under test tells of it, and how it is injected here."""

    name: str
    history: str  # where the tables of the report under test have it
    symptom: str  # as that report describes it
    mechanism: str  # what is done here; where that is not what happened there, how far it is
    failures: tuple[str, ...]  # names under which the monitor may report it
    shows: str = ""  # column of the curve that gives it away, if one does
    recipe: Recipe = v7
    changes: Mapping[str, Any] = field(default_factory=dict)  # parameters of section train
    of_model: Callable[[Bundle], None] | None = None
    of_examples: Callable[[Examples], Examples] | None = None
    of_run: Callable[[Run], None] | None = None
    stall_after_s: float | None = None


@dataclass(frozen=True)
class FaultRun:
    """A faulty run, stopped at the monitor's first finding."""

    fault: Fault
    curve: pd.DataFrame
    findings: list[Finding]
    n_steps: int  # of the whole run

    @property
    def finding(self) -> Finding | None:
        """The first finding that names the fault."""
        return next((f for f in self.findings if f.failure in self.fault.failures), None)


def run_fault(lab: Experiment, fault: Fault) -> FaultRun:
    """Train with a fault until the monitor stops it, or find that run by its key."""
    params, stage = _params(lab, fault), fault_stage(lab, fault)
    pairs = lab.data.pairs["replay"][: params.data.n_pairs]
    with making(stage) as is_left:
        if is_left:
            _train(lab, fault, params, pairs, stage.folder)
    curve, _ = read_curve(stage.folder)
    n_steps = math.ceil(len(pairs) / (params.train.batch_size * params.train.grad_accum))
    return FaultRun(fault, curve, read_findings(stage.folder), fault.recipe.epochs * n_steps)


def as_frame(runs: list[FaultRun]) -> pd.DataFrame:
    """One row a fault: where it comes from, whether, when and under which name it was found."""
    rows = []
    for run in runs:
        shown = run.finding or next(iter(run.findings), None)
        rows.append(
            {
                "fault": run.fault.name,
                "in the reproduction": run.fault.history,
                "symptom": run.fault.symptom,
                "detected": run.finding is not None,
                "step": shown.step if shown else None,
                "of": run.n_steps,
                "rule": shown.failure if shown else "",
                "evidence": shown.evidence if shown else "",
            }
        )
    return pd.DataFrame(rows)


def fault_stage(lab: Experiment, fault: Fault) -> Stage:
    """Where the run with a fault lies, finished or not."""
    words = "-".join(re.sub(r"[=(),]", "", fault.name).split())
    faulty = Experiment(_params(lab, fault))
    inputs = faulty.stages.training(fault.recipe) | {
        "fault": fault.name,
        "bands": {name: [band.low, band.high] for name, band in faulty.bands.items()},
        "stall_after_s": faulty.params.monitor.stall_after_s,
    }
    return Stage(lab.runs, f"fault-{words}", inputs)


def _params(lab: Experiment, fault: Fault) -> Params:
    """The profile's parameters with those of a fault, under a monitor that stops the run."""
    monitor = replace(lab.params.monitor, monitor="stop")
    if fault.stall_after_s:
        monitor = replace(monitor, stall_after_s=fault.stall_after_s)
    settings = replace(lab.params.train, **fault.changes)
    return replace(lab.params, train=settings, monitor=monitor)


def _train(
    lab: Experiment, fault: Fault, params: Params, pairs: Sequence[Pair], folder: Path
) -> None:
    """Train with a fault; a stop by the monitor is what is wanted, any other error is raised."""
    bundle = lab.bundle()
    if fault.of_model:
        fault.of_model(bundle)
    examples = Examples.of(pairs, bundle, lab.image_reader("train", bundle))
    if fault.of_examples:
        examples = fault.of_examples(examples)
    model = add_adapter(bundle.model, params.model, params.train.seed)
    try:
        with watching(params.monitor, lab.bands, folder, bundle) as watch:
            train(
                model, bundle, examples, fault.recipe, params.train, folder,
                watch=watch, prepare=fault.of_run,
            )  # fmt: skip
    except SeedError:
        if not read_findings(folder):
            raise


def four_bits(bundle: Bundle) -> None:
    """Round every matrix of the language model to 4 bits, each block of weights on its own scale."""
    for parameter in bundle.model.model.language_model.parameters():
        if parameter.dim() == 2 and parameter.numel() % BLOCK == 0:
            blocks = parameter.data.view(-1, BLOCK)
            scale = blocks.abs().amax(1, keepdim=True).clamp(min=1e-8) / N_LEVELS
            parameter.data = ((blocks / scale).round() * scale).view_as(parameter)


def half_precision(run: Run) -> None:
    """Take the divergence from float16 probabilities, as a script does that never leaves half.

    A probability below 6e-8 becomes 0 there, and its logarithm minus infinity.
    """

    def divergence(
        student_logits: Float[Tensor, "N V"], target_logits: Float[Tensor, "N V"], t: float
    ) -> Float[Tensor, "N"]:
        p, q = ((logits.half() / t).softmax(-1) for logits in (student_logits, target_logits))
        return precise((p * (p.log() - q.log())).sum(-1))

    run.step.objective.divergence = divergence


def sum_over_tokens(run: Run) -> None:
    """Add an answer's divergences up instead of taking their mean."""

    def sums(tokens: Tensor, example_of_token: Tensor, n_examples: int) -> Tensor:
        return tokens.new_zeros(n_examples).index_add(0, example_of_token, tokens)

    run.step.reduction = sums


def checkpoint_without_inputs(run: Run) -> None:
    """Re-entrant checkpointing over frozen embeddings: no input of a layer asks for a gradient.

    transformers 5 makes the embeddings ask for one by itself; older versions did not.
    """
    model = run.step.student.whole
    model.gradient_checkpointing_enable({"use_reentrant": True})
    model.disable_input_require_grads()


def shift_labels(examples: Examples) -> Examples:
    """Compare each position's logits with the token after the one that it predicts."""
    return _Shifted(**vars(examples))


def cut_prompts(examples: Examples) -> Examples:
    """Truncate prompts as a tokenizer with a small max_length does, image tokens and all."""
    rows = [
        replace(row, input_ids=row.input_ids[:N_LEFT] + row.predicted, n_prompt=N_LEFT)
        for row in examples.rows
    ]
    return replace(examples, rows=rows)


def hang(examples: Examples) -> Examples:
    """Images whose reader never returns, after some batches."""
    return replace(examples, reader=_Hanging(examples.reader))


@dataclass(frozen=True)
class _Shifted(Examples):
    def batch(self, numbers: Sequence[int]) -> Batch:
        batch = super().batch(numbers)
        return replace(batch, answer_ids=batch.answer_ids.roll(-1))


class _Hanging(ImageReader):
    """Another reader, until it waits for a lock that nobody will release."""

    def __init__(self, reader: ImageReader) -> None:
        self.__dict__ |= vars(reader)
        self._n_read = 0

    def batch(self, names: Sequence[str]) -> Float[Tensor, "R ..."]:
        self._n_read += 1
        while self._n_read > N_BEFORE_HANG:
            time.sleep(0.1)
        return super().batch(names)


FAULTS = (
    Fault(
        "4-bit NaN", "simple_train; NaN explosion", "loss is NaN at step ~1640",
        "a CPU has no 4-bit kernels: weights rounded to 4 bits, which alone breaks nothing here, and "
        "the divergence from float16 probabilities at T = 1, which underflow",
        ("loss not finite",), "", replace(v7, temperature=1.0), of_model=four_bits,
        of_run=half_precision,
    ),
    Fault(
        "sum, not mean", "fixed_train", "distillation loss stuck at ~50",
        "the divergence is added up over an answer's tokens",
        ("divergence not normalised",), "distillation", of_run=sum_over_tokens,
    ),
    Fault(
        "T = 1", "v3", "marginal: signal too weak", "temperature 1",
        ("distillation signal too weak",), "contrast", replace(v7, temperature=1.0),
    ),
    Fault(
        "learning rate", "final; repetition degeneration", "writes Dom Na Na Na Na",
        "a hundred times the profile's rate: at the reproduction's ten times, this small model still holds",
        ("repetition: the learning rate is too large", "supervised loss rises"),
        "supervision", replace(v7, rate_factor=100.0),
    ),
    Fault(
        "no purify()", "v4; v4 silent bug", "Dist 0.05, no effect on CHAIR",
        "purify() is not called: beta is 0",
        ("distillation signal absent",), "contrast", replace(v7, purified=False),
    ),
    Fault(
        "teacher with adapter", "v4; Dist stuck at 0.05", "teacher and student nearly identical",
        "the teacher's forward passes keep the student's adapter and dropout on",
        ("teacher adapter left on",), "teacher_shift", replace(v7, teacher_adapter=True),
    ),
    Fault(
        "cut image tokens", "v1 to v3; image token mismatch", "ValueError: ids=[507] text=[576]",
        "prompts are truncated inside the image",
        (ImageTokensCut.failure,), of_examples=cut_prompts,
    ),
    Fault(
        "weight of distillation", "v6; CHAIR regression", "more hallucination than the base model",
        "distill_weight 0.97: at the reproduction's 0.85 the labels still make up nearly half of the "
        "loss here, which suppresses nothing",
        ("supervision suppressed by the weight",), "", replace(v7, distill_weight=0.97),
    ),
    Fault(
        "loader deadlock", "DataLoader deadlock", "no output for two hours",
        "a reader that never returns; here it waits in the run's own process",
        ("data loader stalled",), of_examples=hang, stall_after_s=3.0,
    ),
    Fault(
        "forward KL", "v1 to v4", "KL direction swapped", "KL(target || student) is optimised",
        ("KL direction swapped",), "direction", replace(v7, divergence="forward"),
    ),
    Fault(
        "shifted labels", "a standing risk of Sup", "Sup far above the base model's own",
        "labels are shifted once more than the logits",
        ("labels misaligned",), "supervision", of_examples=shift_labels,
    ),
    Fault(
        "no gradient", "checkpointing over frozen inputs", "nothing is learnt",
        "re-entrant checkpointing without enable_input_require_grads()",
        (GradientLost.failure,), of_run=checkpoint_without_inputs,
    ),
    Fault(
        "short history", "Beta must vary", "one beta for all examples",
        "ten confidences are remembered: fewer than quantiles are taken of",
        ("beta stuck", "confidence history too short"), "history", changes={"beta_window": 10},
    ),
)  # fmt: skip
