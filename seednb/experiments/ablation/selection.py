"""From the search to a recommendation: combine what helped, confirm it where nothing was chosen."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from seednb.evaluation.stats import Interval
from seednb.experiments.ablation.rows import PREFIX
from seednb.experiments.sweep.variants import Variant, merged

Row = Mapping[str, Any]
LARGEST = 3  # extensions in one combination
FINALISTS = 3  # trainings that are tried again


def change(rows: Sequence[Row], name: str, versus: str, metric: str) -> Row:
    """The row of a difference. Raises KeyError that names it if it is not there."""
    wanted = (PREFIX + name, PREFIX + versus, metric)
    for row in rows:
        if (row["model"], row["versus"], row["metric"]) == wanted:
            return row
    raise KeyError(f"no row for {' - '.join(wanted[:2])}, {metric}")


def keeps_recall(rows: Sequence[Row], name: str, versus: str = "v7") -> bool:
    """Whether recall is not lower: its interval does not lie below 0 as a whole."""
    return Interval.of(change(rows, name, versus, "recall")).high >= 0


def gain(rows: Sequence[Row], name: str) -> float | None:
    """How CHAIRi differs from v7's in the search; None unless it is lower and recall is kept."""
    value: float | None = change(rows, name, "v7", "CHAIRi")["value"]
    return value if value is not None and value < 0 and keeps_recall(rows, name) else None


def candidates(rows: Sequence[Row], variants: Sequence[Variant]) -> list[Variant]:
    """The best extension of each family by CHAIRi, best first, of those that lower it.

    Only what can be merged into v7's training counts: the same labels, plain decoding, recall kept.
    """
    mergeable = [
        v
        for v in variants
        if v.version == "v7" and v.labels == "replay" and v.changes
        if not v.contrast and v.family != "decoding"
    ]
    best: dict[str, Variant] = {}
    for variant in finalists(rows, mergeable):
        best.setdefault(variant.family, variant)
    return [*best.values()]


def combinations(chosen: Sequence[Variant]) -> list[Variant]:
    """The best two together, the best three, … up to `LARGEST`."""
    names = accumulate((variant.name for variant in chosen), "{} + {}".format)
    return [
        merged(*chosen[:n], name=name) for n, name in enumerate(names, start=1) if 2 <= n <= LARGEST
    ]


def finalists(
    rows: Sequence[Row], variants: Sequence[Variant], n: int | None = None
) -> list[Variant]:
    """The variants that lower CHAIRi and keep recall, the lowest first; at most n of them."""
    good = [(value, v) for v in variants if (value := gain(rows, v.name)) is not None]
    return [variant for _, variant in sorted(good, key=lambda found: found[0])[:n]]


def decodings_of_v7(variants: Sequence[Variant]) -> list[Variant]:
    """Ways to decode v7, which need no training of their own and go with any."""
    return [v for v in variants if v.family == "decoding" and v.version == "v7"]


def recommended(rows: Sequence[Row], names: Sequence[str]) -> str:
    """Of those that beat v7 on fresh images and seeds, the one with the lowest CHAIRi, or none."""
    winners = {
        name: change(rows, name, "v7", "CHAIRi")["value"] for name in names if beats(rows, name)
    }
    if not winners:
        return "None of them beats v7 on CHAIRi at no loss of recall: there is no v8."
    return f"Recommended in v7's place (v8): {min(winners, key=winners.__getitem__)}."


def lowers(rows: Sequence[Row], name: str) -> bool:
    """Whether CHAIRi is lower than v7's: its interval lies below 0 as a whole."""
    return Interval.of(change(rows, name, "v7", "CHAIRi")).high < 0


def beats(rows: Sequence[Row], name: str) -> bool:
    """The rule: CHAIRi is lower, and recall is not."""
    return lowers(rows, name) and keeps_recall(rows, name)


def verdict(rows: Sequence[Row], name: str) -> str:
    """Whether a variant beats v7 on images and seeds that had no part in choosing it."""
    found = Interval.of(change(rows, name, "v7", "CHAIRi"))
    if not found.is_defined:
        return f"{name} cannot be told from v7: too few images for an interval."
    interval = found.text(signed=True, unit="points")
    if beats(rows, name):
        return f"{name} beats v7 on CHAIRi, {interval}, and recall is not lower."
    if lowers(rows, name):
        return f"{name} lowers CHAIRi ({interval}), but recall with it."
    return f"{name} does not beat v7 on CHAIRi: {interval}."
