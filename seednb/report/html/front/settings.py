"""Settings and hours by card, from the committed benchmark; the page computes other hours itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seednb.core.errors import SeedError
from seednb.model.cost_model import (
    CARDS,
    SHAPES,
    TRAINING,
    Measured,
    benchmark,
    card_rows,
    plan,
)

MODEL, TITLE = "llava-1.5-7b", "LLaVA-1.5-7B"
PAIRS, EPOCHS = 50_000, 3  # of the reproduction's v7
CAPTIONS = "caption"


@dataclass(frozen=True)
class CardTime:
    """One card: what a full run is set to, and what its steps take. `step_s` is None if nothing fits."""

    card: str
    memory_gib: float
    settings: str
    peak_gib: str
    is_measured: bool
    examples_a_step: int
    step_s: float | None

    @property
    def hours(self) -> str:
        """Of the reproduction's pairs and epochs; "" if the model does not fit."""
        if self.step_s is None:
            return ""
        return clock(-(-PAIRS * EPOCHS // self.examples_a_step) * self.step_s)


def clock(seconds: float) -> str:
    """ "46 min", "2.1 h", "31 h"; the script of settings.html.j2 does the same."""
    hours = seconds / 3600
    if hours < 1:
        return f"{seconds / 60:.0f} min"
    return f"{hours:.1f} h" if hours < 10 else f"{hours:,.0f} h"


def settings_box(root: Path) -> dict[str, Any] | None:
    """What the box shows of LLaVA-1.5-7B; None where the benchmark's results are not at hand.

    `root`: the project's folder.
    """
    try:
        measured = Measured.read(root)
        loop = benchmark(root, TRAINING)["rows"][0]
    except SeedError:
        return None
    shape = SHAPES[MODEL]
    times = []
    for row in card_rows(measured, shape):
        card = CARDS[row["card"]]
        fits = bool(row["samples/s"])
        run = plan(measured, card, shape, n_cards=1, n_samples=PAIRS * EPOCHS) if fits else None
        times.append(
            CardTime(
                card=card.name,
                memory_gib=card.memory_gib,
                settings=row["settings"],
                peak_gib=row["peak GiB"],
                is_measured=card is measured.card,
                examples_a_step=run.examples_a_step if run else 1,
                step_s=run.step_s if run else None,
            )
        )
    # the rate of the reproduction's own loop, one example at a time, on the measured card
    loop_s = loop["times_seed_loop"] / loop["samples_per_s"]
    return {
        "title": TITLE,
        "pairs": PAIRS,
        "epochs": EPOCHS,
        "cards": times,
        "measured": measured.card.name,
        "loop": CardTime(measured.card.name, 0, "", "", True, 1, loop_s),
    }


def caption_rates(root: Path) -> Mapping[str, Any] | None:
    """The measured rows of `benchmarks/caption.py`, and their machine; None if they are not there."""
    try:
        result = benchmark(root, CAPTIONS)
    except SeedError:
        return None
    return {"rows": result["rows"], "machine": result["machine"]}
