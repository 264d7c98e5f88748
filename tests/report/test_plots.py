"""Figures: text alternatives, reproducible files, and values where the frame says."""

import base64
import io
import re
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from seednb.report import plots
from seednb.report.html import svg

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
}


CURVE = pd.DataFrame(
    {"step": range(300), "epoch": 1}
    | dict.fromkeys(("loss", "distillation", "supervision", "beta", "confidence"), 1.0)
    | {"learning_rate": np.random.default_rng(0).random(300)}
)
FIGURES["training_curves"] = lambda: plots.training_curves(CURVE, 5)


def forms(html):
    """The SVGs of a figure's HTML as elements: wide and narrow."""
    return [ET.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", html, flags=re.S)]


@pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES)
def test_a_figure_is_svg_with_its_text_alternative_and_the_same_each_time(draw):
    first, second = (plots.show(draw(), 'bars <of> "CHAIRi"').data for _ in range(2))
    assert first == second
    wide, narrow = forms(first)
    for root, form in ((wide, "wide"), (narrow, "narrow")):
        assert (root.get("class"), root.get("role")) == (form, "img")
        assert root.get("aria-label") == 'bars <of> "CHAIRi"'
        assert root.findall(".//text")


@pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES)
def test_every_colour_follows_the_page_and_the_font_is_the_page_s(draw):
    html = plots.show(draw(), "a figure").data
    own = re.sub(r"var\(--plot-\w+, #\w+\)", "", html)
    assert not re.findall(r"#[0-9a-f]{3,8}\b(?!-)|rgb\(|font-family|<style", own)
    assert "currentColor" in html


@pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES)
def test_on_a_phone_a_figure_is_laid_out_anew_with_text_as_large(draw):
    wide, narrow = forms(plots.show(draw(), "a figure").data)
    assert float(narrow.get("width")) <= 370 < float(wide.get("width"))
    assert "display:none" in narrow.get("style")  # until the page's style shows it
    sizes = re.findall(r"font-size:([\d.]+)px", ET.tostring(narrow, encoding="unicode"))
    assert min(map(float, sizes)) >= 8
    assert len(narrow.findall(".//text")) >= 3


def test_ids_of_different_figures_differ_and_every_reference_has_its_target():
    pages = [plots.show(draw(), "a figure").data for draw in FIGURES.values()]
    ids = re.findall(r'\sid="([^"]+)"', "".join(pages))
    assert len(ids) == len(set(ids)) > 10
    named = re.findall(r'(?:href="#|url\(#)([^")]+)', "".join(pages))
    assert set(named) == set(ids)


def test_a_long_path_keeps_its_place_to_a_tenth_of_a_point():
    places = np.cumsum(np.random.default_rng(0).normal(0, 9, (300, 2)), axis=0)
    text = "M {} {} ".format(*places[0]) + "".join(f"\nL {x} {y} " for x, y in places[1:])
    steps = re.findall(r"-?[\d.]+", svg._relative(text))
    found = np.cumsum(np.array(steps, float).reshape(-1, 2), axis=0)
    np.testing.assert_allclose(found, places, atol=0.0501)


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


def test_a_sheet_keeps_its_images_whatever_they_are_given_as():
    flat = np.full((64, 64, 3), 200, np.uint8)
    sheet = plots.images([flat, flat / 255, Image.fromarray(flat)], ["a <b>", "b", "c"])
    html = plots.show(sheet, 'three "images"').data
    found = re.findall(r'data:image/webp;base64,([^"]+)" alt="([^"]+)"', html)
    assert [alt for _, alt in found] == ["a &lt;b&gt;", "b", "c"]
    for data, _ in found:
        image = Image.open(io.BytesIO(base64.b64decode(data)))
        assert (image.size, image.getpixel((9, 9))) == ((64, 64), (200, 200, 200))
    assert 'aria-label="three &#34;images&#34;"' in html
