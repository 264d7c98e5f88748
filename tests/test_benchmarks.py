"""Every benchmark runs in miniature, without a GPU, and then writes no result."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
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
