"""A model that is too large for one card, laid in parts on the cards of several processes."""

import torch
from torch import nn
from torch.distributed import init_device_mesh
from torch.distributed.fsdp import fully_shard

from seednb.core.errors import SeedError
from seednb.model.forward import base_model, decoder_layers


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
