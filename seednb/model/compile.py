"""Compiled layers: a model's decoder and tower, one compilation for all layers of a kind."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch._dynamo.utils import calculate_time_spent

from seednb.core.errors import gist
from seednb.model.forward import base_model, decoder_layers
from seednb.model.loading import ONE_SIZE
from seednb.model.lora import n_tower_layers

TOWER_PARTS = {"layer_norm1", "self_attn", "layer_norm2", "mlp"}  # of a layer of CLIP and SigLIP


@cache
def obstacle(device_type: str) -> str | None:
    """Why nothing can be compiled for a kind of device; None if it can.

    Tried once a process, on a sum and its gradient: what is missing, a compiler of C or one of
    kernels, shows there as well.
    """
    try:
        numbers = torch.ones(8, device=device_type, requires_grad=True)
        torch.compile(lambda n: (2 * n + 1).relu().sum())(numbers).backward()
    except Exception as error:  # each missing piece raises its own
        return reason_of(error)
    return None


def reason_of(error: Exception) -> str:
    """A compiler's error as a short sentence."""
    inner = getattr(
        error, "inner_exception", error
    )  # else the first line names the backend, not the reason
    return gist(inner)


def seconds_compiling() -> float:
    """Seconds that this process has spent on compiling, forward and backward."""
    return float(calculate_time_spent()["total_wall_time"])


class CompiledLayers:
    """The compiled layers of a model, in use or not.

    Layers share their code: it is compiled once with gradients, for the student, and once without,
    for the teacher, whatever a micro-batch's size. Only `forward` is compiled; hooks, with which
    transformers collects a tower's hidden states and FSDP gathers weights, run as they are.
    """

    def __init__(self, model: nn.Module, **options: Any) -> None:
        """Nothing is compiled before it runs; `options` are those of `torch.compile`."""
        # Else each epsilon and scaling is a tensor on the host, and code for the host is built, too.
        torch._dynamo.config.specialize_float = True
        self._compiled = {
            layer: torch.compile(function, dynamic=True, **options)
            for layer, function in _layers(model)
        }

    def use(self, wanted: bool) -> None:
        """Run the compiled layers, or eager mode."""
        for layer, function in self._compiled.items():
            if wanted:
                layer.forward = function  # type: ignore[method-assign]
            else:
                layer.__dict__.pop("forward", None)

    @contextmanager
    def used(self) -> Iterator[None]:
        """Compiled layers for as long as a context lasts."""
        self.use(True)
        try:
            yield
        finally:
            self.use(False)


def compile_layers(
    model: nn.Module, device: torch.device
) -> tuple[CompiledLayers | None, list[str]]:
    """(a model's compiled layers, []), or (None, [why]) where nothing can be compiled."""
    if reason := obstacle(device.type):
        return None, [f"layers run in eager mode, not compiled: {reason}"]
    return CompiledLayers(model), []


def _layers(model: nn.Module) -> Iterator[tuple[nn.Module, Callable[..., Any]]]:
    """(layer, function to compile): the decoder's, and those of a tower of CLIP's kind.

    Of a tower's first layer no input needs a gradient, and of those that are not read no weight:
    each would take a compilation of its own.
    """
    for layer in decoder_layers(model):
        layer.__dict__.pop("forward", None)  # compiled earlier
        yield layer, layer.forward
    whole = base_model(model)
    if whole.config.model_type not in ONE_SIZE:
        return
    (layers,) = (
        module for module in whole.model.vision_tower.modules() if isinstance(module, nn.ModuleList)
    )
    for layer in layers[1 : n_tower_layers(model)]:
        if {name for name, _ in layer.named_children()} == TOWER_PARTS:
            yield layer, partial(tower_layer, layer)


def tower_layer(
    layer: Any, hidden_states: Tensor, attention_mask: Tensor | None, **options: Any
) -> Tensor:
    """What a layer of CLIP or SigLIP does, past the hooks on its attention, which would tear it.

    transformers puts them there to collect attention maps, which nothing here reads.
    """
    normed = layer.layer_norm1(hidden_states)
    attended, _ = layer.self_attn.forward(normed, attention_mask=attention_mask, **options)
    seen = hidden_states + attended
    result: Tensor = seen + layer.mlp(layer.layer_norm2(seen))
    return result
