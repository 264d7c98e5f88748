"""Laws of the intervals and tests."""

import time

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from seednb.evaluation.stats import (
    Interval,
    Resampled,
    _drawn,
    _interval,
    _weighted_auc,
    bootstrap,
    change,
    difference,
    holm,
    level,
    mcnemar_exact,
    paired_bootstrap,
    ratio,
    resample,
    resample_auc,
    two_way_bootstrap,
)

RNG = np.random.default_rng(7)


def share(sums):
    """Right answers / answers."""
    return ratio(sums[..., 0], sums[..., 1])


def images(n=200, rows=6, chance=0.8):
    """(n, 2): right answers and answers of each image."""
    return np.column_stack([RNG.binomial(rows, chance, n), np.full(n, rows)])


def bootstrap_auc(*rows, **settings):
    return level(resample_auc(*rows, **settings))


def paired_bootstrap_auc(margins_a, margins_b, *rest):
    return change(resample_auc(margins_a, *rest), resample_auc(margins_b, *rest))


def width(interval):
    return interval.high - interval.low


def test_value_is_the_statistic_of_the_whole_and_lies_inside_its_interval():
    sums = images()
    interval = bootstrap(sums, share)
    assert interval.value == sums[:, 0].sum() / sums[:, 1].sum()
    assert interval.low < interval.value < interval.high
    assert interval.n == len(sums)


def test_images_that_are_all_alike_leave_no_uncertainty():
    interval = bootstrap(np.tile([4, 6], (50, 1)), share)
    np.testing.assert_allclose([interval.low, interval.value, interval.high], 4 / 6)


def test_width_agrees_with_the_normal_approximation():
    sums = images(n=1000, rows=1)
    p = sums[:, 0].mean()
    expected = 2 * 1.96 * np.sqrt(p * (1 - p) / 1000)
    np.testing.assert_allclose(width(bootstrap(sums, share, 10_000)), expected, rtol=0.05)


def test_rows_that_fall_together_widen_the_interval_as_clusters_do():
    rights = RNG.binomial(1, 0.7, 300)
    clustered = np.column_stack([6 * rights, np.full(300, 6)])
    as_if_independent = np.column_stack([np.repeat(rights, 6), np.ones(1800, int)])
    widening = width(bootstrap(clustered, share)) / width(bootstrap(as_if_independent, share))
    np.testing.assert_allclose(widening, np.sqrt(6), rtol=0.1)


def test_same_seed_same_interval_and_another_seed_another():
    sums = images()
    assert bootstrap(sums, share, seed=3) == bootstrap(sums, share, seed=3)
    assert bootstrap(sums, share, seed=3) != bootstrap(sums, share, seed=4)


def test_resamples_that_do_not_fill_a_chunk_are_all_drawn():
    drawn = []
    bootstrap(images(20), lambda sums: drawn.append(len(np.atleast_2d(sums))) or share(sums), 601)
    assert sum(drawn) == 601 + 1  # and the level itself


def test_model_against_itself_differs_by_exactly_nothing():
    sums = images()
    change = paired_bootstrap(sums, sums, share)
    assert (change.low, change.value, change.high) == (0, 0, 0)


def test_swapping_the_models_mirrors_the_difference():
    a, b = images(chance=0.7), images(chance=0.8)
    there, back = paired_bootstrap(a, b, share), paired_bootstrap(b, a, share)
    assert 0 < there.low < there.value < there.high
    np.testing.assert_allclose(
        [there.value, there.low, there.high], [-back.value, -back.high, -back.low]
    )


def test_pairing_narrows_the_difference_of_models_that_agree():
    a = images()
    b = a.copy()
    b[:10, 0] = 6
    paired = paired_bootstrap(a, b, share)
    unpaired = np.hypot(width(bootstrap(a, share)), width(bootstrap(b, share)))
    assert width(paired) < unpaired / 3


def test_frames_of_other_images_or_shapes_are_refused():
    a = pd.DataFrame(images(5), index=list("abcde"))
    with pytest.raises(ValueError, match="different images"):
        paired_bootstrap(a, a.set_axis(list("abced")), share)
    with pytest.raises(ValueError, match="against"):
        paired_bootstrap(a, a[:4], share)
    with pytest.raises(ValueError, match="with an image"):
        bootstrap(np.empty((0, 2)), share)


def test_ratio_of_nothing_is_nan_and_nothing_else_is():
    np.testing.assert_array_equal(ratio([1, 0, 3], [2, 0, 0]), [0.5, np.nan, np.nan])


def test_undefined_level_has_an_undefined_interval():
    interval = bootstrap(np.zeros((5, 2)), share)
    assert np.isnan([interval.value, interval.low, interval.high]).all()


def test_undefined_resamples_are_left_out_of_the_interval():
    one_image_counts = np.array([[1, 2]] + [[0, 0]] * 9)  # a third of the resamples miss it
    interval = bootstrap(one_image_counts, share)
    assert (interval.low, interval.value, interval.high) == (0.5, 0.5, 0.5)


