"""What the intervals say about SEED and its controls; every word depends on the rows alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from seednb.report.changes import Change, Direction, find_change

Outcome = Literal["supported", "unresolved", "opposite", "missing"]
Rows = Sequence[Mapping[str, Any]]

SEED = "v7"
ADVERSARIAL = "adversarial"
LOWER_IS_BETTER: dict[Direction, Outcome] = {
    "down": "supported",
    "flat": "unresolved",
    "up": "opposite",
}
# (accuracy against the re-fitted threshold, AUC against the base) -> outcome, answer, sentence
SEEING: dict[tuple[Direction, Direction], tuple[Outcome, str, str]] = {
    ("up", "up"): (
        "supported",
        "seeing better",
        "On POPE it sees better: a re-fitted threshold does not reach its accuracy, and it tells "
        "present from absent objects better.",
    ),
    ("up", "flat"): (
        "unresolved",
        "more than a moved threshold, no better ranking",
        "On POPE it is more accurate than a re-fitted threshold, but does not measurably tell "
        "present from absent objects better.",
    ),
    ("flat", "up"): (
        "unresolved",
        "better ranking, no better answers",
        "On POPE it tells present from absent objects better, but a re-fitted threshold answers "
        "about as accurately.",
    ),
    ("flat", "flat"): (
        "unresolved",
        "not distinguishable from a moved threshold",
        "On POPE it is not distinguishable from the base model with a moved threshold.",
    ),
    ("down", "flat"): (
        "opposite",
        "only a moved threshold",
        "On POPE its gain is only a moved threshold: the base model with a re-fitted one "
        "gains more.",
    ),
    ("flat", "down"): (
        "opposite",
        "seeing worse",
        "On POPE it tells present from absent objects worse than the base model.",
    ),
    ("down", "down"): (
        "opposite",
        "seeing worse",
        "On POPE it tells present from absent objects worse than the base model, and re-fitting "
        "the base model’s threshold is more accurate.",
    ),
    ("up", "down"): (
        "unresolved",
        "mixed: better answers, worse ranking",
        "On POPE it is more accurate than a re-fitted threshold, but tells present from absent "
        "objects worse.",
    ),
    ("down", "up"): (
        "unresolved",
        "mixed: better ranking, worse answers",
        "On POPE it tells present from absent objects better, but a re-fitted threshold is more "
        "accurate.",
    ),
}


@dataclass(frozen=True)
class Figure:
    """A number that a finding rests on."""

    label: str
    change: Change | None


@dataclass(frozen=True)
class Finding:
    """One question about SEED, answered from intervals."""

    question: str
    outcome: Outcome
    answer: str
    sentence: str
    figures: tuple[Figure, ...]
    judged_by: str


def judge(metrics: Rows) -> tuple[Finding, ...]:
    """Effect, caution and seeing: the three questions of the first screen."""
    effect = _effect(metrics)
    return effect, _caution(metrics, effect.outcome), _seeing(metrics)


def _effect(metrics: Rows) -> Finding:
    chair_i = find_change(metrics, SEED, "base", "chair", "CHAIRi")
    recall = find_change(metrics, SEED, "base", "chair", "recall")
    outcome: Outcome = LOWER_IS_BETTER[chair_i.direction] if chair_i else "missing"
    answer, sentence = {
        "supported": (
            "hallucinates less than base",
            f"SEED ({SEED}) hallucinates less than the base model when it describes pictures",
        ),
        "unresolved": (
            "not distinguishable from base",
            f"In captions, SEED ({SEED}) is not distinguishable from the base model",
        ),
        "opposite": (
            "hallucinates more than base",
            f"SEED ({SEED}) hallucinates more than the base model when it describes pictures",
        ),
        "missing": ("not run", f"SEED ({SEED}) has not been compared with the base model yet"),
    }[outcome]
    if recall and recall.direction == "down":
        joint = "but" if outcome == "supported" else "and"
        sentence += f", {joint} it leaves out more of what is there"
    return Finding(
        question="Fewer hallucinations?",
        outcome=outcome,
        answer=answer,
        sentence=f"{sentence}.",
        figures=(Figure("CHAIRi against base", chair_i), Figure("Recall against base", recall)),
        judged_by="Captions. Supported if the interval of CHAIRi lies below zero.",
    )


def _caution(metrics: Rows, effect: Outcome) -> Finding:
    chair_i = find_change(metrics, SEED, "mention_control", "chair", "CHAIRi")
    recall = find_change(metrics, SEED, "mention_control", "chair", "recall")
    outcome: Outcome = LOWER_IS_BETTER[chair_i.direction] if chair_i else "missing"
    answer, sentence = {
        "supported": (
            "more than caution",
            "That is more than caution: the base model held to as many mentions hallucinates more.",
        ),
        "unresolved": (
            "not distinguishable from mentioning less",
            "Its captions are not distinguishable from those of the base model mentioning less.",
        ),
        "opposite": (
            "worse than mentioning less",
            "The base model held to as many mentions hallucinates less than it.",
        ),
        "missing": ("not run", "The control that only mentions less has not been run."),
    }[outcome]
    if outcome == "supported" and effect != "supported":
        answer = "better than mentioning less, no better than base"
        sentence = "It hallucinates less than the base model held to as many mentions."
    return Finding(
        question="More than caution?",
        outcome=outcome,
        answer=answer,
        sentence=sentence,
        figures=(
            Figure("CHAIRi against the mention control", chair_i),
            Figure("Recall against the mention control", recall),
        ),
        judged_by="The mention control is the base model with a penalty on object words, matched "
        f"to {SEED}’s number of mentions.",
    )


def _seeing(metrics: Rows) -> Finding:
    accuracy = find_change(metrics, SEED, "threshold_control", "pope", "accuracy", ADVERSARIAL)
    auc = find_change(metrics, SEED, "base", "pope", "auc", ADVERSARIAL)
    gain = find_change(metrics, SEED, "base", "pope", "accuracy", ADVERSARIAL)
    outcome: Outcome = "missing"
    answer, sentence = "not run", "The control that only moves the threshold has not been run."
    if accuracy and auc:
        outcome, answer, sentence = SEEING[accuracy.direction, auc.direction]
    has_gain = gain is not None and gain.direction == "up"
    if answer == "only a moved threshold" and not has_gain:
        answer = "no gain"
        sentence = (
            "On POPE it is not measurably more accurate than the base model, and re-fitting the "
            "base model’s threshold does better."
        )
    return Finding(
        question="Seeing better?",
        outcome=outcome,
        answer=answer,
        sentence=sentence,
        figures=(
            Figure("Accuracy against the threshold control", accuracy),
            Figure("AUC against base", auc),
            Figure("Accuracy against base", gain),
        ),
        judged_by="POPE, adversarial questions. The threshold control is the base model with its "
        "yes/no threshold re-fitted; AUC does not depend on any threshold.",
    )
