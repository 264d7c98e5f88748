"""Projections agree with what was measured, and with the architectures that they speak of."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from seednb.cli.__main__ import main
from seednb.core.errors import SeedError
from seednb.core.params import ModelParams
from seednb.model.cost_model import (
    CARDS,
    RESULTS,
    SETTINGS,
    SHAPES,
    Measured,
    card_named,
    card_rows,
    plan,
)
from seednb.model.lora import add_adapter, n_trainable

ROOT = Path(__file__).parents[2]
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
    one = plan(measured, measured.card, shape, 1, 16_000)
    assert one.hours == pytest.approx(16_000 / row["samples_per_s"] / 3600)
    assert one.sharing_s == 0 and one.efficiency == pytest.approx(1)


def test_every_setting_was_measured_and_names_real_parameters(measured):
    for setting in SETTINGS:
        assert setting.measured_as in measured.rows
        changes = [text for pair in setting.parameters.split() for text in ("-p", pair)]
        assert main(["doctor", *changes]) == 0


@pytest.mark.parametrize(("size", "name"), [("13b", "llava-1.5-13b"), ("34b", "llava-next-34b")])
def test_projected_memory_of_larger_models_is_what_was_measured(measured, size, name):
    row = measured.rows[f"{size}, LoRA r 64, 1 image of 4 pairs, checkpointing always"]
    one_image = SETTINGS[2]
    assert measured.peak_gib(one_image, SHAPES[name]) == pytest.approx(row["peak_gib"], rel=0.05)


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
    assert card_named(machine, memory_gib) == CARDS[name]


def test_an_unlisted_card_is_none():
    assert card_named("Abacus", 16) is None


def test_a_ring_shares_gradients_as_the_formula_says(measured):
    shape, card = SHAPES["llava-1.5-7b"], CARDS["h100"]
    for n, gb_s in ((2, 450), (8, 450), (64, 50)):
        expected = 2 * (n - 1) / n * 4 * shape.n_trainable / (gb_s * 1e9)
        assert plan(measured, card, shape, n, 10**6).sharing_s == pytest.approx(expected)


def test_what_does_not_fit_is_said(measured):
    table = {row["card"]: row for row in card_rows(measured, SHAPES["llava-next-34b"])}
    assert "does not fit" in table["rtx4090"]["settings"]
    with pytest.raises(SeedError, match="take a larger card"):
        plan(measured, CARDS["rtx4090"], SHAPES["llava-next-34b"], 1, 100)


def test_a_missing_or_foreign_measurement_is_a_sentence(tmp_path):
    with pytest.raises(SeedError, match=r"run: python benchmarks/train_step\.py"):
        Measured.read(tmp_path)
    file = tmp_path / RESULTS / "train_step.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"machine": "Abacus", "rows": []}))
    with pytest.raises(SeedError, match="a card that is not listed"):
        Measured.read(tmp_path)


def test_plan_prints_hours_and_memory_and_lists_what_it_knows(capsys):
    assert main(["plan"]) == 0
    printed = capsys.readouterr().out
    assert "measured: h100" in printed and "hours on 1 h100" in printed
    assert main(["plan", "--gpus", "8", "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert planned["n_cards"] == 8 and planned["hours"] > 0 and planned["peak_gib"] < 141
    for wrong in ("--gpus 0", "--pairs -1"):
        assert main(["plan", *wrong.split()]) == 1
        assert "1 or more" in capsys.readouterr().err
    for wrong, known in (("--card abacus", CARDS), ("--model abacus", SHAPES)):
        with pytest.raises(SystemExit):
            main(["plan", *wrong.split()])
        assert all(name in capsys.readouterr().err for name in list(known)[:1])


def test_a_faster_cpu_bound_row_is_never_exceeded(measured):
    """A card with ten times the peak launches kernels no faster than the measured machine."""
    giant = replace(CARDS["h200"], peak_tflops=9890)
    for setting in SETTINGS:
        row = measured.rows[setting.measured_as]
        rate = measured.rate(setting, giant, SHAPES["llava-1.5-7b"])
        assert rate <= row["samples_per_s"]
