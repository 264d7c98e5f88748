"""Facts about a run, in the shape in which the template shows them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class StepFacts:
    """A finished step: how long it took, and the hash of all that it depends on."""

    name: str
    duration: str
    seconds: float | None
    key: str


def steps(facts: Mapping[str, Any]) -> tuple[StepFacts, ...]:
    """Durations and keys of all steps that have either."""
    durations, keys = facts.get("durations_s") or {}, facts.get("artifacts") or {}
    return tuple(
        StepFacts(name, _clock(durations.get(name)), durations.get(name), keys.get(name, "–"))
        for name in dict.fromkeys([*durations, *keys])
    )


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"
