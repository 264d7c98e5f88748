"""POPE (Li et al., EMNLP 2023): yes/no questions about objects, scored on the counts of answers.

Yes is the positive class. Counts are summed over rows, then images; every figure is a function of
summed counts, so `seednb.stats` can resample images.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from seednb.errors import SeedError
from seednb.metrics.answers import PARSERS, parse_answer, parser_named
from seednb.metrics.probes import build_probes
from seednb.metrics.records import Row, join_answers, list_ids
from seednb.stats import Array, ratio

__all__ = [
    "COUNTS",
    "STATISTICS",
    "build_probes",
    "disagreements",
    "join_answers",
    "outcomes",
    "parse_answer",
    "parser_named",
    "parser_table",
    "per_image_sums",
    "score",
]

COUNTS = ("TP", "FP", "TN", "FN", "unclear", "n")


def outcomes(records: pd.DataFrame, parser: str) -> pd.DataFrame:
    """One row a record, columns `COUNTS` of 0 and 1, index as the records'.

    `records` holds `label` and `answer`. An unclear answer is always wrong (it is in n), and what
    else it counts as follows the evaluator: a missed yes (FN) for vlmevalkit and strict, nothing
    for lmms-eval. vcd's rule needs the label, see `parse_answer`: a right answer is what contains
    its label, so "yes ... no" is right for both labels and "" is wrong for both.
    """
    asks_yes = _labels(records) == "yes"
    verdict = records["answer"].map(parser_named(parser))
    says_yes, says_no = verdict == "yes", verdict == "no"
    if parser == "vcd":
        lowered = records["answer"].str.lower()
        right = lowered.str.contains("yes").where(asks_yes, lowered.str.contains("no"))
        says_yes, says_no = asks_yes == right, asks_yes != right
    denies = says_no if parser == "lmms-eval" else ~says_yes
    columns = {
        "TP": asks_yes & says_yes,
        "FP": ~asks_yes & says_yes,
        "TN": ~asks_yes & says_no,
        "FN": asks_yes & denies,
        "unclear": verdict == "unclear",
        "n": pd.Series(True, records.index),
    }
    return pd.DataFrame(columns, dtype=int)


def per_image_sums(records: pd.DataFrame, parser: str = "official") -> pd.DataFrame:
    """`COUNTS` summed over each image's records; index `image`, sorted, for `seednb.stats`."""
    return outcomes(records, parser).groupby(records["image"]).sum()


def accuracy(sums: Array) -> Array:
    """(TP + TN) / n."""
    count = _by_name(sums)
    return ratio(count["TP"] + count["TN"], count["n"])


def precision(sums: Array) -> Array:
    """TP / (TP + FP)."""
    count = _by_name(sums)
    return ratio(count["TP"], count["TP"] + count["FP"])


def recall(sums: Array) -> Array:
    """TP / (TP + FN)."""
    count = _by_name(sums)
    return ratio(count["TP"], count["TP"] + count["FN"])


def f1(sums: Array) -> Array:
    """2 TP / (2 TP + FP + FN), the harmonic mean of precision and recall."""
    count = _by_name(sums)
    return ratio(2 * count["TP"], 2 * count["TP"] + count["FP"] + count["FN"])


def yes_ratio(sums: Array) -> Array:
    """Answers read as yes / n (lmms-eval's own `pope_yes_ratio` counts labels instead)."""
    count = _by_name(sums)
    return ratio(count["TP"] + count["FP"], count["n"])


STATISTICS: dict[str, Callable[[Array], Array]] = {
    "accuracy": accuracy,
    "precision": precision,
    "recall": recall,
    "f1": f1,
    "yes_ratio": yes_ratio,
}


def score(
    questions: Sequence[Row], answers: Sequence[Row], parser: str, allow_partial: bool = False
) -> dict[str, Any]:
    """Integer counts and ratios of an answer file against its questions."""
    records = join_answers(questions, answers, allow_partial)
    sums = outcomes(records, parser).sum()
    counts = {name: int(sums[name]) for name in COUNTS}
    figures = {name: float(f(sums.to_numpy(float))) for name, f in STATISTICS.items()}
    return {"parser": parser, **counts, **figures}


def parser_table(records: pd.DataFrame) -> pd.DataFrame:
    """One row a parser: what the same answers score under each evaluator's rule."""
    rows = []
    for parser in PARSERS:
        sums = outcomes(records, parser).sum()
        figures = {name: float(f(sums.to_numpy(float))) for name, f in STATISTICS.items()}
        rows.append({"parser": parser, **figures, "unclear": int(sums["unclear"])})
    return pd.DataFrame(rows)


def disagreements(records: pd.DataFrame) -> pd.DataFrame:
    """The records whose answer is not the same to all parsers, with each one's verdict.

    vcd's column shows what the text alone says; its score looks at the label, see `outcomes`.
    """
    verdicts = pd.DataFrame({name: records["answer"].map(read) for name, read in PARSERS.items()})
    differ = verdicts.nunique(axis=1) > 1
    shown = [name for name in ("question_id", "label", "answer") if name in records]
    return records.loc[differ, shown].join(verdicts[differ])


def _labels(records: pd.DataFrame) -> pd.Series:
    missing = [name for name in ("label", "answer") if name not in records]
    if missing:
        raise SeedError(f"POPE records have no {' and no '.join(missing)}; check the question file")
    labels = records["label"].astype(str).str.strip().str.lower()
    odd = records[~labels.isin(["yes", "no"])]
    if len(odd):
        ids = list_ids(odd.get("question_id", odd.index.to_series()))
        raise SeedError(f"POPE labels must be yes or no; see question_id {ids}")
    return labels


def _by_name(sums: Array) -> dict[str, Array]:
    return dict(zip(COUNTS, np.moveaxis(np.asarray(sums, float), -1, 0), strict=True))
