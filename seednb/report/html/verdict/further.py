"""What a reader asks after the verdict: which version, what of v6, of beta, of decoding's cost."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from seednb.evaluation.stats import Direction, Interval, figure_text
from seednb.method.recipes import REPORTED
from seednb.report.html.verdict.questions import listed
from seednb.report.html.verdict.words import SEED
from seednb.report.tables import Rows, find_interval

QUESTIONS = (
    "Which version is best?",
    "Did v6 become worse?",
    "Does the choice of beta do what it claims?",
    "What does contrastive decoding cost?",
)
BEYOND = "11"  # the chapter on other rules for beta
CONTRASTIVE = ", contrastive"  # how the name of a measured way of writing captions ends
COMPARED: dict[Direction, str] = {
    "down": "less than",
    "flat": "not measurably differently from",
    "up": "more than",
}


@dataclass(frozen=True)
class Remark:
    """A question and its answer, one to three sentences; `command` would tell more."""

    question: str
    sentence: str
    command: str = ""


def further(metrics: Rows, facts: Mapping[str, Any]) -> tuple[Remark, ...]:
    """Each question that the rows, or what was measured elsewhere, can answer.

    `facts` may hold `confidence` (`auc`, `low`, `high`, `n`: how well low confidence tells a
    caption that invents), `missing` (the chapters that were not run) and `captions` (the measured rows
    of `benchmarks/caption.py`, and the `machine`).
    """
    command = _missing_command(facts.get("missing") or ())
    answers = (
        (_best(metrics), ""),
        (_regression(metrics), ""),
        (_beta(facts.get("confidence") or {}, command), command),
        (_contrastive(facts.get("captions") or {}), ""),
    )
    found = zip(QUESTIONS, answers, strict=True)
    remarks = (Remark(question, " ".join(parts), more) for question, (parts, more) in found)
    return tuple(remark for remark in remarks if remark.sentence)


def _best(metrics: Rows) -> Iterator[str]:
    """The version with the lowest CHAIRi, against v7; if that is v7, against the second."""
    levels = {
        recipe.name: level.value
        for recipe in REPORTED
        if (level := find_interval(metrics, recipe.name, None, "chair", "CHAIRi"))
    }
    if len(levels) < 2 or SEED not in levels:
        return
    best, second, *_ = sorted(levels, key=levels.__getitem__)
    other = SEED if best != SEED else second
    shares = {name: f"{figure_text(levels[name])}%" for name in (best, other)}
    change = _either_way(metrics, best, other)
    yield f"{best} has the lowest CHAIRi of {listed(list(levels))}, {shares[best]}."
    if change is None:
        yield f"{other} has {shares[other]}; the two were not compared directly."
    else:
        said = "not resolved" if change.direction == "flat" else "resolved"
        yield (
            f"Its distance to {'the final ' if other == SEED else ''}{other} ({shares[other]}) is "
            f"{said}: {change.text(signed=True, unit='points')}."
        )


def _either_way(metrics: Rows, model: str, versus: str) -> Interval | None:
    """A model's CHAIRi minus another's, whichever of the two the row is about."""
    if found := find_interval(metrics, model, versus, "chair", "CHAIRi"):
        return found
    if back := find_interval(metrics, versus, model, "chair", "CHAIRi"):
        return Interval(-back.value, -back.high, -back.low, back.n)
    return None


def _regression(metrics: Rows) -> Iterator[str]:
    """The reproduction reports that v6 is worse than v5 and than the base model."""
    changes = {
        name: change
        for name, versus in (("v5", "v5"), ("the base model", "base"))
        if (change := find_interval(metrics, "v6", versus, "chair", "CHAIRi"))
    }
    if len(changes) < 2:
        return
    parts = [
        f"{COMPARED[change.direction]} {name} ({change.text(signed=True, unit='points')})"
        for name, change in changes.items()
    ]
    n_worse = sum(change.direction == "up" for change in changes.values())
    said = ("did not appear", "appeared in part", "appeared")[n_worse]
    yield "The reproduction reports v6 as worse than v5 and than the base model."
    yield f"Here that {said}: it hallucinates {' and '.join(parts)}."


def _beta(found: Mapping[str, Any], command: str) -> Iterator[str]:
    """Whether low confidence announces an invention, which is why it is given a larger beta.

    `command` adds the chapter that tries other rules; empty if it has run.
    """
    if found:
        area = Interval.of({**found, "value": found["auc"]})
        said = {"up": "announces", "flat": "does not measurably announce", "down": "denies"}
        way = Interval(area.value - 0.5, area.low - 0.5, area.high - 0.5, area.n).direction
        yield (
            f"It gives a larger beta to what the model is unsure of, and low confidence {said[way]} a "
            f"caption that invents: AUC {area.text()}, where 50 is chance and 100 perfect."
        )
    if command:
        yield "Whether that beats a fixed beta is a question of chapter 11, which was not run:"
    elif found:
        yield "Chapter 11 compares it with a fixed beta."


def _missing_command(missing: Iterable[Mapping[str, Any]]) -> str:
    """What adds the chapter that tries other rules for beta; empty if it has run."""
    return next((each["command"] for each in missing if each["number"] == BEYOND), "")


def _contrastive(measured: Mapping[str, Any]) -> Iterator[str]:
    """The second, noisy view at every word, in captions a second."""
    rates = {row["name"]: row.get("captions_per_s") for row in measured.get("rows", ())}
    pairs = (
        (rates[name.removesuffix(CONTRASTIVE)], rate)
        for name, rate in rates.items()
        if name.endswith(CONTRASTIVE) and rate and rates.get(name.removesuffix(CONTRASTIVE))
    )
    yield "No training, but a second, noisy view of the image at every word."
    if pair := next(pairs, None):
        plain, contrasted = pair
        yield (
            f"LLaVA-1.5-7B writes {contrasted:.1f} captions a second with it and {plain:.1f} "
            f"without ({measured['machine'].partition(',')[0]}): {1 - contrasted / plain:.0%} "
            "fewer, for as long as the model is used. SEED pays once, while it trains."
        )
