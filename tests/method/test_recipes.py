"""The history of versions is data."""

from dataclasses import fields

from seednb.method.recipes import HISTORY, RECIPES, diff


def test_there_are_eight_historical_versions_with_reason_and_symptom():
    assert [r.name for r in HISTORY] == [
        "simple_train", "fixed_train", "v3", "final", "v4", "v5", "v6", "v7"
    ]  # fmt: skip
    assert all(recipe.reason and recipe.symptom for recipe in HISTORY)


def test_sizes_are_in_the_seeds_proportions():
    passes = {name: (r.data_share, r.epochs, r.distill_weight) for name, r in RECIPES.items()}
    assert passes["v4"] == passes["v5"] == (1, 1, 0.7)
    assert passes["v6"] == (3, 1, 0.85)
    assert passes["v7"] == (1, 3, 0.7)


def test_v4_never_purifies_and_v5_mends_exactly_that():
    changed = diff(RECIPES["v4"], RECIPES["v5"])
    assert set(changed.index) == {"teacher_adapter", "purified", "divergence", "temperature"}
    assert not RECIPES["v4"].purified
    assert RECIPES["v4"].teacher_adapter


def test_controls_differ_from_v7_in_the_distillation_weight_alone():
    assert list(diff(RECIPES["v7"], RECIPES["sft"]).index) == ["distill_weight"]
    assert list(diff(RECIPES["v7"], RECIPES["distill_only"]).index) == ["distill_weight"]


def test_a_recipe_differs_from_itself_in_nothing():
    for recipe in HISTORY:
        assert diff(recipe, recipe).empty
        assert len(fields(recipe)) > 10
