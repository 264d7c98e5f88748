"""One readable loop: batch -> teacher -> purified target -> student -> loss -> step.

A long file: what a step does, and what is done with it, is read in one place.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from peft import PeftModel
from torch import Tensor
from torch._dynamo.exc import TorchDynamoException
from tqdm import tqdm

from seednb.artifacts import replacing, write_frame
from seednb.attention import skips_blocks
from seednb.checkpoint import load_checkpoint, save_checkpoint
from seednb.compiler import reason_of, seconds_compiling
from seednb.compiling import Compiled, compiled
from seednb.confidence import CONFIDENCES
from seednb.core.params import TrainParams
from seednb.curve import CURVE, GROWING, append_row, cosine_with_warmup, log_line
from seednb.data.batches import Batch
from seednb.errors import GradientLost, SeedError
from seednb.examples import Examples, Group, Groups
from seednb.figures import Figures, not_finite
from seednb.hearing import Heard, Hearing, choose_betas
from seednb.losses import DIVERGENCES, seed_loss
from seednb.model import AnswerLogits, Bundle, idle_adapters
from seednb.objective import Objective
from seednb.probing import Probe
from seednb.purify import BetaSelector
from seednb.samples import Samples, is_due
from seednb.sharing import shard_layers, sum_gradients
from seednb.spaces import SPACES
from seednb.teacher import CLEAN, NOISY, Teacher, Views
from seednb.teacher_cache import TeacherCache
from seednb.terminal import hides_progress
from seednb.tokens import example_means
from seednb.transfer import OnHost
from seednb.versions import Recipe, with_overrides

ADAPTER = "adapter"
T = TypeVar("T")
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

    A run that was interrupted goes on from its last checkpoint. Several processes share each step's
    examples and end, dropout aside, at the adapter of one process. `watch` is shown the curve after
    each step, before the step is kept, and may raise; `prepare` may change the run before its first
    step. Raises SeedError if no step could be taken because the loss was never finite.
    """
    run = Run(model, bundle, examples, recipe, params, folder, cache)
    if prepare:
        prepare(run)
    main = run.accelerator.is_main_process
    with tqdm(
        total=run.n_steps, desc=f"train {recipe.name}", unit="step", disable=hides_progress(main)
    ) as bar:
        if main and not examples.layout.packs:
            bar.write("one text a row: this model's positions do not let texts share a picture")
        run.tell(bar)
        for _ in run.steps():
            row = run.curve[-1]
            run.tell(bar)
            if main:
                append_row(folder, row)
            if main and watch:
                run.show(watch)
            bar.n = row["step"]
            bar.set_postfix(loss=f"{row['loss']:.3f}", refresh=False)
            bar.update(0)
            if main and row["step"] % params.log_every == 0:
                bar.write(log_line(row))
        for shard in cache.damaged if main and cache else ():
            bar.write(f"{shard} was damaged and deleted; the teacher was asked again")
    curve = pd.DataFrame(run.curve)
    if curve.empty or curve["loss"].isna().all():
        raise SeedError(
            f"training {recipe.name}: no finite loss in {len(curve)} steps; see {folder}"
        )
    if main:
        with replacing(folder / ADAPTER) as partial:
            model.save_pretrained(str(partial))
        write_frame(folder / CURVE, curve)
        (folder / GROWING).unlink(missing_ok=True)
    run.accelerator.wait_for_everyone()
    return curve


