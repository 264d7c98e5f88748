"""Sorting, comparison and index in a browser: by keyboard, at every width, open to all."""

import json

import nbformat
import pytest
from axe import grave_violations
from browsers import start_chromium
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from report_samples import CLAIMS, FACTS, FRONT, first_notebook, numbers, second_notebook, shown
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from seednb.report.html import build_comparison, build_report, read_run, write_facts, write_index

pytestmark = [pytest.mark.browser, pytest.mark.slow]
TABLE = """<table class="dataframe"><thead><tr><th>model</th><th>points</th></tr></thead><tbody>
<tr><th>a</th><td>+10.0 [1, 2]</td></tr><tr><th>b</th><td>−2.5 [−3, 0]</td></tr>
<tr><th>c</th><td>–</td></tr><tr><th>d</th><td>9.0 [1, 2]</td></tr></tbody></table>"""
LEDGER = [
    new_markdown_cell("# 09 · Claims"),
    new_markdown_cell("## Tried here\n\nSome."),
    new_code_cell("table", outputs=[shown(TABLE)]),
]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Addresses of a report, a comparison and an index."""
    reports = tmp_path_factory.mktemp("reports")
    for name, effect in (("old", "flat"), ("new", "down")):
        files = []
        for place, cells in enumerate((first_notebook(), second_notebook(), LEDGER)):
            files.append(reports / name / f"{place}.ipynb")
            files[-1].parent.mkdir(exist_ok=True)
            nbformat.write(new_notebook(cells=cells), files[-1])
        rows = numbers(effect=effect)
        facts = FACTS | FRONT | {"claims": CLAIMS}
        build_report(files, rows, facts, reports / name / "index.html")
        (reports / name / "metrics.json").write_text(json.dumps(rows))
        write_facts(reports / name, "2026-01-02 03:04", "abc", "", {"seed": name})
    compared = build_comparison(read_run("old", reports), read_run("new", reports), reports)
    return {
        "report": (reports / "new" / "index.html").as_uri(),
        "comparison": compared.as_uri(),
        "index": write_index(reports).as_uri(),
    }


@pytest.fixture(scope="module")
def driver():
    browser = start_chromium("--disable-background-networking")
    yield browser
    browser.quit()


def open_page(driver, address, width=1440, scheme="light"):
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    features = [
        {"name": "prefers-color-scheme", "value": scheme},
        {"name": "prefers-reduced-motion", "value": "reduce"},  # a click must not chase its button
    ]
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": features})
    driver.get(address)
    driver.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")


def first_column(driver, table):
    script = "return [...arguments[0].tBodies[0].rows].map(row => row.cells[0].textContent)"
    return driver.execute_script(script, table)


def test_a_table_is_sorted_by_keyboard_up_down_and_back(driver, pages):
    open_page(driver, pages["report"])
    table = driver.find_element("css selector", "#chapter-09 table")
    head = table.find_elements("css selector", "th")[1]
    button = head.find_element("css selector", "button")
    for key, state, order in (
        (Keys.ENTER, "ascending", "bdac"),
        (Keys.SPACE, "descending", "adbc"),  # what has no number stays last
        (Keys.ENTER, None, "abcd"),
    ):
        button.send_keys(key)
        assert head.get_attribute("aria-sort") == state
        assert "".join(first_column(driver, table)) == order


def test_rows_of_the_first_screen_stay_in_their_group(driver, pages):
    open_page(driver, pages["report"])
    table = driver.find_element("css selector", ".overview")
    groups = (
        "return [...arguments[0].tBodies].map(b => [...b.rows].map(r => r.cells[0].textContent))"
    )
    before = driver.execute_script(groups, table)
    button = table.find_element("css selector", "thead button")
    button.click()
    button.click()
    after = driver.execute_script(groups, table)
    assert after != before
    assert [sorted(group) for group in after] == [sorted(group) for group in before]
    assert [group[0] for group in after] == [group[0] for group in before]


def test_a_count_of_claims_leads_to_the_section_that_lists_them(driver, pages):
    open_page(driver, pages["report"])
    driver.find_element("css selector", ".tallies a").send_keys(Keys.ENTER)
    assert driver.current_url.endswith("#chapter-09-tried-here")
    assert driver.find_element("css selector", ":target").text.startswith("Tried here")


def test_hours_follow_pairs_and_epochs_and_start_as_in_the_reproduction(driver, pages):
    open_page(driver, pages["report"])
    shown = "return [...document.querySelectorAll('[data-step-s]')].map(c => c.firstChild.data)"
    first = driver.execute_script(shown)
    box = FRONT["settings"]
    assert first == [card.hours for card in (*box["cards"], box["loop"])]
    pairs, epochs = driver.find_elements("css selector", "#plan input")
    epochs.send_keys(Keys.ARROW_UP)
    assert driver.execute_script(shown) != first
    epochs.send_keys(Keys.ARROW_DOWN)
    assert driver.execute_script(shown) == first  # the script counts as Python does
    pairs.clear()
    assert driver.execute_script(shown) == first  # nothing to plan: the last answer stays
    pairs.send_keys("1600")
    assert all(text.endswith("min") for text in driver.execute_script(shown)[1:-1])
    driver.find_element("css selector", "#plan button[type=reset]").click()
    WebDriverWait(driver, 5).until(lambda _: driver.execute_script(shown) == first)


@pytest.mark.parametrize("width", [390, 1440])
def test_the_hero_shows_its_whole_image_and_marks_what_is_invented(driver, pages, width):
    open_page(driver, pages["report"], width)
    image = driver.find_element("css selector", ".hero > img")
    fit = driver.execute_script("return getComputedStyle(arguments[0]).objectFit", image)
    assert fit == "contain" and image.size["height"] > 100
    marks = driver.find_elements("css selector", ".hero blockquote mark")
    assert [mark.get_attribute("class") for mark in marks] == ["wrong", "right"]
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("name", ["report", "comparison", "index"])
def test_no_page_breaks_a_serious_rule_of_accessibility(driver, pages, name):
    for width, scheme in ((1440, "light"), (390, "dark")):
        open_page(driver, pages[name], width, scheme)
        assert grave_violations(driver) == [], (width, scheme)


@pytest.mark.parametrize("name", ["comparison", "index"])
@pytest.mark.parametrize("width", [320, 390, 768, 1440])
def test_pages_never_scroll_sideways(driver, pages, name, width):
    open_page(driver, pages[name], width)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    assert not [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
