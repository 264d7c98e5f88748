"""The seed document's training loop, faithfully: one pair, three passes in turn, full logits."""

import torch
from peft import PeftModel
from torch.optim import Optimizer

from seednb.examples import Examples
from seednb.losses import reverse_kl
from seednb.perturb import gaussian_noise
from seednb.purify import purify_logits


def seed_loop(
    model: PeftModel,
    optimiser: Optimizer,
    examples: Examples,
    numbers: list[int],
    n_accumulate: int = 8,
) -> None:
    """Train on some pairs: checkpointing as the model is set, `empty_cache` after the teacher."""
    device = model.device
    for count, number in enumerate(numbers, start=1):
        row = examples.rows[number]
        ids = torch.tensor([row.input_ids], device=device)
        pixels = examples.pictures.batch([examples.images[number]]).to(device, model.dtype)
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        noisy = gaussian_noise(pixels, 0.3, torch.randn_like(pixels))
        with torch.no_grad(), model.disable_adapter():
            clean_logits = model(**inputs, pixel_values=pixels).logits
            noisy_logits = model(**inputs, pixel_values=noisy).logits
        answer = slice(row.n_prompt - 1, -1)
        purified = purify_logits(clean_logits[0, answer], noisy_logits[0, answer], 0.8)
        del clean_logits, noisy_logits
        if device.type == "cuda":
            torch.cuda.empty_cache()
        student = model(**inputs, pixel_values=pixels).logits[0, answer]
        labels = ids[0, row.n_prompt :]
        supervision = torch.nn.functional.cross_entropy(student.float(), labels)
        loss = 0.7 * 4 * reverse_kl(student, purified, 2.0).mean() + 0.3 * supervision
        (loss / n_accumulate).backward()
        loss.item()
        if count % n_accumulate == 0 or count == len(numbers):
            torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0)
            optimiser.step()
            optimiser.zero_grad()
