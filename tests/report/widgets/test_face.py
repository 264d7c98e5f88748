"""What every widget keeps: two faces, the same bytes, text that stays text, keys that work."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsers import start_chromium
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.formatters import DisplayFormatter
from widget_samples import (
    ATTACK,
    VIEW,
    WORDS,
    explorer_of,
    make_example,
    make_explorer,
    make_items,
    make_place,
    noise_png,
    static_data,
)

from seednb.report.widgets import CaptionBrowser, CaptionItem
from seednb.report.widgets.face import inline_json, percent
from seednb.report.widgets.frames import Caption


@pytest.mark.parametrize("make", [make_explorer, lambda: CaptionBrowser(make_items())])
def test_both_faces_are_in_the_bundle(make: Callable[[], Any]) -> None:
    bundle, _ = DisplayFormatter().format(make())
    assert bundle[VIEW]["model_id"]
    assert bundle["text/html"].startswith("<style>")


def test_same_content_gives_the_same_bytes_and_other_content_another_id() -> None:
    def root_id(html: str) -> str:
        found = re.search(r'id="(seednb-[a-z]+-[0-9a-f]+)"', html)
        assert found
        return found[1]

    one, again, other = (make_explorer(n).static_html() for n in (2, 2, 1))
    assert one == again
    assert root_id(one) != root_id(other)
    renamed = [make_example(0, title="breakfast"), make_example(1)]
    renamed_html = explorer_of(renamed).static_html()
    assert root_id(one) != root_id(renamed_html)
    items = make_items()
    assert CaptionBrowser(items).static_html() == CaptionBrowser(make_items()).static_html()
    assert root_id(CaptionBrowser(items[:1]).static_html()) != root_id(
        CaptionBrowser(items).static_html()
    )


def test_static_faces_are_small_and_need_no_network() -> None:
    html = make_explorer(6).static_html()
    assert len(html.encode()) < 400_000
    assert "http" not in html + CaptionBrowser(make_items()).static_html()


@given(st.text())
def test_inline_json_cannot_close_its_element_and_reads_back(text: str) -> None:
    inline = inline_json({"words": [text]})
    assert not set("<>&\u2028\u2029") & set(inline)
    assert json.loads(inline) == {"words": [text]}


def test_markup_in_titles_words_and_captions_stays_text() -> None:
    class Scripts(HTMLParser):
        n_scripts = 0

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.n_scripts += tag == "script"
            assert not any(name.startswith("on") for name, _ in attrs)

    place = replace(make_place(word=ATTACK), words=[ATTACK, *WORDS[1:]], so_far=ATTACK)
    caption = Caption([(ATTACK, "wrong")], ATTACK)
    example = replace(make_example(title=ATTACK), places=[place], caption=caption, note=ATTACK)
    explorer = explorer_of([replace(example, question=ATTACK)])
    item = CaptionItem(ATTACK, noise_png(0), [ATTACK], {ATTACK: ATTACK}, {ATTACK: [(0, 9)]})
    for html in (explorer.static_html(), CaptionBrowser([item]).static_html()):
        parser = Scripts()
        parser.feed(html)
        assert parser.n_scripts == 2
    assert static_data(explorer.static_html())["images"][0]["places"][0]["rows"][0][0] == ATTACK


@pytest.mark.parametrize(
    ("thousandths", "text"), [(0, "<0.1%"), (1, "0.1%"), (99, "9.9%"), (105, "11%"), (1000, "100%")]
)
def test_percent_keeps_a_decimal_below_ten(thousandths: int, text: str) -> None:
    assert percent(thousandths) == text


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    browser = start_chromium("--disable-background-networking")
    yield browser
    browser.quit()


CHART_STATE = """
const [chart, reading, captions] = arguments;
const all = (root, selector, read) => [...root.querySelectorAll(selector)].filter((each) => !each.closest("[hidden]")).map(read);
return {
  widths: all(chart, '.sw-row rect', (bar) => parseFloat(bar.getAttribute('width'))),
  labels: all(chart, '.sw-row svg[role=img]', (svg) => svg.ariaLabel),
  words: all(chart, '.sw-word', (word) => [word.className, word.textContent]),
  texts: all(chart, 'text', (text) => text.textContent),
  reading: all(reading, 'p', (line) => line.textContent),
  captions: all(captions, 'p', (line) => line.textContent),
  marks: all(captions, 'mark', (mark) => mark.className),
};
"""


@pytest.mark.browser
def test_static_faces_work_from_a_file_with_the_keyboard(driver: Any, tmp_path: Path) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    explorer = make_explorer()
    attacked = explorer_of([make_example(title=ATTACK)])
    faces = [explorer, explorer, CaptionBrowser(make_items()), attacked]
    body = "".join(face.static_html() for face in faces)
    page = tmp_path / "faces.html"
    page.write_text(f"<!doctype html><meta charset=utf-8>{body}<div id=live></div>", "utf-8")
    driver.get(page.as_uri())

    def state(root: Any) -> dict[str, Any]:
        parts = (".sw-chart", ".sw-reading", "[data-captions]:not([hidden])")
        return driver.execute_script(
            CHART_STATE, *(root.find_element(By.CSS_SELECTOR, part) for part in parts)
        )

    def python_state() -> dict[str, Any]:
        explorer.wait()
        html = [each.value for each in (explorer.chart, explorer.reading, explorer.caption)]
        place = driver.find_element(By.ID, "live")
        live = "".join(f"<section>{part}</section>" for part in html)
        driver.execute_script("arguments[0].innerHTML = arguments[1]", place, live)
        return driver.execute_script(CHART_STATE, *place.find_elements(By.TAG_NAME, "section"))

    def assert_same_drawing(root: Any) -> None:
        script, python = state(root), python_state()
        np.testing.assert_allclose(script.pop("widths"), python.pop("widths"), atol=0.01)
        assert script == python

    first, twin, captions, _ = driver.find_elements(By.CSS_SELECTOR, ".sw-card")
    before = state(first)
    assert before == state(twin)
    assert_same_drawing(first)
    slider = first.find_element(By.NAME, "beta")
    for key in (Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT):
        slider.send_keys(key)
    explorer.beta.index = int(slider.get_attribute("value"))
    assert first.find_element(By.NAME, "rule").get_attribute("value") == "hand"
    assert state(first) != before
    assert state(twin) == before
    assert_same_drawing(first)
    moves = (("image", 1, 1), ("word", 1, 2), ("alpha", 3, 3), ("temperature", 2, 2))
    for name, n_down, index in moves:
        first.find_element(By.NAME, name).send_keys(*[Keys.ARROW_DOWN] * n_down)
        getattr(explorer, name).index = index
        assert_same_drawing(first)
    first.find_element(By.NAME, "plausible").send_keys(Keys.SPACE)
    explorer.plausible.value = True
    assert_same_drawing(first)
    slider.send_keys(Keys.HOME)
    explorer.beta.value = 0.0
    assert_same_drawing(first)
    first.find_element(By.NAME, "plausible").send_keys(Keys.SPACE)
    explorer.plausible.value = False
    assert_same_drawing(first)

    def titles() -> list[str]:
        items = captions.find_elements(By.CSS_SELECTOR, ".sw-item")
        return [item.accessible_name for item in items if item.is_displayed()]

    assert titles() == ["a.png"]
    captions.find_element(By.NAME, "position").send_keys(Keys.ARROW_RIGHT)
    assert titles() == ["b.png"]
    captions.find_element(By.NAME, "filter").send_keys(Keys.SPACE)
    assert titles() == ["a.png"]
    captions.find_element(By.NAME, "next").send_keys(Keys.ENTER)
    assert titles() == ["c.png"]
    captions.find_element(By.NAME, "previous").send_keys(Keys.ARROW_LEFT)
    assert titles() == ["a.png"]

    assert not driver.execute_script("return 'hacked' in window")
    assert driver.get_log("browser") == []


@pytest.mark.browser
def test_static_faces_show_their_first_frame_without_scripts(driver: Any, tmp_path: Path) -> None:
    from selenium.webdriver.common.by import By

    page = tmp_path / "faces.html"
    html = make_explorer().static_html() + CaptionBrowser(make_items()).static_html()
    page.write_text(f"<!doctype html><meta charset=utf-8>{html}", "utf-8")
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        driver.get(page.as_uri())
        values = driver.find_elements(By.CSS_SELECTOR, ".sw-purified text")
        assert [value.is_displayed() for value in values] == [True] * 9
        items = driver.find_elements(By.CSS_SELECTOR, ".sw-item")
        assert all(item.is_displayed() for item in items)
        controls = driver.find_elements(By.CSS_SELECTOR, ".sw-controls")
        assert not any(control.is_displayed() for control in controls)
    finally:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
