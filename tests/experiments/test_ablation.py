"""Ablations: plans, runs that are found again, intervals over seeds and images, the choice of a winner."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from seednb.core.errors import SeedError
from seednb.core.profiles import load_params
from seednb.data.instruct import read_pairs
from seednb.experiments.ablation.plans import (
    BASE,
    V7,
    confirmation,
    data_amounts,
    extensions,
    hyper_parameters,
)
from seednb.experiments.ablation.rows import (
    PREFIX,
    cells_of,
    curve_points,
    finished_rows,
    forest,
    measured,
    relative_costs,
)
from seednb.experiments.ablation.selection import (
    candidates,
    combinations,
    decodings_of_v7,
    finalists,
    recommended,
    verdict,
)
from seednb.experiments.calibration import caption_auc, in_bins, mention_confidences, view_overlap
from seednb.experiments.experiment import Experiment
from seednb.experiments.sweep.variants import Variant, asked, merged

ROOT = Path(__file__).parents[2]
SMOKE = str(ROOT / "params/smoke.yaml")


@pytest.fixture(scope="module")
def overrides(tmp_path_factory):
    return {
        "runs_dir": str(tmp_path_factory.mktemp("ablation")), "ablation_seeds": 2,
        "n_train_images": 8, "n_val_images": 12, "pope_images": 6, "ablation_jobs": 1,
    }  # fmt: skip


@pytest.fixture(scope="module")
def lab(overrides):
    return Experiment.open(SMOKE, overrides)


@pytest.mark.parametrize("file", sorted((ROOT / "params").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_variant_has_a_name_of_its_own_and_parameters_that_every_profile_takes(file):
    for plan in (hyper_parameters(load_params(file)), extensions()):
        assert len({variant.name for variant in plan}) == len(plan)
        for variant in plan:
            assert load_params(file, variant.changes)


def test_fresh_images_and_seeds_have_no_part_in_the_search(lab):
    search, fresh = asked(lab, "search"), asked(lab, "fresh")
    for a, b in zip(search, fresh, strict=True):
        key = "file_name" if "file_name" in a[0] else "image"
        assert a and b and not {row[key] for row in a} & {row[key] for row in b}
    seeds = {
        half: {cell.seed for cell in cells_of(lab, [BASE, V7], half)}
        for half in ("search", "fresh")
    }
    assert len(seeds["search"]) == 2 and not seeds["search"] & seeds["fresh"]
    assert len(cells_of(lab, [BASE, V7])) == 1 + 2  # the base is not trained


@pytest.mark.slow
def test_rows_are_measured_once_paired_by_seed_and_found_again(lab, monkeypatch):
    variants = [BASE, V7, Variant("alpha_0.7", "alpha", changes={"noise_alpha": 0.7})]
    assert finished_rows(lab, "test", variants) == []
    rows, costs = measured(lab, variants, "test")
    monkeypatch.setattr("seednb.experiments.sweep.run.run_cells", None)  # nothing may run now
    assert measured(lab, variants, "test")[0] == rows
    assert finished_rows(lab, "test", variants) == rows
    by = {(r["model"], r["versus"], r["metric"]): r for r in rows}
    found = by[PREFIX + "alpha_0.7", PREFIX + "v7", "CHAIRi"]
    assert found["seeds"] == 2 and found["low"] <= found["value"] <= found["high"]
    level = {name: by[PREFIX + name, None, "CHAIRi"]["value"] for name in ("alpha_0.7", "v7")}
    assert found["value"] == pytest.approx(level["alpha_0.7"] - level["v7"])
    drawn = forest(rows, variants, "v7", "CHAIRi")
    assert list(drawn["model"]) == ["base", "alpha_0.7"]
    relative = relative_costs(costs, "v7")
    assert relative.loc["v7", "training"] == relative.loc["base", "decoding"] == 1
    assert np.isnan(relative.loc["base", "training"])


@pytest.mark.slow
def test_a_cell_made_here_is_the_one_found_by_a_process_of_its_own(lab):
    cell = cells_of(lab, [V7])[0]
    made = cell.make()
    here, cost = cell.answers(made), cell.cost(made)
    measured(lab, [V7], "again")
    assert cell.answers(cell.open()) == here and here.captions
    assert cell.cost(cell.open()) == cost and cost["samples_per_s"] > 0


def test_a_variant_that_fails_is_named_and_the_others_are_kept(lab):
    broken = Variant("no such labels", changes={"instruct": "annotations/gone.json"})
    with pytest.raises(SeedError, match="2 of 3 cells failed") as error:
        measured(lab, [BASE, broken], "failing")
    assert "no such labels, seed" in str(error.value) and "gone.json" in str(error.value)
    base = cells_of(lab, [BASE, broken])[0]
    assert base.answers(base.open()).captions


def test_own_labels_answer_the_same_questions_in_the_models_words(lab):
    pairs = read_pairs(lab.self_labels(9))
    asked_of = [(pair.image, pair.question) for pair in lab.data.pairs["replay"][:9]]
    assert [(pair.image, pair.question) for pair in pairs] == asked_of
    assert [p.answer for p in pairs] != [p.answer for p in lab.data.pairs["replay"][:9]]


def test_confidence_is_taken_at_the_mention_and_binned_by_rank(lab):
    frame = mention_confidences(lab, 6)
    assert 0 < view_overlap(lab, 4) < 3
    assert len(frame) > 6 and (frame[["max_logprob", "entropy", "margin"]] <= 0).all().all()
    made = pd.DataFrame(
        {"image": range(80), "hallucinated": [n < 40 for n in range(80)], "max_logprob": range(80)}
    )
    assert in_bins(made, ["max_logprob"])["max_logprob"].tolist() == [1.0] * 4 + [0.0] * 4
    assert set(caption_auc(frame)["of"]) == {"mention's token", "caption"}


def test_curves_spend_more_of_one_thing_from_point_to_point():
    amounts = data_amounts()
    assert [v.data for v in amounts if not v.changes] == sorted({v.data for v in amounts})
    assert len({v.name for v in amounts}) == len(amounts)
    found = {"model": "ablation/b", "versus": "ablation/base", "metric": "CHAIRi"}
    rows = [found | {"value": -0.01, "low": -0.02, "high": 0.0}]
    points = curve_points(rows, {"a": 1, "b": 2}, {"a": "one", "b": "two"}, "CHAIRi")
    assert points[["spent", "group", "value"]].values.tolist() == [[2, "two", -0.01]]


def row(name, metric, value, low, high):
    names = {"model": PREFIX + name, "versus": PREFIX + "v7", "metric": metric}
    return names | {"value": value, "low": low, "high": high}


def searched(**values):
    """CHAIRi as given; recall unchanged, but for the name that ends in `timid`."""
    rows = []
    for name, value in values.items():
        rows.append(row(name, "CHAIRi", value, value - 0.01, value + 0.01))
        lost = -0.05 if name.endswith("timid") else 0.0
        rows.append(row(name, "recall", lost, lost - 0.01, lost + 0.01))
    return rows


def test_the_best_of_each_family_is_combined_and_what_costs_recall_is_not():
    variants = [
        Variant("mask", "view", changes={"perturbation": "mask"}),
        Variant("blur", "view", changes={"perturbation": "blur"}),
        Variant("rank", "beta", changes={"beta_rule": "rank"}),
        Variant("timid", "space", changes={"purified_space": "plausible"}),
        Variant("worse", "divergence", changes={"divergence": "js"}),
        Variant("dual", "decoding", contrast=True),
    ]
    rows = searched(mask=-0.02, blur=-0.01, rank=-0.03, timid=-0.2, worse=0.1, dual=-0.3)
    chosen = candidates(rows, variants)
    assert [variant.name for variant in chosen] == ["rank", "mask"]
    (both,) = combinations(chosen)
    assert both.name == "rank + mask"
    assert both.changes == {"beta_rule": "rank", "perturbation": "mask"}
    rows += searched(**{"rank + mask": -0.01})
    first, *others = finalists(rows, [*chosen, both], 2)
    assert first.name == "rank" and [v.name for v in others] == ["mask"]
    (dual,) = decodings_of_v7([*variants, Variant("contrast", "decoding", "base", contrast=True)])
    assert confirmation([first, dual]) == [BASE, V7, first, dual]
    assert finalists(searched(a=0.01, timid=-0.1), [Variant("a"), Variant("timid")], 3) == []
    with pytest.raises(ValueError, match="one version"):
        merged(V7, BASE, name="both")


def test_a_verdict_needs_an_interval_below_zero_and_recall():
    rows = searched(good=-0.03, unclear=-0.005, timid=-0.03)
    assert "good beats v7" in verdict(rows, "good")
    assert "does not beat" in verdict(rows, "unclear")
    assert "but recall with it" in verdict(rows, "timid")
    assert recommended(rows, ["good", "unclear", "timid"]).endswith("(v8): good.")
    assert "no v8" in recommended(rows, ["unclear", "timid"])
    rows += [row("few", "CHAIRi", None, None, None), row("few", "recall", None, None, None)]
    assert "too few images" in verdict(rows, "few")
    assert "no v8" in recommended(rows, ["few"])
