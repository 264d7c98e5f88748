"""Several processes, started as a user starts them, against one."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import load_file

ROOT = Path(__file__).parents[1]
LAUNCH = ["-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "1",
          "--mixed_precision", "no", "--dynamo_backend", "no"]  # fmt: skip


def train(launch, runs):
    """Train v7 on the smoke profile without dropout; returns the curve and the adapter."""
    changes = {"runs_dir": runs, "lora_dropout": 0.0, "batch_size": 6, "max_grad_norm": 0.05}
    options = [text for key, value in changes.items() for text in ("-p", f"{key}={value}")]
    subprocess.run(
        [sys.executable, *launch, "-m", "seednb.cli", "train",
         "--params", str(ROOT / "params/smoke.yaml"), "--version", "v7", *options],
        check=True, capture_output=True, cwd=ROOT, timeout=300,
    )  # fmt: skip
    (folder,) = (runs / "smoke").glob("train-v7-*")
    return (
        pd.read_parquet(folder / "curve.parquet"),
        load_file(folder / "adapter/adapter_model.safetensors"),
    )


def test_two_processes_choose_the_betas_and_end_at_the_adapter_of_one(tmp_path):
    curve, adapter = train([], tmp_path / "one")
    shared_curve, shared_adapter = train(LAUNCH, tmp_path / "two")
    assert list(shared_curve["beta"]) == list(curve["beta"])
    assert curve["beta"].nunique() > 1
    assert list(shared_curve["loss"]) == pytest.approx(list(curve["loss"]), abs=1e-5)
    for name, weight in adapter.items():
        assert (shared_adapter[name] - weight).abs().max() < 1e-5, name
