"""The frozen teacher's last hidden states on disk: they are the same in every epoch and version."""

import json
import shutil
import time
import zlib
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import RLock
from typing import Any
from uuid import uuid4

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from seednb.core.files import PARTIAL, replacing

SHARD_BYTES = 2**28  # a shard is written once this much has gathered
CHECKSUMS = "crc32"
SUFFIX = ".safetensors"
ABANDONED_S = 3600  # no shard takes an hour to write: its writer was killed


class TeacherCache:
    """Hidden states by example, in shards of one folder; folders beside it are other teachers'.

    Exact: what is read is what was written, to the bit, or it is missing, and the first states put
    for an example stay. So a run that was killed reads what it would have computed (until the budget
    is spent: what finds no room is computed anew in each epoch). A shard that fails its checksum is
    deleted and named in `damaged`; its examples are then computed again. Shards of other teachers are
    deleted, the oldest first, where the budget requires it; when nothing is left to delete, new states
    are not kept.
    """

    def __init__(self, folder: Path, budget_bytes: float) -> None:
        """`folder` is named after all that decides the teacher's states; see `find_again`."""
        self.folder, self.budget_bytes = folder, budget_bytes
        self.shard_of: dict[str, Path] = {}
        self.damaged: list[Path] = []
        self._waiting: dict[str, Tensor] = {}
        self._n_waiting = 0  # bytes
        self._opened: dict[Path, tuple[Any, dict[str, int]]] = {}
        self._reader = ThreadPoolExecutor(1, "teacher-cache")
        self._reading: dict[tuple[str, ...], Future[Tensor | None]] = {}
        self._lock = RLock()  # between the prefetching thread and the caller
        for partial in self.folder.glob(f"*{PARTIAL}"):
            if time.time() - partial.stat().st_mtime > ABANDONED_S:
                shutil.rmtree(partial, ignore_errors=True)
        self.find_again()

    @property
    def has_news(self) -> bool:
        """Whether any states wait for the next shard."""
        return bool(self._waiting)

    def find_again(self) -> None:
        """Look for shards that this process or another has written."""
        with self._lock:
            for shard in sorted(self.folder.glob(f"*{SUFFIX}")):
                try:
                    with safe_open(shard, framework="pt") as stored:
                        self.shard_of = dict.fromkeys(stored.keys(), shard) | self.shard_of
                except (SafetensorError, OSError):
                    self._discard(shard)

    def prefetch(self, keys: Sequence[str], pinned: bool = False) -> None:
        """Begin to read, in a thread, what `get` will be called for."""
        self._reading[tuple(keys)] = self._reader.submit(self._gather, keys, pinned)

    def get(self, keys: Sequence[str], pinned: bool = False) -> Float[Tensor, "N H"] | None:
        """The states of some examples, one below the other; None unless all are there.

        `pinned`: in memory that a GPU can read by itself.
        """
        reading = self._reading.pop(tuple(keys), None)
        return self._gather(keys, pinned) if reading is None else reading.result()

    def _gather(self, keys: Sequence[str], pinned: bool) -> Tensor | None:
        with self._lock:
            if not all(key in self.shard_of or key in self._waiting for key in keys):
                return None
            found = [self._read(key) for key in keys]
        kept = [hidden.cpu() for hidden in found if hidden is not None]
        if len(kept) < len(keys):
            return None
        n_tokens, width = sum(map(len, kept)), kept[0].shape[1]
        states = torch.empty(n_tokens, width, dtype=kept[0].dtype, pin_memory=pinned)
        return torch.cat(kept, out=states)

    def put(self, key: str, hidden: Float[Tensor, "n H"]) -> Float[Tensor, "n H"]:
        """Keep the states of one example; they reach the disk with the next shard.

        Returns the states that are kept: earlier ones, if there are some.
        """
        with self._lock:
            known = self._read(key)
            if known is not None:
                return known
            self._waiting[key] = hidden.detach()
            self._n_waiting += hidden.nbytes
            if self._n_waiting >= SHARD_BYTES:
                self.write()
            return hidden

    def write(self) -> None:
        """Write what waits as one shard; a reader sees all of it or nothing."""
        with self._lock:
            tensors = {key: hidden.contiguous().cpu() for key, hidden in self._waiting.items()}
            self._waiting, self._n_waiting = {}, 0
            if not tensors or not self._make_room(sum(t.nbytes for t in tensors.values())):
                return
            shard = self.folder / f"{uuid4().hex}{SUFFIX}"
            checksums = json.dumps({key: _checksum(tensor) for key, tensor in tensors.items()})
            with replacing(shard) as partial:
                save_file(tensors, partial, metadata={CHECKSUMS: checksums})
            self.shard_of |= dict.fromkeys(tensors, shard)

    def _read(self, key: str) -> Tensor | None:
        if key in self._waiting:
            return self._waiting[key]
        if key not in self.shard_of:
            return None
        shard = self.shard_of[key]
        try:
            stored, checksums = self._open(shard)
            hidden: Tensor = stored.get_tensor(key)
            if _checksum(hidden) == checksums[key]:
                return hidden
        except (SafetensorError, OSError, KeyError, TypeError, ValueError):
            pass  # cut short, or not written by us
        self._discard(shard)
        return None

    def _open(self, shard: Path) -> tuple[Any, dict[str, int]]:
        """A shard, mapped into memory, and its checksums."""
        if shard not in self._opened:
            stored = safe_open(shard, framework="pt").__enter__()
            self._opened[shard] = stored, json.loads(stored.metadata()[CHECKSUMS])
        return self._opened[shard]

    def _discard(self, shard: Path) -> None:
        shard.unlink(missing_ok=True)
        self.damaged.append(shard)
        self._opened.pop(shard, None)
        self.shard_of = {key: path for key, path in self.shard_of.items() if path != shard}

    def _make_room(self, n_bytes: int) -> bool:
        """Delete other teachers' oldest shards until there is room; False if there is none."""
        shards = self.folder.parent.glob(f"*/*{SUFFIX}")
        by_age = sorted((path.stat().st_mtime, path) for path in shards)
        used = sum(path.stat().st_size for _, path in by_age)
        others = [path for _, path in by_age if path.parent != self.folder]
        while used + n_bytes > self.budget_bytes and others:
            oldest = others.pop(0)
            used -= oldest.stat().st_size
            oldest.unlink(missing_ok=True)
        return used + n_bytes <= self.budget_bytes


def _checksum(tensor: Tensor) -> int:
    return zlib.crc32(tensor.contiguous().view(torch.uint8).numpy())  # type: ignore[arg-type]
