"""What several processes share: the sum of gradients, and a model that is too large for one card."""

from collections.abc import Sequence

import torch
from accelerate import Accelerator
from torch import nn
from torch.distributed import init_device_mesh
from torch.distributed.fsdp import fully_shard

from seednb.errors import SeedError
from seednb.model import base_model, decoder_layers


def sum_gradients(parameters: Sequence[nn.Parameter], accelerator: Accelerator) -> None:
    """Add the gradients of all processes, as one tensor: some 300 MB a step at 7B."""
    if accelerator.num_processes == 1:
        return
    gradients = (torch.zeros_like(p) if p.grad is None else p.grad for p in parameters)
    total = accelerator.reduce(torch.cat([g.flatten() for g in gradients]), "sum")
    for parameter, part in zip(
        parameters, total.split([p.numel() for p in parameters]), strict=True
    ):
        parameter.grad = part.view_as(parameter)


def shard_layers(model: nn.Module, device: torch.device) -> None:
    """Lay the decoder's frozen weights in parts on the cards of all processes (FSDP2).

    Each layer is gathered while it runs, then dropped (Zhao et al., 2023, "PyTorch FSDP"). The
    adapter, the tower and the embeddings stay whole on every card: they are small, and the step adds
    the adapter's gradients itself. Raises SeedError if torch is too old for it.
    """
    if not torch.distributed.is_initialized():
        raise SeedError(
            "shard_layers needs a launcher, for one card too: accelerate launch --config_file "
            "params/accelerate/two-gpus.yaml -m seednb.cli train …"
        )
    mesh = init_device_mesh(device.type, (torch.distributed.get_world_size(),))
    layers = decoder_layers(model)
    # By number: a reference to a weight would keep the whole of it beside its part.
    frozen = {id(p) for layer in layers for p in layer.parameters() if not p.requires_grad}
    whole = {p for p in model.parameters() if id(p) not in frozen}
    try:
        for layer in layers:
            fully_shard(layer, mesh=mesh, ignored_params=whole)
        fully_shard(base_model(model).model.language_model, mesh=mesh, ignored_params=whole)
    except TypeError as error:
        raise SeedError(
            f"shard_layers needs torch 2.7 or newer; this is {torch.__version__}"
        ) from error
    model.to(device)
