"""The trainer's step, with all that makes it fast, against the reference step in float64."""

import os
import subprocess
import sys
from functools import cache, partial
from pathlib import Path

import pandas as pd
import pytest
import torch
from noise_images import Noise
from safetensors.torch import load_file, save_file
from torch.nn.attention import flex_attention as flex

from seednb.core.profiles import load_params
from seednb.method import objective
from seednb.method.recipes import RECIPES
from seednb.method.reference import seed_step
from seednb.model import attention
from seednb.model.compile import CompiledLayers
from seednb.model.forward import in_float64
from seednb.model.inputs.prompts import encode
from seednb.model.loading import load_bundle
from seednb.model.lora import add_adapter
from seednb.training.examples import Examples, Groups
from seednb.training.history import cosine_with_warmup
from seednb.training.teacher_cache import TeacherCache
from seednb.training.trainer import train

pytestmark = pytest.mark.slow  # each trains twice, once by the reference
ROOT = Path(__file__).parents[2]
LINES = [
    ("Describe this image.", "The image shows a kitchen with a fork and a cup."),
    ("Is there a fork in the image?", "Yes"),
    ("Is there a bus in the image?", "No"),
    ("What is in the image?", "The image shows a farm with a cow, a horse and a bird."),
]
N_EXAMPLES, N_STEPS = (
    24,
    9,
)  # three epochs of three steps; beta has a history from the fourth step on
V7 = RECIPES["v7"]


