"""Instruction pairs -> right-padded batches that know which positions predict answer tokens."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import ProcessorMixin

from seednb.data.images import fit_image, load_image, resolve_image
from seednb.data.prompts import IMAGE_TAG, Encoded, check_image_tokens

IMAGE_CACHE = 4096  # pictures kept in memory: 450 MB at 96 px, more at 336 px


@dataclass(frozen=True)
class Batch:
    """Tensors of B examples and, flattened, of their N answer tokens."""

    input_ids: Int[Tensor, "B T"]
    attention_mask: Int[Tensor, "B T"]
    pixel_values: Float[Tensor, "B C H W"]
    answer_mask: Bool[Tensor, "B T"]  # true where the logits predict an answer token
    answer_ids: Int[Tensor, "N"]
    example_of_token: Int[Tensor, "N"]

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device."""
        return Batch(*(getattr(self, item.name).to(device) for item in fields(self)))

    def __len__(self) -> int:
        return len(self.input_ids)


class Pictures:
    """Reads pictures of one folder as the model's pixel_values, remembering the recent ones."""

    def __init__(self, folder: Path, processor: ProcessorMixin, image_fit: str) -> None:
        """`image_fit`: "pad" to a square as LLaVA does, or "crop" as the processor does."""
        self.folder, self.image_fit = folder, image_fit
        self.image_processor = processor.image_processor
        self.pixels = lru_cache(maxsize=self._cache_size())(self._read)

    def batch(self, names: Sequence[str]) -> Float[Tensor, "B C H W"]:
        """Normalised pixels of several pictures."""
        return torch.stack([self.pixels(name) for name in names])

    def _read(self, name: str) -> Float[Tensor, "C H W"]:
        image = load_image(resolve_image(self.folder, name))
        fitted = fit_image(image, self.image_fit)
        return self.image_processor(fitted, return_tensors="pt").pixel_values[0]

    def _cache_size(self) -> int:
        height = self.image_processor.crop_size["height"]
        return max(16, IMAGE_CACHE * 96 * 96 // (height * height))


def collate(
    rows: Sequence[Encoded],
    pixel_values: Float[Tensor, "B C H W"],
    pad_id: int,
    image_token: int,
    n_image_tokens: int,
) -> Batch:
    """Right-pad encoded examples. The logits at t predict token t + 1, so the mask is shifted."""
    length = max(len(row.input_ids) for row in rows)
    ids = torch.full((len(rows), length), pad_id)
    attention = torch.zeros(len(rows), length, dtype=torch.long)
    answers = torch.zeros(len(rows), length, dtype=torch.bool)
    for number, row in enumerate(rows):
        check_image_tokens(row.input_ids, image_token, n_image_tokens)
        n = len(row.input_ids)
        ids[number, :n] = torch.tensor(row.input_ids)
        attention[number, :n] = 1
        answers[number, row.n_prompt - 1 : n - 1] = True
    return Batch(
        input_ids=ids,
        attention_mask=attention,
        pixel_values=pixel_values,
        answer_mask=answers,
        answer_ids=ids.roll(-1, dims=1)[answers],
        example_of_token=answers.nonzero()[:, 0],
    )


def image_token_id(processor: ProcessorMixin) -> int:
    """The token that stands for one image feature."""
    return processor.tokenizer.convert_tokens_to_ids(IMAGE_TAG)
