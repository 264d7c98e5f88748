"""The monitor, called after each step of a run, or over the curve that a run left."""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from math import log
from pathlib import Path
from types import TracebackType
from typing import Any

import pandas as pd
import torch
from tqdm import tqdm

from seednb.core.devices import process_state
from seednb.core.errors import SeedError, TrainingFailure
from seednb.core.files import read_json, write_json
from seednb.core.params import MonitorParams
from seednb.model.loading import Bundle
from seednb.training.history import GROWING, read_curve
from seednb.training.monitor.bands import Band, Bands
from seednb.training.monitor.findings import FINDINGS, Finding, read_findings, write_findings
from seednb.training.monitor.rows import Row, rows_of
from seednb.training.monitor.rules import RULES
from seednb.training.monitor.rules_learning import stalled
from seednb.training.monitor.seen import Seen, Settings

WATCHED = "watched.json"  # beside a run's curve: the settings that it was watched with
CHECKS = 20  # of the clock within `stall_after_s`


class Monitor:
    """Applies the rules to rows as they come; each failure is named once, at its first step."""

    def __init__(self, settings: Settings) -> None:
        """`settings`: what is healthy for the profile."""
        self.seen = Seen(settings)
        self.findings: list[Finding] = []

    def add(self, row: Row) -> list[Finding]:
        """Take in the next step; returns what is new."""
        self.seen.add(row)
        known = {finding.failure for finding in self.findings}
        said = [finding for rule in RULES if (finding := rule(self.seen)) is not None]
        new = [finding for finding in said if finding.failure not in known]
        self.findings += new
        return new


class Watch:
    """Called with the curve after each step; warns, or stops the run.

    As a context it also checks the clock, for data that never comes, and notes the failures that end
    a run by themselves. Everything is in `findings.json` beside the curve.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        stops: bool = False,
        say: Callable[[str], None] = tqdm.write,
    ) -> None:
        """`stops`: raise SeedError at the first finding; `say` prints a line."""
        self.folder, self.settings, self.stops, self.say = folder, settings, stops, say
        self.monitor = Monitor(settings)
        self._n_seen, self._last_step = 0, 0
        self._last_row = time.monotonic()
        self._stall: Finding | None = None
        self._done = threading.Event()
        self._clock = threading.Thread(target=self._check_clock, daemon=True)
        self._signal_before: Any = None  # None: not the main thread, which cannot be interrupted

    @property
    def findings(self) -> list[Finding]:
        """What was found so far."""
        return self.monitor.findings

    def __call__(self, curve: Sequence[Row]) -> None:
        """Apply the rules to the steps that are new. Raises SeedError where a finding stops the run."""
        new = [finding for row in curve[self._n_seen :] for finding in self.monitor.add(row)]
        self._n_seen, self._last_row = len(curve), time.monotonic()
        self._last_step = int(curve[-1]["step"])
        self._note(new)
        if new and self.stops:
            raise SeedError(
                f"{new[0]}; the last good checkpoint is kept, to go on with it: -p monitor=warn"
            )

    def __enter__(self) -> "Watch":
        _write_settings(self.folder, self.settings)
        (self.folder / FINDINGS).unlink(missing_ok=True)
        if threading.current_thread() is threading.main_thread():
            self._signal_before = signal.signal(signal.SIGUSR1, _raise_stalled)
        self._clock.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._clock.join()  # so that no signal comes after the handler is gone
        if self._signal_before is not None:
            signal.signal(signal.SIGUSR1, self._signal_before)
        if isinstance(error, TrainingFailure):
            self._note([_of(error, self._last_step)])
        if isinstance(error, _Stalled):
            raise SeedError(str(self._stall)) from error

    def _note(self, new: Iterable[Finding]) -> None:
        for finding in new:
            if finding not in self.findings:
                self.findings.append(finding)
            self.say(str(finding))
        if self.findings:
            write_findings(self.folder, self.findings)

    def _check_clock(self) -> None:
        limit = self.settings.stall_after_s
        while not self._done.wait(limit / CHECKS):
            waited = time.monotonic() - self._last_row
            if waited > limit:
                self._stall = stalled(self._last_step, waited)
                self._note([self._stall])
                if self.stops and self._signal_before is not None:
                    _interrupt_main_thread()
                return


def check(curve: pd.DataFrame, settings: Settings | None = None) -> list[Finding]:
    """What the monitor would have said step by step; an empty list is a healthy run."""
    monitor = Monitor(settings or Settings())
    for row in rows_of(curve):
        monitor.add(row)
    return monitor.findings


def check_run(folder: Path, bands: Bands | None = None) -> list[Finding]:
    """Findings of a run's folder, finished or at work, also of one that was never watched.

    `bands` take the place of those that it was watched with. Raises SeedError for a folder without
    a curve.
    """
    curve, is_finished = read_curve(folder)
    ended_by_itself = [f for f in read_findings(folder) if f.step == len(curve)]
    if curve.empty and not ended_by_itself:
        raise SeedError(
            f"{folder} holds no curve; give the folder of a run that seednb train began"
        )
    settings = read_settings(folder, bands)
    found = check(curve, settings)
    names = {finding.failure for finding in found}
    found += [finding for finding in ended_by_itself if finding.failure not in names]
    if not is_finished and (folder / GROWING).is_file():
        waited = time.time() - (folder / GROWING).stat().st_mtime
        if waited > settings.stall_after_s and not found:
            found.append(stalled(int(curve["step"].iloc[-1]), waited))  # or killed
    return found


def read_settings(folder: Path, bands: Bands | None = None) -> Settings:
    """What a run was watched with; the defaults, without bands, if it was not."""
    file = folder / WATCHED
    stored: Mapping[str, Any] = read_json(file) if file.is_file() else {}
    known = {name: Band(**band) for name, band in stored.get("bands", {}).items()}
    others = {k: float(v) for k, v in stored.items() if k != "bands" and v is not None}
    return Settings(bands=known if bands is None else bands, **others)


class _Stalled(Exception):
    """Raised in the main thread where data never comes."""


def _raise_stalled(*_: object) -> None:
    raise _Stalled


def _interrupt_main_thread() -> None:
    """By a signal, since a flag would not wake a thread that sleeps in a system call.

    Not by that of Ctrl-C: a shell starts what runs in the background with that one ignored.
    """
    main = threading.main_thread().ident
    assert main is not None  # it started this one
    signal.pthread_kill(main, signal.SIGUSR1)


def _write_settings(folder: Path, settings: Settings) -> None:
    values = asdict(settings)
    if math.isinf(settings.uniform_loss):
        values["uniform_loss"] = None  # JSON has no infinity
    write_json(folder / WATCHED, values)


def _of(error: TrainingFailure, step: int) -> Finding:
    """A failure that raised: its sentence holds evidence and fix."""
    evidence, _, fix = str(error).partition("; ")
    return Finding(error.failure, evidence, fix, step)


@contextmanager
def watching(
    params: MonitorParams, bands: Bands, folder: Path, bundle: Bundle
) -> Iterator[Watch | None]:
    """The monitor of a run that writes to `folder`, in its main process; None where it is off."""
    if params.monitor == "off" or not process_state().is_main_process:
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
