"""A static cache whose rows are each at a place of their own: a row that ended takes the next text.

`transformers`' static cache writes all rows at one place, so that none can leave before the last.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.cache_utils import Cache, StaticLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from seednb.model.forward import base_model, decoder_layers
from seednb.model.loading import Bundle

NAME = "slots"  # under which transformers finds the attention


@dataclass
class SlotPlace:
    """Where the keys and values of a forward pass go, and which are read."""

    rows: Int[Tensor, "k 1"]
    positions: Int[Tensor, "k T"]
    reads: str = "cache"  # "own": those of this pass; "leading": of rows 0..k-1; "cache": of `rows`
    width: int = 0  # columns that are read


class SlotLayer(StaticLayer):
    """Keys and values of one decoder layer, [R, h, L, d], written where `place` says."""

    place: SlotPlace
    keys: Tensor
    values: Tensor

    def __init__(self, n_rows: int, n_columns: int, like: Any) -> None:
        """`like` has the sizes: `n_heads`, `head_dim`, `dtype` and `device`."""
        super().__init__(max_cache_len=n_columns)
        shape = n_rows, like.n_heads, n_columns, like.head_dim
        self.keys, self.values = (
            torch.zeros(shape, dtype=like.dtype, device=like.device) for _ in range(2)
        )
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **options: Any
    ) -> tuple[Tensor, Tensor]:
        """Keep the new keys and values, [k, h, T, d]; returns those that the queries read."""
        place, where = self.place, (self.place.rows, slice(None), self.place.positions)
        self.keys[where] = key_states.transpose(1, 2).to(self.keys.dtype)
        self.values[where] = value_states.transpose(1, 2).to(self.values.dtype)
        if place.reads == "own":
            return key_states, value_states
        if place.reads == "leading":
            n = len(place.rows)
            return self.keys[:n, :, : place.width], self.values[:n, :, : place.width]
        rows = place.rows.squeeze(1)
        return self.keys[rows, :, : place.width], self.values[rows, :, : place.width]


@dataclass(frozen=True)
class _Sizes:
    n_heads: int
    head_dim: int
    dtype: torch.dtype
    device: torch.device


class Slots:
    """The caches of a model's decoder layers: R rows of L columns."""

    def __init__(self, bundle: Bundle, n_rows: int, n_columns: int) -> None:
        """Take the memory of all rows."""
        self.n_columns, self.device = n_columns, bundle.device
        sizes, n_layers = sizes_of(bundle), len(decoder_layers(bundle.model))
        self.layers = [SlotLayer(n_rows, n_columns, sizes) for _ in range(n_layers)]
        self.cache = Cache(layers=list(self.layers))

    def put(self, place: SlotPlace) -> None:
        """Say where the next forward pass writes and reads."""
        for layer in self.layers:
            layer.place = place

    def copy(self, sources: Sequence[int], targets: Sequence[int], n_columns: int) -> None:
        """Copy the first columns of some rows to others."""
        source, target = (torch.tensor(rows, device=self.device) for rows in (sources, targets))
        for layer in self.layers:
            for kept in (layer.keys, layer.values):
                part = kept[:, :, :n_columns]
                part.index_copy_(0, target, part[source])


def sizes_of(bundle: Bundle) -> _Sizes:
    """Heads of keys and values, numbers a head, and how they are stored."""
    text = bundle.model.config.get_text_config()
    head_dim = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    n_heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    return _Sizes(n_heads, head_dim, base_model(bundle.model).dtype, bundle.device)


def row_bytes(bundle: Bundle, n_columns: int) -> int:
    """Memory of one row of `n_columns` in all layers."""
    sizes, n_layers = sizes_of(bundle), len(decoder_layers(bundle.model))
    return 2 * n_layers * sizes.n_heads * n_columns * sizes.head_dim * sizes.dtype.itemsize


def attend(
    module: nn.Module,
    query: Float[Tensor, "k h T d"],
    key: Float[Tensor, "k g S d"],
    value: Float[Tensor, "k g S d"],
    attention_mask: Tensor | None,
    scaling: float | None = None,
    seen: Bool[Tensor, "k 1 T S"] | None = None,
    n_seen: Int[Tensor, "k"] | None = None,
    **options: Any,
) -> tuple[Float[Tensor, "k T h d"], None]:
    """Attention as transformers calls it.

    A query sees the keys of `seen`; or, with `n_seen`, its row's first keys, by a kernel that reads
    no others; or, without both, those up to its own place.
    """
    if n_seen is not None:
        from seednb.model.generation.kernel import attend_first

        return attend_first(query, key, value, n_seen, scaling or query.shape[-1] ** -0.5), None
    attended: tuple[Tensor, None] = sdpa_attention_forward(
        module, query, key, value, seen, scaling=scaling, **options
    )
    return attended


@contextmanager
def slot_attention(bundle: Bundle) -> Iterator[None]:
    """The language model attends by `attend` for as long as a context lasts."""
    AttentionInterface.register(NAME, attend)  # without a mask of transformers': none is made
    config = base_model(bundle.model).model.language_model.config
    before = config._attn_implementation
    config._attn_implementation = NAME
    try:
        yield
    finally:
        config._attn_implementation = before
