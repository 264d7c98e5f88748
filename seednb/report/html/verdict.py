"""What the intervals say about SEED and its controls; every word depends on the rows alone."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from seednb.evaluation.stats import Direction, Interval
from seednb.report.formatting import find_change

Outcome = Literal["supported", "unresolved", "opposite", "missing"]
Rows = Sequence[Mapping[str, Any]]

SEED = "v7"
SIMPLER = {  # cheaper ways to the same end, and what the sentence calls them
    "sft": "supervision alone",
    "distill_only": "distillation alone",
    "contrastive": "contrastive decoding",
}
RECALLS: dict[Direction, str] = {"up": "more", "down": "less"}
RELATIONS: dict[Direction, str] = {  # of SEED's CHAIRi to another's
    "down": "less than",
    "up": "more than",
}
ADVERSARIAL = "adversarial"
OUTCOMES: dict[Outcome, str] = {
    "supported": "supported",
    "unresolved": "not resolved",
    "opposite": "opposite",
    "missing": "not run",
}
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
class CitedFigure:
    """A number that a finding rests on."""

    label: str
    change: Interval | None


@dataclass(frozen=True)
class Conclusion:
    """One question about SEED, answered from intervals."""

    question: str
    outcome: Outcome
    answer: str
    sentence: str
    figures: tuple[CitedFigure, ...]
    judged_by: str


def judge(metrics: Rows) -> tuple[Conclusion, ...]:
    """Effect, caution, seeing, simpler ways, truthful labels: the first screen's questions."""
    effect = _effect(metrics)
    return (
        effect,
        _caution(metrics, effect.outcome),
        _seeing(metrics),
        _simpler(metrics),
        _truthful(metrics),
    )


def as_frame(findings: Sequence[Conclusion]) -> pd.DataFrame:
    """Findings as a table: the question, how it came out, and the sentence that says so."""
    rows = [(each.question, OUTCOMES[each.outcome], each.sentence) for each in findings]
    return pd.DataFrame(rows, columns=["question", "outcome", "what the intervals say"])


def _effect(metrics: Rows) -> Conclusion:
    chair_i = find_change(metrics, SEED, "base", "chair", "CHAIRi")
    recall = find_change(metrics, SEED, "base", "chair", "recall")
    outcome: Outcome = LOWER_IS_BETTER[chair_i.direction] if chair_i else "missing"
    answer, sentence = {
        "supported": (
            "hallucinates less than base",
            f"SEED ({SEED}) hallucinates less than the base model when it describes images",
        ),
        "unresolved": (
            "not distinguishable from base",
            f"In captions, SEED ({SEED}) is not distinguishable from the base model",
        ),
        "opposite": (
            "hallucinates more than base",
            f"SEED ({SEED}) hallucinates more than the base model when it describes images",
        ),
        "missing": ("not run", f"SEED ({SEED}) has not been compared with the base model yet"),
    }[outcome]
    if recall and recall.direction == "down":
        joint = "but" if outcome == "supported" else "and"
        sentence += f", {joint} it leaves out more of what is there"
    return Conclusion(
        question="Fewer hallucinations?",
        outcome=outcome,
        answer=answer,
        sentence=f"{sentence}.",
        figures=(
            CitedFigure("CHAIRi against base", chair_i),
            CitedFigure("Recall against base", recall),
        ),
        judged_by="Captions. Supported if the interval of CHAIRi lies below zero.",
    )


def _caution(metrics: Rows, effect: Outcome) -> Conclusion:
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
    return Conclusion(
        question="More than caution?",
        outcome=outcome,
        answer=answer,
        sentence=sentence,
        figures=(
            CitedFigure("CHAIRi against the mention control", chair_i),
            CitedFigure("Recall against the mention control", recall),
        ),
        judged_by="The mention control is the base model with a penalty on object words, matched "
        f"to {SEED}’s number of mentions.",
    )


