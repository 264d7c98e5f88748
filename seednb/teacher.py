"""The teacher: what the frozen model thinks of the clean and of the noisy picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from peft import PeftModel
from torch import Tensor

from seednb.data.batches import Batch
from seednb.model import AnswerLogits, TeacherMode
from seednb.perturb import gaussian_noise
from seednb.teacher_cache import TeacherCache
from seednb.versions import Recipe

CLEAN, NOISY = "clean", "noisy"


@dataclass(frozen=True)
class Views:
    """The teacher's last hidden states at the answer positions; the head turns them into logits."""

    clean: Float[Tensor, "N H"]
    noisy: Float[Tensor, "N H"] | None  # None where the recipe purifies nothing


class Teacher:
    """Runs the frozen model, or remembers what it said."""

    def __init__(
        self,
        model: PeftModel,
        recipe: Recipe,
        noise_alpha: float,
        cache: TeacherCache | None = None,
        remembered: Sequence[str] = (CLEAN,),
    ) -> None:
        """`remembered`: the views that `cache` keeps; the noisy one only if its noise never changes."""
        self.noise_alpha = noise_alpha
        self.answers = AnswerLogits(model)
        self.mode = TeacherMode(model, recipe.teacher_adapter)
        self.cache = None if recipe.teacher_adapter else cache
        self.remembered = remembered

    def views(
        self, batch: Batch, noise: Float[Tensor, "R C H W"] | None, keys: Sequence[str]
    ) -> Views:
        """What it thinks of a batch, clean and noisy in one pass; `keys` name the examples.

        The pass is over, and the adapter back on, when this returns.
        """
        pixels = {CLEAN: batch.pixel_values}
        if noise is not None:
            pixels[NOISY] = gaussian_noise(batch.pixel_values, self.noise_alpha, noise)
        found = {
            view: hidden
            for view in pixels
            if (hidden := self._recall(view, batch, keys)) is not None
        }
        missing = [view for view in pixels if view not in found]
        # Rounding depends on what shares a pass. With a cache each view has its own, so that what
        # the cache holds decides nothing but time, and a killed run ends at the same bits.
        for together in [missing] if self.cache is None else [[view] for view in missing]:
            if together:
                with self.mode:
                    hidden = self.answers.hidden(batch.seen_as([pixels[view] for view in together]))
                found |= dict(zip(together, hidden.chunk(len(together)), strict=True))
        for view in missing:
            found[view] = self._remember(view, found[view], batch, keys)
        return Views(found[CLEAN], found.get(NOISY))

    def _recall(self, view: str, batch: Batch, keys: Sequence[str]) -> Tensor | None:
        if self.cache is None or view not in self.remembered:
            return None
        hidden = self.cache.get([f"{view}-{key}" for key in keys])
        return None if hidden is None else hidden.to(batch.input_ids.device, non_blocking=True)

    def _remember(self, view: str, hidden: Tensor, batch: Batch, keys: Sequence[str]) -> Tensor:
        """The states, where an example has been asked before those of that time."""
        if self.cache is None or view not in self.remembered:
            return hidden
        parts = hidden.split(list(batch.n_answer_tokens))
        kept = [
            self.cache.put(f"{view}-{key}", part) for key, part in zip(keys, parts, strict=True)
        ]
        return torch.cat([part.to(hidden.device) for part in kept])
