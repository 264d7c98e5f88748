"""A sweep: what is asked is checked, each cell is made once, and its tables tell all of it."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from seednb.cli.__main__ import main
from seednb.core.errors import SeedError
from seednb.experiments.sweep.grid import load_sweep
from seednb.experiments.sweep.run import run_cell, write_tables
from seednb.experiments.sweep.schedule import plan
from seednb.experiments.sweep.tables import cell_rows, pivot, read

ROOT = Path(__file__).parents[2]
SMALL = {"n_pairs": 16, "pope_images": 6, "caption_images": 10, "max_new_tokens": 12, "resamples": 100}  # fmt: skip
IDENTITY = ["benchmark", "split", "metric", "versus"]


def write(folder, **asked):
    """A sweep file on the smoke profile."""
    file = folder / "asked.yaml"
    file.write_text(yaml.safe_dump({"params": "params/smoke.yaml", "version": "v5"} | asked))
    return file


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A sweep of two seeds and one seedless version, run cell by cell."""
    folder = tmp_path_factory.mktemp("sweep")
    places = {"runs_dir": str(folder / "runs"), "reports_dir": str(folder / "reports")}
    file = write(folder, version=["v5", "contrastive"], grid={"lora_r": [2]}, seeds=[0, 1])
    asked = load_sweep(file, SMALL | places)
    cells = asked.cells()
    for cell in cells:
        run_cell(cell)
    rows = [cell_rows(cell, cell.open()) for cell in cells]
    return asked, rows


