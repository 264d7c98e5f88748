"""Frozen weights of the language model in 4 bits (NF4; Dettmers et al., 2023, "QLoRA"), by bitsandbytes.

The linear layers of the decoder take half a byte a weight; a layer is unpacked while it multiplies.
The tower, the projector, the embeddings and the head stay in 16 bits: together 8% of 7B's weights.
"""

from importlib.util import find_spec
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageTextToText, BitsAndBytesConfig

from seednb.core.errors import SeedError

COMMAND = 'pip install "seednb[quantised]"'
LANGUAGE = "language_model.layers."  # part of the name of every layer that is quantised


def nf4_options(
    source: str, is_folder: bool, dtype: torch.dtype, device: torch.device
) -> dict[str, Any]:
    """Options of `from_pretrained` that quantise a 16-bit checkpoint shard by shard as it loads.

    A checkpoint that was saved in 4 bits loads as it is. Raises SeedError without bitsandbytes, and
    for a checkpoint that was quantised by other means.
    """
    if find_spec("bitsandbytes") is None:
        raise SeedError(f"precision=nf4 needs bitsandbytes; run: {COMMAND}")
    config = AutoConfig.from_pretrained(source, local_files_only=is_folder)
    placed = {"device_map": {"": device}}  # no whole tensor waits on the host for the others
    if (saved := quantisation_of(config)) is None:
        settings = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
            llm_int8_skip_modules=_left_alone(config),
        )
        return placed | {"quantization_config": settings}
    if saved.get("quant_method") != "bitsandbytes" or saved.get("bnb_4bit_quant_type") != "nf4":
        kind = saved.get("quant_method", "unknown")
        raise SeedError(
            f"{source} is quantised already, by {kind} and not as NF4; give the 16-bit checkpoint"
        )
    return placed


def quantisation_of(config: Any) -> dict[str, Any] | None:
    """How a checkpoint was quantised before it was saved; None if it was not."""
    saved: dict[str, Any] | None = getattr(config, "quantization_config", None)
    return saved


def _left_alone(config: Any) -> list[str]:
    """Names of the linear layers outside the decoder; an empty model is built to find them."""
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    linear = (name for name, item in model.named_modules() if isinstance(item, torch.nn.Linear))
    return [name for name in linear if LANGUAGE not in name]


def keep_gradients(model: torch.nn.Module) -> None:
    """Have every pass use the kernel that has a gradient, and float32 where the input has it.

    On a CPU with bfloat16 instructions, bitsandbytes repacks a layer's weights at its first pass in
    evaluation mode, for a kernel that rounds to bfloat16 and has no gradient: the teacher's pass
    would change the student's.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            setattr(module, "support_avx512bf16_for_cpu", False)  # noqa: B010  # no attribute that mypy knows
