"""The monitor beside a training, as a profile's parameters ask for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import log
from pathlib import Path

import torch

from seednb.core.params import MonitorParams
from seednb.model import Bundle, one_card_each
from seednb.monitor import Bands, Watch
from seednb.monitor.seen import Settings


@contextmanager
def watching(
    params: MonitorParams, bands: Bands, folder: Path, bundle: Bundle
) -> Iterator[Watch | None]:
    """The monitor of a run that writes to `folder`, in its main process; None where it is off."""
    if params.monitor == "off" or not one_card_each().is_main_process:
        yield None
        return
    settings = Settings(
        bands=bands,
        uniform_loss=log(bundle.model.get_output_embeddings().out_features),
        stall_after_s=params.stall_after_s,
        shift_tolerance=max(1e-5, torch.finfo(bundle.model.dtype).eps),
    )
    with Watch(folder, settings, stops=params.monitor == "stop") as watch:
        yield watch
