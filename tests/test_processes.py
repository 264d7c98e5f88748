"""Several processes, started as a user starts them, against one."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import load_file

ROOT = Path(__file__).parents[1]
LAUNCH = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
COUNT = """
from seednb.model import one_card_each
processes = one_card_each()
print("process", processes.process_index, "of", processes.num_processes)
"""


def test_the_launcher_starts_two_processes(tmp_path):
    """Without this, the test below could compare one process with one process."""
    (tmp_path / "count.py").write_text(COUNT)
    command = [sys.executable, *LAUNCH, str(tmp_path / "count.py")]
    printed = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=ROOT, timeout=100
    ).stdout
    assert {"process 0 of 2", "process 1 of 2"} <= set(printed.splitlines())


def seednb(launch, runs, *verb, **changes):
    """Run a verb on the smoke profile, in as many processes as `launch` starts."""
    options = [
        text for k, v in {"runs_dir": runs, **changes}.items() for text in ("-p", f"{k}={v}")
    ]
    return subprocess.run(
        [sys.executable, *launch, "-m", "seednb.cli", *verb,
         "--params", str(ROOT / "params/smoke.yaml"), *options],
        check=True, capture_output=True, text=True, cwd=ROOT, timeout=300,
    ).stdout  # fmt: skip


def train(launch, runs):
    """Train v7 without dropout; returns the curve and the adapter's folder."""
    changes = {"lora_dropout": 0.0, "batch_size": 6, "max_grad_norm": 0.05}
    seednb(launch, runs, "train", "--version", "v7", **changes)
    (folder,) = (runs / "smoke").glob("train-v7-*")
    return pd.read_parquet(folder / "curve.parquet"), folder / "adapter"


def test_two_processes_end_at_the_adapter_and_at_the_records_of_one(tmp_path):
    curve, adapter = train([], tmp_path / "one")
    shared_curve, shared_adapter = train(LAUNCH, tmp_path / "two")
    assert list(shared_curve["beta"]) == list(curve["beta"])
    assert curve["beta"].nunique() > 1
    assert list(shared_curve["loss"]) == pytest.approx(list(curve["loss"]), abs=1e-5)
    shared = load_file(shared_adapter / "adapter_model.safetensors")
    for name, weight in load_file(adapter / "adapter_model.safetensors").items():
        assert (shared[name] - weight).abs().max() < 1e-5, name

    verb = ("evaluate", "--model", str(adapter), "--compare")
    alone = seednb([], tmp_path / "one", *verb)
    assert seednb(LAUNCH, tmp_path / "two", *verb) == alone
    for file in ("probes.jsonl", "captions.jsonl"):
        (records,) = (tmp_path / "one/smoke").glob(f"answers-base-*/{file}")
        (shared_records,) = (tmp_path / "two/smoke").glob(f"answers-base-*/{file}")
        assert shared_records.read_bytes() == records.read_bytes()
