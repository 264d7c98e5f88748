"""The teacher: hidden states of the frozen model for the clean and the noisy view."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from peft import PeftModel
from torch import Tensor

from seednb.core.errors import SeedError
from seednb.method.losses import cross_entropy
from seednb.method.recipes import Recipe
from seednb.model.forward import AnswerLogits, TeacherMode
from seednb.model.inputs.collate import Batch, Noisy
from seednb.training.teacher_cache import TeacherCache

CLEAN, NOISY = "clean", "noisy"


@dataclass(frozen=True)
class Views:
    """The teacher's last hidden states at the answer positions; the head turns them into logits."""

    clean: Float[Tensor, "N H"]
    noisy: Float[Tensor, "N H"] | None  # None where the recipe purifies nothing


class Teacher:
    """The frozen model, or the cache of its hidden states."""

    def __init__(
        self,
        model: PeftModel,
        recipe: Recipe,
        fgsm_step: float = 0.0,
        cache: TeacherCache | None = None,
        remembered: Sequence[str] = (CLEAN,),
    ) -> None:
        """`remembered`: the views that `cache` holds; the noisy one only if its noise is fixed."""
        self.attacks, self.fgsm_step = recipe.perturbation == "fgsm", fgsm_step
        self.answers = AnswerLogits(model)
        self.mode = TeacherMode(model, recipe.teacher_adapter)
        self.cache = None if recipe.teacher_adapter else cache
        self.remembered = remembered

    def views(
        self,
        batch: Batch,
        noisy: Noisy | None,
        keys: Sequence[str],
        unsure: Callable[[Float[Tensor, "N H"]], list[bool]] | None = None,
    ) -> Views:
        """Hidden states of a batch, clean and noisy in one forward pass; `keys` name the examples.

        With `unsure`, whether the clean view of each example is of low confidence, the noisy
        view follows in a forward pass of its own, of those examples only; the others' noisy states
        are their clean ones, which any beta leaves alone. When this returns, the forward pass is over
        and the adapter back on.
        """
        if unsure is None or noisy is None:
            return Views(*self._ask(batch, noisy, keys))
        clean, _ = self._ask(batch, None, keys)
        return Views(clean, self._noisy_where(unsure(clean), batch, noisy, clean))

    def prefetch(self, batch: Batch, noisy: Noisy | None, keys: Sequence[str]) -> None:
        """Begin to read a batch's cached states; the batch lies on the host."""
        if self.cache is None:
            return
        asked = (CLEAN,) if noisy is None else (CLEAN, NOISY)
        for view in set(asked) & set(self.remembered):
            self.cache.prefetch(_named(view, keys), batch.input_ids.is_pinned())

    def _ask(
        self, batch: Batch, noisy: Noisy | None, keys: Sequence[str]
    ) -> tuple[Tensor, Tensor | None]:
        """(clean, noisy) hidden states, cached or computed together."""
        pixels = {CLEAN: (batch.pixel_values, batch.input_ids)}
        if noisy is not None:
            ids = batch.input_ids if noisy.input_ids is None else noisy.input_ids
            pixels[NOISY] = (self._attacked(batch, noisy), ids)
        found = {
            view: hidden
            for view in pixels
            if (hidden := self._recall(view, batch, keys)) is not None
        }
        missing = [view for view in pixels if view not in found]
        # Rounding depends on what shares a forward pass. With a cache each view has its own: what
        # the cache holds then decides nothing but time, and a killed run ends at the same bits.
        for together in [missing] if self.cache is None else [[view] for view in missing]:
            if together:
                seen, texts = zip(*(pixels[view] for view in together), strict=True)
                with self.mode:
                    hidden = self.answers.hidden(batch.seen_as(seen, texts))
                found |= dict(zip(together, hidden.chunk(len(together)), strict=True))
        for view in missing:
            found[view] = self._remember(view, found[view], batch, keys)
        return found[CLEAN], found.get(NOISY)

    def _noisy_where(
        self, unsure: list[bool], batch: Batch, noisy: Noisy, clean: Float[Tensor, "N H"]
    ) -> Float[Tensor, "N H"]:
        """Noisy states of the unsure examples, clean ones of the others."""
        if not any(unsure):
            return clean
        n_rows, length = batch.input_ids.shape
        if len(batch.pixel_values) != n_rows:
            raise SeedError("noisy_share below 1 needs a model that reads every image at one size")
        is_unsure = torch.tensor(unsure, device=clean.device)[batch.example_of_token]
        rows = torch.zeros(n_rows, dtype=torch.bool, device=clean.device)
        rows[batch.answer_positions[is_unsure] // length] = True
        part, kept = batch.rows_of(rows)
        ids = None if noisy.input_ids is None else noisy.input_ids[rows]
        pixels = self._attacked(part, Noisy(noisy.pixel_values[rows]))
        with self.mode:
            found = self.answers.hidden(part.seen_as([pixels], [ids]))
        whole = clean.clone()
        whole[kept] = found
        return torch.where(is_unsure[:, None], whole, clean)

    def _attacked(self, batch: Batch, noisy: Noisy) -> Float[Tensor, "R ..."]:
        """The noisy pixels; with fgsm, the clean ones moved so that the answers become unlikely.

        x' = x + step sign(grad_x of -log p(answers)) (Goodfellow et al., 2015). The gradient is of
        all answers that share the micro-batch and the image, so unlike every other view this one depends
        on which texts share one.
        """
        if not self.attacks:
            return noisy.pixel_values
        pixels = noisy.pixel_values.detach().clone().requires_grad_()
        with self.mode, torch.enable_grad():
            logits = self.answers(replace(batch, pixel_values=pixels))
            (slope,) = torch.autograd.grad(cross_entropy(logits, batch.answer_ids).sum(), pixels)
        return noisy.pixel_values + self.fgsm_step * slope.sign()

    def _recall(self, view: str, batch: Batch, keys: Sequence[str]) -> Tensor | None:
        if self.cache is None or view not in self.remembered:
            return None
        # A copy from memory that is not pinned waits for all that is queued.
        hidden = self.cache.get(_named(view, keys), pinned=batch.input_ids.is_cuda)
        return None if hidden is None else hidden.to(batch.input_ids.device, non_blocking=True)

    def _remember(self, view: str, hidden: Tensor, batch: Batch, keys: Sequence[str]) -> Tensor:
        """The states, kept; of an example that is in the cache already, those of the cache."""
        if self.cache is None or view not in self.remembered:
            return hidden
        parts = hidden.split(list(batch.n_answer_tokens))
        named = _named(view, keys)
        kept = [self.cache.put(name, part) for name, part in zip(named, parts, strict=True)]
        return torch.cat([part.to(hidden.device) for part in kept])


def _named(view: str, keys: Sequence[str]) -> list[str]:
    """Keys of a view of some examples in the cache."""
    return [f"{view}-{key}" for key in keys]
