"""Projections agree with what was measured, and with the architectures that they speak of."""

import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from seednb import planning
from seednb.artifacts import write_json
from seednb.cli import main
from seednb.core.params import ModelParams
from seednb.errors import SeedError
from seednb.model import add_adapter, n_trainable
from seednb.planning import CARDS, SETTINGS, SHAPES, Measured

ROOT = Path(__file__).parents[1]
TEXT = {  # hidden, intermediate, layers, heads, key-value heads, vocabulary
    "llava-1.5-7b": (4096, 11008, 32, 32, 32, 32064),
    "llava-1.5-13b": (5120, 13824, 40, 40, 40, 32064),
    "llava-next-34b": (7168, 20480, 60, 56, 8, 64064),
}


@pytest.fixture(scope="module")
def measured():
    return Measured.read(ROOT)


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_are_those_of_the_architectures(name):
    hidden, intermediate, layers, heads, kv_heads, vocabulary = TEXT[name]
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16,
            image_size=336, patch_size=14, projection_dim=768,
        ),
        text_config=LlamaConfig(
            hidden_size=hidden, intermediate_size=intermediate, num_hidden_layers=layers,
            num_attention_heads=heads, num_key_value_heads=kv_heads, vocab_size=vocabulary,
        ),
    )  # fmt: skip
    with torch.device("meta"):
        model = LlavaForConditionalGeneration(config)
        n_parameters = sum(p.numel() for p in model.parameters())
        adapted = add_adapter(model, ModelParams(), seed=0)
    assert n_parameters == pytest.approx(SHAPES[name].n_parameters, rel=0.001)
    assert n_trainable(adapted) == SHAPES[name].n_trainable


def test_the_measured_card_is_not_projected(measured):
    shape = SHAPES["llava-1.5-7b"]
    setting = measured.setting_for(measured.card, shape)
    row = measured.rows[setting.measured_as]
    assert measured.rate(setting, measured.card, shape) == pytest.approx(row["samples_per_s"])
    assert measured.peak_gib(setting, shape) == pytest.approx(row["peak_gib"])
    one = planning.plan(measured, measured.card, shape, 1, 16_000)
    assert one.hours == pytest.approx(16_000 / row["samples_per_s"] / 3600)
    assert one.sharing_s == 0 and one.efficiency == pytest.approx(1)


def test_every_setting_was_measured_and_names_real_parameters(measured):
    for setting in SETTINGS:
        assert setting.measured_as in measured.rows
        changes = [text for pair in setting.parameters.split() for text in ("-p", pair)]
        assert main(["doctor", *changes]) == 0


@pytest.mark.parametrize(("size", "name"), [("13b", "llava-1.5-13b"), ("34b", "llava-next-34b")])
def test_projected_memory_of_larger_models_is_what_was_measured(measured, size, name):
    row = measured.rows[f"{size}, LoRA r 64, 1 picture of 4 pairs, checkpointing always"]
    one_picture = SETTINGS[2]
    assert measured.peak_gib(one_picture, SHAPES[name]) == pytest.approx(row["peak_gib"], rel=0.05)


@pytest.mark.parametrize(
    ("machine", "memory_gib", "name"),
    [
        ("NVIDIA H200", 139.7, "h200"),
        ("NVIDIA A100-SXM4-40GB", 39.4, "a100-40"),
        ("NVIDIA A100-SXM4-80GB", 79.2, "a100-80"),
        ("NVIDIA GeForce RTX 4090", 23.6, "rtx4090"),
    ],
)
def test_a_driver_s_name_finds_its_card(machine, memory_gib, name):
    assert planning.card_named(machine, memory_gib) == CARDS[name]


def test_an_unlisted_card_is_none():
    assert planning.card_named("Abacus", 16) is None


def test_a_ring_shares_gradients_as_the_formula_says(measured):
    shape, card = SHAPES["llava-1.5-7b"], CARDS["h100"]
    for n, gb_s in ((2, 450), (8, 450), (64, 50)):
        expected = 2 * (n - 1) / n * 4 * shape.n_trainable / (gb_s * 1e9)
        assert planning.plan(measured, card, shape, n, 10**6).sharing_s == pytest.approx(expected)


