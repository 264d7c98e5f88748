"""The caption browser: marks, filter and steps."""

from dataclasses import replace

import pytest
from widget_samples import PRESENT, WORDS, make_explorer, make_items

from seednb.core.errors import SeedError
from seednb.report.widgets import CaptionBrowser


def test_hallucinated_words_are_marked_in_words_not_only_in_colour() -> None:
    chart = make_explorer().chart.value
    assert chart.count("✕ not in image") == PRESENT.count(False)
    assert chart.count("✓ in image") == PRESENT.count(True)
    assert chart.count("<rect") == 3 * (len(WORDS) + 1) + 3  # three bars a word and the legend


def test_segments_join_to_the_caption_and_keep_the_marks() -> None:
    item = make_items()[0]
    segments = item.segments("base")
    assert "".join(text for text, _ in segments) == item.captions["base"]
    assert [(text, kind) for text, kind in segments if kind] == [
        ("fork", "right"),
        ("knife", "wrong"),
    ]


@pytest.mark.parametrize("span", [(0, 0), (3, 5), (13, 99), (-1, 2)])
def test_spans_that_are_empty_overlap_or_leave_the_caption_are_refused(
    span: tuple[int, int],
) -> None:
    with pytest.raises(SeedError, match=r"'a\.png'.*span"):
        replace(make_items()[0], hallucinated={"base": [span]})


def test_caption_browser_refuses_missing_captions() -> None:
    with pytest.raises(SeedError, match="spans of 'v9'"):
        replace(make_items()[0], correct={"v9": [(0, 1)]})
    with pytest.raises(SeedError, match="no item"):
        CaptionBrowser([])


def test_live_browser_steps_filters_and_stays_within_its_items() -> None:
    browser = CaptionBrowser(make_items())
    assert "a.png" in browser.view.value
    browser.next.click()
    assert "b.png" in browser.view.value
    browser.only_different.value = True
    assert "b.png" not in browser.view.value
    browser.next.click()
    assert "c.png" in browser.view.value
    browser.next.click()
    assert browser.position.value == browser.position.max == 2
    browser.only_different.value = False
    assert "c.png" in browser.view.value
    assert browser.position.value == 3


def test_filter_is_off_where_no_captions_differ() -> None:
    assert CaptionBrowser(make_items()[1:2]).only_different.disabled
    assert not CaptionBrowser(make_items()).only_different.disabled
