"""Controls: ranking without a threshold, and a threshold fitted fairly."""

import numpy as np
import pandas as pd
import pytest

from seednb.core.errors import SeedError
from seednb.evaluation.controls import best_threshold, matched_mentions, refit_threshold
from seednb.evaluation.stats import resample_auc

RNG = np.random.default_rng(3)


def yes_happy_records(n_images=60, shift=2.0):
    """Margins that separate the labels at `shift` instead of 0."""
    labels = np.tile(["yes", "no"] * 3, n_images)
    margins = RNG.normal(np.where(labels == "yes", 1.5, -1.5)) + shift
    return pd.DataFrame(
        {
            "question_id": np.arange(len(labels)),
            "image": np.repeat([f"{i}.jpg" for i in range(n_images)], 6),
            "label": labels,
            "answer": np.where(margins > 0, "Yes", "No"),
            "margin": margins,
        }
    )


def auc(margins, labels):
    return resample_auc(margins, labels, np.arange(len(labels)), resamples=1).value


def right(records):
    return ((records["answer"] == "Yes") == (records["label"] == "yes")).mean()


def test_area_is_the_chance_of_ranking_a_present_object_higher():
    margins, labels = np.array([3.0, 1.0, 1.0, 0.0]), np.array([True, True, False, False])
    # pairs: 3>1, 3>0, 1=1 (half), 1>0
    assert auc(margins, labels) == 3.5 / 4


def test_no_shift_of_the_margins_changes_the_area():
    records = yes_happy_records()
    labels = records["label"] == "yes"
    assert auc(records["margin"], labels) == auc(records["margin"] + 5, labels)


def test_area_of_one_label_is_undefined():
    assert np.isnan(auc([1.0, 2.0], [True, True]))


def test_refit_finds_the_shift_and_mends_the_other_half():
    records = yes_happy_records()
    threshold, scored, images = refit_threshold(records, seed=0)
    before = records[records["image"].isin(images)]
    assert abs(threshold - 2.0) < 1
    assert right(scored) > right(before) + 0.1
    pd.testing.assert_frame_equal(scored.drop(columns="answer"), before.drop(columns="answer"))


def test_fitting_never_sees_the_images_it_is_scored_on():
    records = yes_happy_records()
    threshold, scored, images = refit_threshold(records, seed=0)
    assert len(images) == records["image"].nunique() / 2
    assert sorted(scored["image"].unique()) == images
    spoiled = records.copy()
    spoiled.loc[spoiled["image"].isin(images), "margin"] *= -100
    assert refit_threshold(spoiled, seed=0).threshold == threshold


def test_split_follows_the_seed_and_not_the_order_of_rows():
    records = yes_happy_records()
    shuffled = records.sample(frac=1, random_state=1)
    assert refit_threshold(shuffled, seed=0).images == refit_threshold(records, seed=0).images
    assert refit_threshold(records, seed=1).images != refit_threshold(records, seed=0).images


def test_refit_leaves_its_input_alone():
    records = yes_happy_records()
    before = records.copy()
    refit_threshold(records, seed=0)
    pd.testing.assert_frame_equal(records, before)


def test_best_threshold_beats_every_other_and_stays_near_zero():
    scores = np.round(RNG.normal(1, 1, 200), 1)
    labels = RNG.random(200) < 0.5

    def n_right(threshold):
        return ((scores > threshold) == labels).sum()

    grid = [n_right(t) for t in np.linspace(-4, 6, 2001)]
    assert n_right(best_threshold(scores, labels)) == max(grid)
    assert best_threshold([-3.0, 1.0], [False, True]) == 0
    assert best_threshold([5.0, 9.0], [False, True]) == 7


def test_two_images_suffice_and_a_margin_at_the_threshold_answers_no():
    records = pd.DataFrame(
        {"question_id": range(4), "image": list("aabb"), "label": ["yes", "no"] * 2,
         "answer": ["Yes"] * 4, "margin": [1.0, 0.0] * 2}
    )  # fmt: skip
    threshold, scored, _ = refit_threshold(records, seed=0)
    assert threshold == 0  # as right as any, and the model's own
    assert list(scored["answer"]) == ["Yes", "No"]


def test_the_best_threshold_lies_between_neighbours_or_one_logit_beyond_the_ends():
    assert best_threshold([1.0, 2.0, 8.0, 9.0], [False, False, True, True]) == 5
    assert best_threshold([-5.0, -4.0, -2.0], [True] * 3) == -6
    assert best_threshold([3.0, 5.0, 9.0], [False] * 3) == 10


def test_missing_margins_and_single_images_are_refused():
    records = yes_happy_records(2)
    with pytest.raises(SeedError, match="two images or more"):
        refit_threshold(records[records["image"] == "0.jpg"], seed=0)
    records.loc[4, "margin"] = np.nan
    with pytest.raises(SeedError, match="question_id 4"):
        refit_threshold(records, seed=0)


@pytest.mark.parametrize("wanted", [0, 1, 5, 11, 12, 20, 23])
def test_matched_captions_keep_exactly_the_wanted_mentions_and_cap_the_long_ones(wanted):
    mentions = {"a": 10, "b": 6, "c": 1, "d": 0, "e": 6}
    kept = matched_mentions(mentions, wanted, seed=0)
    assert sum(kept.values()) == wanted
    assert all(kept[image] <= n for image, n in mentions.items())
    shortened = [kept[image] for image, n in mentions.items() if kept[image] < n]
    assert not shortened or max(kept.values()) - min(shortened) <= 1


def test_a_baseline_that_says_less_needs_no_matching():
    with pytest.raises(SeedError, match="no control is needed"):
        matched_mentions({"a": 2}, 3, seed=0)
