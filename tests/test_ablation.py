"""Ablations: plans, runs that are found again, intervals over seeds and pictures, the choice of a winner."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from seednb.ablation import Run, Variant, asked, make, merged, quiet, run_all, runs_of
from seednb.ablation_plans import BASE, V7, confirmation, data_amounts, extensions, hyper_parameters
from seednb.ablation_rows import (
    PREFIX,
    curve_points,
    finished_rows,
    forest,
    measured,
    paired,
    relative_costs,
)
from seednb.config import load_params
from seednb.crossed import auc_figure, crossed_bootstrap, difference, ratio_figure
from seednb.data.instruct import read_pairs
from seednb.experiments.experiment import Experiment
from seednb.recommendation import (
    candidates,
    combinations,
    decodings_of_v7,
    finalists,
    recommended,
    verdict,
)
from seednb.reliability import caption_auc, in_bins, mention_confidences, view_overlap
from seednb.stats import paired_bootstrap, ratio

ROOT = Path(__file__).parents[1]
SMOKE = str(ROOT / "params/smoke.yaml")


@pytest.fixture(scope="module")
def overrides(tmp_path_factory):
    return {
        "runs_dir": str(tmp_path_factory.mktemp("ablation")), "ablation_seeds": 2,
        "n_train_images": 8, "n_val_images": 12, "pope_images": 6, "ablation_jobs": 1,
    }  # fmt: skip


@pytest.fixture(scope="module")
def lab(overrides):
    with quiet():
        lab = Experiment.open(SMOKE, overrides)
        _ = lab.data
    return lab


def share(sums):
    return ratio(sums[..., 0], sums[..., 1])


def counts(seed, rate=0.3, n=60):
    rng = np.random.default_rng(seed)
    total = rng.integers(1, 6, n)
    return pd.DataFrame({"hits": rng.binomial(total, rate), "all": total})


def test_one_seed_gives_the_interval_over_pictures_alone():
    a, b = counts(0), counts(1)
    figure = difference(ratio_figure(b, share), ratio_figure(a, share))
    crossed = crossed_bootstrap([figure], len(a), 500)
    assert crossed == paired_bootstrap(a, b, share, 500)


def test_seeds_that_differ_widen_the_interval_and_seeds_that_agree_do_not():
    same = crossed_bootstrap([ratio_figure(counts(0), share)] * 3, 60, 500)
    alone = crossed_bootstrap([ratio_figure(counts(0), share)], 60, 500)
    assert (same.low, same.high) == pytest.approx((alone.low, alone.high))
    apart = [ratio_figure(counts(0, rate), share) for rate in (0.1, 0.3, 0.5)]
    spread = crossed_bootstrap(apart, 60, 500)
    assert spread.high - spread.low > 2 * (alone.high - alone.low)


def test_the_spread_between_seeds_is_not_shrunk_by_drawing_few_of_them():
    """Of k figures without picture noise, the resampled mean has the variance s^2 / k."""
    values = [0.0, 1.0, 5.0]
    figures = [lambda weights, value=value: np.full(len(weights), value) for value in values]
    found = crossed_bootstrap(figures, 4, 20_000)
    standard_error = np.std(values, ddof=1) / 3**0.5
    exact = [np.mean(values) - 3**0.5 * 2**-0.5 * (np.mean(values) - min(values))]
    assert found.value == pytest.approx(2.0)
    assert found.low == pytest.approx(exact[0], abs=1e-9)  # the first figure drawn three times
    assert found.high - found.low > 2 * standard_error


def test_auc_weighs_probes_by_their_picture():
    margins, labels = pd.Series([2.0, 1.0, 3.0, -1.0]), pd.Series([True, False, False, False])
    area = auc_figure(margins, labels, pd.Series(["a", "a", "b", "b"]))
    assert area(np.array([[1.0, 1.0], [1.0, 0.0]])).tolist() == pytest.approx([2 / 3, 1.0])


@pytest.mark.parametrize("file", sorted((ROOT / "params").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_variant_has_a_name_of_its_own_and_parameters_that_every_profile_takes(file):
    for plan in (hyper_parameters(load_params(file)), extensions()):
        assert len({variant.name for variant in plan}) == len(plan)
        for variant in plan:
            assert load_params(file, variant.changes)


def test_fresh_pictures_and_seeds_have_no_part_in_the_search(lab, overrides):
    search, fresh = asked(lab, "search"), asked(lab, "fresh")
    for a, b in zip(search, fresh, strict=True):
        key = "file_name" if "file_name" in a[0] else "image"
        assert a and b and not {row[key] for row in a} & {row[key] for row in b}
    seeds = {
        pictures: {run.seed for run in runs_of(lab, SMOKE, overrides, [BASE, V7], pictures)}
        for pictures in ("search", "fresh")
    }
    assert len(seeds["search"]) == 2 and not seeds["search"] & seeds["fresh"]
    assert len(runs_of(lab, SMOKE, overrides, [BASE, V7])) == 1 + 2  # the base is not trained


def test_rows_are_measured_once_paired_by_seed_and_found_again(lab, overrides, monkeypatch):
    variants = [BASE, V7, Variant("alpha_0.7", "alpha", changes={"noise_alpha": 0.7})]
    assert finished_rows(lab, "test", variants) == []
    with quiet():
        rows, costs = measured(lab, SMOKE, overrides, variants, "test")
    monkeypatch.setattr("seednb.ablation_rows.run_all", None)  # nothing may run now
    assert measured(lab, SMOKE, overrides, variants, "test")[0] == rows
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


def test_a_run_in_a_process_of_its_own_is_the_run_made_here(lab, overrides):
    run = runs_of(lab, SMOKE, overrides, [V7])[0]
    other = Run(run.params_file, run.overrides, BASE, run.seed)
    with quiet():
        here = make(run)
        found = run_all([run, other], jobs=2)
    assert found[0].folder == here.name
    assert found[0].captions and found[1].cost["samples_per_s"] is None


def test_own_labels_answer_the_same_questions_in_the_models_words(lab):
    with quiet():
        pairs = read_pairs(lab.self_labels(9))
    asked_of = [(pair.image, pair.question) for pair in lab.data.pairs["replay"][:9]]
    assert [(pair.image, pair.question) for pair in pairs] == asked_of
    assert [p.answer for p in pairs] != [p.answer for p in lab.data.pairs["replay"][:9]]


def test_confidence_is_taken_at_the_mention_and_binned_by_rank(lab):
    with quiet():
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
    assert "too few pictures" in verdict(rows, "few")
    assert "no v8" in recommended(rows, ["few"])


def test_seeds_are_paired_and_an_untrained_model_meets_every_seed():
    figures = {seed: (lambda weights, seed=seed: np.full(len(weights), seed)) for seed in (1, 2, 3)}
    weights = np.ones((1, 4))
    same = paired(figures, figures)
    assert [figure(weights).item() for figure in same] == [0, 0, 0]
    base = {9: lambda weights: np.full(len(weights), 1.0)}
    assert [figure(weights).item() for figure in paired(figures, base)] == [0, 1, 2]
