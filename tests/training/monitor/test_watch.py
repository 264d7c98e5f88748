"""Laws of the monitor beside a run: it warns or stops, keeps what is good, and changes nothing."""

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from curves import FAILURES, SETTINGS, curve
from small_runs import make_run

from seednb.cli.__main__ import main
from seednb.core.errors import SeedError
from seednb.core.files import write_frame
from seednb.core.profiles import load_params
from seednb.experiments.experiment import Experiment
from seednb.experiments.fault_injection import FAULTS, as_frame, run_fault
from seednb.method import losses
from seednb.method.recipes import RECIPES
from seednb.training import monitor, step
from seednb.training.history import CURVE, GROWING
from seednb.training.monitor.findings import FINDINGS
from seednb.training.monitor.samples import distinct_2, is_due, repeats
from seednb.training.monitor.seen import Settings

ROOT = Path(__file__).parents[3]
SMOKE = ROOT / "params/smoke.yaml"


@pytest.fixture
def params():
    return load_params(SMOKE, {"batch_size": 8, "grad_accum": 1, "precision": "float32"})


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


def lab(runs, **changes):
    small = {"n_train_images": 16, "n_val_images": 6, "batch_size": 8, "runs_dir": str(runs)}
    return Experiment.open(str(SMOKE), small | changes)


def test_a_healthy_run_is_watched_and_nothing_is_said(runs, capsys):
    training = lab(runs).train("v7")
    assert monitor.check_run(training.folder) == []
    assert not (training.folder / FINDINGS).exists()
    assert "monitor:" not in capsys.readouterr().out
    assert (training.curve["direction"].abs() < 1e-3).all()
    # one micro-batch a step: the monitor's own divergence is the one that is optimised
    ratio = training.curve["distillation"] / training.curve["probed"]
    assert np.allclose(ratio, 1, atol=0.05)


def test_samples_and_the_repeated_question_leave_the_adapter_as_it_is(params, tmp_path):
    settings = {"recipe": "v7", "dtype": torch.float32}
    params = replace(params, model=replace(params.model, lora_dropout=0.2))
    without, plain = make_run(params, tmp_path / "a", **settings, sample_every=0)
    watched, sampled = make_run(params, tmp_path / "b", **settings, sample_every=1)
    assert all(torch.equal(without[name], watched[name]) for name in without)
    assert list(plain["loss"]) == list(sampled["loss"])
    assert "repeats" not in plain and sampled["repeats"].notna().all()
    assert (sampled["teacher_shift"] == 0).all()


def test_a_stop_keeps_the_checkpoint_before_the_failure_and_the_run_goes_on_from_it(
    params, tmp_path
):
    settings = {"recipe": "v7", "dtype": torch.float32, "checkpoint_every": 1}
    whole, _ = make_run(params, tmp_path / "a", **settings)

    def stop_at_2(rows):
        if rows[-1]["step"] == 2:
            raise SeedError("enough")

    with pytest.raises(SeedError, match="enough"):
        make_run(params, tmp_path / "b", **settings, watch=stop_at_2)
    assert json.loads((tmp_path / "b/checkpoint/latest.json").read_text())["step"] == 1
    again, rows = make_run(params, tmp_path / "b", **settings)
    assert list(rows["step"]) == [1, 2, 3]
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_a_loss_that_is_not_a_number_stops_at_the_last_good_step(tmp_path, monkeypatch):
    seed_loss, calls = losses.seed_loss, []

    def broken_at_the_third(*given):
        calls.append(1)
        return seed_loss(*given) * (float("nan") if len(calls) == 3 else 1)

    monkeypatch.setattr(step, "seed_loss", broken_at_the_third)
    stopping = lab(tmp_path, monitor="stop")
    with pytest.raises(SeedError, match=r"loss not finite at step 3: .*checkpoint is kept"):
        stopping.train("v7")
    (folder,) = (tmp_path / "smoke").glob("train-v7-*")
    kept = json.loads((folder / "checkpoint/latest.json").read_text())
    assert kept["step"] == 3 and [row["step"] for row in kept["curve"]] == [1, 2]
    (finding,) = json.loads((folder / FINDINGS).read_text())
    assert (finding["failure"], finding["step"]) == ("loss not finite", 3)
    training = lab(tmp_path).train("v7")  # to warn instead of stopping is no other run
    assert training.folder == folder and training.curve["loss"].notna().all()
    assert training.curve["step"].iloc[-1] == training.curve["step"].max() > 3


def test_a_warning_is_one_line_and_the_run_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(step, "seed_loss", lambda *_: torch.tensor([float("nan")]) * _[1])
    with pytest.raises(SeedError, match="no finite loss"):
        lab(tmp_path).train("v5")
    assert capsys.readouterr().out.count("monitor: loss not finite") == 1


def test_off_watches_nothing(tmp_path):
    training = lab(tmp_path, monitor="off").train("v4")
    assert not (training.folder / "watched.json").exists()
    found = [finding.failure for finding in monitor.check_run(training.folder)]
    assert found == ["distillation signal absent", "KL direction swapped"]  # v4 has both