def make_parts(n_images, **changes):
    """(params, bundle, adapted model, examples) in float64; some questions share an image."""
    sizes = {"lora_dropout": 0.0, "precision": "float32", "batch_size": 8, "grad_accum": 1}
    params = load_params(ROOT / "params/smoke.yaml", sizes | {"max_grad_norm": 0.05} | changes)
    source = str(ROOT / "seednb/assets/pocket-llava")
    bundle = load_bundle(source, params.model, torch.device("cpu"))
    model = in_float64(add_adapter(bundle.model, params.model, seed=1))
    rows = [
        encode(*LINES[n // n_images % 4], bundle.tokenizer, bundle.image_tokens, bundle.template)
        for n in range(N_EXAMPLES)
    ]
    images = [str(n % n_images) for n in range(N_EXAMPLES)]
    return params.train, bundle, model, Examples(rows, images, Noise(), bundle.layout)


def adapter_of(model):
    return {n: p.detach().clone() for n, p in model.named_parameters() if "lora_" in n}


def by_reference(n_images, **changes):
    """(adapter, curve) of the reference, one example at a time."""
    params, _, model, examples = make_parts(n_images, **changes)
    adapter = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(adapter, params.learning_rate, weight_decay=0.0)
    n_warmup = max(1, round(params.warmup_share * N_STEPS))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: cosine_with_warmup(step, n_warmup, N_STEPS)
    )
    model.train()
    history, rows = [], []
    groups = Groups(examples, V7, params, noisy=True)
    for step in range(N_STEPS):
        group = groups.one_by_one(step)
        figures = seed_step(
            model, model.disable_adapter, optimiser, group, history,
            alpha=params.noise_alpha, max_grad_norm=params.max_grad_norm,
        )  # fmt: skip
        schedule.step()
        rows.append(pd.DataFrame(figures).mean())
    return adapter_of(model), pd.DataFrame(rows, index=range(N_STEPS))


def by_trainer(folder, n_images, cache=None, prepare=None, **changes):
    """(adapter, curve) of the trainer."""
    params, bundle, model, examples = make_parts(n_images, **changes)
    curve = train(model, bundle, examples, V7, params, folder, cache, prepare=prepare)
    return adapter_of(model), curve


def assert_same(found, expected):
    adapter, curve = found
    for name, weight in expected[0].items():
        torch.testing.assert_close(adapter[name], weight, atol=1e-9, rtol=0)
    assert max(weight.abs().max() for name, weight in adapter.items() if "lora_B" in name) > 1e-3
    pd.testing.assert_frame_equal(
        curve[expected[1].columns], expected[1], check_exact=False, atol=1e-9, rtol=0
    )
    assert curve["gradient_norm"].max() > 0.05  # gradients were clipped
    assert curve["beta_high"].iloc[-1] > curve["beta_low"].iloc[-1]  # by the history


@pytest.fixture(scope="module")
def reference():
    """Outcomes of the reference; one that several tests ask for is computed once."""
    return cache(by_reference)


@pytest.fixture
def compiles(monkeypatch):
    """Compiles as on a GPU, without waiting for a compiler of C."""
    monkeypatch.setattr(
        "seednb.model.compile.CompiledLayers", partial(CompiledLayers, backend="aot_eager")
    )
    compiled = cache(partial(torch.compile, dynamic=True, backend="aot_eager"))
    monkeypatch.setattr(objective, "compiled", compiled)
    yield
    torch._dynamo.reset()


WAYS = {
    "a text a row": (24, {}),
    "three texts a row": (8, {}),
    "accumulated": (8, {"batch_size": 3, "grad_accum": 3}),
    "cut by tokens": (8, {"tokens_per_pass": 150}),
    "recomputed": (8, {"gradient_checkpointing": "always"}),
    "compiled": (8, {"compile_layers": True}),
    "losses in chunks": (8, {}),
    "asynchronous": (8, {"batch_size": 4, "grad_accum": 2}),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_trainer_ends_where_the_reference_ends(way, reference, tmp_path, monkeypatch, compiles):
    n_images, changes = WAYS[way]
    if way == "losses in chunks":
        monkeypatch.setattr(objective, "CHUNK", 5000)

    def prepare(run):
        run.step.asynchronous = way == "asynchronous"

    found = by_trainer(tmp_path, n_images, prepare=prepare, **changes)
    group = changes if way == "accumulated" else {}  # nine examples a step
    assert_same(found, reference(n_images, **group))


@pytest.mark.parametrize("noise", ["per_epoch", "per_image_seed"])
def test_a_remembered_teacher_ends_where_the_reference_ends(noise, reference, tmp_path):
    for folder in ("asked", "remembered"):
        remembered = TeacherCache(tmp_path / "cache", 2**30)
        assert bool(remembered.shard_of) == (folder == "remembered")
        found = by_trainer(tmp_path / folder, 8, remembered, noise=noise)
        assert_same(found, reference(8, noise=noise))


@pytest.mark.filterwarnings("ignore:flex_attention called without")
def test_packed_sequences_end_where_the_reference_ends(reference, tmp_path, monkeypatch):
    monkeypatch.setattr(flex, "_validate_device", lambda *tensors: None)
    monkeypatch.setattr(attention, "KERNEL_DEVICES", ("cuda", "cpu"))
    monkeypatch.setattr(attention, "_compiled_flex", lambda: attention._flex)
    monkeypatch.setattr(attention, "obstacle", lambda device_type: None)
    monkeypatch.setattr(attention, "SMALLEST_HEAD", 1)
    packed = []

    def prepare(run):
        packed.append(run.groups.examples.packed)

    found = by_trainer(tmp_path, 8, prepare=prepare, attention="block_sparse")
    assert packed == [True]
    assert_same(found, reference(8))


def test_two_processes_with_sharded_layers_end_where_the_reference_ends(reference, tmp_path):
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests", ROOT / "tests/training")))
    command = [sys.executable, *launch, str(Path(__file__)), str(tmp_path)]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": paths}, timeout=300)
    found = load_file(tmp_path / "adapter.safetensors"), pd.read_parquet(tmp_path / "curve.parquet")
    assert_same(found, reference(8))


def train_sharded(folder):
    """What each of the two processes runs."""
    from seednb.core.devices import process_state

    processes = process_state()
    sizes = {"batch_size": 2, "grad_accum": 4}  # micro-batches of two examples, two a process
    adapter, _ = by_trainer(folder, 8, shard_layers=True, **sizes)
    if processes.is_main_process:
        save_file(adapter, folder / "adapter.safetensors")
    processes.destroy_process_group()


if __name__ == "__main__":
    train_sharded(Path(sys.argv[1]))
