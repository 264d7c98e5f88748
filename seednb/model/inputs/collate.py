"""Texts about images -> rows that hold each image once, with the positions that predict answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask

from seednb.model.inputs.pixels import Extras
from seednb.model.inputs.prompts import Encoded, check_image_tokens, check_length

T = TypeVar("T")
LENGTH_STEP = 8  # tokens; fused attention wants masks aligned to it


def in_chunks(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """The items, some at a time, in their order; the last chunk may be smaller."""
    return [items[start : start + size] for start in range(0, len(items), size)]


@dataclass(frozen=True)
class Layout:
    """The facts about a model that decide how texts are laid out."""

    pad_id: int
    image_token: int  # stands for one image feature
    n_image_tokens: int | None  # of one image; None where it depends on the image's size
    n_positions: int | None = None  # tokens of the model's context, where it is known
    packs: bool = True  # may several texts share a row? Their positions must be one number each

    def rows(self, images: Sequence[str]) -> tuple[list[str], list[int]]:
        """(the image of each row, the row of each text), from the image of each text."""
        if not self.packs:
            return list(images), list(range(len(images)))
        names = list(dict.fromkeys(images))
        return names, [names.index(image) for image in images]


class Movable:
    """A dataclass whose tensors move together, nested ones included."""

    def to(self, device: torch.device) -> Self:
        """A copy on a device; from pinned memory it is made beside the computation."""
        return _changed(self, lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Self:
        """A copy in memory that the device can read by itself."""
        return _changed(self, Tensor.pin_memory)


def _changed(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The value with each tensor in it changed."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, list):
        return [_changed(item, change) for item in value]
    if isinstance(value, dict):
        return {key: _changed(item, change) for key, item in value.items()}
    if isinstance(value, Movable):
        return replace(value, **_changed(vars(value), change))  # type: ignore[type-var]
    return value


@dataclass(frozen=True)
class Batch(Movable):
    """R rows, each one image with one or more texts, and the N answer tokens of the B examples.

    Every text is a branch of its row: it sees the image, the words before it, and itself, and its
    positions continue the image's. Branch 0 is what all texts of a row share; `branches` is None
    where every row holds one text.
    """

    input_ids: Int[Tensor, "R T"]
    position_ids: Int[Tensor, "R T"] | None  # None where the model numbers them itself
    branches: Int[Tensor, "R T"] | None
    pixel_values: Float[Tensor, "R ..."]
    answer_positions: Int[Tensor, "N"]  # in the flattened rows: their logits predict answer tokens
    answer_ids: Int[Tensor, "N"]
    example_of_token: Int[Tensor, "N"]
    n_answer_tokens: tuple[int, ...]  # of each example
    extras: Extras = field(default_factory=dict)  # further inputs about the images

    @property
    def attention_mask(self) -> Bool[Tensor, "R 1 T T"] | BlockMask | None:
        """True where a query (row of the mask) may see a key; None where attention is causal."""
        return None if self.branches is None else _branch_mask(self.branches)

    def rows_of(self, rows: Bool[Tensor, "R"]) -> tuple["Batch", Bool[Tensor, "N"]]:
        """(some rows as a batch of their own, which of the answer tokens are theirs).

        For models whose images take one row of `pixel_values` each. The example numbers stay.
        """
        length = self.input_ids.shape[1]
        row_of = self.answer_positions // length
        kept, new_row = rows[row_of], rows.cumsum(0) - 1
        positions = new_row[row_of] * length + self.answer_positions % length
        part = replace(
            self,
            input_ids=self.input_ids[rows],
            position_ids=None if self.position_ids is None else self.position_ids[rows],
            branches=None if self.branches is None else self.branches[rows],
            pixel_values=self.pixel_values[rows],
            answer_positions=positions[kept],
            answer_ids=self.answer_ids[kept],
            example_of_token=self.example_of_token[kept],
        )
        return part, kept

    def seen_as(
        self,
        views: Sequence[Float[Tensor, "R C H W"]],
        texts: Sequence[Int[Tensor, "R T"] | None] = (),
    ) -> "Batch":
        """The rows once for each view of their images, one below the other, for one forward pass.

        `texts` are the tokens of each view, None where they are as they were.
        """
        ids = [self.input_ids if text is None else text for text in texts or [None] * len(views)]
        n, size = len(views), self.input_ids.numel()
        return replace(
            self,
            input_ids=torch.cat(ids),
            position_ids=None if self.position_ids is None else self.position_ids.repeat(n, 1),
            branches=None if self.branches is None else self.branches.repeat(n, 1),
            pixel_values=torch.cat(list(views)),
            answer_positions=torch.cat([self.answer_positions + view * size for view in range(n)]),
            extras={name: torch.cat([value] * n) for name, value in self.extras.items()},
        )

    def __len__(self) -> int:
        return len(self.n_answer_tokens)


@dataclass(frozen=True)
class Noisy(Movable):
    """A batch's noisy view: one an image, so that all its texts see the same."""

    pixel_values: Float[Tensor, "R ..."]
    input_ids: Int[Tensor, "R T"] | None = None  # None: the questions are as they were


