"""The SEED step in the formulas and the order of the reproduction: one example at a time, no speed.

The trainer's step (packed, cached, compiled, sharded) is tested against it, and timed against it.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F
from torch.optim import Optimizer

from seednb.method.beta import MIN_HISTORY
from seednb.method.losses import precise

# From high to low purification strength; in float32, as the trainer keeps them: 1.1 is 1.10000002.
BETA_VALUES = torch.tensor([1.1, 0.8, 0.6, 0.4], dtype=torch.float32).tolist()
START_BETA = float(torch.tensor(0.7, dtype=torch.float32))  # the median of the values
QUANTILES = (0.25, 0.5, 0.75)  # of the confidence history
WINDOW = 1000  # confidences


@dataclass(frozen=True)
class Example:
    """One image with a prompt and its answer."""

    input_ids: Int[Tensor, "1 T"]  # the prompt with its image tokens, then the answer
    n_prompt: int  # tokens before the answer
    pixel_values: Float[Tensor, "1 C H W"]  # x
    noise: Float[Tensor, "1 C H W"]  # eps ~ N(0, I)

    @property
    def answer_ids(self) -> Int[Tensor, "n"]:
        """The answer's tokens."""
        return self.input_ids[0, self.n_prompt :]


def select_beta(confidence: float, history: Sequence[float]) -> float:
    """A larger beta for a lower confidence, by the quantiles of the confidences before it.

    `START_BETA` while the history is too short for quantiles.
    """
    if len(history) < MIN_HISTORY:
        return START_BETA
    window = torch.tensor(history[-WINDOW:], dtype=torch.float64)
    for beta, quantile in zip(BETA_VALUES, QUANTILES, strict=False):
        if confidence < torch.quantile(window, quantile):
            return beta
    return BETA_VALUES[-1]


def answer_logits(
    model: Callable[..., Any], example: Example, pixel_values: Float[Tensor, "1 C H W"]
) -> Float[Tensor, "n V"]:
    """Logits of the answer's tokens: those at position t predict token t + 1."""
    logits = model(input_ids=example.input_ids, pixel_values=pixel_values).logits
    return precise(logits[0, example.n_prompt - 1 : -1])


def seed_step(
    model: Callable[..., Any],
    teacher_mode: Callable[[], AbstractContextManager[None]],
    optimiser: Optimizer,
    examples: Sequence[Example],
    history: list[float],
    *,
    alpha: float = 0.3,
    temperature: float = 2.0,
    distill_weight: float = 0.7,
    max_grad_norm: float = 1.0,
) -> list[dict[str, float]]:
    """Change the adapter by some examples; returns the losses, confidence and beta of each.

    `model(input_ids=..., pixel_values=...).logits` has shape [1, T, V]; in `teacher_mode` (PEFT's
    `model.disable_adapter`) it is the frozen base model. `history` grows by the confidences.
    """
    figures: list[dict[str, float]] = []
    for example in examples:
        x = example.pixel_values
        # Step 1, noise injection (Eq. 4)
        x_noisy = alpha**0.5 * x + (1 - alpha) ** 0.5 * example.noise
        with teacher_mode(), torch.no_grad():
            clean_logits = answer_logits(model, example, x)
            noisy_logits = answer_logits(model, example, x_noisy)
        # Step 2, logit purification (Eq. 6-7)
        confidence = float(clean_logits.log_softmax(-1).amax(-1).mean())
        beta = select_beta(confidence, history)
        history.append(confidence)
        purified_logits = (1 + beta) * clean_logits - beta * noisy_logits
        # Step 3, joint objective (Eq. 15): reverse KL, student || purified teacher, at temperature T
        student_logits = answer_logits(model, example, x)
        log_p = (student_logits / temperature).log_softmax(-1)
        log_q = (purified_logits / temperature).log_softmax(-1)
        distillation = temperature**2 * (log_p.exp() * (log_p - log_q)).sum(-1).mean()
        supervision = F.cross_entropy(student_logits, example.answer_ids)
        loss = distill_weight * distillation + (1 - distill_weight) * supervision
        (loss / len(examples)).backward()
        parts = {"loss": loss, "distillation": distillation, "supervision": supervision}
        figures.append({name: part.item() for name, part in parts.items()})
        figures[-1] |= {"confidence": confidence, "beta": beta}
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    torch.nn.utils.clip_grad_norm_(parameters, max_grad_norm)
    optimiser.step()
    optimiser.zero_grad()
    return figures
