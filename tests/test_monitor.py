"""Each rule of the monitor speaks on its own failure, and on no healthy run."""

import numpy as np
import pandas as pd
import pytest

from seednb import monitor

N = 40


def curve(**changes):
    """A healthy curve, with some columns replaced."""
    step = np.arange(1, N + 1)
    healthy = {
        "step": step,
        "distillation": 0.3 + 0.01 * np.sin(step),
        "supervision": np.linspace(1.2, 0.8, N),
        "beta": 0.7 + 0.1 * np.sin(step),
        "gradient_norm": np.full(N, 0.5),
        "nan_count": np.zeros(N, int),
    }
    return pd.DataFrame(healthy | changes)


FAILURES = {
    "loss not finite": {"nan_count": np.r_[np.zeros(30, int), np.full(10, 2)]},
    "distillation signal absent": {"beta": 0.0},
    "beta stuck": {"beta": 0.7},
    "gradient is zero": {"gradient_norm": 0.0},
    "supervised loss rises": {"supervision": np.linspace(0.8, 2.0, N)},
}


def test_a_healthy_run_is_left_alone():
    assert monitor.check(curve()) == []
    assert monitor.as_frame([])["failure"].to_list() == ["none"]


@pytest.mark.parametrize(("failure", "changes"), FAILURES.items(), ids=FAILURES)
def test_a_failure_is_named_alone_with_evidence_and_fix(failure, changes):
    (finding,) = monitor.check(curve(**changes))
    assert finding.failure == failure and finding.evidence and finding.fix


def test_the_first_bad_step_is_given():
    (finding,) = monitor.check(curve(**FAILURES["loss not finite"]))
    assert "2 losses" in finding.evidence and "step 31" in finding.evidence


def test_supervision_alone_is_no_missing_distillation():
    assert monitor.check(curve(distillation=0.0, beta=0.0)) == []


def test_every_rule_is_exercised():
    assert len(FAILURES) == len(monitor.RULES)
