"""The seed document's training loop, line by line: one pair, three passes in turn, full logits."""

import torch
from peft import PeftModel
from torch.optim import Optimizer

from seednb.examples import Examples
from seednb.losses import reverse_kl
from seednb.perturb import gaussian_noise
from seednb.purify import BetaSelector, answer_confidence, purify_logits

IGNORED = -100


def seed_loop(
    model: PeftModel,
    optimiser: Optimizer,
    examples: Examples,
    numbers: list[int],
    selector: BetaSelector,
    n_accumulate: int = 8,
) -> None:
    """Train on some pairs: checkpointing as the model is set, `empty_cache` after the teacher.

    The losses are this project's: those of the document give NaN gradients (`seednb.losses`).
    """
    device = model.device
    for count, number in enumerate(numbers, start=1):
        row = examples.rows[number]
        ids = torch.tensor([row.input_ids], device=device)
        labels = ids.clone()
        labels[:, : row.n_prompt] = IGNORED
        pixels = examples.pictures.batch([examples.images[number]]).to(device, model.dtype)
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        answer = slice(row.n_prompt - 1, -1)
        model.base_model.disable_adapter_layers()
        with torch.no_grad():
            clean = model(**inputs, pixel_values=pixels)
            noisy_pixels = gaussian_noise(pixels, 0.3, torch.randn_like(pixels))
            noisy = model(**inputs, pixel_values=noisy_pixels)
            clean_answer, noisy_answer = clean.logits[0, answer], noisy.logits[0, answer]
            example = torch.zeros(len(clean_answer), dtype=torch.long, device=device)
            confidence = answer_confidence(clean_answer, example, 1)
            beta = selector.select(confidence)
            purified = purify_logits(clean_answer, noisy_answer, float(beta))
        del clean, noisy
        if device.type == "cuda":
            torch.cuda.empty_cache()
        model.base_model.enable_adapter_layers()
        student = model(**inputs, pixel_values=pixels, labels=labels)
        distillation = 4 * reverse_kl(student.logits[0, answer], purified, 2.0).mean()
        loss = 0.7 * distillation + 0.3 * student.loss
        (loss / n_accumulate).backward()
        loss.item()
        if count % n_accumulate == 0 or count == len(numbers):
            torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0)
            optimiser.step()
            optimiser.zero_grad()