class Run:
    """State of one training run."""

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
        recipe = with_overrides(recipe, params)
        joined, remark = skips_blocks(params.attention, bundle, recipe.noisy_share)
        self.remarks = [remark] if remark else []  # to be told to whoever watches the run
        examples = replace(examples, joined=joined)
        self.bundle, self.examples, self.recipe, self.params = bundle, examples, recipe, params
        self.temperature, self.distill_weight = recipe.temperature, recipe.distill_weight
        if params.shard_layers:
            if cache:
                raise SeedError(
                    "shard_layers runs every pass in all processes at once, which a teacher_cache "
                    "would skip in some; set teacher_cache_gib=0"
                )
            if recipe.perturbation == "fgsm" or recipe.noisy_share < 1:
                raise SeedError("shard_layers does not run with perturbation=fgsm or noisy_share")
            shard_layers(model, bundle.device)
        distils = self.distill_weight > 0
        self.purifies = distils and recipe.purified
        for parameter in idle_adapters(model):
            parameter.requires_grad_(False)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.forms: Compiled | None = None
        self.compiling_s = seconds_compiling()  # of this process so far
        if params.compile_layers:
            self.forms, remarks = compiled(model, bundle.device)
            self.remarks += remarks
        if self.forms:
            self.forms.use(True)
        self.accelerator = Accelerator(cpu=bundle.device.type == "cpu")
        self.groups = Groups(
            examples,
            recipe,
            params,
            self.purifies,
            (self.accelerator.process_index, self.accelerator.num_processes),
        )
        self.n_steps = len(self.groups)
        optimiser = torch.optim.AdamW(
            self.parameters,
            params.learning_rate * recipe.rate_factor,
            weight_decay=0.0,
            fused=bundle.device.type == "cuda" or None,  # None: as torch chooses
        )
        self.selector = BetaSelector(
            params.beta_values, params.beta_quantiles, params.beta_window,
            recipe.beta_rule, params.beta_tau,
        )  # fmt: skip
        # Beside a GPU nothing is awaited that the next launch does not need.
        self.hurries = bundle.device.type == "cuda" and not params.shard_layers
        self.model, self.cache = model, cache
        fixed = params.noise == "per_image_seed" and recipe.perturbation != "fgsm"
        remembered = (CLEAN, NOISY) if fixed else (CLEAN,)
        teacher = Teacher(model, recipe, params.fgsm_step, cache, remembered) if distils else None
        self.student = AnswerLogits(model)  # not wrapped: the step itself sums the gradients
        self.objective = Objective(
            self.student.head,
            DIVERGENCES[recipe.divergence],
            self.temperature,
            CONFIDENCES[recipe.confidence],
            SPACES[recipe.purified_space],
            self.forms is not None,
        )
        self.hearing = Hearing(teacher, self.objective, bundle.device, recipe, self.selector)
        self.optimiser = self.accelerator.prepare(optimiser)
        self.set_checkpointing(params.gradient_checkpointing == "always")
        n_warmup = max(1, round(params.warmup_share * self.n_steps))
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: cosine_with_warmup(step, n_warmup, self.n_steps)
        )
        self.folder = folder / "checkpoint"
        torch.manual_seed(params.seed)
        self.done, self.curve = load_checkpoint(
            self.folder, model, optimiser, self.schedule, self.selector
        )
        self.probe, self.samples = Probe(self.objective, teacher), Samples(model, bundle, examples)
        self.n_nan = int(self.curve[-1]["nan_count"]) if self.curve else 0
        self.ahead: Heard | None = None  # what the teacher said of the next group

    def set_checkpointing(self, wanted: bool) -> None:
        """Keep each layer's input only, and recompute the layer in the backward pass; or not."""
        self.checkpointing = wanted
        if wanted:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
        else:
            self.model.gradient_checkpointing_disable()

    def steps(self) -> Iterator[None]:
        """Take the optimiser steps that are left, adding a row to the curve each."""
        started, first = time.perf_counter(), self.done
        self.student.train()
        open_steps: list[tuple[int, dict[str, Any], Figures]] = []  # number, row so far, the rest
        groups = timed(self.groups.from_step(first, self.bundle.device))
        for step, (waiting_s, (group, following)) in enumerate(groups, first + 1):
            figures = self.step_on(group, following)
            row = {"epoch": group.epoch + 1, "waiting_s": waiting_s} | self._examine(step, group)
            open_steps.append((step, row, figures))
            # A device has the next step to do while the figures of one are awaited, unless a
            # checkpoint needs them.
            n_open = 1 if self.hurries and not self._is_kept(step) else 0
            while len(open_steps) > n_open:
                number, row, figures = open_steps.pop(0)
                rate = (number - first) * self.groups.size / (time.perf_counter() - started)
                self.curve.append(figures.row() | row | self._progress(number, rate))
                self._report_compiling(number)
                yield
                self._keep(number)

    def tell(self, bar: tqdm) -> None:
        """Write what there is to say, once, from the main process."""
        remarks, self.remarks = self.remarks, []
        for remark in remarks if self.accelerator.is_main_process else ():
            bar.write(remark)

    def _report_compiling(self, step: int) -> None:
        """Say what compiling took since it was said last."""
        if self.forms is None:
            return
        seconds = seconds_compiling() - self.compiling_s
        if seconds > 1:
            self.remarks.append(f"compiling took {seconds:.0f} s by step {step}")
            self.compiling_s += seconds

    def _examine(self, step: int, group: Group) -> dict[str, float]:
        """Where it is due: how the student writes by now, and whether the teacher is what it was.

        Layers run as they were written, for their compiled forms know no generation.
        """
        if not is_due(step, self.n_steps, self.params.sample_every):
            return {}
        if self.forms:
            self.forms.use(False)
        found = self.samples.figures() | self.probe.teacher_shift(group, self.bundle.device)
        if self.forms:
            self.forms.use(True)
        return found

    def show(self, watch: Watcher) -> None:
        """Show the curve to a watcher; if it stops a run whose last losses were skipped, keep that.

        What was skipped changed nothing, so the adapter is still that of the last good step.
        """
        try:
            watch(self.curve)
        except SeedError:
            *before, last = self.curve
            n_before = before[-1]["nan_count"] if before else 0
            if last["nan_count"] > n_before and isfinite(last["gradient_norm"]):
                self._save(last["step"], before)
            raise

    def _progress(self, step: int, rate: float) -> dict[str, Any]:
        """How far a run is, at some examples a second."""
        n_examples = self.recipe.epochs * len(self.examples.rows)
        return {
            "step": step,
            "examples": min(step * self.groups.size, n_examples),
            "n_examples": n_examples,
            "examples_per_s": rate,
            "eta_s": (self.n_steps - step) * self.groups.size / rate,
        }

    def step_on(self, group: Group, following: Group | None = None) -> Figures:
        """One optimiser step on a group of examples, and its figures on their way.

        The teacher is asked about the `following` group before they are awaited: a device never
        stands idle while the processor launches the next step.
        """
        if following and self.hurries:
            self.hearing.expect(following)
        figures = self._update_within_memory(group)
        self.ahead = None if following is None else self.hearing.of(following)
        return figures

    def _update_within_memory(self, group: Group) -> Figures:
        """An update; if memory runs out, once more with checkpointing, which is then kept on.

        Several processes would have to agree on that, so there it is an error. If something does not
        compile, once more as it was written, which is kept, too. Raises SeedError with the parameters
        that help.
        """
        while True:
            history, recomputes = self.selector.history.copy(), self.checkpointing
            try:
                return self.update(group)
            except TorchDynamoException as error:
                self._write_out(error)
            except torch.OutOfMemoryError as error:
                alone = self.accelerator.num_processes == 1
                if self.checkpointing or self.params.gradient_checkpointing != "auto" or not alone:
                    raise SeedError(
                        f"memory ran out with {len(group.passes[0].batch)} examples a pass; set "
                        "gradient_checkpointing=always, or lower batch_size and raise grad_accum"
                    ) from error
                recomputes = True
            self.selector.history = history
            self.optimiser.zero_grad()
            torch.cuda.empty_cache()
            self.set_checkpointing(recomputes)

    def _write_out(self, error: TorchDynamoException) -> None:
        """Go on without compiled layers. Raises SeedError if it is attention that does not compile."""
        reason = reason_of(error)
        if self.forms is None:
            raise SeedError(
                f"the kernel of attention does not compile: {reason}; set attention=dense"
            ) from error
        self.remarks.append(f"layers run as they were written, not compiled: {reason}")
        self.forms.use(False)
        self.forms = None
        self.objective = replace(self.objective, fused=False)
        self.hearing = replace(self.hearing, objective=self.objective)
        self.probe.objective = self.objective

    def _is_due(self, step: int) -> bool:
        return step % self.params.checkpoint_every == 0 and step < self.n_steps

    def _writes_cache(self, step: int) -> bool:
        """Is it time to share what the teacher said, and is there news, or may another have some?"""
        if self.cache is None:
            return False
        is_epoch_end = step * self.recipe.epochs % self.n_steps == 0
        may_have_news = self.cache.has_news or self.accelerator.num_processes > 1
        return (self._is_due(step) or is_epoch_end) and may_have_news

    def _is_kept(self, step: int) -> bool:
        """Does anything on disk depend on this step's figures?"""
        return self._is_due(step) or self._writes_cache(step) or step == self.n_steps

    def _keep(self, step: int) -> None:
        """Write a checkpoint where one is due, and what the teacher said since the last one."""
        if self.cache and self._writes_cache(step):
            self.cache.write()
            self.accelerator.wait_for_everyone()
            self.cache.find_again()
        if self._is_due(step) and self.accelerator.is_main_process:
            self._save(step, self.curve)

    def _save(self, step: int, curve: list[dict[str, Any]]) -> None:
        save_checkpoint(
            self.folder, step, self.model, self.optimiser.optimizer,
            self.schedule, self.selector, curve,
        )  # fmt: skip

    def update(self, group: Group) -> Figures:
        """Change the adapter by a group of examples: the loss is the mean over the group.

        Each process takes its share of the group, pass by pass. Beta is chosen from the confidences
        of all processes, in the order of the examples; the student's first pass is queued before, so
        that the device does not wait for that choice. A pass whose loss is not finite is left out.
        """
        heard = self.ahead
        if heard is None or heard.group is not group:
            heard = self.hearing.of(group)
        passes = heard.passes
        first = self.student.hidden(passes[0].batch) if passes else None
        progress = self.done / max(1, self.n_steps - 1)
        betas = choose_betas(heard, self.selector, progress) if self.purifies else heard.no_betas
        values, left_out = self._gradients(heard, betas, group.n_examples, first, set())
        while self.hurries and (found := not_finite(values) - left_out):
            self.optimiser.zero_grad()  # NaN is in the sum: once more, without the passes it is of
            values, left_out = self._gradients(
                heard, betas, group.n_examples, None, left_out | found
            )
        sum_gradients(self.parameters, self.accelerator)
        norm = self.accelerator.clip_grad_norm_(self.parameters, self.params.max_grad_norm)
        rate = float(self.schedule.get_last_lr()[0])
        self.optimiser.step()
        self.schedule.step()
        self.optimiser.zero_grad()
        n_nan = sum(part.counts for n, part in enumerate(passes) if n in left_out)
        self.n_nan += sum(gather_object([n_nan]))
        counted = [figures for figures, part in zip(values, passes, strict=True) if part.counts]
        self.done += 1
        return Figures(counted, OnHost(norm), rate, self.n_nan, len(self.selector.history))

    def _gradients(
        self,
        heard: Heard,
        betas: Sequence[Tensor],
        n_examples: int,
        first: Tensor | None,
        left_out: set[int],
    ) -> tuple[list[dict[str, OnHost]], set[int]]:
        """Add the gradients of all passes but some; returns figures, and which passes are left out.

        `first` are the hidden states of the first pass, where they were queued before. A host that
        hurries launches the backward pass before it knows whether the loss is finite; the loss is on its
        way by then, so that knowing it does not take waiting for that pass.
        """
        values: list[dict[str, OnHost]] = []
        left_out = set(left_out)
        steps = zip(heard.passes, heard.views, heard.confidences, betas, strict=True)
        for number, (part, view, confidence, beta) in enumerate(steps):
            hidden = self.student.hidden(part.batch) if first is None else first
            first = None
            losses = self._losses(part.batch, hidden, view, beta)
            loss = losses["loss"].sum() / n_examples
            if not loss.requires_grad:
                raise GradientLost(
                    "the loss depends on no adapter weight, so nothing would be learnt; with "
                    "checkpointing set use_reentrant=False, and check lora_scope"
                )
            values.append({key: OnHost(value.detach()) for key, value in losses.items()})
            values[-1] |= {"beta": OnHost(beta), "confidence": confidence}
            if not self.hurries and not torch.isfinite(loss):
                left_out.add(number)
            if self._all_say(number not in left_out):
                self.accelerator.backward(loss if part.counts else 0 * loss)
            if part is heard.passes[0]:
                each = self._of_tokens(part.batch, beta, hidden.device)
                numbers, n = part.batch.example_of_token, len(part.batch)
                values[-1] |= self.probe.figures(hidden, view, each, numbers, n)
        return values, left_out

    def _all_say(self, flag: bool) -> bool:
        """Whether a flag is set; sharded processes run the same passes, so there: set in all."""
        if not self.params.shard_layers:
            return flag
        n_set = self.accelerator.reduce(torch.tensor(float(flag), device=self.bundle.device))
        return int(n_set) == self.accelerator.num_processes

    def _losses(
        self, batch: Batch, hidden: Tensor, views: Views | None, beta: Tensor
    ) -> dict[str, Tensor]:
        """Losses of each example of one pass."""
        clean, noisy = (None, None) if views is None else (views.clean, views.noisy)
        token_beta = self._of_tokens(batch, beta, hidden.device)
        distillation, supervision = (
            example_means(values, batch.example_of_token, len(batch))
            for values in self.objective.token_losses(
                hidden, batch.answer_ids, clean, noisy, token_beta
            )
        )
        loss = seed_loss(distillation, supervision, self.distill_weight, self.temperature)
        return {
            "loss": loss,
            "distillation": self.temperature**2 * distillation,
            "supervision": supervision,
        }

    def _of_tokens(self, batch: Batch, beta: Tensor, device: torch.device) -> Tensor:
        """Beta of each answer token."""
        beta = beta.to(device, non_blocking=True)
        per_token = self.purifies and self.recipe.beta_per_token
        return beta if per_token else beta[batch.example_of_token]


def timed(groups: Iterable[T]) -> Iterator[tuple[float, T]]:
    """Each item, with the seconds that it was waited for."""
    asked = time.perf_counter()
    for group in groups:
        yield time.perf_counter() - asked, group
        asked = time.perf_counter()
