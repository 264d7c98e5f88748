"""One readable loop: batch -> teacher -> purified target -> student -> loss -> step."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from peft import PeftModel
from torch import Tensor
from tqdm import tqdm

from seednb.artifacts import write_frame
from seednb.checkpoint import load_checkpoint, save_checkpoint
from seednb.config import TrainParams
from seednb.data.batches import Batch, Pictures, collate, image_token_id
from seednb.data.instruct import Pair
from seednb.data.prompts import Encoded, encode
from seednb.errors import SeedError
from seednb.losses import DIVERGENCES, cross_entropy, seed_loss
from seednb.model import AnswerLogits, Bundle, decoder_layers, idle_adapters
from seednb.purify import BetaSelector
from seednb.teacher import Views, teacher_views
from seednb.tokens import example_means
from seednb.versions import Recipe

ADAPTER = "adapter"
CURVE = "curve.parquet"


@dataclass(frozen=True)
class Examples:
    """Encoded training pairs with the pictures they speak of."""

    rows: Sequence[Encoded]
    images: Sequence[str]
    pictures: Pictures

    @classmethod
    def of(
        cls, pairs: Sequence[Pair], bundle: Bundle, pictures: Pictures, template: str
    ) -> "Examples":
        """Tokenise instruction pairs (nothing is truncated)."""
        rows = [
            encode(pair.question, pair.answer, bundle.tokenizer, bundle.n_image_tokens, template)
            for pair in pairs
        ]
        return cls(rows, [pair.image for pair in pairs], pictures)

    def batch(self, numbers: Sequence[int], bundle: Bundle) -> Batch:
        """Some examples on the model's device, those about one picture in one row."""
        names = self.names(numbers)
        return collate(
            [self.rows[n] for n in numbers],
            [names.index(self.images[n]) for n in numbers],
            self.pictures.batch(names),
            bundle.tokenizer.pad_token_id,
            image_token_id(bundle.processor),
            bundle.n_image_tokens,
        ).to(bundle.device)

    def names(self, numbers: Sequence[int]) -> list[str]:
        """The pictures of some examples, each once."""
        return list(dict.fromkeys(self.images[n] for n in numbers))


