"""Laws of the checks: one example that each accepts, one that it rejects, and what holds for any."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seednb.report.claims.costs import lora_parameters
from seednb.report.claims.figures import read_figure
from seednb.report.claims.registry import CHECKS, run_check

LEVELS = ["1.1", "0.8", "0.6", "0.4"]
# Each check with arguments that it must accept and arguments that it must reject.
CASES = {
    "difference": (
        {"before": "93.7", "after": "94.1", "printed": "0.4"},
        {"before": "47.2", "after": "45.8", "printed": "-1.5"},
    ),
    "product": (
        {"times": ["4", "80"], "over": ["32"], "printed": "10"},
        {"times": ["200", "6"], "printed": "1201"},
    ),
    "weighted_sum": (
        {"weights": ["0.7", "0.3"], "parts": ["1.31", "5.98"], "printed": "2.71"},
        {"weights": ["0.7", "0.3"], "parts": ["1.27", "4.8"], "printed": "2.40"},
    ),
    "weighted_range": (
        {"weights": ["0.5"], "lows": ["2"], "highs": ["4"], "low": "1.0", "high": "2.0"},
        {"weights": ["0.5"], "lows": ["2"], "highs": ["4"], "low": "1.0", "high": "3.0"},
    ),
    "total": (
        {"parts": ["0.1", "0.2"], "low": "0.3", "high": "0.3"},
        {"parts": ["14", "6"], "low": "28", "high": "30"},
    ),
    "within": (
        {"values": ["1.0", "1.5"], "low": "1.0", "high": "1.5"},
        {"values": ["1.0", "1.6"], "low": "1.0", "high": "1.5"},
    ),
    "falling": ({"values": ["3", "2", "2"]}, {"values": ["3", "2", "2.1"]}),
    "same_figure": (
        {"figures": {"here": "5.98", "there": "5.9839"}},
        {"figures": {"here": "6", "there": "8"}},
    ),
    "signal_kept": ({"alpha": "0.3", "printed": "55"}, {"alpha": "0.3", "printed": "30"}),
    "signal_to_noise": (
        {"alpha": "0.5", "low_db": "-0.1", "high_db": "0.1"},
        {"alpha": "0.3", "low_db": "-3", "high_db": "3"},
    ),
    "duration": (
        {"samples": "49200", "per_second": "1.9", "printed": "7.3"},
        {"samples": "49200", "per_second": "1.9", "printed": "7.5"},
    ),
    "precision_recall": (
        {"precision": "80.0", "recall": "80.0", "metric": "yes_ratio", "printed": "50.0"},
        {"precision": "92.8", "recall": "87.1", "metric": "f1", "printed": "92.3"},
    ),
    "accuracy_yes_ratio": (
        {"accuracy": "90.0", "yes_ratio": "50.0", "printed": "90.0"},
        {"accuracy": "93.7", "yes_ratio": "51.3", "printed": "87.1"},
    ),
    "whole_count": ({"printed": "89.3", "n": 600}, {"printed": "42.1", "n": 100}),
    "closer_to_half": (
        {"before": "51.3", "after": "50.8"},
        {"before": "51.3", "after": "48.6"},
    ),
    "chair_pair": (
        {"chair_i": "12.7", "chair_s": "44.8"},
        {"chair_i": "47.2", "chair_s": "42.1"},
    ),
    "resolves": (
        {"difference": "5.0", "rate": "90.0", "n": 1200},
        {"difference": "0.4", "rate": "93.7", "n": 1200},
    ),
    "resolves_measured": (
        {"difference": "1.5", "half_width": "3.55", "measured_n": 100, "n": 600},
        {"difference": "1.5", "half_width": "3.55", "measured_n": 100, "n": 500},
    ),
    "same_label": ({"labels": {"a": "x", "b": "x"}}, {"labels": {"a": "x", "b": "y"}}),
    "only_change": (
        {"first": {"t": "1", "w": "2"}, "second": {"t": "2", "w": "2"}, "blamed": "t"},
        {"first": {"t": "1", "w": "2"}, "second": {"t": "2", "w": "3"}, "blamed": "t"},
    ),
    "all_reported": (
        {"searched": ["1", "2"], "reported": ["2", "1"]},
        {"searched": ["1", "2"], "reported": ["2"]},
    ),
    "best_of": (
        {"results": {"a": "-1.8", "b": "-1.7"}, "chosen": "a"},
        {"results": {"a": "-1.8", "b": "-1.7"}, "chosen": "b"},
    ),
    "lora_count": (
        {"rank": 64, "scope": "all", "printed": "~76"},
        {"rank": 64, "scope": "language_model", "printed": "~76"},
    ),
    "lora_share": (
        {"rank": 64, "scope": "all", "printed": "~1.1"},
        {"rank": 128, "scope": "all", "printed": "~1.1"},
    ),
    "model_memory": ({"bytes_each": 2, "printed": "~14"}, {"bytes_each": 4, "printed": "~14"}),
    "adapter_size": (
        {"rank": 64, "printed": "306", "unit": "MB"},
        {"rank": 64, "printed": "~320", "unit": "MB"},
    ),
    "step_cost": (
        {"teacher_forwards": 2, "printed": "2"},
        {"teacher_forwards": 2, "printed": "3"},
    ),
    "log_space_purification": (
        {"beta": "0.7", "rows": 4, "vocabulary": 50, "claimed": "same"},
        {"beta": "0.7", "rows": 4, "vocabulary": 50, "claimed": "different"},
    ),
    "kl_argument_order": ({"claimed": "reverse"}, {"claimed": "forward"}),
    "beta_rule": (
        {"values": LEVELS, "quantiles": ["0.25", "0.50", "0.75"]},
        {"values": LEVELS[::-1], "quantiles": ["0.25", "0.50", "0.75"]},
    ),
    "history_by_batch": (
        {"batch_sizes": [1, 7], "window": 100, "claimed": "same", "n": 300},
        {"batch_sizes": [1, 7], "window": 100, "claimed": "differ", "n": 300},
    ),
    "continuous_beta": (
        {"beta_max": "1.1", "levels": ["1.1", "0.8", "0.6"]},
        {"beta_max": "1.1", "levels": LEVELS},
    ),
    "level_or_mean": (
        {"printed": "0.65", "levels": LEVELS, "n": 8},
        {"printed": "0.65", "levels": LEVELS, "n": 1},
    ),
    "temperature_effect": (
        {"cases": {"unsure": ["1", "0.5"]}, "beta": "0.7", "temperatures": ["1", "2"]},
        {"cases": {"sure": ["10", "8"]}, "beta": "0.7", "temperatures": ["1", "2"]},
    ),
}


def test_every_check_has_an_example_of_both_outcomes():
    assert CASES.keys() == CHECKS.keys()


@pytest.mark.parametrize("name", CASES)
def test_check_accepts_the_consistent_example_and_rejects_the_other(name):
    accepted, rejected = (run_check(name, arguments) for arguments in CASES[name])
    assert accepted.consistent, accepted.evidence
    assert not rejected.consistent, rejected.evidence
    assert accepted.evidence and rejected.evidence


def test_every_check_is_used_by_the_ledger(ledger):
    assert {claim.check for claim in ledger if claim.check} == CHECKS.keys()


@pytest.mark.parametrize(
    ("text", "tolerance"),
    [
        ("2.40", 0.005),
        ("2.4", 0.05),
        ("76", 0.5),
        ("~76", 1),
        ("~320", 10),
        ("~0.3", 0.1),
        ("~0", 1),
    ],
)
def test_tolerance_is_half_a_unit_of_the_last_digit_and_a_whole_one_for_about(text, tolerance):
    assert math.isclose(read_figure(text).tolerance, tolerance)


@pytest.mark.parametrize("bad", [2.4, 3, "many", "nan", "inf", ""])
def test_figure_without_printed_digits_is_refused(bad):
    with pytest.raises(ValueError, match="figure"):
        read_figure(bad)


@settings(max_examples=200, deadline=None)
@given(hits=st.integers(60, 600), false_alarms=st.integers(0, 600))
def test_metrics_of_a_real_confusion_matrix_agree_with_its_precision_and_recall(hits, false_alarms):
    precision, recall = 100 * hits / (hits + false_alarms), 100 * hits / 600
    truth = {
        "f1": 2 * precision * recall / (precision + recall),
        "accuracy": 100 * (hits + 600 - false_alarms) / 1200,
        "yes_ratio": 100 * (hits + false_alarms) / 1200,
    }
    for metric, value in truth.items():
        arguments = {"precision": f"{precision:.12f}", "recall": f"{recall:.12f}", "metric": metric}
        assert run_check("precision_recall", arguments | {"printed": f"{value:.2f}"}).consistent
        off = f"{value + 0.5:.2f}"
        assert not run_check("precision_recall", arguments | {"printed": off}).consistent
    arguments = {k: f"{truth[k]:.12f}" for k in ("accuracy", "yes_ratio")}
    assert run_check("accuracy_yes_ratio", arguments | {"printed": f"{recall:.2f}"}).consistent


@settings(max_examples=200, deadline=None)
@given(n=st.integers(1, 3000), data=st.data())
def test_every_share_of_whole_numbers_passes_the_count_check(n, data):
    k = data.draw(st.integers(0, n))
    assert run_check("whole_count", {"printed": f"{100 * k / n:.1f}", "n": n}).consistent


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 4), min_size=20, max_size=60).filter(lambda c: 0 < sum(c) < 4 * len(c))
)
def test_captions_of_equal_length_never_have_chairi_above_chairs(invented):
    chair_i = 100 * sum(invented) / (4 * len(invented))
    chair_s = 100 * sum(n > 0 for n in invented) / len(invented)
    if chair_s == 100:
        return
    arguments = {"chair_i": f"{chair_i:.6f}", "chair_s": f"{chair_s + 1e-5:.6f}"}
    assert run_check("chair_pair", arguments).consistent


def test_longer_hallucinating_captions_reach_the_printed_ratio():
    ratio = 0.472 * 0.579 / (0.421 * 0.528)
    flagged, others = 421 * ratio, 579
    assert math.isclose(flagged / (flagged + others), 0.472)
    evidence = run_check("chair_pair", {"chair_i": "47.2", "chair_s": "42.1"}).evidence
    assert f"{ratio:.2f} times" in evidence


def test_resolved_and_unresolved_are_opposite_claims():
    for change in ("0.4", "5.0"):
        arguments = {"difference": change, "rate": "93.7", "n": 1200}
        outcomes = [run_check("resolves", arguments | {"resolved": x}) for x in (True, False)]
        assert outcomes[0].consistent != outcomes[1].consistent


def test_rounding_of_both_inputs_is_disclosed_where_it_could_explain_a_difference():
    near = run_check("difference", {"before": "47.2", "after": "45.8", "printed": "-1.5"})
    far = run_check("difference", {"before": "47.2", "after": "45.8", "printed": "-1.6"})
    assert "rounded after" in near.evidence
    assert "rounded after" not in far.evidence


def test_adapter_counts_of_llava_are_those_of_its_dimensions():
    assert lora_parameters(64) == {"all": 76_546_048, "language_model": 67_108_864}
