"""The claims by what became of them: what this run says, and what the document says of itself.

An error in the document's own sums or sources is no failure of this run, so it has a tone of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seednb.core.errors import SeedError

# kind -> title, which is also that of its section in chapter 09, and what it was checked against
KINDS = {
    "tried_here": ("Tried here", "judged from this run’s intervals"),
    "needs_7b": ("Needs the real model", "left open, each with a command"),
    "arithmetic": ("Arithmetic", "the document’s numbers against each other"),
    "source": ("Sources", "the document against the literature"),
}
# verdict -> tone; the order is that of a bar. "kept" and "flaw" are about the document.
TONES = {
    "supported": "good",
    "not contradicted": "open",
    "not supported": "open",
    "opposite": "bad",
    "not run": "none",
    "needs the 7B run": "none",
    "consistent": "kept",
    "right": "kept",
    "ambiguous": "open",
    "inconsistent": "flaw",
    "wrong": "flaw",
}


@dataclass(frozen=True)
class Part:
    """Claims of one kind with one verdict."""

    verdict: str
    claims: int
    tone: str


@dataclass(frozen=True)
class Bar:
    """All claims of one kind; `place` is the id of the section that lists them, or empty."""

    kind: str
    title: str
    meaning: str
    parts: tuple[Part, ...]
    place: str

    @property
    def claims(self) -> int:
        """Of all verdicts."""
        return sum(part.claims for part in self.parts)


def claim_bars(claims: Any, places: Mapping[str, str]) -> tuple[Bar, ...]:
    """Bars of claim counts, from rows of kind, verdict, claims: every claim is in one of them.

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


def _bar(kind: str, verdicts: Mapping[str, int], places: Mapping[str, str]) -> Bar:
    title, meaning = KINDS.get(kind, (kind, ""))
    order = list(TONES)
    named = sorted(verdicts, key=lambda v: order.index(v) if v in TONES else len(order))
    parts = tuple(Part(v, verdicts[v], TONES.get(v, "open")) for v in named if verdicts[v])
    return Bar(kind, title, meaning, parts, places.get(title, ""))
