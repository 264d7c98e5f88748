"""The teacher: what the frozen model says of the clean and of the noisy picture, and its target."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from peft import PeftModel
from torch import Tensor

from seednb.data.batches import Batch
from seednb.model import AnswerLogits, teacher_mode
from seednb.perturb import example_noise, gaussian_noise
from seednb.purify import BetaSelector, answer_confidence, purify_logits
from seednb.versions import Recipe


@dataclass(frozen=True)
class Target:
    """What the student is distilled towards, and how firmly it was purified."""

    logits: Float[Tensor, "N V"]
    beta: Float[Tensor, "B"]  # zeros where nothing is purified
    confidence: Float[Tensor, "B"]


def distillation_target(
    model: PeftModel,
    batch: Batch,
    recipe: Recipe,
    selector: BetaSelector,
    noise_alpha: float,
    noise_keys: list[str],
) -> Target:
    """Run the teacher on answer positions and form the target of the recipe.

    `noise_keys`: one a picture; all texts about a picture see the same noisy view. The passes are
    over, and the adapter back on, when this returns.
    """
    answers = AnswerLogits(model)
    with teacher_mode(model, adapter_on=recipe.teacher_adapter):
        clean_logits = answers(batch)
        confidence = answer_confidence(clean_logits, batch.example_of_token, len(batch))
        if not recipe.purified:
            return Target(clean_logits, torch.zeros_like(confidence), confidence)
        pixels = batch.pixel_values
        noise = example_noise(noise_keys, tuple(pixels.shape[1:]), pixels.device)
        noisy = gaussian_noise(pixels, noise_alpha, noise.to(pixels.dtype))
        noisy_logits = answers(batch.with_pixels(noisy))
        beta = selector.select(confidence)
        purified_logits = purify_logits(clean_logits, noisy_logits, beta[batch.example_of_token])
        return Target(purified_logits, beta, confidence)
