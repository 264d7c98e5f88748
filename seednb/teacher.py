"""The teacher: what the frozen model says of the clean and of the noisy picture."""

from dataclasses import dataclass

from jaxtyping import Float
from peft import PeftModel
from torch import Tensor

from seednb.data.batches import Batch
from seednb.model import AnswerLogits, teacher_mode
from seednb.perturb import example_noise, gaussian_noise
from seednb.purify import answer_confidence, purify_logits
from seednb.versions import Recipe


@dataclass(frozen=True)
class Views:
    """What the teacher says at the answer tokens, of the clean and of the noisy picture."""

    clean_logits: Float[Tensor, "N V"]
    noisy_logits: Float[Tensor, "N V"] | None  # None where the recipe purifies nothing
    confidence: Float[Tensor, "B"]

    def target(self, token_beta: Float[Tensor, "N"]) -> Float[Tensor, "N V"]:
        """The logits that the student is distilled towards."""
        if self.noisy_logits is None:
            return self.clean_logits
        return purify_logits(self.clean_logits, self.noisy_logits, token_beta)


def teacher_views(
    model: PeftModel, batch: Batch, recipe: Recipe, noise_alpha: float, noise_keys: list[str]
) -> Views:
    """Run the teacher on answer positions.

    `noise_keys`: one a picture; all texts about a picture see the same noisy view. The passes are
    over, and the adapter back on, when this returns.
    """
    answers = AnswerLogits(model)
    with teacher_mode(model, adapter_on=recipe.teacher_adapter):
        clean_logits = answers(batch)
        confidence = answer_confidence(clean_logits, batch.example_of_token, len(batch))
        if not recipe.purified:
            return Views(clean_logits, None, confidence)
        pixels = batch.pixel_values
        noise = example_noise(noise_keys, tuple(pixels.shape[1:]), pixels.device)
        noisy = gaussian_noise(pixels, noise_alpha, noise.to(pixels.dtype))
        return Views(clean_logits, answers(batch.with_pixels(noisy)), confidence)
