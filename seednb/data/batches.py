"""Texts about pictures -> rows that hold each picture once and know which positions predict."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import ProcessorMixin

from seednb.data.images import fit_image, load_image, resolve_image
from seednb.data.prompts import Encoded, check_image_tokens

LENGTH_STEP = 8  # tokens; fused attention wants masks aligned to it
IMAGE_CACHE = 4096  # pictures kept in memory: 450 MB at 96 px, more at 336 px


@dataclass(frozen=True)
class Layout:
    """What laying out texts has to know of a model."""

    pad_id: int
    image_token: int  # stands for one image feature
    n_image_tokens: int  # of one picture


@dataclass(frozen=True)
class Batch:
    """R rows, each one picture with one or more texts, and the N answer tokens of the B examples.

    Every text is a branch of its row: it sees the picture, the words before it, and itself, and its
    positions continue the picture's. Branch 0 is what all texts of a row share; `branches` is None
    where every row holds one text.
    """

    input_ids: Int[Tensor, "R T"]
    position_ids: Int[Tensor, "R T"]
    branches: Int[Tensor, "R T"] | None
    pixel_values: Float[Tensor, "R C H W"]
    answer_positions: Int[Tensor, "N"]  # in the flattened rows: their logits predict answer tokens
    answer_ids: Int[Tensor, "N"]
    example_of_token: Int[Tensor, "N"]
    n_answer_tokens: tuple[int, ...]  # of each example

    @property
    def attention_mask(self) -> Bool[Tensor, "R 1 T T"] | None:
        """True where a position (row of the mask) may look; None where causal attention says it."""
        return None if self.branches is None else _branch_mask(self.branches)

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device; from pinned memory the copy runs beside the computation."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "Batch":
        """The batch in memory that the device can read by itself."""
        return self._each(Tensor.pin_memory)

    def seen_as(self, views: Sequence[Float[Tensor, "R C H W"]]) -> "Batch":
        """The rows once for each view of their pictures, one view below the other, for one pass."""
        n, starts = (
            len(views),
            range(0, len(views) * self.input_ids.numel(), self.input_ids.numel()),
        )
        return replace(
            self,
            input_ids=self.input_ids.repeat(n, 1),
            position_ids=self.position_ids.repeat(n, 1),
            branches=None if self.branches is None else self.branches.repeat(n, 1),
            pixel_values=torch.cat(list(views)),
            answer_positions=torch.cat([self.answer_positions + start for start in starts]),
        )

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        tensors: dict[str, Any] = {
            name: change(value) for name, value in vars(self).items() if isinstance(value, Tensor)
        }
        return replace(self, **tensors)

    def __len__(self) -> int:
        return len(self.n_answer_tokens)


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
    texts: Sequence[Encoded],
    rows: Sequence[int],
    pixel_values: Float[Tensor, "R C H W"],
    layout: Layout,
) -> Batch:
    """Lay texts out in rows: `rows[i]` is the row, and so the picture, of text i.

    Texts of one row must begin alike up to the end of the picture; that part is laid down once. The
    logits at position t predict token t + 1. Answer tokens are listed in the order of the texts.
    Raises SeedError for a text whose image tokens were cut.
    """
    shared: dict[int, tuple[int, ...]] = {}
    ids: dict[int, list[int]] = {}
    positions: dict[int, list[int]] = {}
    branches: dict[int, list[int]] = {}
    places: list[tuple[int, int, int, int]] = []  # text, row, position, predicted token
    for number, (text, row) in enumerate(zip(texts, rows, strict=True)):
        check_image_tokens(text.input_ids, layout.image_token, layout.n_image_tokens)
        start = n_shared(text, layout.image_token)
        prefix = text.input_ids[:start]
        if shared.setdefault(row, prefix) != prefix:
            raise ValueError("texts of one row differ before the end of the picture")
        if row not in ids:
            ids[row], positions[row] = list(prefix), list(range(start))
            branches[row] = [0] * start
        offset = len(ids[row]) - start
        for t, token in enumerate(text.predicted, start=text.n_prompt - 1):
            places.append((number, row, t + offset if t >= start else t, token))
        n = len(text.input_ids)
        ids[row] += text.input_ids[start:]
        positions[row] += range(start, n)
        branches[row] += [number + 1] * (n - start)
    order = sorted(ids)
    example, row_of, position, token = torch.tensor(places).T
    input_ids = _padded([ids[row] for row in order], layout.pad_id)
    packed = len(texts) > len(order)
    return Batch(
        input_ids=input_ids,
        position_ids=_padded([positions[row] for row in order], 0),
        branches=_padded([branches[row] for row in order], 0) if packed else None,
        pixel_values=pixel_values,
        answer_positions=row_of * input_ids.shape[1] + position,
        answer_ids=token,
        example_of_token=example,
        n_answer_tokens=tuple(len(text.predicted) for text in texts),
    )


def _branch_mask(branches: Int[Tensor, "R T"]) -> Bool[Tensor, "R 1 T T"]:
    """Looks go back, to a position's own branch or to the shared start."""
    length = branches.shape[1]
    own = branches[:, :, None] == branches[:, None, :]
    start = branches[:, None, :] == 0
    past = torch.ones(length, length, dtype=torch.bool, device=branches.device).tril()
    return ((own | start) & past)[:, None]


def n_shared(text: Encoded, image_token: int) -> int:
    """Tokens up to the end of the picture; none after the prompt's last token, which predicts."""
    ids = text.input_ids
    end = len(ids) - ids[::-1].index(image_token) if image_token in ids else 0
    return min(end, text.n_prompt - 1)


def _padded(rows: Sequence[Sequence[int]], value: int) -> Int[Tensor, "R T"]:
    """Right-padded to a multiple of `LENGTH_STEP`: few lengths, and aligned masks."""
    length = -(-max(map(len, rows)) // LENGTH_STEP) * LENGTH_STEP
    return torch.tensor([[*row, *[value] * (length - len(row))] for row in rows])
