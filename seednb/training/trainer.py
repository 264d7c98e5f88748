"""The loop around `Step.take`: it sets a run up, prefetches, records, checkpoints and resumes."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import torch
from accelerate import Accelerator
from peft import PeftModel
from tqdm import tqdm

from seednb.core.console import hides_progress
from seednb.core.errors import SeedError
from seednb.core.files import replacing, write_frame
from seednb.core.params import TrainParams
from seednb.method.beta import BetaSelector
from seednb.method.confidence import CONFIDENCES
from seednb.method.losses import DIVERGENCES
from seednb.method.objective import Objective
from seednb.method.purification import SPACES
from seednb.method.recipes import Recipe, with_overrides
from seednb.model.attention import choose_attention
from seednb.model.compile import compile_layers
from seednb.model.forward import AnswerLogits
from seednb.model.loading import Bundle
from seednb.model.lora import idle_adapters
from seednb.model.weights.sharding import shard_layers
from seednb.training import history
from seednb.training.checkpoint import Checkpoint
from seednb.training.examples import Examples, Group, Groups
from seednb.training.fallback import Fallback
from seednb.training.monitor.probe import Probe
from seednb.training.monitor.samples import Samples, is_due
from seednb.training.step import Step
from seednb.training.targets import TargetMaker
from seednb.training.teacher import CLEAN, NOISY, Teacher
from seednb.training.teacher_cache import TeacherCache

ADAPTER = "adapter"
T = TypeVar("T")
Row = dict[str, Any]
Watcher = Callable[[Sequence[Mapping[str, Any]]], None]


def train(
    model: PeftModel,
    bundle: Bundle,
    examples: Examples,
    recipe: Recipe,
    params: TrainParams,
    folder: Path,
    cache: TeacherCache | None = None,
    watch: Watcher | None = None,
    prepare: Callable[["Run"], None] | None = None,
) -> pd.DataFrame:
    """Train the adapter by the recipe; write `adapter/` and the curve to `folder`; return the curve.

    An interrupted run resumes from its last checkpoint. Several processes share each step's
    examples and end, dropout aside, at the adapter of one process. `watch` is shown the curve after
    each step, before the step is kept, and may raise; `prepare` may change the run before its first
    step. Raises SeedError if no step could be taken because the loss was never finite.
    """
    run = Run(model, bundle, examples, recipe, params, folder, cache)
    if prepare:
        prepare(run)
    step = run.step
    main = step.accelerator.is_main_process
    name, hidden = f"train {recipe.name}", hides_progress(main)
    with tqdm(total=len(run.groups), desc=name, unit="step", disable=hidden) as bar:
        run.write_remarks(bar)
        in_flight: deque[tuple[int, history.StepResult, Row]] = deque()
        groups = timed(run.groups.from_step(run.first, bundle.device))
        for number, (waiting_s, (group, following)) in enumerate(groups, run.first + 1):
            if following and step.asynchronous:
                step.targets.read_cached(following)
            progress = (number - 1) / max(1, len(run.groups) - 1)
            result = run.fallback.within_limits(step.take, group, progress)
            if following:  # prefetched: a device never stands idle while the host launches a step
                step.targets.of(following)
            more = {"epoch": group.epoch + 1, "waiting_s": waiting_s} | run.examine(number, group)
            in_flight.append((number, result, more))
            # The device computes the next step while the numbers of one are awaited, unless a
            # checkpoint needs them.
            while len(in_flight) > run.n_in_flight(number):
                row = run.add_row(*in_flight.popleft())
                run.write_remarks(bar)
                if main:
                    history.append_row(folder, row)
                if main and watch:
                    run.show(watch)
                bar.n = row["step"]
                bar.set_postfix(loss=f"{row['loss']:.3f}", refresh=False)
                bar.update(0)
                if main and row["step"] % params.log_every == 0:
                    bar.write(history.log_line(row))
                run.save_due(row["step"])
        for shard in cache.damaged if main and cache else ():
            bar.write(f"{shard} was damaged and deleted; the teacher was asked again")
    curve = pd.DataFrame(run.curve)
    if curve.empty or curve["loss"].isna().all():
        raise SeedError(f"{name}: no finite loss in {len(curve)} steps; see {folder}")
    if main:
        with replacing(folder / ADAPTER) as partial:
            model.save_pretrained(str(partial))
        write_frame(folder / history.CURVE, curve)
        (folder / history.GROWING).unlink(missing_ok=True)
    step.accelerator.wait_for_everyone()
    return curve


class Run:
    """A training run: its step, its groups of examples, and what surrounds the step."""

    def __init__(
        self,
        model: PeftModel,
        bundle: Bundle,
        examples: Examples,
        recipe: Recipe,
        params: TrainParams,
        folder: Path,
        cache: TeacherCache | None = None,
    ) -> None:
        """Set everything up, and resume from the checkpoint in `folder` if there is one."""
        recipe = with_overrides(recipe, params)
        packed, remark = choose_attention(params.attention, bundle, recipe.noisy_share)
        self.remarks = [remark] if remark else []
        examples = replace(examples, packed=packed)
        if not examples.layout.packs:
            self.remarks.append(
                "one text a row: this model's positions let no texts share an image"
            )
        self.params, self.cache = params, cache
        if params.shard_layers:
            _check_sharding(recipe, cache)
            shard_layers(model, bundle.device)
        for parameter in idle_adapters(model):
            parameter.requires_grad_(False)
        layers, remarks = (
            compile_layers(model, bundle.device) if params.compile_layers else (None, [])
        )
        self.remarks += remarks
        if layers:
            layers.use(True)
        accelerator = Accelerator(cpu=bundle.device.type == "cpu")
        purifies = (distils := recipe.distill_weight > 0) and recipe.purified
        process = accelerator.process_index, accelerator.num_processes
        self.groups = Groups(examples, recipe, params, purifies, process)
        parameters = [p for p in model.parameters() if p.requires_grad]
        rate, on_gpu = params.learning_rate * recipe.rate_factor, bundle.device.type == "cuda"
        fused = on_gpu or None  # None: as torch chooses
        optimiser = torch.optim.AdamW(parameters, rate, weight_decay=0.0, fused=fused)
        selector = BetaSelector(
            params.beta_values, params.beta_quantiles, params.beta_window,
            recipe.beta_rule, params.beta_tau,
        )  # fmt: skip
        fixed = params.noise == "per_image_seed" and recipe.perturbation != "fgsm"
        remembered = [CLEAN, NOISY][: 1 + fixed]
        teacher = Teacher(model, recipe, params.fgsm_step, cache, remembered) if distils else None
        student = AnswerLogits(model)  # not wrapped: the step itself sums the gradients
        objective = Objective(
            student.head,
            DIVERGENCES[recipe.divergence],
            recipe.temperature,
            CONFIDENCES[recipe.confidence],
            SPACES[recipe.purified_space],
            fused=layers is not None,
        )
        n_warmup = max(1, round(params.warmup_share * len(self.groups)))
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: history.cosine_with_warmup(step, n_warmup, len(self.groups))
        )
        self.step = Step(
            student=student,
            targets=TargetMaker(teacher, objective, bundle.device, recipe, selector, purifies),
            objective=objective,
            recipe=recipe,
            parameters=parameters,
            optimiser=accelerator.prepare(optimiser),
            schedule=schedule,
            accelerator=accelerator,
            max_grad_norm=params.max_grad_norm,
            probe=Probe(objective, teacher),
            sharded=params.shard_layers,
            asynchronous=on_gpu and not params.shard_layers,
        )
        self.fallback = Fallback(self.step, layers, params.gradient_checkpointing, self.remarks)
        self.samples = Samples(model, bundle, examples)
        torch.manual_seed(params.seed)
        self.checkpoint = Checkpoint(folder / "checkpoint", model, optimiser, schedule, selector)
        self.first, self.curve = self.checkpoint.restore()
        self.started = time.perf_counter()
        student.train()

    def n_in_flight(self, number: int) -> int:
        """How many steps may be queued whose numbers are not awaited: none before a checkpoint."""
        is_kept = self._is_due(number) or self._writes_cache(number) or number == len(self.groups)
        return 1 if self.step.asynchronous and not is_kept else 0

    def examine(self, number: int, group: Group) -> dict[str, float]:
        """Figures of the student's samples and of the teacher's shift, where they are due.

        In eager mode, since compiled layers do not support generation.
        """
        if not is_due(number, len(self.groups), self.params.sample_every):
            return {}
        if layers := self.fallback.layers:
            layers.use(False)
        shift = self.step.probe.teacher_shift
        found = self.samples.figures() | shift(group, self.step.targets.device)
        if layers:
            layers.use(True)
        return found

    def add_row(self, number: int, result: history.StepResult, more: Row) -> Row:
        """Append a step's row to the curve and return it; awaits its numbers."""
        size, n_steps = self.groups.size, len(self.groups)
        n_examples = self.step.recipe.epochs * len(self.groups.examples.rows)
        rate = (number - self.first) * size / (time.perf_counter() - self.started)
        row = result.row(self.curve[-1]["nan_count"] if self.curve else 0) | more
        row |= {
            "step": number,
            "examples": min(number * size, n_examples),
            "n_examples": n_examples,
            "examples_per_s": rate,
            "eta_s": (n_steps - number) * size / rate,
        }
        self.curve.append(row)
        self.fallback.report_compiling(number)
        return row

    def write_remarks(self, bar: tqdm) -> None:
        """Write the remarks, once, from the main process."""
        if self.step.accelerator.is_main_process:
            for remark in self.remarks:
                bar.write(remark)
        self.remarks.clear()

    def show(self, watch: Watcher) -> None:
        """Show the curve to a watcher; if it stops a run whose last losses were skipped, save that.

        What was skipped changed nothing, so the adapter is still that of the last good step.
        """
        try:
            watch(self.curve)
        except SeedError:
            *before, last = self.curve
            n_before = before[-1]["nan_count"] if before else 0
            if last["nan_count"] > n_before and isfinite(last["gradient_norm"]):
                self.checkpoint.save(last["step"], before)
            raise

    def save_due(self, number: int) -> None:
        """Write a checkpoint, and the teacher's new states to its cache, where they are due."""
        if self.cache and self._writes_cache(number):
            self.cache.write()
            self.step.accelerator.wait_for_everyone()
            self.cache.find_again()
        if self._is_due(number) and self.step.accelerator.is_main_process:
            self.checkpoint.save(number, self.curve)

    def _is_due(self, number: int) -> bool:
        return number % self.params.checkpoint_every == 0 and number < len(self.groups)

    def _writes_cache(self, number: int) -> bool:
        """Whether the cache is due, and this or another process has new states for it."""
        if self.cache is None:
            return False
        is_epoch_end = number * self.step.recipe.epochs % len(self.groups) == 0
        may_have_news = self.cache.has_news or self.step.accelerator.num_processes > 1
        return (self._is_due(number) or is_epoch_end) and may_have_news


def timed(items: Iterable[T]) -> Iterator[tuple[float, T]]:
    """(seconds waited, item) for each item."""
    asked = time.perf_counter()
    for item in items:
        yield time.perf_counter() - asked, item
        asked = time.perf_counter()


def _check_sharding(recipe: Recipe, cache: TeacherCache | None) -> None:
    """Raise SeedError for what needs a forward pass in some processes only."""
    if cache:
        raise SeedError(
            "shard_layers runs every micro-batch in all processes at once, which a teacher_cache "
            "would skip in some; set teacher_cache_gib=0"
        )
    if recipe.perturbation == "fgsm" or recipe.noisy_share < 1:
        raise SeedError("shard_layers does not run with perturbation=fgsm or noisy_share")
