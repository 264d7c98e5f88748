"""Hours of all of LLaVA-Instruct on 1 to 1,024 cards, projected from the rates of one card.

python benchmarks/projection.py                       (a second, no GPU; on cards like the measured one)
python benchmarks/projection.py --card h100 --model llava-1.5-13b      (prints, writes nothing)

The formulas stand in `seednb/model/cost_model.py`.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from results import write_result

from seednb.model.cost_model import CARDS, SHAPES, Measured, Plan, plan

ROOT = Path(__file__).parents[1]
N_CARDS = tuple(2**power for power in range(11))  # 1 to 1,024
N_SAMPLES = 450_000  # 150,000 pairs, three epochs
REPRODUCTION_STEP = 8  # examples of one optimiser step, in the document that is checked
RULES = {"grows with the cards": None, f"{REPRODUCTION_STEP} examples": REPRODUCTION_STEP}
SHOWN = ["n_cards", "examples_a_step", "n_steps", "step_s", "sharing_s", "efficiency", "hours"]


def main(card: str = "", model: str = "llava-1.5-7b") -> None:
    """Print both projections; without a card, write that of the measured one."""
    rows = project(card, model)
    for rule, planned in pd.DataFrame(rows).groupby("step", sort=False):
        print(f"a step {rule}\n{planned[SHOWN].to_string(index=False)}")
    for rule in RULES.values():
        print(verdict(planned_runs(card, model, rule)))
    if not card:
        fastest = min(rows, key=lambda row: row["hours"])
        print(write_result("projection", rows, {"least_hours": fastest["hours"]}))


def project(card: str, model: str) -> list[dict[str, Any]]:
    """One row a rule of how large a step is and a number of cards."""
    return [
        {"step": rule} | {key: _brief(value) for key, value in asdict(run).items()} | {"hours": _brief(run.hours)}
        for rule, size in RULES.items()
        for run in planned_runs(card, model, size)
    ]  # fmt: skip


def planned_runs(card: str, model: str, examples_a_step: int | None) -> list[Plan]:
    """The same run on more and more cards."""
    measured = Measured.read(ROOT)
    place = CARDS[card] if card else measured.card
    return [plan(measured, place, SHAPES[model], n, N_SAMPLES, examples_a_step) for n in N_CARDS]


def verdict(planned: Sequence[Plan]) -> str:
    """Where more cards stop helping, and why."""
    first, last = planned[0], planned[-1]
    poor = next((run for run in planned if run.efficiency < 0.5 * first.efficiency), None)
    if first.examples_a_step == last.examples_a_step and poor:
        return (
            f"Stops scaling at {poor.n_cards} cards: {poor.examples_a_step} examples a step leave "
            f"{math.ceil(poor.examples_a_step / poor.n_cards)} a card, whose pass takes no less time."
        )
    n_small_steps = N_SAMPLES // REPRODUCTION_STEP
    return (
        f"Adding gradients takes {last.sharing_s / last.step_s:.0%} of a step on {last.n_cards} cards.\n"
        f"What stops scaling is learning: {last.examples_a_step} examples a step leave "
        f"{last.n_steps} of the reproduction's {n_small_steps} steps."
    )


def _brief(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--card", default="", choices=tuple(CARDS))
    parser.add_argument("--model", default="llava-1.5-7b", choices=tuple(SHAPES))
    main(**vars(parser.parse_args()))
