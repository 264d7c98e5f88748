"""A micro-batch as one packed sequence, row behind row, for block-sparse attention.

Nothing is padded but the sequence's end, and a block of 128 x 128 query-key pairs that the mask
forbids is never computed: of four rows of 1,150 tokens each, 85 of 100 blocks of the sequence.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask

from seednb.model.inputs.collate import Batch, Layout, collate, lay_out
from seednb.model.inputs.pixels import Extras
from seednb.model.inputs.prompts import Encoded

BLOCK = 128  # tokens along a side of a block: FlexAttention's default


@dataclass(frozen=True, kw_only=True)
class PackedSequence(Batch):
    """A batch whose rows stand behind each other: R = 1, and T is a multiple of `BLOCK`.

    A segment is what follows without a break and sees the same: a row's shared start, or one text.
    """

    segments: Int[Tensor, "T"]  # of each token, ascending
    starts: Int[Tensor, "T"]  # the segment that the token's row shares
    image_positions: Int[Tensor, "P"]  # where the image features go

    @property
    def attention_mask(self) -> BlockMask:
        """The query-key pairs that are allowed."""
        return block_mask(self.segments, self.starts)

    def seen_as(
        self,
        views: Sequence[Float[Tensor, "R C H W"]],
        texts: Sequence[Int[Tensor, "1 T"] | None] = (),
    ) -> "PackedSequence":
        """The sequence once for each view of its images, for one forward pass."""
        ids = [self.input_ids if text is None else text for text in texts or [None] * len(views)]
        length = self.input_ids.shape[1]

        def repeated(numbers: Tensor) -> Tensor:
            """Positions and segments continue where the view before ended."""
            return torch.cat([numbers + view * length for view in range(len(views))])

        assert self.position_ids is not None
        return replace(
            self,
            input_ids=torch.cat(ids, 1),
            position_ids=self.position_ids.repeat(1, len(views)),
            pixel_values=torch.cat(list(views)),
            answer_positions=repeated(self.answer_positions),
            segments=repeated(self.segments),
            starts=repeated(self.starts),
            image_positions=repeated(self.image_positions),
        )


def pack(
    texts: Sequence[Encoded],
    rows: Sequence[int],
    pixel_values: Float[Tensor, "R ..."],
    layout: Layout,
) -> PackedSequence:
    """Lay texts out as a packed sequence; arguments and errors as `collate` has them.

    For models that see every image at one size: the sequence holds the places of the features.
    """
    laid, answers = lay_out(texts, rows, layout)
    ids = [token for row in laid for token in row.ids]
    n_blocks = max(2, -(-len(ids) // BLOCK))  # one would be compiled as a case of its own
    segments: list[int] = []
    starts: list[int] = []
    row_starts, number = [], 0
    for row in laid:
        row_starts.append(len(segments))
        start = number
        for _, run in groupby(row.branches):
            n = len(list(run))
            segments += [number] * n
            starts += [start if row.prefix else number] * n
            number += 1
    n_padded = n_blocks * BLOCK - len(ids)
    example, row_of, position, token = torch.tensor(answers).T
    return PackedSequence(
        input_ids=torch.tensor([ids + [layout.pad_id] * n_padded]),
        position_ids=torch.tensor(
            [[place for row in laid for place in row.positions] + [0] * n_padded]
        ),
        branches=None,
        pixel_values=pixel_values,
        answer_positions=torch.tensor(row_starts)[row_of] + position,
        answer_ids=token,
        example_of_token=example,
        n_answer_tokens=tuple(len(text.predicted) for text in texts),
        segments=torch.tensor(segments + [number] * n_padded, dtype=torch.int32),
        starts=torch.tensor(starts + [number] * n_padded, dtype=torch.int32),
        image_positions=torch.tensor(
            [place for place, token in enumerate(ids) if token == layout.image_token]
        ),
    )


def make_batch(
    packed: bool,
    texts: Sequence[Encoded],
    rows: Sequence[int],
    pixel_values: Float[Tensor, "R ..."],
    layout: Layout,
    extras: Extras | None = None,
) -> Batch:
    """Texts as a packed sequence, or in rows; arguments and errors as `collate` has them."""
    if packed:
        return pack(texts, rows, pixel_values, layout)
    return collate(texts, rows, pixel_values, layout, extras)


def block_mask(segments: Int[Tensor, "T"], starts: Int[Tensor, "T"]) -> BlockMask:
    """Queries see keys before them, of their own segment or of the start of their row.

    Which blocks hold an allowed pair, and which hold nothing else, follows from the segments at a
    block's two ends: T x T pairs are never laid out.
    """
    n = len(segments) // BLOCK
    first, last = segments.view(n, BLOCK)[:, 0], segments.view(n, BLOCK)[:, -1]

    def holds(wanted: Int[Tensor, "T"]) -> Bool[Tensor, "n BLOCK n"]:
        """Does a block (last axis) hold a segment that a query (first two) may see?"""
        token = wanted.view(n, BLOCK, 1)
        return (token >= first) & (token <= last)

    first_own = torch.searchsorted(segments, segments, out_int32=True)
    first_shared = torch.searchsorted(segments, starts, out_int32=True)
    end_shared = torch.searchsorted(segments, starts, right=True, out_int32=True)

    def allowed(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        """In bounds of the query alone, which a kernel reads once for all keys."""
        in_own = key >= first_own[query]
        in_shared = (key >= first_shared[query]) & (key < end_shared[query])
        return (query >= key) & (in_own | in_shared)

    pairs = holds(segments) | holds(starts)
    number = torch.arange(n, device=segments.device)
    earlier = number[:, None] > number
    whole = pairs.all(1) & earlier & (first == last)
    part = pairs.any(1) & (number[:, None] >= number) & ~whole
    n_keys, keys = _listed(part)
    n_whole_keys, whole_keys = _listed(whole)
    n_queries, queries = _listed(part.T)
    n_whole_queries, whole_queries = _listed(whole.T)
    return BlockMask(
        seq_lengths=(len(segments), len(segments)),
        kv_num_blocks=n_keys,
        kv_indices=keys,
        full_kv_num_blocks=n_whole_keys,
        full_kv_indices=whole_keys,
        q_num_blocks=n_queries,
        q_indices=queries,
        full_q_num_blocks=n_whole_queries,
        full_q_indices=whole_queries,
        BLOCK_SIZE=(BLOCK, BLOCK),
        mask_mod=allowed,
    )


def _listed(blocks: Bool[Tensor, "n n"]) -> tuple[Int[Tensor, "1 1 n"], Int[Tensor, "1 1 n n"]]:
    """(how many blocks of each row are set, which ones, those that are set first).

    Row behind row in memory: the kernel's backward pass takes that for granted, and reads other
    blocks, without an error, where a transposed tensor was sorted.
    """
    order = blocks.contiguous().int().argsort(dim=-1, descending=True, stable=True)
    return blocks.sum(-1, dtype=torch.int32)[None, None], order.int().contiguous()[None, None]