@pytest.mark.parametrize("interrupt", [signal.default_int_handler, signal.SIG_IGN])
def test_data_that_never_comes_stops_the_run_also_where_a_shell_ignores_ctrl_c(tmp_path, interrupt):
    said = []
    watch = monitor.Watch(tmp_path, Settings(stall_after_s=0.3), stops=True, say=said.append)
    started = time.perf_counter()
    before = signal.signal(signal.SIGINT, interrupt)
    try:
        with pytest.raises(SeedError, match="data loader stalled at step 0"), watch:
            time.sleep(30)
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.perf_counter() - started < 10 and len(said) == 1


def test_an_interruption_by_hand_is_no_stall(tmp_path):
    with pytest.raises(KeyboardInterrupt), monitor.Watch(tmp_path, Settings(), stops=True):
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    "name", ["sum, not mean", "no purify()", "cut image tokens", "forward KL", "shifted labels", "no gradient"]
)  # fmt: skip
def test_a_planted_fault_is_stopped_under_its_name(name, runs):
    fault = next(fault for fault in FAULTS if fault.name == name)
    run = run_fault(lab(runs), fault)
    assert run.finding is not None and run.finding.step <= 3
    assert len(run.curve) == run.finding.step < run.n_steps
    assert as_frame([run])["detected"].item()


def test_every_version_with_an_issue_and_every_row_of_debugging_has_its_fault():
    history = " ".join(fault.history for fault in FAULTS)
    for name in ("simple_train", "fixed_train", "v3", "final", "v4", "v6"):
        assert name in RECIPES and name in history
    rows = ("NaN explosion", "Repetition", "Dist stuck at 0.05", "DataLoader deadlock")
    rows += ("Image token mismatch", "CHAIR regression", "v4 silent bug")
    assert all(row.lower() in history.lower() for row in rows)
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) == 13
    assert all(fault.symptom and fault.mechanism and fault.failures for fault in FAULTS)


def test_text_that_repeats_is_told_from_text_that_does_not():
    assert repeats(range(20)) == 0 and distinct_2(range(20)) == 1
    assert repeats([7] * 20) > 0.9 and distinct_2([7] * 20) < 0.1
    assert repeats([]) == 0 and distinct_2([5]) == 1
    assert [n for n in range(1, 101) if is_due(n, 400, None)] == [1, 20, 40, 60, 80, 100]
    assert [n for n in range(1, 31) if is_due(n, 30, None)] == [1, 10, 20, 30]
    assert not any(is_due(n, 30, 0) for n in range(1, 31))


# --- seednb check ----------------------------------------------------------------------------


def kept(folder, rows):
    folder.mkdir(exist_ok=True)
    write_frame(folder / CURVE, rows)
    return str(folder)


def test_check_exits_0_on_a_healthy_run_and_1_on_another_with_one_line(tmp_path, capsys):
    well = kept(tmp_path / "well", curve())
    ill = kept(tmp_path / "ill", curve(**FAILURES["KL direction swapped"]))
    assert main(["check", well]) == 0
    assert "every rule is silent" in capsys.readouterr().out
    assert main(["check", well, ill]) == 1
    printed = capsys.readouterr()
    assert "divergence=reverse" in printed.out
    assert printed.err.startswith("seednb: 1 of 2 runs have findings (KL direction swapped)")
    assert printed.err.count("\n") == 1


def test_check_prints_json_and_calibrates_on_healthy_runs_alone(tmp_path, capsys):
    well = kept(tmp_path / "well", curve())
    ill = kept(tmp_path / "ill", curve(**FAILURES["beta stuck"]))
    weak = kept(tmp_path / "weak", curve(**FAILURES["distillation signal too weak"]))
    bands = str(tmp_path / "bands.yaml")
    assert main(["check", weak]) == 0
    assert main(["check", well, "--calibrate", bands]) == 0
    assert main(["check", ill, "--calibrate", bands]) == 1
    capsys.readouterr()
    assert main(["check", weak, "--bands", bands, "--json"]) == 1
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert finding["failure"] == "distillation signal too weak" and finding["step"] == 8


def test_check_reads_a_run_at_work_and_notices_that_it_stands_still(tmp_path, capsys):
    lines = [row.dropna().to_json() for _, row in curve().iterrows()]
    (tmp_path / GROWING).write_text("\n".join(lines) + "\n")
    assert main(["check", str(tmp_path)]) == 0
    old = time.time() - 2 * SETTINGS.stall_after_s
    os.utime(tmp_path / GROWING, (old, old))
    assert main(["check", str(tmp_path), "--follow"]) == 1
    assert "data loader stalled" in capsys.readouterr().err


def test_check_names_a_folder_without_a_curve(tmp_path, capsys):
    assert main(["check", str(tmp_path)]) == 1
    assert "holds no curve; give the folder of a run" in capsys.readouterr().err
