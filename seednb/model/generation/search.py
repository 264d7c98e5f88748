"""Texts by `transformers`' own `generate`: beams, and the plain way that the queue is tested against."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList

from seednb.model.inputs.prompts import encode_prompt
from seednb.model.loading import Bundle


@dataclass(frozen=True)
class Decoded:
    """One generated text."""

    text: str
    n_tokens: int
    finished: bool  # ended by itself, not by the token limit


@torch.inference_mode()
def search(
    bundle: Bundle,
    prompts: Sequence[Sequence[int]],
    pixel_values: Float[Tensor, "B C H W"],
    max_new_tokens: int,
    processors: Sequence[LogitsProcessor] = (),
    n_beams: int = 1,
) -> list[Decoded]:
    """The texts that continue prompts, each with an image of its own; all wait for the longest.

    Shorter prompts are padded on the left: a text continues its prompt's last token.
    """
    tokenizer, device = bundle.tokenizer, bundle.device
    longest = max(map(len, prompts))
    ids = [[*[tokenizer.pad_token_id] * (longest - len(p)), *p] for p in prompts]
    padding = torch.tensor([longest - len(prompt) for prompt in prompts])[:, None]
    output = bundle.model.generate(  # type: ignore[operator]  # mixed in by the model's class
        input_ids=torch.tensor(ids, device=device),
        attention_mask=(torch.arange(longest) >= padding).long().to(device),
        pixel_values=pixel_values.to(device, bundle.model.dtype),
        do_sample=False,
        num_beams=n_beams,
        max_new_tokens=max_new_tokens,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        logits_processor=LogitsProcessorList(processors),
    )
    return [decoded(row, bundle) for row in output[:, longest:].tolist()]


def encode_all(bundle: Bundle, questions: Sequence[str]) -> list[list[int]]:
    """The prompt of each question as tokens; equal questions are encoded once."""
    tokens, template = bundle.image_tokens, bundle.template
    encoded = {q: encode_prompt(q, bundle.tokenizer, tokens, template) for q in set(questions)}
    return [encoded[question] for question in questions]


def decoded(token_ids: list[int], bundle: Bundle) -> Decoded:
    """Tokens up to the one that ends a text, as words."""
    eos = bundle.tokenizer.eos_token_id
    finished = eos in token_ids
    kept = token_ids[: token_ids.index(eos)] if finished else token_ids
    return Decoded(str(bundle.tokenizer.decode(kept)).strip(), len(kept), finished)
