"""Which stages some cells still lack, the time that those take, and a progress bar with the time left."""

import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tqdm import tqdm

from seednb.core.files import read_json
from seednb.core.stage import MANIFEST, Stage
from seednb.experiments.sweep.variants import Cell

Row = dict[str, Any]


@dataclass(frozen=True)
class Planned:
    """A cell, and whether and how long it is still to be run."""

    cell: Cell
    is_finished: bool = False
    predicted_s: float | None = None  # None: nothing like it has run yet


def plan(cells: Sequence[Cell]) -> list[Planned]:
    """What each cell still needs, and how long that takes by the runs that are finished."""
    planned, seen, rates = [], set[Path](), dict[Path, Rates]()
    for cell in cells:
        lab = cell.open()
        missing = [stage for stage in cell.needs(lab) if not stage.is_finished]
        stages = [stage for stage in missing if stage.folder not in seen]  # of no cell before it
        seen |= {stage.folder for stage in stages}
        if lab.runs not in rates:
            rates[lab.runs] = Rates(lab.runs.parent)
        seconds = [rates[lab.runs].predict(stage) for stage in stages]
        planned.append(Planned(cell, not missing, total_s(seconds)))
    return planned


def total_s(seconds: Iterable[float | None]) -> float | None:
    """Their sum; None if one is not known."""
    given = [*seconds]
    return None if None in given else sum(filter(None, given), 0.0)


class Rates:
    """Seconds a unit of work, from the manifests of finished runs."""

    def __init__(self, runs: Path) -> None:
        """Read all profiles' runs: a rate is a model's, whatever the size of the run."""
        self._rates: dict[tuple[Any, ...], list[float]] = {}
        for file in sorted(runs.glob(f"*/*-*/{MANIFEST}")):
            manifest = read_json(file)
            kind = _kind(manifest["stage"], manifest["inputs"])
            # the answers of an adapter may have been timed with its training
            if kind and manifest["seconds"] and "adapter" not in manifest["inputs"]:
                rate = manifest["seconds"] / _work(manifest["inputs"])
                self._rates.setdefault(kind, []).append(rate)

    def predict(self, stage: Stage) -> float | None:
        """Seconds of a stage that has not run; None if nothing of its kind has."""
        rates = self._rates.get(_kind(stage.name, stage.inputs))
        return median(rates) * _work(stage.inputs) if rates else None


def _kind(name: str, inputs: Row) -> tuple[Any, ...]:
    """What must be alike for two stages to take as long per unit: () for stages not predicted."""
    if "model" not in inputs or not name.startswith(("train-", "answers-")):
        return ()
    what = name.split("-")[0]
    if what == "answers":  # contrastive decoding asks twice; adapters cost next to nothing
        what = name if name in ("answers-contrastive", "answers-mention_control") else what
    return what, inputs["model"]["model"]


def _work(inputs: Row) -> float:
    """Training examples, or images to caption."""
    if "recipe" in inputs:
        recipe = inputs["recipe"]
        return float(recipe["data_share"] * inputs["data"]["n_pairs"] * recipe["epochs"])
    return float(inputs["data"]["caption_images"])


class Progress:
    """A bar of cells with the time left: predicted at first, then by the speed of this run."""

    def __init__(self, planned: Sequence[Planned], jobs: int) -> None:
        """`planned` are all cells; those that are finished count from the start."""
        todo = [each.predicted_s or 0.0 for each in planned if not each.is_finished]
        is_known = all(todo)
        self._weights = todo if is_known else [1.0] * len(todo)
        self._total, self._done, self._failed = sum(self._weights), 0.0, 0
        self._started = time.monotonic()
        self._ends = self._started + self._total / jobs if is_known else None
        shape = "{n}/{total} cells |{bar}| {elapsed}{postfix}"
        n_before = len(planned) - len(todo)
        self._bar = tqdm(total=len(planned), initial=n_before, bar_format=shape)

    def __enter__(self) -> "Progress":
        """Show the bar."""
        return self

    def __exit__(self, *error: object) -> None:
        """Leave the bar's last state on the screen."""
        self._bar.close()

    def advance(self, index: int, failed: bool) -> None:
        """One of the unfinished cells has ended."""
        self._done += self._weights[index]
        self._failed += failed
        now = time.monotonic()
        left = (self._total - self._done) / self._done
        self._ends = now + left * (now - self._started)
        self._bar.update()
        self._draw()

    def tick(self) -> None:
        """Redraw the bar with the time left; on a terminal only."""
        if sys.stderr.isatty():
            self._draw()

    def _draw(self) -> None:
        texts = []
        if self._ends is not None:
            left = max(0.0, self._ends - time.monotonic())
            texts.append(f"{tqdm.format_interval(round(left))} left")
        texts += [f"{self._failed} failed"] * bool(self._failed)
        self._bar.set_postfix_str(", ".join(texts))