def test_ten_thousand_resamples_take_seconds():
    started = time.process_time()
    bootstrap(images(500), share, resamples=10_000)
    assert time.process_time() - started < 3


def test_area_counts_the_absent_object_that_ranks_first():
    # yes at 2 is above the no at 1 and below the no at 3
    assert bootstrap_auc([3.0, 2.0, 1.0], [False, True, False], list("abc")).value == 0.5


@pytest.mark.parametrize("n_images", [2**16 - 1, 2**16, 2**16 + 1])
def test_an_image_that_is_drawn_every_time_can_still_be_counted(n_images):
    (weights,) = _drawn(n_images, 1, 0)
    assert weights.sum() == n_images <= np.iinfo(weights.dtype).max


def test_two_thousand_resamples_of_a_thousand_images_take_four_megabytes():
    assert sum(chunk.nbytes for chunk in _drawn(1000, 2000, 0)) == 4_000_000


def rows_with_ties(n=400):
    labels = RNG.random(n) < 0.5
    margins = np.round(RNG.normal(labels * 1.0, 1.0), 1)
    return margins, labels, np.repeat(np.arange(n // 4), 4)


def test_weighted_area_equals_scikit_learns_ties_and_infinities_included():
    margins, labels, _ = rows_with_ties()
    weights = RNG.integers(0, 4, size=(20, len(labels))).astype(float)
    expected = [roc_auc_score(labels, margins, sample_weight=row) for row in weights]
    np.testing.assert_allclose(_weighted_auc(margins, labels)(weights), expected)
    tied_at_the_ends = np.array([-np.inf, -np.inf, np.inf, np.inf])
    area = _weighted_auc(tied_at_the_ends, [False, True, False, True])(np.ones((1, 4)))
    np.testing.assert_allclose(area, 0.5)


def test_area_interval_holds_the_area_and_one_label_leaves_it_undefined():
    margins, labels, of_image = rows_with_ties()
    interval = bootstrap_auc(margins, labels, of_image)
    np.testing.assert_allclose(interval.value, roc_auc_score(labels, margins))
    assert interval.low < interval.value < interval.high
    assert interval.n == 100
    assert np.isnan(bootstrap_auc(margins, np.ones_like(labels), of_image).value)


def test_paired_area_is_zero_for_equal_rankings_and_signed_otherwise():
    margins, labels, of_image = rows_with_ties()
    same = paired_bootstrap_auc(margins, 2 * margins + 1, labels, of_image)
    np.testing.assert_allclose([same.low, same.value, same.high], 0, atol=1e-12)
    assert paired_bootstrap_auc(margins, margins + labels, labels, of_image).low > 0


def test_area_refuses_margins_that_are_not_numbers():
    with pytest.raises(ValueError, match="every row"):
        bootstrap_auc([0.1, np.nan], [True, False], ["a", "b"])


def test_area_of_three_thousand_rows_is_fast():
    labels = RNG.random(3000) < 0.5
    started = time.process_time()
    bootstrap_auc(RNG.normal(size=3000), labels, np.repeat(np.arange(500), 6), resamples=1000)
    assert time.process_time() - started < 3


def test_mcnemar_counts_only_disagreements():
    a = np.array([1] * 10 + [0] * 2 + [1] * 80 + [0] * 8)
    b = np.array([0] * 10 + [1] * 2 + [1] * 80 + [0] * 8)
    # two-sided binomial with 2 of 12: 2 (1 + 12 + 66) / 4096
    np.testing.assert_allclose(mcnemar_exact(a, b), 2 * 79 / 4096)
    assert mcnemar_exact(a, b) == mcnemar_exact(b, a)
    assert mcnemar_exact(a, a) == 1
    with pytest.raises(ValueError, match="against"):
        mcnemar_exact(a, b[:5])


def test_holm_gives_the_textbook_values_in_the_given_order():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.9, 0.8]), [1, 1])
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        holm([0.5, np.nan])


def test_defaults_are_those_that_the_report_names():
    sums = np.random.default_rng(3).integers(1, 99, (40, 2)).astype(float)
    assert bootstrap(sums, share) == bootstrap(sums, share, resamples=2000, seed=0)
    other = sums[::-1] + 1.5
    default = paired_bootstrap(sums, other, share)
    assert default == paired_bootstrap(sums, other, share, resamples=2000, seed=0)
    assert len(resample(sums, share).samples) == 2000
    runs = [resample(sums, share), resample(other, share)]
    assert two_way_bootstrap(runs) == two_way_bootstrap(runs, seed=0)
    margins, labels, images = sums[:, 0], sums[:, 1] > 50, np.arange(40)
    levels = bootstrap_auc(margins, labels, images)
    assert levels == bootstrap_auc(margins, labels, images, resamples=1000, seed=0)
    change = paired_bootstrap_auc(margins, other[:, 0], labels, images)
    assert change == paired_bootstrap_auc(margins, other[:, 0], labels, images, 1000, 0)


