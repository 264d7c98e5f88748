"""What the first screen can say: one sentence for each way that an interval can lie."""

from typing import Literal

from seednb.evaluation.stats import Direction

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
        "That is more than caution: the base model held to as many mentions hallucinates more",
    ),
    "unresolved": (
        "not distinguishable from mentioning less",
        "Its captions are not distinguishable from those of the base model mentioning less",
    ),
    "opposite": (
        "worse than mentioning less",
        "The base model held to as many mentions hallucinates less than it",
    ),
    "missing": ("not run", "The control that only mentions less has not been run"),
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
        "present from absent objects better",
    ),
    ("up", "flat"): (
        "unresolved",
        "more than a moved threshold, no better ranking",
        "On POPE it is more accurate than a re-fitted threshold, but does not measurably tell "
        "present from absent objects better",
    ),
    ("flat", "up"): (
        "unresolved",
        "better ranking, no better answers",
        "On POPE it tells present from absent objects better, but a re-fitted threshold answers "
        "about as accurately",
    ),
    ("flat", "flat"): (
        "unresolved",
        "not distinguishable from a moved threshold",
        "On POPE it is not distinguishable from the base model with a moved threshold",
    ),
    ("down", "flat"): (
        "opposite",
        "only a moved threshold",
        "On POPE its gain is only a moved threshold: the base model with a re-fitted one "
        "gains more",
    ),
    ("flat", "down"): (
        "opposite",
        "seeing worse",
        "On POPE it tells present from absent objects worse than the base model",
    ),
    ("down", "down"): (
        "opposite",
        "seeing worse",
        "On POPE it tells present from absent objects worse than the base model, and re-fitting "
        "the base model’s threshold is more accurate",
    ),
    ("up", "down"): (
        "unresolved",
        "mixed: better answers, worse ranking",
        "On POPE it is more accurate than a re-fitted threshold, but tells present from absent "
        "objects worse",
    ),
    ("down", "up"): (
        "unresolved",
        "mixed: better ranking, worse answers",
        "On POPE it tells present from absent objects better, but a re-fitted threshold is more "
        "accurate",
    ),
}