def collate(
    texts: Sequence[Encoded],
    rows: Sequence[int],
    pixel_values: Float[Tensor, "R ..."],
    layout: Layout,
    extras: Extras | None = None,
) -> Batch:
    """Lay texts out in rows: `rows[i]` is the row, and so the image, of text i.

    Texts of one row must begin alike up to the end of the image; that part is laid down once. The
    logits at position t predict token t + 1. Answer tokens are listed in the order of the texts.
    Raises SeedError for a text whose image tokens were cut, or that is longer than the context.
    """
    laid, answers = lay_out(texts, rows, layout)
    input_ids = _padded([row.ids for row in laid], layout.pad_id)
    packed = len(texts) > len(laid)
    if packed and not layout.packs:
        raise ValueError("this model's positions do not allow several texts in a row")
    example, row_of, position, token = torch.tensor(answers).T
    return Batch(
        input_ids=input_ids,
        position_ids=_padded([row.positions for row in laid], 0) if layout.packs else None,
        branches=_padded([row.branches for row in laid], 0) if packed else None,
        pixel_values=pixel_values,
        answer_positions=row_of * input_ids.shape[1] + position,
        answer_ids=token,
        example_of_token=example,
        n_answer_tokens=tuple(len(text.predicted) for text in texts),
        extras=extras or {},
    )


@dataclass(frozen=True)
class TokenRow:
    """The tokens of one image's texts, one text after the other."""

    prefix: tuple[int, ...]  # what all its texts begin with
    ids: list[int]
    positions: list[int]
    branches: list[int]  # 0: the prefix; else the text's number + 1


def lay_out(
    texts: Sequence[Encoded], rows: Sequence[int], layout: Layout
) -> tuple[list[TokenRow], list[tuple[int, int, int, int]]]:
    """(rows by number, and of each answer token its text, row, position in the row, and the token).

    Arguments and errors as `collate` has them.
    """
    laid: dict[int, TokenRow] = {}
    answers: list[tuple[int, int, int, int]] = []
    for number, (text, row_number) in enumerate(zip(texts, rows, strict=True)):
        if layout.n_image_tokens is not None:
            check_image_tokens(text.input_ids, layout.image_token, layout.n_image_tokens)
        check_length(text.input_ids, layout.n_positions)
        start, n = n_shared(text, layout.image_token), len(text.input_ids)
        prefix = text.input_ids[:start]
        first = TokenRow(prefix, list(prefix), list(range(start)), [0] * start)
        row = laid.setdefault(row_number, first)
        if row.prefix != prefix:
            raise ValueError("texts of one row differ before the end of the image")
        offset = len(row.ids) - start
        for t, token in enumerate(text.predicted, start=text.n_prompt - 1):
            answers.append((number, row_number, t + offset if t >= start else t, token))
        row.ids.extend(text.input_ids[start:])
        row.positions.extend(range(start, n))
        row.branches.extend([number + 1] * (n - start))
    return [laid[number] for number in sorted(laid)], answers


def _branch_mask(branches: Int[Tensor, "R T"]) -> Bool[Tensor, "R 1 T T"]:
    """Queries see keys before them, of their own branch or of the shared start."""
    length = branches.shape[1]
    own = branches[:, :, None] == branches[:, None, :]
    start = branches[:, None, :] == 0
    past = torch.ones(length, length, dtype=torch.bool, device=branches.device).tril()
    return ((own | start) & past)[:, None]


def n_shared(text: Encoded, image_token: int) -> int:
    """Tokens up to the end of the image; none after the prompt's last token, which predicts."""
    ids = text.input_ids
    end = len(ids) - ids[::-1].index(image_token) if image_token in ids else 0
    return min(end, text.n_prompt - 1)


def _padded(rows: Sequence[Sequence[int]], value: int) -> Int[Tensor, "R T"]:
    """Right-padded to a multiple of `LENGTH_STEP`: few lengths, and aligned masks."""
    length = -(-max(map(len, rows)) // LENGTH_STEP) * LENGTH_STEP
    return torch.tensor([[*row, *[value] * (length - len(row))] for row in rows])