@pytest.mark.parametrize("file", sorted((ROOT / "params/sweeps").glob("*.yaml")), ids=lambda f: f.stem)  # fmt: skip
def test_the_shipped_sweeps_are_valid(file):
    asked = load_sweep(file)
    n = len(asked.seeds) * len(asked.versions)
    for values in asked.grid.values():
        n *= len(values)
    assert len(asked.cells()) == n > 1


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"gird": {}}, "unknown key 'gird' (did you mean 'grid'?)"),
        ({"grid": {"noise_alfa": [0.1]}}, "unknown parameter 'noise_alfa' (did you mean 'noise_alpha'?)"),
        ({"grid": {"noise_alpha": [0.1, 7]}}, "cell 1 (v5, noise_alpha=7): noise_alpha=7.0: must be in [0, 1]"),
        ({"grid": {"noise_alpha": []}}, "at least one value"),
        ({"grid": {"noise_alpha": [0.1, 0.1]}}, "each once"),
        ({"grid": {"seed": [1]}}, "seeds: [0, 1, 2]"),
        ({"grid": {"runs_dir": ["a"]}}, "cannot be varied"),
        ({"grid": ["noise_alpha"]}, "expected `parameter: [value, …]`"),
        ({"seeds": [-1]}, "seed=-1"),
        ({"version": "v77"}, "unknown version 'v77' (did you mean"),
        ({"benchmarks": ["pop"]}, "unknown benchmark 'pop' (did you mean 'pope'?)"),
        ({"params": "params/none.yaml"}, "params/none.yaml is not below here"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_named_before_anything_runs(tmp_path, asked, message):
    with pytest.raises(SeedError) as error:
        load_sweep(write(tmp_path, **asked))
    assert message in str(error.value) and "asked.yaml" in str(error.value)


def test_a_parameter_is_asked_for_in_one_place(tmp_path):
    with pytest.raises(SeedError, match="take one out"):
        load_sweep(write(tmp_path, grid={"lora_r": [2]}), {"lora_r": 4})
    with pytest.raises(SeedError, match="take one out"):
        load_sweep(write(tmp_path, seeds=[1]), {"seed": 4})
    with pytest.raises(SeedError, match="no such sweep file"):
        load_sweep(tmp_path / "gone.yaml")


def test_cells_are_all_combinations_and_untrained_models_have_one_seed(tmp_path):
    file = write(tmp_path, version=["v5", "contrastive"], grid={"lora_r": [2, 4]}, seeds=[0, 1])
    cells = load_sweep(file).cells()
    assert [(c.variant.version, c.variant.changes["lora_r"], c.seed) for c in cells] == [
        ("v5", 2, 0), ("v5", 2, 1), ("v5", 4, 0), ("v5", 4, 1),
        ("contrastive", 2, None), ("contrastive", 4, None),
    ]  # fmt: skip
    assert [cell.number for cell in cells] == list(range(6))
    assert cells[1].open().params.train.seed == 1 and cells[2].open().params.model.lora_r == 4


@pytest.mark.slow
def test_a_cell_is_made_once_and_predicts_the_time_of_others(finished):
    asked, _ = finished
    trained = sorted((asked.folder.parents[3] / "runs").glob("smoke/train-*/manifest.json"))
    before = [file.stat().st_mtime_ns for file in trained]
    assert len(before) == 2  # two seeds; contrastive decoding trains nothing
    assert all(each.is_finished and each.predicted_s == 0 for each in plan(asked.cells()))
    run_cell(asked.cells()[0])
    assert [file.stat().st_mtime_ns for file in trained] == before
    larger = load_sweep(asked.file, asked.overrides | {"n_pairs": 32})
    first, second, _ = plan(larger.cells())
    assert not first.is_finished and first.predicted_s == second.predicted_s > 0
    longer = load_sweep(asked.file, asked.overrides | {"max_new_tokens": 16})
    first, second, _ = plan(longer.cells())
    assert first.predicted_s > second.predicted_s > 0  # the first cell asks the base model, too


@pytest.mark.slow
def test_a_cells_rows_are_those_of_metrics_json_and_its_parameters(finished):
    asked, rows = finished
    lab = asked.cells()[1].open()
    expected = [row for row in lab.metrics(["base", "v5"]) if row["model"] == "v5"]
    mine, theirs = (
        [{k: row[k] for k in expected[0]} for row in each] for each in (rows[1], expected)
    )
    assert mine == theirs  # but for the tests by kind, which are of one report
    assert {(row["cell"], row["seed"], row["lora_r"]) for row in rows[1]} == {(1, 1, 2)}


@pytest.mark.slow
def test_tables_hold_every_cell_and_the_intervals_over_seeds_hold_their_mean(finished):
    asked, rows = finished
    folder = write_tables(asked)
    table, over_seeds = read(folder), read(folder, over_seeds=True)
    assert len(table) == sum(map(len, rows))
    pd.testing.assert_frame_equal(read(folder / "results.csv"), table, check_dtype=False)
    v5 = table[table["model"] == "v5"].groupby(IDENTITY, dropna=False)["value"].mean()
    pooled = over_seeds[over_seeds["model"] == "v5"].set_index(IDENTITY)
    defined = pooled["value"].dropna().index
    pd.testing.assert_series_equal(pooled["value"][defined], v5[defined], check_index=False)
    assert set(pooled["seeds"]) == {2}
    # one run: the hierarchy is gone, and the intervals are the report's
    alone = over_seeds[over_seeds["model"] == "contrastive"].set_index(IDENTITY)
    single = table[table["model"] == "contrastive"].set_index(IDENTITY).loc[alone.index]
    pd.testing.assert_frame_equal(alone[["value", "low", "high"]], single[["value", "low", "high"]])


@pytest.mark.slow
def test_benchmarks_that_are_not_asked_for_are_left_out(finished):
    asked, _ = finished
    file = write(asked.file.parent, version=["v5"], grid={"lora_r": [2]}, seeds=[0, 1], benchmarks=["chair"])  # fmt: skip
    folder = write_tables(load_sweep(file, asked.overrides))
    assert set(read(folder)["benchmark"]) == {"chair"}


def test_pivot_turns_a_metric_round_and_names_what_it_lacks():
    rows = [
        {"a": a, "seed": seed, "metric": "f1", "versus": versus, "split": "random", "value": a + seed}
        for a in (1, 2) for seed in (0, 1) for versus in (None, "base")
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    assert pivot(table, "f1", "a")["value"].to_dict() == {1: 1.5, 2: 2.5}
    assert pivot(table, "f1", "a", "seed", versus=None).loc[2].to_list() == [2, 3]
    with pytest.raises(SeedError, match="no column b; there are a, seed"):
        pivot(table, "f1", "b")
    with pytest.raises(SeedError, match="no row has metric recall"):
        pivot(table, "recall", "a")
    both = pd.concat([table, table.assign(split="popular")])
    with pytest.raises(SeedError, match="several splits; name one: random, popular"):
        pivot(both, "f1", "a")


@pytest.mark.slow
def test_the_verb_keeps_what_works_lists_what_fails_and_exits_with_one(tmp_path, capsys):
    labels = ["annotations/instruct_train.json", "annotations/gone.json"]
    file = str(write(tmp_path, grid={"instruct": labels}, seeds=[5]))
    values = SMALL | {"runs_dir": tmp_path / "runs", "reports_dir": tmp_path / "reports"}
    options = [text for key, value in values.items() for text in ("-p", f"{key}={value}")]
    assert main(["sweep", file, *options, "--gather"]) == 1
    assert "no cell is finished" in capsys.readouterr().err
    assert main(["sweep", file, *options, "--jobs", "2"]) == 1
    printed = capsys.readouterr()
    assert "failed: cell 1" in printed.out and "gone.json is missing" in printed.out
    assert "2/2 cells" in printed.err and "1 of 2 cells failed" in printed.err
    folder = tmp_path / "reports/smoke/sweeps/asked"
    assert set(read(folder)["cell"]) == {0}
    assert "gone.json is missing" in (folder / "logs/cell-001.log").read_text()
    assert main(["sweep", file, *options, "--dry-run"]) == 0
    listed = capsys.readouterr().out
    assert "1 of 2 cells are finished" in listed and "--array=1 " in listed
    assert main(["sweep", file, *options, "--cell", "2"]) == 1
    assert "cells 0 to 1" in capsys.readouterr().err


@pytest.mark.slow
def test_metric_rows_of_a_sweep_are_json_safe(finished):
    json.dumps(finished[1], allow_nan=False)
