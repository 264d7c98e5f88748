"""Each rule of the monitor speaks on its own failure, and on no healthy run."""

import math

import numpy as np
import pytest
from curves import FAILURES, SETTINGS, STEP, WAVE, N, curve

from seednb.core.errors import SeedError
from seednb.training import monitor
from seednb.training.monitor.bands import Band
from seednb.training.monitor.rows import supervised_share, supervised_weight
from seednb.training.monitor.seen import Settings

FOLLOWS = {  # what a failure cannot help but bring about
    "labels misaligned": {"outside its healthy band"},
    "supervised loss rises": {"outside its healthy band"},
}


def named(findings):
    return {finding.failure for finding in findings}


def test_a_healthy_run_is_left_alone():
    assert monitor.check(curve(), SETTINGS) == []
    assert monitor.as_frame([])["failure"].to_list() == ["none"]


@pytest.mark.parametrize(("failure", "changes"), FAILURES.items(), ids=FAILURES)
def test_a_failure_is_named_with_evidence_and_fix(failure, changes):
    findings = monitor.check(curve(**changes), SETTINGS)
    assert findings[0].failure == failure
    assert named(findings[1:]) <= FOLLOWS.get(failure, set())
    assert findings[0].evidence and findings[0].fix and findings[0].step >= 1


def test_findings_are_told_in_sentences_and_silence_is_told_too():
    assert monitor.in_words([]) == ["Every rule of the monitor is silent."]
    (finding,) = monitor.check(curve(**FAILURES["loss not finite"]), SETTINGS)
    (said,) = monitor.in_words([finding])
    assert said.startswith("**loss not finite** at step 31: ") and finding.fix in said


def test_every_rule_is_exercised():
    assert len(FAILURES) == len(monitor.RULES)


@pytest.mark.parametrize(("failure", "changes"), FAILURES.items(), ids=FAILURES)
def test_what_is_said_live_is_what_is_said_afterwards(failure, changes, tmp_path):
    rows = curve(**changes).to_dict("records")
    said = []
    with monitor.Watch(tmp_path, SETTINGS, say=said.append) as watch:
        for n in range(1, N + 1):
            watch(rows[:n])
    afterwards = monitor.check(curve(**changes), SETTINGS)
    assert watch.findings == afterwards and len(said) == len(afterwards)
    assert all(said[n].startswith(f"monitor: {f.failure}") for n, f in enumerate(afterwards))


def test_the_first_bad_step_is_given():
    (finding,) = monitor.check(curve(**FAILURES["loss not finite"]), SETTINGS)
    assert finding.step == 31


def test_a_gradient_that_is_not_a_number_is_a_loss_that_is_none():
    (finding,) = monitor.check(curve(gradient_norm=np.where(STEP == 7, np.nan, 0.5)), SETTINGS)
    assert (finding.failure, finding.step) == ("loss not finite", 7)


def test_supervision_alone_misses_no_distillation():
    without = curve(weight=0.0, distillation=0.0, beta=0.0, beta_low=0.0, beta_high=0.0)
    without = without.drop(columns=["contrast", "probed", "direction"])
    assert monitor.check(without.assign(history=0, confidence=0.0), SETTINGS) == []


def test_distillation_alone_is_no_suppressed_supervision():
    assert monitor.check(curve(weight=1.0), SETTINGS) == []


@pytest.mark.parametrize("weight", [0.5, 0.7, 0.85, 0.97])
def test_the_share_of_the_labels_is_what_they_add_to_the_loss(weight):
    frame = curve(weight)
    share = ((1 - weight) * frame["supervision"]).mean() / frame["loss"].mean()
    assert supervised_share(frame.to_dict("records")) == pytest.approx(share, abs=1e-9)


def test_a_small_weight_that_leaves_the_labels_a_good_share_is_no_failure():
    """v6's weight, on losses of the size that the reproduction logged."""
    log = {"distillation": 1.3 + 0.01 * WAVE, "probed": 1.3, "contrast": 1.3, "supervision": 5.0}
    settings = Settings(bands={"supervision_weight": Band(0.3, 0.3)})
    assert monitor.check(curve(0.85, **log), settings) == []
    (finding,) = monitor.check(curve(0.97, **log), settings)
    assert finding.failure == "supervision suppressed by the weight"
    assert "11% of the loss, at a weight of 0.03" in finding.evidence


def test_a_curve_of_an_older_version_is_checked_by_what_it_has():
    older = curve(nan_count=1)[["step", "loss", "distillation", "supervision", "nan_count"]]
    assert named(monitor.check(older)) == {"loss not finite"}


@pytest.mark.parametrize("weight", [0.5, 0.7, 0.85])
def test_the_weight_of_the_labels_is_recovered_from_the_losses(weight):
    rows = curve(weight).to_dict("records")
    assert supervised_weight(rows) == pytest.approx(1 - weight, abs=1e-9)


def test_bands_hold_the_lowest_and_the_highest_mean_and_come_back_from_their_file(tmp_path):
    bands = monitor.calibrate([curve(), curve(gradient_norm=2.0)])
    assert (bands["gradient_norm"].low, bands["gradient_norm"].high) == (0.5, 2.0)
    assert bands["start_supervision"].high == pytest.approx(curve()["supervision"][:8].mean())
    monitor.write_bands(tmp_path / "bands.yaml", bands, "made by\na test")
    read = monitor.read_bands(tmp_path / "bands.yaml")
    assert (tmp_path / "bands.yaml").read_text().startswith("# made by\n# a test\n")
    for name, band in bands.items():
        assert read[name].low == pytest.approx(band.low, rel=1e-3)


@pytest.mark.parametrize("text", ["loss", "loss: 3", "loss: [1, 2, 3]", "loss: [a, b]", "[1"])
def test_a_file_that_holds_no_bands_is_named(tmp_path, text):
    (tmp_path / "bands.yaml").write_text(text)
    with pytest.raises(SeedError, match=r"bands\.yaml holds no healthy bands"):
        monitor.read_bands(tmp_path / "bands.yaml")
    with pytest.raises(SeedError, match="holds no healthy bands"):
        monitor.read_bands(tmp_path / "absent.yaml")


def test_too_short_a_run_calibrates_nothing():
    with pytest.raises(SeedError, match="at least 8 steps"):
        monitor.calibrate([curve().head(7)])


def test_the_seeds_own_log_is_healthy_by_the_seeds_own_bands():
    from pathlib import Path

    file = Path(__file__).parents[3] / "seednb/assets/bands/llava-1.5-7b.yaml"
    settings = Settings(bands=monitor.read_bands(file), uniform_loss=math.log(32064))
    distillation, supervision = np.linspace(1.31, 1.27, N), np.linspace(5.98, 4.8, N)
    log = {"distillation": distillation, "supervision": supervision, "confidence": -1.42}
    log |= {"probed": distillation, "contrast": 1.3}
    assert monitor.check(curve(**log), settings) == []
    broken = curve(**log | {"distillation": np.full(N, 0.05)}).drop(columns=["contrast", "probed"])
    assert named(monitor.check(broken, settings)) == {"distillation signal too weak"}
    assert settings.bands["loss"] == Band(1.5, 3.0)
