"""What the intervals say about SEED and its controls; every word depends on the rows alone."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from seednb.evaluation.stats import Direction, Interval
from seednb.report.tables import Rows, find_interval

Judgement = Literal["supported", "unresolved", "opposite", "missing"]

SEED = "v7"
SIMPLER = {  # cheaper ways to the same end, and what the sentence calls them
    "sft": "supervision alone",
    "distill_only": "distillation alone",
    "contrastive": "contrastive decoding",
}
OUTCOMES: dict[Judgement, str] = {
    "supported": "supported",
    "unresolved": "not resolved",
    "opposite": "opposite",
    "missing": "not run",
}
LOWER_IS_BETTER: dict[Direction, Judgement] = {
    "down": "supported",
    "flat": "unresolved",
    "up": "opposite",
}
RELATIONS: dict[Direction, str] = {"down": "less than", "up": "more than"}  # SEED's CHAIRi
# What a card answers and what the sentence on the first screen says, by outcome.
EFFECT: dict[Judgement, tuple[str, str]] = {
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
}
CAUTION: dict[Judgement, tuple[str, str]] = {
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
}
SIMPLER_ANSWERS: dict[Judgement, str] = {
    "supported": "better than each of them",
    "unresolved": "not better than all of them",
    "opposite": "a simpler way does better",
}
TRUTHFUL: dict[Judgement, tuple[str, str]] = {
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
}
# (accuracy against the re-fitted threshold, AUC against the base) -> outcome, answer, sentence
SEEING: dict[tuple[Direction, Direction], tuple[Judgement, str, str]] = {
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
class Conclusion:
    """One question about SEED, answered from intervals; `figures` are those it rests on."""

    question: str
    outcome: Judgement
    answer: str
    sentence: str
    figures: Mapping[str, Interval | None]
    judged_by: str


def judge(metrics: Rows) -> tuple[Conclusion, ...]:
    """Effect, caution, seeing, simpler ways, truthful labels: the first screen's questions."""
    effect = _effect(metrics)
    caution = _caution(metrics, effect.outcome)
    return effect, caution, _seeing(metrics), _simpler(metrics), _truthful(metrics)


def as_frame(findings: Sequence[Conclusion]) -> pd.DataFrame:
    """Findings as a table: the question, how it came out, and the sentence that says so."""
    rows = [(each.question, OUTCOMES[each.outcome], each.sentence) for each in findings]
    return pd.DataFrame(rows, columns=["question", "outcome", "what the intervals say"])


def _effect(metrics: Rows) -> Conclusion:
    outcome, chair_i, recall = _captions(metrics, SEED, "base")
    answer, sentence = EFFECT[outcome]
    if recall and recall.direction == "down":
        joint = "but" if outcome == "supported" else "and"
        sentence += f", {joint} it leaves out more of what is there"
    return Conclusion(
        question="Fewer hallucinations?",
        outcome=outcome,
        answer=answer,
        sentence=f"{sentence}.",
        figures={"CHAIRi against base": chair_i, "Recall against base": recall},
        judged_by="Captions. Supported if the interval of CHAIRi lies below zero.",
    )


def _caution(metrics: Rows, effect: Judgement) -> Conclusion:
    outcome, chair_i, recall = _captions(metrics, SEED, "mention_control")
    answer, sentence = CAUTION[outcome]
    if outcome == "supported" and effect != "supported":
        answer = "better than mentioning less, no better than base"
        sentence = "It hallucinates less than the base model held to as many mentions."
    return Conclusion(
        question="More than caution?",
        outcome=outcome,
        answer=answer,
        sentence=sentence,
        figures={
            "CHAIRi against the mention control": chair_i,
            "Recall against the mention control": recall,
        },
        judged_by="The mention control is the base model with a penalty on object words, matched "
        f"to {SEED}’s number of mentions.",
    )


def _seeing(metrics: Rows) -> Conclusion:
    cited = (("threshold_control", "accuracy"), ("base", "auc"), ("base", "accuracy"))
    accuracy, auc, gain = (
        find_interval(metrics, SEED, versus, "pope", metric, "adversarial")
        for versus, metric in cited
    )
    outcome: Judgement = "missing"
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
        figures={
            "Accuracy against the threshold control": accuracy,
            "AUC against base": auc,
            "Accuracy against base": gain,
        },
        judged_by="POPE, adversarial questions. The threshold control is the base model with its "
        "yes/no threshold re-fitted; AUC does not depend on any threshold.",
    )


def _simpler(metrics: Rows) -> Conclusion:
    """SEED against each way that leaves out a part of it."""
    changes = {model: find_interval(metrics, SEED, model, "chair", "CHAIRi") for model in SIMPLER}
    named: dict[Direction, list[str]] = defaultdict(list)
    for model, change in changes.items():
        if change:
            named[change.direction].append(SIMPLER[model])
    resolved = [f"{RELATIONS[way]} {_listed(named[way])}" for way in RELATIONS if named[way]]
    parts = [f"it hallucinates {' and '.join(resolved)}"] if resolved else []
    if named["flat"]:
        parts.append(f"against {_listed(named['flat'])} it is open")
    outcome: Judgement = "missing"
    answer, sentence = "not run", "The simpler ways have not been run."
    if parts:
        outcome = "opposite" if named["up"] else "unresolved" if named["flat"] else "supported"
        answer = SIMPLER_ANSWERS[outcome]
        sentence = f"{'; '.join(parts)}."
        sentence = sentence[0].upper() + sentence[1:]
    return Conclusion(
        question="Better than simpler ways?",
        outcome=outcome,
        answer=answer,
        sentence=sentence,
        figures={f"CHAIRi against {model}": change for model, change in changes.items()},
        judged_by="Supported if CHAIRi is below that of each; opposite if it is above that of one.",
    )


def _truthful(metrics: Rows) -> Conclusion:
    """SEED against plain supervision where the labels do not invent."""
    trained, plain = f"{SEED}_truthful", "sft_truthful"
    outcome, chair_i, recall = _captions(metrics, trained, plain)
    answer, sentence = TRUTHFUL[outcome]
    if chair_i and recall and recall.direction != "flat":
        names_more = recall.direction == "up"
        joint = "and" if names_more == (outcome == "supported") else "but"
        sentence += f", {joint} names {'more' if names_more else 'less'} of what is there"
    return Conclusion(
        question="Still needed with truthful labels?",
        outcome=outcome,
        answer=answer,
        sentence=f"{sentence}.",
        figures={
            "CHAIRi against supervision": chair_i,
            "Recall against supervision": recall,
            "CHAIRi, SEED against base": _captions(metrics, trained, "base")[1],
            "CHAIRi, supervision against base": _captions(metrics, plain, "base")[1],
        },
        judged_by="Both trained on labels built from annotations, equal in data and steps.",
    )


def _captions(
    metrics: Rows, model: str, versus: str
) -> tuple[Judgement, Interval | None, Interval | None]:
    """Whether a model hallucinates less than another, and the differences of CHAIRi and recall."""
    chair_i = find_interval(metrics, model, versus, "chair", "CHAIRi")
    recall = find_interval(metrics, model, versus, "chair", "recall")
    return LOWER_IS_BETTER[chair_i.direction] if chair_i else "missing", chair_i, recall


def _listed(names: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
