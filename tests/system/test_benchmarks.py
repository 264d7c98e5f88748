"""Every benchmark runs in miniature, without a GPU, and then writes no result."""

import importlib
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow
RESULTS = ROOT / "benchmarks/results"


def test_the_check_of_the_kernel_compares_in_miniature():
    command = [sys.executable, "benchmarks/check_attention.py", "--tiny"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0 and run.stdout.count("gradient") == 2, run.stderr[-2000:]


@pytest.mark.parametrize("name", ["score_pope", "caption", "memory", "train_step"])
def test_a_benchmark_runs_in_miniature(name):
    before = {file: file.read_bytes() for file in RESULTS.iterdir()}
    command = [sys.executable, f"benchmarks/{name}.py", "--tiny"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr[-2000:]
    assert "_per_s" in run.stdout
    assert {file: file.read_bytes() for file in RESULTS.iterdir()} == before


@pytest.fixture
def projection(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("projection")


def test_the_committed_projection_follows_from_the_committed_measurement(projection):
    committed = json.loads((RESULTS / "projection.json").read_text())["rows"]
    assert projection.project("", "llava-1.5-7b") == committed


def test_more_cards_than_examples_help_nobody(projection):
    small_steps = projection.planned_runs("h200", "llava-1.5-7b", 8)
    assert small_steps[-1].hours >= small_steps[1].hours
    assert projection.verdict(small_steps).startswith("Stops scaling at 2 cards")
    grown = projection.planned_runs("h200", "llava-1.5-7b", None)
    assert all(more.hours < fewer.hours for fewer, more in pairwise(grown))
    assert "What stops scaling is learning" in projection.verdict(grown)


def test_the_page_on_testing_quotes_the_committed_results(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    make_tested = importlib.import_module("make_tested")
    page = make_tested.PAGE.read_text(encoding="utf-8")
    for name, (path, sentence) in make_tested.CHECKS.items():
        if path.startswith(make_tested.RESULTS):
            result = json.loads((ROOT / path).read_text(encoding="utf-8"))
            assert f"| {name} | {sentence(result)} | {result['date']} |" in page
