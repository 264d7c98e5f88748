"""The two widgets: their numbers, their live face, their static face and its script.

One long file, because every law compares faces of the same few examples.
"""

import io
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.formatters import DisplayFormatter
from PIL import Image

import seednb.report.widgets.explorer as explorer_module
from seednb.core.errors import SeedError
from seednb.method.beta import BetaSelector
from seednb.report.widgets import BetaExplorer, CaptionBrowser, CaptionItem, ExplorerExample
from seednb.report.widgets.explorer import BY_CONFIDENCE, BY_HAND
from seednb.report.widgets.face import inline_json, percent
from seednb.report.widgets.frames import BETAS, frames
from seednb.report.widgets.history import History

ALPHAS, TEMPERATURES = (0.1, 0.3, 0.5, 0.7), (1.0, 2.0, 4.0)
WORDS = ["knife", "fork", "cup", "spoon", "and", "bowl", "table", "cat"]
PRESENT = [False, True, True, False, None, True, None, False]
# The first 200 lie outside the selector's window of 1000 and would move every threshold.
HISTORY = [-4.0] * 200 + (-np.random.default_rng(1).gamma(2, 0.25, 1000)).tolist()
VIEW = "application/vnd.jupyter.widget-view+json"
ATTACK = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"


def noise_png(seed: int) -> bytes:
    """An image that PNG cannot compress: the largest file of its size."""
    pixels = np.random.default_rng(seed).integers(0, 256, (96, 96, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def make_example(seed: int = 0, title: str = "", n_vocabulary: int = 60) -> ExplorerExample:
    rng = np.random.default_rng(seed)
    return ExplorerExample(
        title=title or f"dining {seed}",
        image_png=noise_png(seed),
        question="Describe this image.",
        answer_so_far="The image shows a table with a",
        confidence=-0.1 - 0.3 * seed,
        clean_logits=rng.normal(0, 2, n_vocabulary).astype(np.float32),
        noisy_logits={a: rng.normal(0, 2, n_vocabulary).astype(np.float32) for a in ALPHAS},
        words=WORDS,
        word_ids=rng.choice(n_vocabulary, len(WORDS), replace=False).tolist(),
        present=PRESENT,
    )


def make_explorer(n_examples: int = 2, history: list[float] = HISTORY) -> BetaExplorer:
    examples = [make_example(seed) for seed in range(n_examples)]
    return BetaExplorer(examples, history, ALPHAS, TEMPERATURES)


def make_items() -> list[CaptionItem]:
    different = CaptionItem(
        title="a.png",
        image_png=noise_png(0),
        truth=["cup", "fork"],
        captions={"base": "a fork and a knife", "v7": "a fork and a cup"},
        hallucinated={"base": [(13, 18)]},
        correct={"base": [(2, 6)], "v7": [(2, 6), (13, 16)]},
    )
    same = replace(
        different, title="b.png", captions=dict.fromkeys(("base", "v7"), "a fork and a knife")
    )
    same = replace(same, correct={"v7": [(2, 6)]})
    return [different, same, replace(different, title="c.png")]


def static_data(html: str) -> Any:
    found = re.search(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)
    assert found
    return json.loads(found[1])


def softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("alpha", ALPHAS)
def test_frames_equal_the_formula_over_the_whole_vocabulary(
    alpha: float, temperature: float
) -> None:
    example = make_example()
    clean, noisy = (
        logits.astype(float) for logits in (example.clean_logits, example.noisy_logits[alpha])
    )
    shown = frames(example, alpha, temperature)
    for beta, purified in zip(BETAS, shown.purified, strict=True):
        expected = softmax(((1 + beta) * clean - beta * noisy) / temperature)[example.word_ids]
        np.testing.assert_allclose(np.array(purified) / 1000, expected, atol=0.000501)
    expected_noisy = softmax(noisy / temperature)[example.word_ids]
    np.testing.assert_allclose(np.array(shown.noisy) / 1000, expected_noisy, atol=0.000501)


def test_beta_zero_gives_the_clean_probabilities_and_beta_one_does_not() -> None:
    shown = frames(make_example(), 0.3, 1.0)
    assert shown.purified[0] == shown.clean
    assert shown.purified[10] != shown.clean


def test_no_bar_is_longer_than_the_axis_and_all_betas_share_it() -> None:
    shown = frames(make_example(3), 0.1, 4.0)
    assert max(map(max, [shown.clean, shown.noisy, *shown.purified])) <= shown.scale


def test_static_face_has_a_frame_for_every_example_alpha_temperature_and_beta() -> None:
    table = np.array(
        [
            [[frame[3] for frame in row] for row in example["frames"]]
            for example in static_data(make_explorer(3).static_html())["examples"]
        ]
    )
    assert table.shape == (3, len(ALPHAS), len(TEMPERATURES), len(BETAS), len(WORDS))


def test_static_frames_are_the_numbers_that_the_live_face_draws() -> None:
    data = static_data(make_explorer().static_html())
    shown = frames(make_example(1), ALPHAS[2], TEMPERATURES[1])
    assert data["examples"][1]["frames"][2][1] == [
        shown.scale,
        shown.clean,
        shown.noisy,
        shown.purified,
    ]


@pytest.mark.parametrize("history", [HISTORY, HISTORY[:19], []], ids=["long", "short", "none"])
@pytest.mark.parametrize("seed", [0, 1, 2, 6])
def test_shown_beta_is_the_one_that_the_selector_gives(seed: int, history: list[float]) -> None:
    example = make_example(seed)
    selector = BetaSelector()
    selector.history.extend(history)
    expected = selector.select(torch.tensor([example.confidence], dtype=torch.float64)).item()
    explorer = BetaExplorer([example], history, ALPHAS, TEMPERATURES)
    assert explorer.beta.value == pytest.approx(expected)
    assert f"the rule gives beta {expected:g}." in explorer.side.value
    assert static_data(explorer.static_html())["examples"][0]["beta"] == pytest.approx(expected)


def test_strip_puts_the_marker_among_the_selectors_thresholds() -> None:
    history = History(tuple(HISTORY))
    thresholds = history.selector().thresholds()
    strip = history.strip(thresholds[1])
    assert strip.marker == strip.thresholds[1] == strip.chosen[0]
    assert [beta for _, beta in strip.zones] == list(BetaSelector().values)
    width = 100 / len(strip.bars)
    left = sum(bar for k, bar in enumerate(strip.bars) if (k + 1) * width <= strip.thresholds[0])
    assert left / sum(strip.bars) == pytest.approx(0.25, abs=0.06)  # one bin holds up to 6%


def test_slider_can_stand_on_every_beta_of_the_rule() -> None:
    selector = BetaSelector()
    assert {*selector.values, selector.start_value} <= set(BETAS)


@pytest.mark.parametrize(
    ("control", "value"), [("beta", 2.0), ("alpha", 0.7), ("temperature", 4.0), ("example", 1)]
)
def test_changing_a_live_control_changes_the_drawing(control: str, value: float) -> None:
    explorer = make_explorer()
    before = explorer.chart.value
    getattr(explorer, control).value = value
    assert explorer.chart.value != before


def test_moving_the_slider_leaves_the_rule_and_choosing_the_rule_moves_the_slider_back() -> None:
    explorer = make_explorer()
    ruled = explorer.beta.value
    assert explorer.rule.value == BY_CONFIDENCE
    explorer.beta.value = 2.0
    assert explorer.rule.value == BY_HAND
    explorer.rule.value = BY_CONFIDENCE
    assert explorer.beta.value == ruled


def test_reading_names_the_likeliest_absent_and_present_word_with_their_percentages() -> None:
    clean = np.log([0.1, 0.41, 0.3, 0.1, 0.09]).astype(np.float32)
    noisy = np.log([0.1, 0.52, 0.2, 0.1, 0.08]).astype(np.float32)
    example = replace(
        make_example(),
        clean_logits=clean,
        noisy_logits=dict.fromkeys(ALPHAS, noisy),
        words=["cat", "cup", "dog"],
        word_ids=[1, 2, 3],
        present=[False, True, False],
    )
    explorer = BetaExplorer([example], HISTORY, ALPHAS, [1.0])
    explorer.beta.value = 1.0
    purified = softmax(2 * clean.astype(float) - noisy)
    for k, word, place in ((1, "cat", "not in the image"), (2, "cup", "in the image")):
        change = f"from {np.exp(clean[k]):.0%} to {purified[k]:.0%}."
        assert f"Beta 1.0 moves “{word}” ({place}) {change}" in explorer.reading.value
    assert "dog" not in explorer.reading.value
    explorer.beta.value = 0.0
    assert "Beta 0 changes nothing" in explorer.reading.value


def test_slider_moves_need_no_new_forward_mathematics(
    monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    calls = []

    def counted(*arguments: Any) -> Any:
        calls.append(arguments[1:])
        return frames(*arguments)

    monkeypatch.setattr(explorer_module, "frames", counted)
    explorer = BetaExplorer([make_example(n_vocabulary=32000)], HISTORY, ALPHAS, TEMPERATURES)
    started = time.perf_counter()
    for beta in BETAS:
        explorer.beta.value = beta
    seconds = (time.perf_counter() - started) / len(BETAS)
    record_property("slider_ms", 1000 * seconds)
    assert seconds < 0.1
    assert calls == [(0.1, 1.0)]


def test_hallucinated_words_are_marked_in_words_not_only_in_colour() -> None:
    chart = make_explorer().chart.value
    assert chart.count("✕ not in image") == PRESENT.count(False)
    assert chart.count("✓ in image") == PRESENT.count(True)
    assert chart.count("<rect") == 3 * len(WORDS) + 3  # three bars a word and the legend


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
    renamed_html = BetaExplorer(renamed, HISTORY, ALPHAS, TEMPERATURES).static_html()
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

    example = replace(make_example(title=ATTACK), words=[ATTACK, *WORDS[1:]])
    explorer = BetaExplorer([replace(example, question=ATTACK)], HISTORY, ALPHAS, TEMPERATURES)
    item = CaptionItem(ATTACK, noise_png(0), [ATTACK], {ATTACK: ATTACK}, {ATTACK: [(0, 9)]})
    for html in (explorer.static_html(), CaptionBrowser([item]).static_html()):
        parser = Scripts()
        parser.feed(html)
        assert parser.n_scripts == 2
    assert static_data(explorer.static_html())["examples"][0]["words"][0] == ATTACK


@pytest.mark.parametrize(
    ("thousandths", "text"), [(0, "<0.1%"), (1, "0.1%"), (99, "9.9%"), (105, "11%"), (1000, "100%")]
)
def test_percent_keeps_a_decimal_below_ten(thousandths: int, text: str) -> None:
    assert percent(thousandths) == text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_png": b"GIF89a"}, "no PNG"),
        ({"confidence": 0.2}, r"confidence=0.2: must be finite and at most 0"),
        ({"clean_logits": np.full(60, np.nan)}, "view clean: must be 60 finite numbers"),
        ({"noisy_logits": {0.3: np.zeros(59)}}, "view 0.3: must be 60 finite numbers"),
        ({"words": ["knife"]}, "must be of one length"),
        ({"word_ids": [60] * 8}, r"word_ids: must be in \[0, 59\]"),
        ({"present": [1] * 8}, "must hold True, False or None"),
    ],
)
def test_bad_example_is_refused_by_title_and_reason(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SeedError, match=f"'dining 0'.*{message}"):
        replace(make_example(), **change)


def test_explorer_refuses_what_it_cannot_show() -> None:
    example = make_example()
    with pytest.raises(SeedError, match=r"'dining 0' has no noisy logits for alpha=0\.9"):
        BetaExplorer([example], HISTORY, [0.9], TEMPERATURES)
    with pytest.raises(SeedError, match="temperature=0: must be above 0"):
        BetaExplorer([example], HISTORY, ALPHAS, [0])
    with pytest.raises(SeedError, match=r"history\[1\]=0.5"):
        BetaExplorer([example], [-0.5, 0.5], ALPHAS, TEMPERATURES)
    with pytest.raises(SeedError, match="at least one example"):
        BetaExplorer([], HISTORY, ALPHAS, TEMPERATURES)


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


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    """Headless Chromium that opens files."""
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service

    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and chromedriver):
        pytest.skip("chromium or chromedriver is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in ("headless=new", "no-sandbox", "disable-gpu", "disable-background-networking"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options, Service(chromedriver))
    yield browser
    browser.quit()


CHART_STATE = """
const [chart, reading] = arguments;
const all = (root, selector, read) => [...root.querySelectorAll(selector)].map(read);
return {
  widths: all(chart, '.sw-row rect', (bar) => parseFloat(bar.getAttribute('width'))),
  labels: all(chart, 'svg[role=img]', (svg) => svg.ariaLabel),
  texts: all(chart, 'text', (text) => text.textContent),
  reading: all(reading, 'p', (line) => line.textContent),
};
"""


@pytest.mark.browser
def test_static_faces_work_from_a_file_with_the_keyboard(driver: Any, tmp_path: Path) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    explorer = make_explorer()
    attacked = BetaExplorer([make_example(title=ATTACK)], HISTORY, ALPHAS, TEMPERATURES)
    faces = [explorer, explorer, CaptionBrowser(make_items()), attacked]
    body = "".join(face.static_html() for face in faces)
    page = tmp_path / "faces.html"
    page.write_text(f"<!doctype html><meta charset=utf-8>{body}<div id=live></div>", "utf-8")
    driver.get(page.as_uri())

    def state(root: Any) -> dict[str, Any]:
        chart = root.find_element(By.CSS_SELECTOR, "[data-chart]:not([hidden])")
        reading = root.find_element(By.CSS_SELECTOR, ".sw-reading")
        return driver.execute_script(CHART_STATE, chart, reading)

    def python_state() -> dict[str, Any]:
        live = explorer.chart.value + explorer.reading.value
        place = driver.find_element(By.ID, "live")
        driver.execute_script("arguments[0].innerHTML = arguments[1]", place, live)
        return driver.execute_script(CHART_STATE, place, place)

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
    explorer.beta.value = float(slider.get_attribute("value"))
    assert first.find_element(By.NAME, "rule").get_attribute("value") == "hand"
    assert state(first) != before
    assert state(twin) == before
    assert_same_drawing(first)
    for name, value in (("example", 1), ("alpha", 3), ("temperature", 2)):
        control = first.find_element(By.NAME, name)
        control.send_keys(*[Keys.ARROW_DOWN] * value)
        getattr(explorer, name).index = value
        assert_same_drawing(first)
    slider.send_keys(Keys.HOME)
    explorer.beta.value = 0.0
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
        assert [value.is_displayed() for value in values] == [True] * 8 + [False] * 8
        items = driver.find_elements(By.CSS_SELECTOR, ".sw-item")
        assert all(item.is_displayed() for item in items)
        controls = driver.find_elements(By.CSS_SELECTOR, ".sw-controls")
        assert not any(control.is_displayed() for control in controls)
    finally:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
