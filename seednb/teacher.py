"""The teacher: what the frozen model thinks of the clean and of the noisy picture."""

from collections.abc import Sequence
from dataclasses import dataclass

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
        if missing:
            with self.mode:
                hidden = self.answers.hidden(batch.seen_as([pixels[view] for view in missing]))
            found |= dict(zip(missing, hidden.chunk(len(missing)), strict=True))
            for view in missing:
                self._remember(view, found[view], batch, keys)
        return Views(found[CLEAN], found.get(NOISY))

    def _recall(self, view: str, batch: Batch, keys: Sequence[str]) -> Tensor | None:
        if self.cache is None or view not in self.remembered:
            return None
        hidden = self.cache.get([f"{view}-{key}" for key in keys])
        return None if hidden is None else hidden.to(batch.input_ids.device, non_blocking=True)

    def _remember(self, view: str, hidden: Tensor, batch: Batch, keys: Sequence[str]) -> None:
        if self.cache is not None and view in self.remembered:
            parts = hidden.split(list(batch.n_answer_tokens))
            for key, part in zip(keys, parts, strict=True):
                self.cache.put(f"{view}-{key}", part)