def _seeing(metrics: Rows) -> Conclusion:
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
    return Conclusion(
        question="Seeing better?",
        outcome=outcome,
        answer=answer,
        sentence=sentence,
        figures=(
            CitedFigure("Accuracy against the threshold control", accuracy),
            CitedFigure("AUC against base", auc),
            CitedFigure("Accuracy against base", gain),
        ),
        judged_by="POPE, adversarial questions. The threshold control is the base model with its "
        "yes/no threshold re-fitted; AUC does not depend on any threshold.",
    )


def _simpler(metrics: Rows) -> Conclusion:
    """SEED against each way that leaves out a part of it."""
    changes = {model: find_change(metrics, SEED, model, "chair", "CHAIRi") for model in SIMPLER}
    named: dict[Direction, list[str]] = defaultdict(list)
    for model, change in changes.items():
        if change:
            named[change.direction].append(SIMPLER[model])
    resolved = [f"{RELATIONS[way]} {_listed(named[way])}" for way in RELATIONS if named[way]]
    parts = [f"it hallucinates {' and '.join(resolved)}"] if resolved else []
    if named["flat"]:
        parts.append(f"against {_listed(named['flat'])} it is open")
    outcome: Outcome = "missing"
    answer, sentence = "not run", "The simpler ways have not been run."
    if parts:
        outcome = "opposite" if named["up"] else "unresolved" if named["flat"] else "supported"
        answer = {
            "supported": "better than each of them",
            "unresolved": "not better than all of them",
            "opposite": "a simpler way does better",
        }[outcome]
        sentence = f"{'; '.join(parts)}."
        sentence = sentence[0].upper() + sentence[1:]
    return Conclusion(
        question="Better than simpler ways?",
        outcome=outcome,
        answer=answer,
        sentence=sentence,
        figures=tuple(CitedFigure(f"CHAIRi against {model}", c) for model, c in changes.items()),
        judged_by="Supported if CHAIRi is below that of each; opposite if it is above that of one.",
    )


def _truthful(metrics: Rows) -> Conclusion:
    """SEED against plain supervision where the labels do not invent."""
    seed, plain = f"{SEED}_truthful", "sft_truthful"
    chair_i = find_change(metrics, seed, plain, "chair", "CHAIRi")
    recall = find_change(metrics, seed, plain, "chair", "recall")
    outcome: Outcome = LOWER_IS_BETTER[chair_i.direction] if chair_i else "missing"
    answer, sentence = {
        "supported": (
            "less hallucination than plain supervision",
            "Trained on truthful labels, SEED hallucinates less than plain supervision",
        ),
        "unresolved": (
            "no gain over plain supervision",
            "Trained on truthful labels, SEED is not distinguishable from plain supervision",
        ),
        "opposite": (
            "plain supervision hallucinates less",
            "Trained on truthful labels, SEED hallucinates more than plain supervision",
        ),
        "missing": ("not run", "Training on truthful labels has not been run"),
    }[outcome]
    if chair_i and recall and recall.direction != "flat":
        joint = "and" if (recall.direction == "up") == (outcome == "supported") else "but"
        sentence += f", {joint} names {RECALLS[recall.direction]} of what is there"
    return Conclusion(
        question="Still needed with truthful labels?",
        outcome=outcome,
        answer=answer,
        sentence=f"{sentence}.",
        figures=(
            CitedFigure("CHAIRi against supervision", chair_i),
            CitedFigure("Recall against supervision", recall),
            CitedFigure("CHAIRi, SEED against base", _chair_i(metrics, seed)),
            CitedFigure("CHAIRi, supervision against base", _chair_i(metrics, plain)),
        ),
        judged_by="Both trained on labels built from annotations, equal in data and steps.",
    )


def _chair_i(metrics: Rows, model: str) -> Interval | None:
    return find_change(metrics, model, "base", "chair", "CHAIRi")


def _listed(names: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
