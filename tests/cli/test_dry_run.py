"""A dry run says what would run, checks the inputs, and leaves nothing behind."""

from pathlib import Path

import pytest

from seednb.cli.__main__ import main
from seednb.method.recipes import SET_BY_PARAMETERS

ROOT = Path(__file__).parents[2]
SMOKE, BIG = (str(ROOT / f"params/{name}.yaml") for name in ("smoke", "llava-1.5-7b"))


@pytest.fixture
def folders(tmp_path):
    return ["-p", f"runs_dir={tmp_path}/runs", "-p", f"reports_dir={tmp_path}/reports"]


def test_a_report_lists_the_chapters_that_would_run(folders, tmp_path, capsys):
    assert main(["report", "--dry-run", "--params", SMOKE, "--only", "01,12", *folders]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["run", "01_data"] in lines and ["run", "12_engine"] in lines
    assert ["run", "08_evaluation"] not in lines
    assert not list(tmp_path.iterdir())


def test_a_training_names_recipe_and_steps(folders, tmp_path, capsys):
    verb = ["train", "--dry-run", "--params", SMOKE, "--version", "v6", *folders]
    assert main([*verb, "--epochs", "2", "-p", "n_pairs=100", "-p", "batch_size=8"]) == 0
    text = capsys.readouterr().out
    assert "2 epochs, 8 examples a step, about 75 steps" in text  # v6 takes three times the pairs
    assert "distill_weight   0.85" in text
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dry", [["--dry-run"], []])
def test_a_training_of_no_epochs_is_refused_dry_or_not(dry, folders, capsys):
    assert main(["train", *dry, "--params", SMOKE, "--epochs", "0", *folders]) == 1
    said = capsys.readouterr()
    assert "--epochs 0: must be at least 1" in said.err and "epochs" not in said.out


OTHERS = {  # a value that v7 does not have, of each parameter that changes a recipe
    "distill_weight": "0.5",
    "temperature": "3.0",
    "divergence": "js",
    "perturbation": "blur",
    "text_corruption": "0.25",
    "confidence": "entropy",
    "pooling": "lowest",
    "beta_rule": "rank",
    "beta_per_token": "True",
    "purified_space": "plausible",
    "noisy_share": "0.5",
}


@pytest.mark.parametrize("name", SET_BY_PARAMETERS)
def test_a_training_shows_the_recipe_that_the_parameters_change(name, folders, capsys):
    verb = ["train", "--dry-run", "--params", SMOKE, "--version", "v7", *folders]
    assert main([*verb, "-p", f"{name}={OTHERS[name]}"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [name, OTHERS[name]] in rows


def test_a_control_keeps_its_weight_whatever_the_parameters_say(folders, capsys):
    verb = ["train", "--dry-run", "--params", SMOKE, "--version", "sft", *folders]
    assert main([*verb, "-p", "distill_weight=0.5"]) == 0
    assert "distill_weight   0.0" in capsys.readouterr().out


def test_an_evaluation_checks_the_adapter(folders, tmp_path, capsys):
    verb = ["evaluate", "--dry-run", "--params", SMOKE, "--model", str(tmp_path), *folders]
    assert main(verb) == 1
    assert "adapter_model.safetensors" in capsys.readouterr().err
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        (tmp_path / name).touch()
    assert main([*verb, "--compare"]) == 0
    assert "the adapter and the base model" in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["report", "train"])
def test_missing_inputs_are_listed_and_fail_by_name(verb, folders, tmp_path, capsys):
    root = ["-p", f"data_root={tmp_path}"]
    assert main([verb, "--dry-run", "--params", BIG, *root, *folders]) == 1
    said = capsys.readouterr()
    assert f"missing  {tmp_path}/train2014" in said.out
    assert "inputs are missing" in said.err and "seednb doctor" in said.err
    (tmp_path / "train2014").mkdir()
    assert main([verb, "--dry-run", "--params", BIG, *root, *folders]) == 1
    assert f"found    {tmp_path}/train2014" in capsys.readouterr().out
