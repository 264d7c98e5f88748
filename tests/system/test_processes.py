"""Several processes, started as a user starts them, against one."""

import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import load_file

from seednb.cli.__main__ import main

ROOT = Path(__file__).parents[2]
LAUNCH = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
# One write a line: the processes share a pipe.
HOLD = """
import os
from torch.multiprocessing.reductions import StorageWeakRef
from seednb.core.params import ModelParams
from seednb.core.devices import process_state
from seednb.model.forward import decoder_layers
from seednb.model.loading import load_bundle
from seednb.model.lora import add_adapter
from seednb.model.weights import sharding
processes = process_state()
bundle = load_bundle("seednb/assets/pocket-llava", ModelParams(), on_host=True)
model = add_adapter(bundle.model, ModelParams(), seed=0)
layer = decoder_layers(model)[0]
n_whole = sum(p.numel() for p in layer.parameters() if not p.requires_grad)
stored = [p.untyped_storage() for p in layer.parameters() if not p.requires_grad]
stored = [StorageWeakRef(storage) for storage in stored]
fully_shard, left = sharding.fully_shard, 0
def watched(*args, **options):
    global left
    fully_shard(*args, **options)
    left = sum(not storage.expired() for storage in stored)
sharding.fully_shard = watched
sharding.shard_layers(model, bundle.device)
weights = [p for p in layer.parameters() if not p.requires_grad]
held = sum(p.to_local().numel() for p in weights) / n_whole
place = f"process {processes.process_index} of {processes.num_processes}"
os.write(1, f"{place} held {held}, {left} whole weights left\\n".encode())
"""


@pytest.mark.slow
def test_two_processes_hold_half_of_a_layer_each(tmp_path):
    """And none of it as a whole while other layers are still to come.

    That they are two is what the tests below rely on, which compare two with one.
    """
    (tmp_path / "hold.py").write_text(HOLD)
    command = [sys.executable, *LAUNCH, str(tmp_path / "hold.py")]
    printed = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=ROOT, timeout=100
    ).stdout
    said = {f"process {n} of 2 held 0.5, 0 whole weights left" for n in (0, 1)}
    assert said <= set(printed.splitlines())


def seednb(launch, runs, *verb, **changes):
    """Run a verb on the smoke profile, here or in the processes that `launch` starts; what it prints."""
    options = [
        text for k, v in {"runs_dir": runs, **changes}.items() for text in ("-p", f"{k}={v}")
    ]
    command = [*verb, "--params", str(ROOT / "params/smoke.yaml"), *options]
    if not launch:
        with redirect_stdout(StringIO()) as printed:
            assert main(command) == 0
        return printed.getvalue()
    return subprocess.run(
        [sys.executable, *launch, "-m", "seednb.cli.__main__", *command],
        check=True, capture_output=True, text=True, cwd=ROOT, timeout=300,
    ).stdout  # fmt: skip


def train(launch, runs, **more):
    """Train v7 without dropout; returns the curve and the adapter's folder."""
    changes = {"lora_dropout": 0.0, "batch_size": 6, "max_grad_norm": 0.05, **more}
    seednb(launch, runs, "train", "--version", "v7", **changes)
    (folder,) = (runs / "smoke").glob("train-v7-*")
    return pd.read_parquet(folder / "curve.parquet"), folder / "adapter"


def assert_same_adapter(folder, other):
    weights, others = (load_file(f / "adapter_model.safetensors") for f in (folder, other))
    assert weights.keys() == others.keys()
    for name, weight in weights.items():
        assert (weight - others[name]).abs().max() < 1e-5, name


@pytest.mark.slow
def test_two_processes_that_hold_half_of_each_layer_end_at_the_adapter_of_one(tmp_path):
    """Five examples a step, one a pass: one process has two passes and the other three."""
    cut = {"batch_size": 1, "grad_accum": 5}
    curve, adapter = train([], tmp_path / "one", **cut)
    sharded_curve, sharded_adapter = train(LAUNCH, tmp_path / "two", shard_layers=True, **cut)
    assert list(sharded_curve["beta"]) == list(curve["beta"])
    assert_same_adapter(sharded_adapter, adapter)


def test_sharding_in_a_single_process_names_the_launcher(tmp_path, capsys):
    options = ["-p", f"runs_dir={tmp_path}", "-p", "shard_layers=true"]
    assert main(["train", "--params", str(ROOT / "params/smoke.yaml"), *options]) == 1
    assert "shard_layers needs a launcher" in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_end_at_the_adapter_and_at_the_records_of_one(tmp_path):
    curve, adapter = train([], tmp_path / "one")
    shared_curve, shared_adapter = train(LAUNCH, tmp_path / "two")
    assert list(shared_curve["beta"]) == list(curve["beta"])
    assert curve["beta"].nunique() > 1
    assert list(shared_curve["loss"]) == pytest.approx(list(curve["loss"]), abs=1e-5)
    assert_same_adapter(shared_adapter, adapter)

    verb = ("evaluate", "--model", str(adapter), "--compare")
    alone = seednb([], tmp_path / "one", *verb)
    assert seednb(LAUNCH, tmp_path / "two", *verb) == alone
    for file in ("probes.jsonl", "captions.jsonl"):
        (records,) = (tmp_path / "one/smoke").glob(f"answers-base-*/{file}")
        (shared_records,) = (tmp_path / "two/smoke").glob(f"answers-base-*/{file}")
        assert shared_records.read_bytes() == records.read_bytes()
