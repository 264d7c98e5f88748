"""Block-sparse attention: FlexAttention, under a name by which transformers finds it.

(Dong et al., 2024, "Flex Attention: a programming model for generating optimized attention
kernels".) It skips the blocks of query-key pairs that a mask forbids; masks of any other kind are
left to PyTorch's own attention.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask, create_mask, flex_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from seednb.core.errors import SeedError
from seednb.model.compile import obstacle
from seednb.model.forward import base_model
from seednb.model.loading import Bundle

NAME = "block_sparse"
KERNEL_DEVICES = ("cuda",)  # elsewhere it has no backward pass
SMALLEST_HEAD = 16  # numbers; the kernel's matrix products are no smaller
# A packed sequence ends with a block, so no pair of a block is checked for lying behind the end; of a
# length that varies torch cannot know that, and its kernel takes half as long again.
WHOLE_BLOCKS: Any = {"IS_DIVISIBLE": True}


def choose_attention(choice: str, bundle: Bundle, noisy_share: float = 1.0) -> tuple[bool, str]:
    """(whether rows are packed and forbidden blocks skipped, why not where that was wanted).

    If they are, the language model's attention is set. `choice` is the parameter `attention`,
    `noisy_share` that of a recipe. Raises SeedError where `choice` demands what is impossible.
    """
    on_gpu = bundle.device.type == "cuda"
    if choice == "dense" or (choice == "auto" and not on_gpu):
        return False, ""
    if reason := _why_dense(bundle, noisy_share):
        if choice == "block_sparse":
            raise SeedError(f"attention=block_sparse: {reason}; set attention=auto")
        return False, f"dense attention: {reason}"
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    base_model(bundle.model).model.language_model.config._attn_implementation = NAME
    return True, ""


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: BlockMask | Tensor | None,
    scaling: float | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers calls it: queries [1, h, T, d] to (means [1, T, h, d], None)."""
    if isinstance(attention_mask, BlockMask):
        if query.device.type in KERNEL_DEVICES:
            return fused(query, key, value, attention_mask, scaling), None
        length = query.shape[2]  # else every single query-key pair, [1, 1, T, T]
        attention_mask = create_mask(
            attention_mask.mask_mod, 1, 1, length, length, device=query.device
        )
    attended: tuple[Tensor, None] = sdpa_attention_forward(
        module, query, key, value, attention_mask, scaling=scaling, **options
    )
    return attended


def fused(
    query: Tensor, key: Tensor, value: Tensor, allowed: BlockMask, scaling: float | None = None
) -> Tensor:
    """One kernel for scores, softmax and mean; it visits only the blocks that the mask lists."""
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = (tensor.repeat_interleave(groups, 1) for tensor in (key, value))
    # A layer that is compiled as a whole has the kernel fused in it.
    kernel = _flex if torch.compiler.is_compiling() else _compiled_flex()
    mixed: Tensor = kernel(query, key, value, allowed, scaling)
    return mixed.transpose(1, 2).contiguous()


@cache
def _compiled_flex() -> Callable[..., Tensor]:
    """The kernel by itself, compiled when it first runs."""
    return torch.compile(_flex, dynamic=True)


def _flex(
    query: Tensor, key: Tensor, value: Tensor, allowed: BlockMask, scaling: float | None
) -> Tensor:
    """FlexAttention with a mask whose sizes are literals.

    torch 2.11 takes a block's size that is read from a changing mask for one that changes too.
    """
    length = query.shape[2]
    literal = BlockMask(
        seq_lengths=(length, length),
        kv_num_blocks=allowed.kv_num_blocks,
        kv_indices=allowed.kv_indices,
        full_kv_num_blocks=allowed.full_kv_num_blocks,
        full_kv_indices=allowed.full_kv_indices,
        q_num_blocks=allowed.q_num_blocks,
        q_indices=allowed.q_indices,
        full_q_num_blocks=allowed.full_q_num_blocks,
        full_q_indices=allowed.full_q_indices,
        BLOCK_SIZE=(128, 128),
        mask_mod=allowed.mask_mod,
    )
    mixed: Tensor = flex_attention(
        query, key, value, block_mask=literal, scale=scaling, kernel_options=WHOLE_BLOCKS
    )
    return mixed


def _why_dense(bundle: Bundle, noisy_share: float) -> str | None:
    """Why nothing can be skipped; None if it can."""
    kind = bundle.model.config.model_type
    if bundle.is_sized:
        return f"{kind} reads images at their own size"
    text = bundle.model.config.get_text_config()
    head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    if head < SMALLEST_HEAD:
        return f"attention heads of {head} numbers are too small for it"
    if not base_model(bundle.model).model.language_model._supports_flex_attn:
        return f"{kind}'s language model has an attention of its own"
    if noisy_share < 1:
        return "noisy_share picks single rows out of a micro-batch"
    if reason := obstacle(bundle.device.type):  # last, for it compiles something to see
        return f"its kernel cannot be compiled here ({reason})"
    return None
