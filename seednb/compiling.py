"""Layers as compiled code, in so few forms that compiling takes a minute, once."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from seednb.model import ONE_SIZE, base_model, decoder_layers, n_tower_layers


class Compiled:
    """The parts of a model that carry the work, each with its compiled form.

    Layers share their code: it is compiled once with gradients, for the student, and once without,
    for the teacher, whatever a pass's size. Only `forward` is compiled; hooks, with which
    transformers collects a tower's hidden states and FSDP gathers weights, run as they are.
    """

    def __init__(self, model: nn.Module, **options: Any) -> None:
        """Nothing is compiled before it runs; `options` are those of `torch.compile`."""
        # Else each epsilon and scaling is a tensor on the host, and code for the host is built, too.
        torch._dynamo.config.specialize_float = True
        self._forms = {}
        for part in _parts(model):
            part.__dict__.pop("forward", None)  # an earlier compiled form
            self._forms[part] = torch.compile(part.forward, dynamic=True, **options)

    def use(self, wanted: bool) -> None:
        """Run the compiled forms, or the code as it was written."""
        for part, form in self._forms.items():
            if wanted:
                part.forward = form  # type: ignore[method-assign]
            else:
                part.__dict__.pop("forward", None)

    @contextmanager
    def used(self) -> Iterator[None]:
        """The compiled forms, for as long as a context lasts."""
        self.use(True)
        try:
            yield
        finally:
            self.use(False)


def _parts(model: nn.Module) -> Iterator[nn.Module]:
    """The decoder's layers; attention and MLP of a tower that sees all pictures at one size.

    A tower's layer as a whole would be torn: transformers hooks its attention. Of the first layer no
    input needs a gradient, and of those that are not read no weight, which would be forms more.
    """
    yield from decoder_layers(model)
    whole = base_model(model)
    if whole.config.model_type not in ONE_SIZE:
        return
    (layers,) = (
        module for module in whole.model.vision_tower.modules() if isinstance(module, nn.ModuleList)
    )
    for layer in layers[1 : n_tower_layers(model)]:
        for part in layer.children():
            if any(isinstance(module, nn.Linear) for module in part.modules()):
                yield part