@pytest.mark.parametrize("p_values", [[0.5, -0.1], [1.1, 0.5], [1.5], [-0.1, 1.1], [float("nan")]])
def test_what_is_no_probability_is_refused(p_values):
    with pytest.raises(ValueError, match="must be in"):
        holm(p_values)


def test_one_row_has_no_area_and_one_defined_resample_is_an_interval():
    alone = bootstrap_auc([1.0], [True], ["a"], resamples=10)
    assert np.isnan([alone.value, alone.low, alone.high]).all()
    undefined = _interval(np.nan, np.array([0.4]), 3)  # whatever its resamples say
    assert np.isnan([undefined.low, undefined.high]).all()
    defined = _interval(0.5, np.array([np.nan, 0.4, np.nan]), 3)
    assert (defined.value, defined.low, defined.high, defined.n) == (0.5, 0.4, 0.4, 3)


def test_one_run_alone_has_the_intervals_of_its_images():
    a, b = resample(images(chance=0.7), share), resample(images(chance=0.8), share)
    assert two_way_bootstrap([a]) == level(a)
    assert two_way_bootstrap([difference(a, b)]) == change(a, b)
    rows = rows_with_ties()
    assert two_way_bootstrap([resample_auc(*rows)]) == bootstrap_auc(*rows)


def test_runs_that_are_alike_add_no_uncertainty_and_runs_that_differ_do():
    low, high = (resample(images(chance=p), share) for p in (0.7, 0.9))
    same, alone = two_way_bootstrap([low, low, low]), level(low)
    np.testing.assert_allclose([same.low, same.high], [alone.low, alone.high])
    apart = two_way_bootstrap([low, high])
    np.testing.assert_allclose(apart.value, (low.value + high.value) / 2)
    # two runs .2 apart: a resample holds one of them twice half of the time
    assert width(apart) > 0.2 * 2**0.5 - 1e-9 > width(alone)


def test_the_spread_between_runs_is_not_shrunk_by_drawing_few_of_them():
    """Of k figures without image noise, the resampled mean has the variance s^2 / k."""
    values = [0.0, 1.0, 5.0]
    runs = [Resampled(v, np.full(20_000, v), pd.RangeIndex(4)) for v in values]
    found = two_way_bootstrap(runs)
    assert found.value == pytest.approx(2.0)
    # the first run drawn three times
    assert found.low == pytest.approx(2.0 - 3**0.5 * 2**-0.5 * 2.0, abs=1e-9)
    assert width(found) > 2 * np.std(values, ddof=1) / 3**0.5


@pytest.mark.parametrize("n_runs", [3, 5, 8])
def test_the_two_way_interval_holds_the_truth_at_the_nominal_rate(n_runs):
    """Of 300 drawings of images and trainings; over images alone it holds it far less often."""
    rng = np.random.default_rng(5)
    held = {"both": 0, "images alone": 0}
    for _ in range(300):
        of_image, of_run = rng.normal(0, 1.0, (40, 1)), rng.normal(0, 0.3, (1, n_runs))
        figures = of_image + of_run + rng.normal(0, 0.5, (40, n_runs))
        runs = [resample(np.column_stack([f, np.ones(40)]), share, 400) for f in figures.T]
        both, alone = two_way_bootstrap(runs), level(runs[0])
        held["both"] += both.low <= 0 <= both.high
        held["images alone"] += alone.low <= 0 <= alone.high
    assert 0.92 <= held["both"] / 300 <= 0.98
    assert held["images alone"] / 300 < 0.91


def test_runs_on_other_images_are_refused():
    with pytest.raises(ValueError, match="of 5 images and of 4"):
        two_way_bootstrap([resample(images(5), share), resample(images(4), share)])


def test_an_interval_is_written_in_points_with_a_real_minus_and_counts_as_they_are():
    assert Interval(-0.0287, -0.034, 0.0, 9).text(signed=True) == "−2.9 [−3.4, 0.0]"
    assert Interval(0.5, 0.4, 0.6, 9).text(unit="points") == "50.0 points [40.0, 60.0]"
    assert Interval(1.5, 1.25, 2, 9).text("mentions", signed=True) == "+1.50 [+1.25, +2.00]"
    assert Interval(0.5, np.nan, np.nan, 9).text() == "50.0"
    assert Interval.of({"value": None, "low": None, "n": 3}).text() == "–"


def test_one_set_of_resamples_serves_levels_and_differences():
    a, b = images(chance=0.7), images(chance=0.8)
    before, after = resample(a, share), resample(b, share)
    assert level(before) == bootstrap(a, share)
    assert change(before, after) == paired_bootstrap(a, b, share)
    with pytest.raises(ValueError, match="of 200 images and of 5"):
        change(before, resample(a[:5], share))
    frames = [pd.DataFrame(a[:3], index=list(names)) for names in ("abc", "acb")]
    with pytest.raises(ValueError, match="different images"):
        change(*(resample(frame, share) for frame in frames))
