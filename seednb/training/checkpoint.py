"""Checkpoints of a training run: adapter, optimiser, schedule, confidence history, curve, RNG."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from seednb.core.errors import SeedError
from seednb.core.files import read_json, replacing, write_json
from seednb.method.beta import BetaSelector

LATEST = "latest.json"


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run that is saved to and restored from `folder`."""

    folder: Path
    model: PeftModel
    optimiser: Optimizer
    schedule: LRScheduler
    selector: BetaSelector

    def save(self, step: int, curve: list[dict[str, Any]]) -> None:
        """Write everything a run needs to continue after optimiser step `step`; the last one is kept.

        Tensors go to safetensors (no pickle), numbers to JSON. `latest.json` is replaced last, so a
        kill at any moment leaves the checkpoint before it valid; so does a full disk, which is a
        SeedError.
        """
        tensors = {f"adapter.{k}": v for k, v in get_peft_model_state_dict(self.model).items()}
        tensors |= {f"optimiser.{k}": v for k, v in _optimiser_tensors(self.optimiser).items()}
        tensors["rng.cpu"] = torch.get_rng_state()
        if torch.cuda.is_available():
            tensors["rng.cuda"] = torch.cuda.get_rng_state()
        file = f"step-{step:08d}.safetensors"
        with replacing(self.folder / file) as partial:
            save_file({key: value.contiguous().cpu() for key, value in tensors.items()}, partial)
        state = {
            "step": step,
            "file": file,
            "schedule": self.schedule.state_dict(),
            "history": list(self.selector.history),
            "curve": curve,
        }
        write_json(self.folder / LATEST, state)
        for old in self.folder.glob("step-*.safetensors"):
            if old.name != file:
                old.unlink()

    def restore(self) -> tuple[int, list[dict[str, Any]]]:
        """Restore the last checkpoint in place; returns (steps done, curve so far), (0, []) if none.

        Raises SeedError for a checkpoint that is damaged or of another adapter.
        """
        if not (self.folder / LATEST).is_file():
            return 0, []
        state = read_json(self.folder / LATEST)
        try:
            return self._restore(state)
        except (
            OSError, TypeError, ValueError, LookupError, RuntimeError, SafetensorError
        ) as problem:  # fmt: skip
            raise SeedError(
                f"the checkpoint {self.folder} is damaged ({str(problem).splitlines()[0]:.200}); "
                "delete that folder to train from the start"
            ) from problem

    def _restore(self, state: Mapping[str, Any]) -> tuple[int, list[dict[str, Any]]]:
        with safe_open(self.folder / state["file"], framework="pt") as stored:
            tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118
        adapter = _under("adapter.", tensors)
        wanted = {k: value.shape for k, value in get_peft_model_state_dict(self.model).items()}
        found = {key: value.shape for key, value in adapter.items()}
        if found != wanted:
            odd = min(key for key in found | wanted if found.get(key) != wanted.get(key))
            raise ValueError(f"it is of another adapter than this run, see {odd}")
        set_peft_model_state_dict(self.model, adapter)
        _restore_optimiser(self.optimiser, _under("optimiser.", tensors))
        self.schedule.load_state_dict(state["schedule"])
        # A schedule sets the rate when it steps, not when it is loaded: the first step after this one
        # would be taken at the rate of step 0.
        rates = self.schedule.get_last_lr()
        for group, rate in zip(self.optimiser.param_groups, rates, strict=True):
            group["lr"] = rate
        self.selector.history = deque(state["history"], maxlen=self.selector.history.maxlen)
        torch.set_rng_state(tensors["rng.cpu"])
        if torch.cuda.is_available() and "rng.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["rng.cuda"])
        return state["step"], state["curve"]


def _optimiser_tensors(optimiser: Optimizer) -> dict[str, Tensor]:
    state = optimiser.state_dict()["state"]
    return {f"{n}.{key}": value for n, entry in state.items() for key, value in entry.items()}


def _restore_optimiser(optimiser: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, _, key = name.partition(".")
        state.setdefault(int(number), {})[key] = tensor
    optimiser.load_state_dict(optimiser.state_dict() | {"state": state})


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
