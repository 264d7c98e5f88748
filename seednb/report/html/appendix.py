"""Facts about a run, in the shape in which the template shows them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seednb.core.errors import SeedError

KINDS = {
    "arithmetic": ("Arithmetic", "checked with the reproduction’s own numbers"),
    "tried_here": ("Tried here", "judged from this run’s intervals"),
    "source": ("Sources", "checked against the literature"),
    "needs_7b": ("Needs the real model", "left open, each with a command"),
}
NOT_SUPPORTED = ("not contradicted", "not supported", "opposite")
# kind, tone, verdicts that count (none: all), what the tile says, what the first screen says
TILES: tuple[tuple[str, str, tuple[str, ...], str, str], ...] = (
    ("tried_here", "good", ("supported",), "supported by this run", "claims supported here"),
    ("tried_here", "open", NOT_SUPPORTED, "not supported by this run", "not"),
    ("arithmetic", "bad", ("inconsistent",), "inconsistent with their own numbers", "inconsistent"),
    ("needs_7b", "open", (), "need the 7B model", "need 7B"),
)
TONES = {
    "consistent": "good",
    "supported": "good",
    "right": "good",
    "inconsistent": "bad",
    "opposite": "bad",
    "wrong": "bad",
}


@dataclass(frozen=True)
class Part:
    """Claims of one kind with one verdict."""

    verdict: str
    claims: int
    tone: str  # good, bad or open


@dataclass(frozen=True)
class Bar:
    """All claims of one kind; `place` is the id of the section that lists them, or empty."""

    kind: str
    title: str
    meaning: str
    parts: tuple[Part, ...]
    place: str


@dataclass(frozen=True)
class Tile:
    """One of the four counts above the bars; `place` as of the bar it counts in."""

    title: str
    short: str
    claims: int
    tone: str
    place: str


@dataclass(frozen=True)
class StepFacts:
    """A finished step: how long it took, and the hash of all that it depends on."""

    name: str
    duration: str
    seconds: float | None
    key: str


def claim_bars(claims: Any, places: Mapping[str, str]) -> tuple[Bar, ...]:
    """Bars of claim counts, from rows of kind, verdict, claims.

    `places`: ids of the report's sections by their title; a kind's claims are listed in the section
    that is called like it. Raises SeedError for anything but such rows.
    """
    counts: dict[str, dict[str, int]] = {kind: {} for kind in KINDS}
    try:
        for row in claims or ():
            counts.setdefault(str(row["kind"]), {})[str(row["verdict"])] = int(row["claims"])
    except (KeyError, TypeError, ValueError) as error:
        raise SeedError(
            f"claim counts {str(claims)[:60]!r} are not rows of kind, verdict, claims; "
            "run: seednb report --only 09 --force"
        ) from error
    return tuple(_bar(kind, verdicts, places) for kind, verdicts in counts.items() if verdicts)


def claim_tiles(bars: Sequence[Bar]) -> tuple[Tile, ...]:
    """The four counts above the bars, each with the place that lists its claims."""
    by_kind = {bar.kind: bar for bar in bars}
    tiles = []
    for kind, tone, verdicts, title, short in TILES:
        if bar := by_kind.get(kind):
            n = sum(p.claims for p in bar.parts if not verdicts or p.verdict in verdicts)
            tiles.append(Tile(title, short, n, tone, bar.place))
    return tuple(tiles)


def steps(facts: Mapping[str, Any]) -> tuple[StepFacts, ...]:
    """Durations and keys of all steps that have either."""
    durations, keys = facts.get("durations_s") or {}, facts.get("artifacts") or {}
    return tuple(
        StepFacts(name, _clock(durations.get(name)), durations.get(name), keys.get(name, "–"))
        for name in dict.fromkeys([*durations, *keys])
    )


def _bar(kind: str, verdicts: Mapping[str, int], places: Mapping[str, str]) -> Bar:
    title, meaning = KINDS.get(kind, (kind, ""))
    parts = [Part(v, n, TONES.get(v, "open")) for v, n in verdicts.items() if n]
    parts.sort(key=lambda part: ("good", "open", "bad").index(part.tone))
    return Bar(kind, title, meaning, tuple(parts), places.get(title, ""))


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"
