"""AMBER (Wang et al., 2023): descriptions and yes/no answers scored without a language model.

Generative: CHAIR (unsafe nouns / nouns), Cover (truth words named / truth words), Hal (descriptions
with an unsafe noun) and Cog (hallucination targets named / targets). Discriminative: the positive
class is "no", so precision is right no / said no and recall right no / gold no; only "Yes" and
"No" to the letter are answers. Every denominator starts at .001, as in the official script; `printed` holds
its own output.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from seednb.errors import SeedError
from seednb.metrics.amber_words import Similarity, WordLists, count_description
from seednb.metrics.records import Row, coverage, pair_by_id
from seednb.metrics.sums import Statistic, summed
from seednb.stats import Array

PART_OF = {  # type in annotations.json -> part; relation is written both ways there
    "generative": "generative",
    "discriminative-hallucination": "existence",
    "discriminative-attribute-state": "state",
    "discriminative-attribute-number": "number",
    "discriminative-attribute-action": "action",
    "discriminative-relation": "relation",
    "relation": "relation",
}
ATTRIBUTES = ("state", "number", "action")
DISCRIMINATIVE = ("existence", *ATTRIBUTES, "relation")
PARTS = {  # what can be asked for -> the parts that it holds
    "all": ("generative", *DISCRIMINATIVE),
    "generative": ("generative",),
    "discriminative": DISCRIMINATIVE,
    "existence": ("existence",),
    "attribute": ATTRIBUTES,
    "relation": ("relation",),
}
GROUPS = {"discriminative": DISCRIMINATIVE, "attribute": ATTRIBUTES} | {
    name: (name,) for name in DISCRIMINATIVE
}
YES_NO = ("Yes", "No")
JUDGED = ("n", "n_right", "n_gold_no", "n_said_no", "n_right_no", "n_unclear")
START = 0.001  # of every denominator, so that none is 0


def score(
    annotations: Sequence[Row],
    answers: Sequence[Row],
    lists: WordLists,
    similarity: Similarity,
    part: str = "all",
    allow_partial: bool = False,
) -> dict[str, Any]:
    """Counts and figures of one part, or of all.

    Answers are `id` and `response`; those to other parts are left out, as the official script
    does. `printed` holds the percentages that it prints: it rounds precision and recall before F1,
    the other figures here are not rounded. Raises SeedError for ids that do not fit, unknown parts
    and types, and answers without text.
    """
    if part not in PARTS:
        raise SeedError(f"AMBER part {part!r} is unknown; use one of {', '.join(PARTS)}")
    part_of = {str(row.get("id")): _part_of(row) for row in annotations}
    wanted = [row for row in annotations if _part_of(row) in PARTS[part]]
    # an id that no annotation has stays, so that it is named
    given = [row for row in answers if part_of.get(str(row.get("id"))) in (None, *PARTS[part])]
    pairs = pair_by_id(wanted, given, allow_partial, key="id")
    scores: dict[str, Any] = {"part": part, **coverage(len(wanted), len(pairs))}
    described = [(row, _response(answer)) for row, answer in pairs if _part_of(row) == "generative"]
    if described:
        scores["generative"] = _generative(described, lists, similarity)
    judged = [(row, _response(answer)) for row, answer in pairs if _part_of(row) != "generative"]
    for name, parts in GROUPS.items():
        if set(parts) <= set(PARTS[part]):
            rows = [(row, text) for row, text in judged if _part_of(row) in parts]
            if rows:
                scores[name] = _discriminative(name, rows)
    return scores


def description_sums(
    annotations: Sequence[Row],
    answers: Sequence[Row],
    lists: WordLists,
    similarity: Similarity,
    image_of: Mapping[str, str],
) -> pd.DataFrame:
    """Counts of each picture's descriptions; `image_of` names the picture of each id."""
    wanted = [row for row in annotations if _part_of(row) == "generative"]
    ids = {str(row["id"]) for row in wanted}
    pairs = pair_by_id(wanted, [row for row in answers if str(row.get("id")) in ids], key="id")
    counts = [
        count_description(_response(answer), row, lists, similarity) | {"n": 1}
        for row, answer in pairs
    ]
    return summed(counts, [image_of[str(row["id"])] for row, _ in pairs])


def judgement_sums(
    annotations: Sequence[Row], answers: Sequence[Row], group: str, image_of: Mapping[str, str]
) -> pd.DataFrame:
    """Counts of each picture's yes/no answers in one of `GROUPS`."""
    wanted = [row for row in annotations if _part_of(row) in GROUPS[group]]
    ids = {str(row["id"]) for row in wanted}
    pairs = pair_by_id(wanted, [row for row in answers if str(row.get("id")) in ids], key="id")
    counts = [_judgement(_gold(row), _response(answer)) for row, answer in pairs]
    return summed(counts, [image_of[str(row["id"])] for row, _ in pairs])


