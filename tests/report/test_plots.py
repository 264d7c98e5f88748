"""Figures: text alternatives, reproducible files, and values where the frame says."""

import base64
import io
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from seednb.report import plots

FRAME = pd.DataFrame(
    {"model": ["v4", "v7"], "value": [0.001, -0.03], "low": [-0.01, -0.04], "high": [0.01, -0.02]}
)
SPENT = pd.concat([FRAME.assign(group=g, spent=[400, 200]) for g in ("all", "some")])
FIGURES = {
    "differences": lambda: plots.differences(FRAME, "CHAIRi"),
    "levels": lambda: plots.levels(FRAME.assign(value=0.03, low=0.02, high=0.05), "CHAIRi"),
    "counts": lambda: plots.counts(pd.Series({"cup": 3, "fork": 5}), "images"),
    "heatmap": lambda: plots.heatmap(pd.DataFrame(np.eye(3)), "images"),
    "lines": lambda: plots.lines(pd.DataFrame({"a": [1, 2], "b": [2, 1]}), "beta", "KL"),
    "trade_off": lambda: plots.trade_off(SPENT, "pairs", "CHAIRi (points)"),
    "before_and_after": lambda: plots.before_and_after(
        pd.DataFrame({"before": [0.5, 0.6], "after": [0.1, 0.7], "becomes": ["a", "b"]}),
        "becomes",
        "p",
    ),
    "histogram": lambda: plots.histogram([0.1, 0.2, 0.2], "confidence", marks=[0.15]),
    "images": lambda: plots.images([np.zeros((8, 8, 3), np.uint8)] * 3, ["a", "b", "c"]),
}


@pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES)
def test_a_figure_is_svg_with_its_text_alternative_and_the_same_each_time(draw):
    first, second = (plots.show(draw(), 'bars <of> "CHAIRi"').data for _ in range(2))
    assert first == second
    assert 'alt="bars &lt;of&gt; &#34;CHAIRi&#34;"' in first
    svg = base64.b64decode(re.search(r"base64,([^\"]+)", first)[1]).decode()
    assert "<svg" in svg and "<text" in svg


def test_differences_stand_at_their_values_in_points_with_their_intervals():
    (ax,) = plots.differences(FRAME, "CHAIRi").axes
    (container,) = ax.containers
    points, _, (bars,) = container.lines
    np.testing.assert_allclose(points.get_xdata(), [0.1, -3.0])
    ends = np.array([segment[:, 0] for segment in bars.get_segments()])
    np.testing.assert_allclose(ends, [[-1, 1], [-4, -2]])
    assert [text.get_text() for text in ax.get_yticklabels()] == ["v4", "v7"]
    assert "points" in ax.get_xlabel() and "lower is better" in ax.get_xlabel()


def test_a_trade_off_runs_from_little_to_much_with_an_interval_at_each_point():
    (ax,) = plots.trade_off(SPENT, "pairs", "CHAIRi (points)").axes
    everything, _ = ax.containers
    points, _, (bars,) = everything.lines
    np.testing.assert_allclose(points.get_xydata(), [[200, -3.0], [400, 0.1]])
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    np.testing.assert_allclose(ends, [[-4, -2], [-1, 1]])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["all", "some"]


def test_the_largest_counts_come_first_and_no_more_than_asked():
    (ax,) = plots.counts(pd.Series({"a": 1, "b": 9, "c": 5}), "images", n_largest=2).axes
    assert [text.get_text() for text in ax.get_yticklabels()] == ["c", "b"]  # upwards
    assert [bar.get_width() for bar in ax.patches] == [5, 9]


def test_noise_is_kept_as_jpeg_and_flat_colour_as_png():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    flat = np.full((64, 64, 3), 200, np.uint8)
    shown = [plots.show(plots.images([image], ["a"]), "an image").data for image in (noise, flat)]
    svgs = [base64.b64decode(re.search(r"base64,([^\"]*)", html)[1]).decode() for html in shown]
    assert "data:image/jpeg" in svgs[0] and "data:image/png" in svgs[1]
    (jpeg,) = re.findall(r"data:image/jpeg;base64,([^\"]+)", svgs[0])
    assert Image.open(io.BytesIO(base64.b64decode(jpeg))).format == "JPEG"
