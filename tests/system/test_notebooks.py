"""The main job at its smallest: every notebook through papermill, then the report."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from seednb.cli.__main__ import main
from seednb.core.errors import SeedError
from seednb.core.profiles import load_params
from seednb.report.pipeline import STEPS, Pipeline

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow
SMOKE = ROOT / "params/smoke.yaml"
USUAL = [step for step in STEPS if not step.on_request]
LONG = [
    "-p",
    "ablation_images",
    "4",
    "-p",
    "ablation_share",
    "0.1",
    "-p",
    "ablation_jobs",
    "1",
]  # for 10 and 11
MODELS = {"base", "v4", "v5", "v6", "v7", "sft", "distill_only", "contrastive"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    base = tmp_path_factory.mktemp("smoke")
    return {"runs_dir": str(base / "runs"), "reports_dir": str(base / "reports")}


@pytest.fixture(scope="module")
def options(folders):
    return ["--params", str(SMOKE), *(t for k, v in folders.items() for t in ("-p", f"{k}={v}"))]


@pytest.fixture(scope="module")
def report(folders, options):
    assert main(["report", *options]) == 0
    return Path(folders["reports_dir"]) / "smoke"


def pipeline(folders, **changes):
    overrides = folders | changes
    return Pipeline(SMOKE, overrides, load_params(SMOKE, overrides))


def stale(folders, **changes):
    changed = pipeline(folders, **changes)
    return {step.number for step in USUAL if not changed.is_done(step)}


def test_the_report_has_every_chapter_and_asks_nobody(report):
    page = (report / "index.html").read_text()
    assert len(list((report / "notebooks").glob("*.ipynb"))) == len(USUAL)
    assert "<math" in page and "prefers-color-scheme" in page
    executed = nbformat.read(report / "notebooks/01_data.ipynb", as_version=4)
    assert executed.metadata.papermill["input_path"] == "01_data.ipynb"  # no folder of the machine
    assert 'src="http' not in page and 'rel="stylesheet" href="http' not in page


def test_the_numbers_are_complete_with_interval_and_count(report):
    rows = json.loads((report / "metrics.json").read_text())
    levels = {
        (r["model"], r["benchmark"], r["split"], r["metric"]): r for r in rows if not r["versus"]
    }
    for model in MODELS | {"mention_control"}:
        for metric in ("CHAIRi", "CHAIRs", "recall"):
            assert levels[model, "chair", None, metric]["n"] == 40
    for model in MODELS | {"threshold_control"}:
        for split in ("random", "popular", "adversarial"):
            for metric in ("accuracy", "f1", "yes_ratio", "precision", "recall"):
                row = levels[model, "pope", split, metric]
                assert row["low"] <= row["value"] <= row["high"]
    differences = {(r["model"], r["metric"]) for r in rows if r["versus"] == "base"}
    assert {(model, "CHAIRi") for model in MODELS - {"base"}} <= differences


def test_a_second_run_executes_nothing(report, options, capsys):
    assert main(["report", *options]) == 0
    assert capsys.readouterr().out.count("unchanged") == len(USUAL)


def test_a_changed_parameter_reruns_only_what_depends_on_it(report, folders):
    assert stale(folders) == set()
    assert stale(folders, contrast_beta=0.9) == {"08", "09"}
    assert stale(folders, learning_rate=2e-3) == {"03", "04", "05", "06", "07", "08", "09", "13"}
    assert stale(folders, n_val_images=41) == {step.number for step in USUAL} - {"12"}


def test_a_failing_notebook_stops_by_name_and_keeps_what_is_finished(report, folders):
    broken = pipeline(folders, contrast_beta=0.9)
    step = broken.steps["08"]
    broken.notebooks = Path(folders["runs_dir"])
    (broken.notebooks / f"{step.notebook}.ipynb").write_text(
        json.dumps(
            {
                "cells": [
                    {"cell_type": "code", "source": "raise ValueError('planted')", "metadata": {},
                     "outputs": [], "execution_count": None, "id": "a"}
                ],
                "metadata": {"kernelspec": {"name": "python3", "language": "python",
                                            "display_name": "Python 3"}},
                "nbformat": 4, "nbformat_minor": 5,
            }
        )
    )  # fmt: skip
    with pytest.raises(SeedError, match=r"08_evaluation failed in cell .*planted"):
        broken.run(["08"])
    assert broken.is_done(broken.steps["07"]) and not broken.is_done(step)
    assert "07_train_v7" in (report / "index.html").read_text()


# --- as anyone calls papermill ---------------------------------------------------------------


def papermill(step, folder, out, *injected):
    """Run one notebook from a working folder; returns the program's end and what the cells showed."""
    notebook = os.path.relpath(ROOT / f"notebooks/{step.notebook}.ipynb", folder)
    command = ["-m", "papermill", notebook, str(out), "--no-progress-bar", *map(str, injected)]
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True, timeout=600
    )
    cells = nbformat.read(out, as_version=4).cells
    shown = [output for cell in cells for output in cell.get("outputs", ())]
    return done, json.dumps(shown)


