"""The tables of how well the project is tested agree with the committed results."""

from pathlib import Path

import pytest

from seednb.evidence import coverage_table, damage_table, kill_table, mutant_table
from seednb.planning import benchmark

ROOT = Path(__file__).parents[1]


def test_every_mutant_is_killed_or_explained_or_counted_as_neither():
    result = benchmark(ROOT, "mutation")
    table = mutant_table(result)
    counted = table[["killed", "survivors explained", "not explained"]].sum(axis=1)
    assert (counted == table["mutants"]).all() and (table["not explained"] >= 0).all()
    assert table["mutants"].sum() == result["headline"]["mutants"]
    share = table["killed"].sum() / table["mutants"].sum()
    assert share == pytest.approx(result["headline"]["killed_share"], abs=1e-4)


def test_kill_points_are_counted_by_job_and_fall_within_the_run():
    result = benchmark(ROOT, "kill_points")
    table = kill_table(result)
    assert table["kill points"].sum() == result["headline"]["kill_points"]
    assert table["same bytes"].sum() == result["headline"]["identical"]
    assert (table["earliest"] >= 0).all() and (table["latest"] <= 1).all()


def test_a_killed_run_that_ends_elsewhere_is_not_called_the_same():
    points = [
        {"job": "train", "killed_after_s": 1.0, "whole_run_s": 4.0, "identical": same}
        for same in (True, False, True)
    ]
    (row,) = kill_table({"rows": points}).to_dict("records")
    assert row == {
        "job": "train", "kill points": 3, "same bytes": 2, "earliest": 0.25, "latest": 0.25,
    }  # fmt: skip


def test_every_outcome_has_a_line_even_if_nothing_or_nothing_expected_ended_so():
    outcomes = [("works", "works"), ("skipped", "works"), ("error", "crash")]
    rows = [{"expected": expected, "outcome": outcome} for expected, outcome in outcomes]
    headline = {"inputs": 3, "works": 2, "skipped": 0, "error": 0, "crash": 1, "slowest_s": 0.1}
    table = damage_table({"rows": rows, "headline": headline}).set_index("outcome")
    assert table["inputs"].to_dict() == {"works": 2, "skipped": 0, "error": 0, "crash": 1}
    assert table["expected"].to_dict() == {"works": 1, "skipped": 1, "error": 1, "crash": 0}
    committed = benchmark(ROOT, "damaged_inputs")
    assert damage_table(committed)["inputs"].sum() == committed["headline"]["inputs"]


def test_lines_are_counted_by_folder_and_low_modules_are_named():
    low = {"name": "a", "modules": 2, "lines": 10, "covered": 7, "share": 0.7, "low": {"x.py": 0.5}}
    table = coverage_table({"rows": [low, low | {"name": "b", "low": {}}]})
    assert table["below 80%"].tolist() == ["x.py 50%", ""]
    committed = benchmark(ROOT, "coverage")
    assert coverage_table(committed)["lines"].sum() == committed["headline"]["lines"]
