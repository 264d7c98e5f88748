"""How intervals become verdicts, and which row settles which claim."""

import pandas as pd
import pytest

from seednb.report.claims import counts, settle
from seednb.report.claims.ledger import Query
from seednb.report.claims.verdicts import interval_verdict

V7_CHAIRI = {
    "model": "v7",
    "versus": "base",
    "benchmark": "chair",
    "split": None,
    "variant": "pocket",
    "metric": "CHAIRi",
    "value": -0.029,
    "low": -0.034,
    "high": -0.025,
    "n": 1500,
    "records": "chair.jsonl",
}


@pytest.mark.parametrize(
    ("low", "high", "expected", "verdict"),
    [
        (-2, -1, "lower", "supported"),
        (-2, 1, "lower", "not supported"),
        (1, 2, "lower", "opposite"),
        (1, 2, "higher", "supported"),
        (-2, 1, "higher", "not supported"),
        (-2, -1, "higher", "opposite"),
        (-2, 1, "zero", "not contradicted"),
        (1, 2, "zero", "not supported"),
        (-2, -1, "zero", "not supported"),
        (-2, 1, "not_lower", "not contradicted"),
        (1, 2, "not_lower", "supported"),
        (-2, -1, "not_lower", "opposite"),
        (-2, 1, "not_higher", "not contradicted"),
        (-2, -1, "not_higher", "supported"),
        (1, 2, "not_higher", "opposite"),
        (0, 1, "higher", "not supported"),
    ],
)
def test_interval_decides_the_verdict(low, high, expected, verdict):
    assert interval_verdict(low, high, expected) == verdict


def test_verdict_flips_with_the_sign_of_the_row(ledger):
    claim = [c for c in ledger if c.id == "v7-chairi"]
    raised = V7_CHAIRI | {"value": 0.029, "low": 0.025, "high": 0.034}
    unsure = V7_CHAIRI | {"low": -0.06, "high": 0.01}
    verdicts = [settle(claim, [row]).loc[0, "verdict"] for row in (V7_CHAIRI, raised, unsure)]
    assert verdicts == ["supported", "opposite", "not supported"]
    evidence = settle(claim, [V7_CHAIRI]).loc[0, "evidence"]
    assert "−2.9 points [−3.4, −2.5], n = 1500, pocket" in evidence


@pytest.mark.parametrize(
    "change",
    [
        {"versus": None},
        {"versus": "mention_control"},
        {"model": "v6"},
        {"metric": "CHAIRs"},
        {"split": "random"},
        {"benchmark": "pope"},
        {"low": None},
        {"high": float("nan")},
    ],
)
def test_row_of_another_comparison_or_without_interval_does_not_settle_a_claim(ledger, change):
    claim = [c for c in ledger if c.id == "v7-chairi"]
    assert settle(claim, [V7_CHAIRI | change]).loc[0, "verdict"] == "not run"


def test_variants_that_disagree_do_not_support_a_claim(ledger):
    claim = [c for c in ledger if c.id == "v7-chairi"]
    lemma = V7_CHAIRI | {"variant": "lemma"}
    assert settle(claim, [V7_CHAIRI, lemma]).loc[0, "verdict"] == "supported"
    frame = settle(claim, [V7_CHAIRI, lemma | {"high": 0.01}])
    assert frame.loc[0, "verdict"] == "not supported"
    assert "pocket" in frame.loc[0, "evidence"] and "lemma" in frame.loc[0, "evidence"]


def test_query_can_name_one_variant():
    assert Query("v7", "chair", "CHAIRi", "lower", variant="lemma").variant == "lemma"
    with pytest.raises(ValueError, match="expected 'less'"):
        Query("v7", "chair", "CHAIRi", "less")


def test_counts_of_a_settled_frame():
    frame = pd.DataFrame({"kind": ["a", "a", "b"], "verdict": ["x", "x", "y"]})
    assert counts(frame).values.tolist() == [["a", "x", 2], ["b", "y", 1]]