def contents(folder):
    read = {".json": lambda path: json.loads(path.read_text()), ".parquet": pd.read_parquet}
    files = [path for path in sorted(folder.iterdir()) if path.name != "step.json"]
    return {path.name: read[path.suffix](path) for path in files if path.suffix in read}


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.notebook)
def test_papermill_runs_every_notebook_from_any_folder_as_the_report_does(
    step, report, folders, tmp_path
):
    elsewhere, written = tmp_path / "elsewhere", tmp_path / "written"
    elsewhere.mkdir()
    folder = (ROOT, ROOT / "notebooks", elsewhere)[STEPS.index(step) % 3]
    injected = ["-f", os.path.relpath(SMOKE, folder), "-p", "output_dir", written]
    injected += ["-p", "runs_dir", folders["runs_dir"], *(LONG if step.on_request else ())]
    done, shown = papermill(step, folder, tmp_path / "out.ipynb", *injected)
    assert done.returncode == 0, done.stderr
    assert list(elsewhere.iterdir()) == []
    if step.number != "12":  # which takes nothing of the profile
        assert "Profile **smoke** (`smoke.yaml`), changed: `runs_dir`" in shown
        found = contents(written)
        assert found
    if not step.on_request and step.number != "12":
        made = contents(pipeline(folders).folder(step))
        assert found.keys() == made.keys()
        for name, content in found.items():
            assert str(content) == str(made[name])


def test_a_changed_parameter_has_its_effect(report, folders, tmp_path):
    steps = pipeline(folders).steps
    injected = ["-f", SMOKE, "-p", "runs_dir", folders["runs_dir"], "-p", "output_dir", tmp_path]
    out = tmp_path / "out.ipynb"
    done, _ = papermill(steps["05"], ROOT, out, *injected, "-p", "noise_alpha", "0.9")
    assert done.returncode == 0, done.stderr
    usual = pd.read_parquet(pipeline(folders).folder(steps["05"]) / "curve.parquet")
    assert list(pd.read_parquet(tmp_path / "curve.parquet")["loss"]) != list(usual["loss"])
    done, shown = papermill(steps["01"], tmp_path, out, *injected, "-y", "{n_val_images: 31}")
    assert done.returncode == 0, done.stderr
    assert "`n_val_images` = 31" in shown and shown.count("31") > 1


def test_a_slip_is_named_with_its_file(tmp_path):
    (tmp_path / "mine.yaml").write_text(SMOKE.read_text() + "n_histori: 50\n")
    step, out = STEPS[2], tmp_path / "out.ipynb"
    slip = "unknown parameter 'n_histori' (did you mean 'n_history'?); set in"
    for injected, said in (
        (["-f", "mine.yaml"], f"{slip} mine.yaml"),
        (["-f", SMOKE, "-p", "noise_alpha", "9"], "noise_alpha=9.0: must be in [0, 1]; set in -p"),
    ):
        done, shown = papermill(step, tmp_path, out, *injected)
        assert done.returncode == 1 and said in done.stderr
        assert shown.count('"error"') == 1 and "open_lab" not in shown  # a sentence, no traceback


def test_jupyter_executes_a_notebook_in_its_own_folder(tmp_path):
    command = ["-m", "jupyter", "execute", ROOT / "notebooks/12_engine.ipynb"]
    out = tmp_path / "out.ipynb"
    subprocess.run([sys.executable, *command, f"--output={out}"], cwd=tmp_path, check=True)
    assert out.is_file()
