"""A method's answer file beside its base model's: rows of the comparison, and how they are printed."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from seednb.benchmark_tables import difference_table, level_table
from seednb.comparing import (
    BASE,
    METHOD,
    check_same_rows,
    compare_captions,
    compare_probes,
    method_and_base,
)
from seednb.data.files import read_rows
from seednb.metrics.records import join_answers
from seednb.tables import as_text

Row = Mapping[str, Any]


def pope_rows(
    questions: Sequence[Row], answers: Sequence[Row], options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Rows of the method and the baseline on the questions that both answer."""
    baseline = read_rows(options.baseline)
    method, base = (
        join_answers(questions, rows, options.allow_partial) for rows in (answers, baseline)
    )
    if "question_id" in method:  # else joined line by line
        if options.allow_partial:
            both = set(method["question_id"]) & set(base["question_id"])
            method, base = (frame[frame["question_id"].isin(both)] for frame in (method, base))
        check_same_rows(method, base, "question_id")
    records = {METHOD: method, BASE: base}
    label = method_and_base("pope", options.parser, str(options.answers), str(options.baseline))
    return list(compare_probes(records, options.parser, label))


def chair_rows(
    captions: Sequence[dict[str, Any]], truth: Any, vocabulary: Any, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Rows of the method and the baseline, who captioned the same pictures."""
    baseline = read_rows(options.baseline)
    check_same_rows(pd.DataFrame(captions), pd.DataFrame(baseline), "image_id")
    both = {METHOD: captions, BASE: baseline}
    label = method_and_base("chair", options.variant, str(options.captions), str(options.baseline))
    how = (truth, vocabulary, options.variant, label, options.drop_unfinished)
    return list(compare_captions(both, *how))


def print_comparison(rows: Sequence[dict[str, Any]]) -> None:
    """Levels, then differences to the base and to each control."""
    print("\nlevels, in percent (mentions: a caption), with 95% intervals over pictures")
    print(as_text(level_table(rows)))
    controls = [row["versus"] for row in rows if row["model"] == METHOD]
    for versus in dict.fromkeys([BASE, *filter(None, controls)]):
        print(f"\nminus {versus}, in points")
        print(as_text(difference_table(rows, versus)))
    if rows[0]["benchmark"] == "pope" and not any(row["metric"] == "auc" for row in rows):
        print("\nno AUC and no re-fitted threshold: the answers have no margins")