def description_statistics(columns: Sequence[str]) -> dict[str, Statistic]:
    """The generative figures of summed counts, with the official script's denominators."""

    def share(part: str, whole: str) -> Statistic:
        top, bottom = columns.index(part), columns.index(whole)
        return lambda sums: sums[..., top] / (sums[..., bottom] + START)

    clean = share("n_clean", "n")
    return {
        "CHAIR": share("n_unsafe", "n_nouns"),
        "Cover": share("n_covered", "n_truth"),
        "Hal": lambda sums: 1 - clean(sums),
        "Cog": share("n_hit", "n_targets"),
    }


def judgement_statistics(columns: Sequence[str], group: str) -> dict[str, Statistic]:
    """The yes/no figures of summed counts, with the official script's denominators."""

    def figure(name: str, sums: Array) -> Array:
        counts = {count: sums[..., columns.index(count)] for count in JUDGED}
        return np.asarray(_judgement_figures(counts, group)[name])

    return {name: partial(figure, name) for name in ("accuracy", "precision", "recall", "f1")}


def _judgement(gold: str, said: str) -> dict[str, int]:
    right = gold == said
    values = (1, right, gold == "No", said == "No", right and gold == "No", said not in YES_NO)
    return {name: int(value) for name, value in zip(JUDGED, values, strict=True)}


def _judgement_figures(counts: Mapping[str, Any], group: str) -> dict[str, Any]:
    # the script adds up the three attributes' denominators, and has its own start for each F1
    start = START * len(ATTRIBUTES) if group == "attribute" else START
    figures = {
        "accuracy": counts["n_right"] / (counts["n"] + start),
        "precision": counts["n_right_no"] / (counts["n_said_no"] + start),
        "recall": counts["n_right_no"] / (counts["n_gold_no"] + start),
    }
    return figures | {"f1": _f1(figures["precision"], figures["recall"], _f1_start(group))}


def _f1_start(group: str) -> float:
    return 0.001 if group == "existence" else 0.0001


def _generative(
    described: Sequence[tuple[Row, str]], lists: WordLists, similarity: Similarity
) -> dict[str, Any]:
    rows = [count_description(text, row, lists, similarity) for row, text in described]
    total = {name: sum(row[name] for row in rows) for name in rows[0]}
    figures = {
        "CHAIR": total["n_unsafe"] / (total["n_nouns"] + START),
        "Cover": total["n_covered"] / (total["n_truth"] + START),
        "Hal": 1 - total["n_clean"] / (len(rows) + START),
        "Cog": total["n_hit"] / (total["n_targets"] + START),
    }
    printed = _percent(figures)
    return {"n": len(rows), **total, **figures, "printed": printed}


def _discriminative(name: str, rows: Sequence[tuple[Row, str]]) -> dict[str, Any]:
    judged = [_judgement(_gold(row), text) for row, text in rows]
    counts = {count: sum(one[count] for one in judged) for count in JUDGED}
    figures = _judgement_figures(counts, name)
    printed = _percent({key: figures[key] for key in ("accuracy", "precision", "recall")})
    f1 = _f1(printed["precision"] / 100, printed["recall"] / 100, _f1_start(name))
    printed["f1"] = round(f1 * 100, 1)
    return {**counts, **figures, "printed": printed}


def _percent(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(value * 100, 1) for name, value in figures.items()}


def _f1(precision: Any, recall: Any, start: float) -> Any:
    return 2 * precision * recall / (precision + recall + start)


def _part_of(annotation: Row) -> str:
    kind = annotation.get("type")
    if not isinstance(kind, str) or kind not in PART_OF:
        raise SeedError(
            f"AMBER annotation {annotation.get('id')}: type {kind!r} is unknown; use the "
            "repository's data/annotations.json"
        )
    return PART_OF[kind]


def _gold(annotation: Row) -> str:
    label = annotation.get("truth")
    if label not in ("yes", "no"):
        raise SeedError(
            f"AMBER annotation {annotation.get('id')}: truth {label!r} must be yes or no; use the "
            "repository's data/annotations.json"
        )
    return str(label).capitalize()


def _response(answer: Row) -> str:
    text = answer.get("response")
    if not isinstance(text, str):
        raise SeedError(f"AMBER answer {answer.get('id')} has no text 'response'; add it")
    return text
