"""What the intervals say about SEED and its controls; every word and number depends on the rows alone."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from seednb.evaluation.records import KINDS
from seednb.evaluation.stats import Direction, Interval, figure_text
from seednb.report.html.verdict.words import (
    CAUTION,
    EFFECT,
    LOWER_IS_BETTER,
    OUTCOMES,
    RELATIONS,
    SEED,
    SEEING,
    SIMPLER,
    SIMPLER_ANSWERS,
    TRUTHFUL,
    Judgement,
)
from seednb.report.tables import Row, Rows, find_interval

EXISTENCE = "existence"  # the kind of question that POPE asks, too
CERTAIN = 0.05  # a test says that there is a difference if its p is below


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


def points(change: Interval, signed: bool = False) -> str:
    """ "1.6 points", or "−1.6 points" with its sign."""
    value = change.value if signed else abs(change.value)
    return f"{figure_text(value, signed=signed)} points"


def listed(names: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _effect(metrics: Rows) -> Conclusion:
    outcome, chair_i, recall = _captions(metrics, SEED, "base")
    answer, sentence = EFFECT[outcome]
    here, before = (find_interval(metrics, m, None, "chair", "CHAIRi") for m in (SEED, "base"))
    if chair_i and here and before:
        share, past = (figure_text(level.value) for level in (here, before))
        sentence += f": {share}% of the objects it names are not there, against {past}%"
    else:
        sentence = _with_number(sentence, chair_i)
    if recall and recall.direction == "down":
        joint = "but" if outcome == "supported" else "and"
        sentence += f", {joint} it leaves out more of what is there ({points(recall)} of recall)"
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
        sentence = "It hallucinates less than the base model held to as many mentions"
    return Conclusion(
        question="More than caution?",
        outcome=outcome,
        answer=answer,
        sentence=f"{_with_number(sentence, chair_i)}.",
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
    answer, sentence = "not run", "The control that only moves the threshold has not been run"
    if accuracy and auc:
        outcome, answer, sentence = SEEING[accuracy.direction, auc.direction]
        if answer == "only a moved threshold" and not (gain and gain.direction == "up"):
            answer = "no gain"
            sentence = (
                "On POPE it is not measurably more accurate than the base model, and re-fitting "
                "the base model’s threshold does better"
            )
        share = figure_text(accuracy.value, signed=True)
        sentence += f" (accuracy {share}, AUC {points(auc, signed=True)})"
    kinds = _kinds(metrics)
    cards = {f"{kind.capitalize()} questions{_p(row)}": row for kind, row in kinds.items()}
    return Conclusion(
        question="Seeing better?",
        outcome=outcome,
        answer=answer,
        sentence=f"{sentence}.{_of_kinds(kinds)}",
        figures={
            "Accuracy against the threshold control": accuracy,
            "AUC against base": auc,
            "Accuracy against base": gain,
        }
        | {label: Interval.of(row) for label, row in cards.items()},
        judged_by="Judged by POPE’s adversarial questions. The threshold control is the base model "
        "with its yes/no threshold re-fitted; AUC does not depend on any threshold."
        + (" Other kinds: accuracy against base; Holm over all models and kinds." if kinds else ""),
    )


def _kinds(metrics: Rows) -> dict[str, Row]:
    """By kind of question that POPE does not ask: SEED's accuracy against the base model."""
    return {
        row["split"]: row
        for row in metrics
        if (row["model"], row["versus"], row["benchmark"]) == (SEED, "base", KINDS)
        and row["metric"] == "accuracy"
        and row["split"] != EXISTENCE
        and Interval.of(row).is_defined
    }


def _p(row: Row) -> str:
    return f" (p {row['p']:.2g}, Holm {row['p_holm']:.2g})" if "p_holm" in row else ""


def _of_kinds(kinds: Mapping[str, Row]) -> str:
    """How the other kinds of question went, and what Holm's correction leaves of it."""
    named: dict[Direction, list[str]] = defaultdict(list)
    for kind, row in kinds.items():
        change = Interval.of(row)
        named[change.direction].append(f"{kind} ({figure_text(change.value, signed=True)})")
    ways: dict[Direction, str] = {
        "up": "are answered better",
        "down": "are answered worse",
        "flat": "are open",
    }
    parts = [f"{listed(named[way])} questions {said}" for way, said in ways.items() if named[way]]
    if not parts:
        return ""
    tested = [kind for kind, row in kinds.items() if "p_holm" in row]
    if tested and (named["up"] or named["down"]):
        left = [kind for kind in tested if kinds[kind]["p_holm"] < CERTAIN]
        parts.append(
            f"Holm’s correction for many tests leaves {listed(left) if left else 'none of it'}"
        )
    said = "; ".join(parts)
    return f" {said[0].upper()}{said[1:]}."


def _simpler(metrics: Rows) -> Conclusion:
    """SEED against each way that leaves out a part of it."""
    changes = {model: find_interval(metrics, SEED, model, "chair", "CHAIRi") for model in SIMPLER}
    named: dict[Direction, list[str]] = defaultdict(list)
    for model, change in changes.items():
        if change:
            named[change.direction].append(f"{SIMPLER[model]} ({points(change, signed=True)})")
    resolved = [f"{RELATIONS[way]} {listed(named[way])}" for way in RELATIONS if named[way]]
    parts = [f"it hallucinates {' and '.join(resolved)}"] if resolved else []
    if named["flat"]:
        parts.append(f"against {listed(named['flat'])} it is open")
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
    sentence = _with_number(sentence, chair_i)
    if chair_i and recall and recall.direction != "flat":
        names_more = recall.direction == "up"
        joint = "and" if names_more == (outcome == "supported") else "but"
        more = "more" if names_more else "less"
        sentence += f", {joint} names {more} of what is there ({points(recall)} of recall)"
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


def _with_number(sentence: str, change: Interval | None) -> str:
    """A sentence about a difference, and its size; with the interval where it holds zero."""
    if change is None:
        return sentence
    if change.direction == "flat":
        return f"{sentence} ({change.text(signed=True, unit='points')})"
    return f"{sentence}, by {points(change)}"