def train(
    model: PeftModel,
    bundle: Bundle,
    examples: Examples,
    recipe: Recipe,
    params: TrainParams,
    folder: Path,
) -> pd.DataFrame:
    """Train the adapter by the recipe; write `adapter/` and the curve to `folder`; return the curve.

    A run that was interrupted goes on from its last checkpoint. Several processes share each step's
    examples and end, dropout aside, at the adapter of one process. Raises SeedError if no step could
    be taken because the loss was never finite.
    """
    run = Run(model, bundle, examples, recipe, params, folder)
    main = run.accelerator.is_main_process
    with tqdm(total=run.n_steps, desc=f"train {recipe.name}", unit="step", disable=not main) as bar:
        for _ in run.steps():
            row = run.curve[-1]
            bar.n = row["step"]
            bar.set_postfix(loss=f"{row['loss']:.3f}", refresh=False)
            bar.update(0)
            if main and row["step"] % params.log_every == 0:
                bar.write(log_line(row))
    curve = pd.DataFrame(run.curve)
    if curve.empty or curve["loss"].isna().all():
        raise SeedError(
            f"training {recipe.name}: no finite loss in {len(curve)} steps; see {folder}"
        )
    if main:
        model.save_pretrained(str(folder / ADAPTER))
        write_frame(folder / CURVE, curve)
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
    ) -> None:
        self.bundle, self.examples, self.recipe, self.params = bundle, examples, recipe, params
        self.temperature = params.temperature or recipe.temperature
        weight = params.distill_weight
        self.distill_weight = (
            recipe.distill_weight if weight is None or recipe.distill_weight in (0, 1) else weight
        )
        self.divergence = DIVERGENCES[recipe.divergence]
        for parameter in idle_adapters(model):
            parameter.requires_grad_(False)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        if params.compile_layers:
            for layer in decoder_layers(model):
                layer.compile(dynamic=True)
        self.group = params.batch_size * params.grad_accum  # examples of one optimiser step
        self.n_steps = recipe.epochs * math.ceil(len(examples.rows) / self.group)
        optimiser = torch.optim.AdamW(
            self.parameters, params.learning_rate * recipe.rate_factor, weight_decay=0.0
        )
        self.selector = BetaSelector(params.beta_values, params.beta_quantiles, params.beta_window)
        self.accelerator = Accelerator(cpu=bundle.device.type == "cpu")
        self.model = model
        self.student = AnswerLogits(model)  # not wrapped: the step itself sums the gradients
        self.optimiser = self.accelerator.prepare(optimiser)
        self.set_checkpointing(params.gradient_checkpointing)
        n_warmup = max(1, round(params.warmup_share * self.n_steps))
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: cosine_with_warmup(step, n_warmup, self.n_steps)
        )
        self.folder = folder / "checkpoint"
        torch.manual_seed(params.seed)
        self.done, self.curve = load_checkpoint(
            self.folder, model, optimiser, self.schedule, self.selector
        )
        self.n_nan = int(self.curve[-1]["nan_count"]) if self.curve else 0

    def set_checkpointing(self, wanted: bool) -> None:
        """Keep each layer's input only, and recompute the layer in the backward pass; or not."""
        if wanted:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
        else:
            self.model.gradient_checkpointing_disable()

    def steps(self) -> Iterator[None]:
        """Take the optimiser steps that are left, adding a row to the curve each."""
        started, first = time.perf_counter(), self.done
        for step, (epoch, numbers) in enumerate(self._groups(), start=1):
            if step <= self.done:
                continue
            self.student.train()
            row = self.step_on(epoch, numbers)
            seconds = time.perf_counter() - started
            n_seen = (step - first) * self.group
            rate = n_seen / seconds
            row |= {
                "step": step,
                "epoch": epoch + 1,
                "examples": min(step * self.group, self.recipe.epochs * len(self.examples.rows)),
                "n_examples": self.recipe.epochs * len(self.examples.rows),
                "nan_count": self.n_nan,
                "examples_per_s": rate,
                "eta_s": (self.n_steps - step) * self.group / rate,
            }
            self.curve.append(row)
            due = step % self.params.checkpoint_every == 0 and step < self.n_steps
            if due and self.accelerator.is_main_process:
                save_checkpoint(
                    self.folder, step, self.model, self.optimiser.optimizer,
                    self.schedule, self.selector, self.curve,
                )  # fmt: skip
            yield

    def _groups(self) -> Iterator[tuple[int, list[int]]]:
        """(epoch, example numbers) of each optimiser step.

        Pictures are shuffled by seed and epoch; the examples about one picture stay together, so
        that a row holds them all.
        """
        by_picture: dict[str, list[int]] = {}
        for number, image in enumerate(self.examples.images):
            by_picture.setdefault(image, []).append(number)
        for epoch in range(self.recipe.epochs):
            pictures = list(by_picture.values())
            Random(f"order-{self.params.seed}-{epoch}").shuffle(pictures)
            order = [number for numbers in pictures for number in numbers]
            for start in range(0, len(order), self.group):
                yield epoch, order[start : start + self.group]

    def step_on(self, epoch: int, numbers: list[int]) -> dict[str, Any]:
        """One optimiser step on a group of examples: the loss is the mean over the group.

        Each process takes its share of the group, in passes of `batch_size`. Beta is chosen from the
        confidences of all processes, in the order of the examples.
        """
        batches = [self._batch(epoch, part) for part in self._passes(numbers)]
        views = [self._views(batch, keys) for batch, keys in batches]
        betas = self._select(views)
        values: list[dict[str, list[float]]] = []
        n_nan = 0
        for (batch, _), view, beta in zip(batches, views, betas, strict=True):
            losses = self._losses(batch, view, beta)
            loss = losses["loss"].sum() / len(numbers)
            values.append({key: value.tolist() for key, value in losses.items()})
            if torch.isfinite(loss):
                self.accelerator.backward(loss)
            else:
                n_nan += 1
        self._sum_gradients()
        norm = self.accelerator.clip_grad_norm_(self.parameters, self.params.max_grad_norm)
        rate = self.schedule.get_last_lr()[0]
        self.optimiser.step()
        self.schedule.step()
        self.optimiser.zero_grad()
        self.n_nan += sum(gather_object([n_nan]))
        every = gather_object(values)
        means = {key: fmean(number for part in every for number in part[key]) for key in every[0]}
        return means | {"learning_rate": rate, "gradient_norm": float(norm)}

    def _passes(self, numbers: list[int]) -> list[list[int]]:
        """This process's share of a group, cut into forward passes."""
        n, rank = self.accelerator.num_processes, self.accelerator.process_index
        share = numbers[rank * len(numbers) // n : (rank + 1) * len(numbers) // n]
        size = self.params.batch_size
        return [share[start : start + size] for start in range(0, len(share), size)]

    def _batch(self, epoch: int, numbers: list[int]) -> tuple[Batch, list[str]]:
        """Examples of one pass, and the keys of their pictures' noise."""
        names = self.examples.names(numbers)
        keys = [f"noise-{self.params.seed}-{epoch}-{name}" for name in names]
        return self.examples.batch(numbers, self.bundle), keys

    def _views(self, batch: Batch, keys: list[str]) -> Views | None:
        """What the teacher says; None where nothing is distilled."""
        if self.distill_weight == 0:
            return None
        return teacher_views(self.model, batch, self.recipe, self.params.noise_alpha, keys)

    def _select(self, views: list[Views | None]) -> list[Tensor | None]:
        """Beta of each example of each pass; the history holds the examples of all processes."""
        if self.distill_weight == 0 or not self.recipe.purified:
            return [None] * len(views)
        mine = [view.confidence for view in views if view is not None]
        shares = gather_object([torch.cat(mine).tolist() if mine else []])
        betas = self.selector.select(torch.tensor([value for share in shares for value in share]))
        start = sum(map(len, shares[: self.accelerator.process_index]))
        own = betas[start : start + sum(map(len, mine))].to(self.bundle.device)
        return list(own.split([len(confidence) for confidence in mine]))

    def _losses(self, batch: Batch, views: Views | None, beta: Tensor | None) -> dict[str, Tensor]:
        """Losses, beta and confidence of each example of one forward pass."""
        zeros = torch.zeros(len(batch), device=batch.input_ids.device)
        beta = zeros if beta is None else beta
        student_logits = self.student(batch)
        supervision = example_means(
            cross_entropy(student_logits, batch.answer_ids), batch.example_of_token, len(batch)
        )
        distillation = zeros
        if views is not None:
            target_logits = views.target(beta[batch.example_of_token])
            token_divergence = self.divergence(student_logits, target_logits, self.temperature)
            distillation = example_means(token_divergence, batch.example_of_token, len(batch))
        loss = seed_loss(distillation, supervision, self.distill_weight, self.temperature)
        return {
            "loss": loss,
            "distillation": self.temperature**2 * distillation,
            "supervision": supervision,
            "beta": beta,
            "confidence": zeros if views is None else views.confidence,
        }

    def _sum_gradients(self) -> None:
        """Add the gradients of all processes: some 300 MB a step at 7B, milliseconds on one host."""
        if self.accelerator.num_processes == 1:
            return
        for parameter in self.parameters:
            gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parameter.grad = self.accelerator.reduce(gradient, "sum")


def cosine_with_warmup(step: int, n_warmup: int, n_steps: int) -> float:
    """Share of the peak learning rate: a linear rise, then half a cosine to zero."""
    if step < n_warmup:
        return (step + 1) / n_warmup
    progress = (step - n_warmup) / max(1, n_steps - n_warmup)
    return 0.5 * (1 + math.cos(math.pi * progress))


def log_line(row: Mapping[str, Any]) -> str:
    """One line in the seed's log format, from a row of the curve."""
    return (
        f"Ep{row['epoch']} Step{row['step']} | Batch{row['examples']}/{row['n_examples']} | "
        f"Loss{row['loss']:.4f} | Dist{row['distillation']:.4f} | Sup{row['supervision']:.4f} | "
        f"Beta{row['beta']:.2f} | Conf{row['confidence']:.2f} | LR{row['learning_rate']:.2e} | "
        f"NaN{row['nan_count']} | {row['examples_per_s']:.1f}it/s | ETA{row['eta_s'] / 3600:.1f}h"
    )
