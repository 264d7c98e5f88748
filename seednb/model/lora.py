"""LoRA adapters: put on the model, saved with it, loaded, checked, counted."""

import re
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors import safe_open
from torch import nn
from transformers import PreTrainedModel

from seednb.core.errors import SeedError, gist
from seednb.core.params import ModelParams

ADAPTER_WEIGHTS = "adapter_model.safetensors"
# patterns, since PEFT writes a list of names in another order at every run
PROJECTIONS = r".*\.(q|k|v|o)_proj"
LANGUAGE_PROJECTIONS = r".*language_model.*\.(q|k|v|o)_proj"


def add_adapter(model: PreTrainedModel, params: ModelParams, seed: int) -> PeftModel:
    """Put a fresh LoRA adapter (Hu et al., 2022) on the attention projections.

    Scope `all` takes the projections wherever they are, the vision tower's q, k and v too: on
    LLaVA-1.5-7B with rank 64, 67,108,864 parameters in the language model and 9,437,184 in the tower.
    """
    torch.manual_seed(seed)
    scoped = params.lora_scope == "language_model"
    config = LoraConfig(
        r=params.lora_r,
        lora_alpha=params.lora_alpha,
        lora_dropout=params.lora_dropout,
        target_modules=LANGUAGE_PROJECTIONS if scoped else PROJECTIONS,
    )
    adapted = get_peft_model(model, config)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()  # small updates vanish in bfloat16
    return adapted


def check_adapter(folder: Path) -> None:
    """Raise SeedError unless the folder holds an adapter; to be called before a model is loaded."""
    for name in (ADAPTER_WEIGHTS, "adapter_config.json"):
        if not (folder / name).is_file():
            raise SeedError(
                f"{folder} holds no {name}: not an adapter folder; give one that seednb train wrote"
            )


def load_adapter(model: PreTrainedModel, folder: Path) -> PeftModel:
    """Put a saved adapter on the model, in evaluation mode and the model's precision.

    Raises SeedError for a damaged adapter and for one of another model: every tensor of the file
    must find its place, and every place its tensor.
    """
    check_adapter(folder)
    try:
        adapted = PeftModel.from_pretrained(
            model, folder, local_files_only=True, autocast_adapter_dtype=False
        )
        with safe_open(folder / ADAPTER_WEIGHTS, framework="pt") as stored:
            saved = set(stored.keys())
    except Exception as error:  # of a damaged file: every library its own
        raise SeedError(
            f"the adapter {folder} does not fit this model: {gist(error, 2, 300)}; give the model "
            "that it was trained on"
        ) from error
    wanted = set(get_peft_model_state_dict(adapted))
    if odd := sorted(saved ^ wanted):
        raise SeedError(
            f"the adapter {folder} does not fit this model: {len(saved - wanted)} tensors are foreign "
            f"and {len(wanted - saved)} missing, among them {odd[0]}; give the model that it was "
            "trained on"
        )
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:  # beside quantised weights PEFT leaves float32
            parameter.data = parameter.data.to(model.dtype)
    return adapted.eval()


def n_trainable(model: nn.Module) -> int:
    """Number of parameters that an optimiser would change."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def n_tower_layers(model: nn.Module) -> int | None:
    """How many layers of the vision tower are read; None if the configuration lacks it.

    LLaVA reads vision features before the tower's end: of layer -2, the one before the last.
    """
    config: Any = model.config
    feature_layer = getattr(config, "vision_feature_layer", None)
    if not isinstance(feature_layer, int):
        return None
    n_layers: int = config.vision_config.num_hidden_layers
    return feature_layer % (n_layers + 1)  # hidden state 0 is the embedding


def idle_adapters(model: nn.Module) -> list[nn.Parameter]:
    """Adapter weights that no loss reaches: those of tower layers that are not read.

    Under several processes a parameter without gradient is an error, so the trainer leaves these out.
    """
    n_read = n_tower_layers(model)
    if n_read is None:
        return []
    layer = re.compile(r"vision_tower\..*layers\.(\d+)\.")
    return [
        parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
        and (found := layer.search(name))
        and int(found.group(1)) >= n_read
    ]