def test_more_cards_than_examples_help_nobody(measured):
    settings = {"measured": measured, "card": CARDS["h200"], "shape": SHAPES["llava-1.5-7b"]}
    planned = list(planning.plans(**settings, n_samples=450_000, examples_a_step=8))
    assert planned[-1].hours >= planned[1].hours
    assert planning.verdict(planned).startswith("Stops scaling at 2 cards")
    grown = list(planning.plans(**settings, n_samples=450_000))
    assert all(b.hours < a.hours for a, b in pairwise(grown))
    assert "What stops scaling is learning" in planning.verdict(grown)


def test_what_does_not_fit_is_said(measured):
    table = planning.card_table(measured, SHAPES["llava-next-34b"]).set_index("card")
    assert "does not fit" in table.loc["rtx4090", "settings"]
    with pytest.raises(SeedError, match="take a larger card"):
        planning.plan(measured, CARDS["rtx4090"], SHAPES["llava-next-34b"], 1, 100)


def test_a_missing_or_foreign_measurement_is_a_sentence(tmp_path):
    with pytest.raises(SeedError, match=r"run: python benchmarks/train_step\.py"):
        Measured.read(tmp_path)
    with pytest.raises(SeedError, match=r"run: python benchmarks/covered\.py"):
        planning.benchmark(tmp_path, "coverage")  # a script named otherwise: coverage is a package
    file = tmp_path / planning.RESULTS / "train_step.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"machine": "Abacus", "rows": []}))
    with pytest.raises(SeedError, match="a card that is not listed"):
        Measured.read(tmp_path)


def test_plan_prints_a_table_and_names_what_it_does_not_know(capsys):
    assert main(["plan"]) == 0
    printed = capsys.readouterr().out
    assert "1024" in printed and "measured" in printed
    assert main(["plan", "--gpus", "8", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["n_cards"] == 8 and plan["hours"] > 0 and plan["peak_gib"] < 141
    for wrong, named in (
        ("--card abacus", "h100"),
        ("--gpus 0", "1 or more"),
        ("--pairs -1", "1 or"),
    ):
        assert main(["plan", *wrong.split()]) == 1
        assert named in capsys.readouterr().err


def test_a_faster_cpu_bound_row_is_never_exceeded(measured):
    """A card with ten times the peak launches kernels no faster than the measured machine."""
    giant = replace(CARDS["h200"], peak_tflops=9890)
    for setting in SETTINGS:
        row = measured.rows[setting.measured_as]
        rate = measured.rate(setting, giant, SHAPES["llava-1.5-7b"])
        assert rate <= row["samples_per_s"]


@pytest.mark.parametrize(
    "file", sorted((ROOT / "params/accelerate").glob("*.yaml")), ids=lambda f: f.stem
)
def test_accelerate_reads_its_files(file):
    config = load_config_from_file(str(file))
    content = yaml.safe_load(file.read_text())
    assert config.num_processes == content["num_processes"]
    assert f"--config_file params/accelerate/{file.name}" in file.read_text()


def test_several_cards_stand_beside_one_of_them(tmp_path):
    folder = tmp_path / planning.RESULTS
    folder.mkdir(parents=True)
    for name, rate in (
        ("7b, 1 processes", 20.0),
        ("7b, 2 processes", 39.0),
        ("34b, 2 processes, sharded", 4.0),
    ):
        row = {"name": name, "samples_per_s": rate, "peak_gib_of_each": [30.0, 31.0]}
        write_json(folder / f"scaling-{len(name)}-{rate}.json", {"rows": [row]})
    table = planning.scaling_table(tmp_path).set_index(["model", "cards"])
    assert table.loc[("7b", 2), "times one card"] == 39 / 20
    assert math.isnan(table.loc[("34b", 2), "times one card"])
    assert table.loc[("34b", 2), "layers"] == "in parts"
    assert set(table["GiB of each"]) == {31.0}


def test_epochs_are_averaged_by_time_and_not_by_rate():
    rates = {"seed loop": 1.5, "ours": 30.0, "ours, teacher cached": 60.0}
    rows = [
        {"name": name, "samples_per_s": rate, "times_seed_loop": rate / 1.5}
        for name, rate in rates.items()
    ]
    (row,) = planning.epochs_table({"rows": rows}).to_dict("records")
    assert row["variant"] == "ours"
    assert row["over 3 epochs"] == pytest.approx(3 / (1 / 30 + 2 / 60))
    assert row["times the seed's loop"] == pytest.approx(45 / 1.5)
