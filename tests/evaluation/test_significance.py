"""Tests of differences, counted by hand."""

from pathlib import Path

import numpy as np
import pytest

from seednb.data.probes import SPLITS
from seednb.evaluation.records import Answers
from seednb.evaluation.significance import mcnemar_table, resolution_table, stars
from seednb.evaluation.stats import Interval, images_to_resolve

N_PROBES = 20


def answers_of(model, n_right):
    """Present objects; the first `n_right` are seen."""
    probes = [
        {"split": split, "image": f"{n}.jpg", "text": "Is there a cup?", "label": "yes",
         "answer": "Yes" if n < n_right else "No"}
        for split in SPLITS
        for n in range(N_PROBES)
    ]  # fmt: skip
    return Answers(model, probes, [], Path(model))


def test_mcnemar_counts_what_one_model_alone_has_right():
    answers = {"base": answers_of("base", 5), "same": answers_of("same", 5)}
    answers["better"] = answers_of("better", 17)
    table = mcnemar_table(answers, ["same", "better"], "base", "official")
    assert len(table) == 2 * len(SPLITS)
    better = table[table["model"] == "better"].iloc[0]
    assert (better["only base right"], better["only model right"]) == (0, 12)
    assert better["p"] == pytest.approx(2 * 0.5**12)
    assert better["p (Holm)"] == pytest.approx(6 * 2 * 0.5**12)
    assert better["mark"] == "**"
    same = table[table["model"] == "same"].iloc[0]
    assert (same["p"], same["p (Holm)"], same["mark"]) == (1, 1, "")


def test_probes_are_paired_by_image_and_question_whatever_their_order():
    base, other = answers_of("base", 5), answers_of("other", 5)
    other.probes.reverse()
    table = mcnemar_table({"base": base, "other": other}, ["other"], "base", "official")
    assert (table[["only base right", "only model right"]] == 0).all(axis=None)


def test_stars_have_sharp_limits():
    assert [stars(p) for p in (0.0009, 0.001, 0.01, 0.05)] == ["***", "**", "*", ""]


def test_four_times_the_images_resolve_half_the_difference():
    measured = Interval(-0.01, -0.03, 0.01, 500)
    assert images_to_resolve(measured, 0.02) == pytest.approx(500)
    assert images_to_resolve(measured, -0.01) == pytest.approx(2000)
    with pytest.raises(ValueError, match="difference of 0"):
        images_to_resolve(measured, 0)


def test_the_table_of_resolutions_reads_metric_rows():
    row = {"benchmark": "chair", "metric": "CHAIRi", "value": 0.0, "low": -0.02, "high": 0.02}
    undefined = row | {"value": None, "low": None, "high": None}
    table = resolution_table([row | {"n": 100}, undefined | {"n": 100}], [0.01, 0.02])
    assert table.loc[0, "half width"] == pytest.approx(2)
    assert table.loc[0, "images for 1 points"] == pytest.approx(400)
    assert table.loc[0, "images for 2 points"] == pytest.approx(100)
    assert np.isnan(table.loc[1, "images for 1 points"])


def test_an_image_count_predicts_the_width_that_more_images_have():
    """Not only algebra: the bootstrap of four times the images is half as wide."""
    from seednb.evaluation.stats import bootstrap, ratio

    rng = np.random.default_rng(0)
    sums = np.stack([rng.binomial(6, 0.3, 4000), np.full(4000, 6)], axis=1).astype(float)
    some = bootstrap(sums[:1000], lambda s: ratio(s[..., 0], s[..., 1]))
    more = bootstrap(sums, lambda s: ratio(s[..., 0], s[..., 1]))
    assert images_to_resolve(some, (more.high - more.low) / 2) == pytest.approx(4000, rel=0.15)
