"""The history of versions is data."""

from dataclasses import fields, replace

from seednb.core.params import TrainParams
from seednb.method.recipes import HISTORY, RECIPES, diff, with_overrides


def test_there_are_eight_historical_versions_with_reason_and_symptom():
    assert [r.name for r in HISTORY] == [
        "simple_train", "fixed_train", "v3", "final", "v4", "v5", "v6", "v7"
    ]  # fmt: skip
    assert all(recipe.reason and recipe.symptom for recipe in HISTORY)


def test_sizes_are_in_the_reproductions_proportions():
    sizes = {name: (r.data_share, r.epochs, r.distill_weight) for name, r in RECIPES.items()}
    assert sizes["v4"] == sizes["v5"] == (1, 1, 0.7)
    assert sizes["v6"] == (3, 1, 0.85)
    assert sizes["v7"] == (1, 3, 0.7)


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


def test_controls_keep_their_weight_and_versions_take_what_is_set():
    settings = replace(TrainParams(), distill_weight=0.5, perturbation="blank")
    assert with_overrides(RECIPES["sft"], settings).distill_weight == 0
    changed = diff(RECIPES["v7"], with_overrides(RECIPES["v7"], settings))
    assert sorted(changed.index) == ["distill_weight", "perturbation"]
    assert with_overrides(RECIPES["v7"], TrainParams()) == RECIPES["v7"]
