"""The main job at its smallest: every notebook through papermill, then the report."""

import json
from pathlib import Path

import pytest

from seednb.cli.__main__ import main
from seednb.core.errors import SeedError
from seednb.core.profiles import load_params
from seednb.report.pipeline import STEPS, Pipeline

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow
SMOKE = ROOT / "params/smoke.yaml"
USUAL = [step for step in STEPS if not step.on_request]
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
