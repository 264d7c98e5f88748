"""The report in a browser: silent on the network, usable by keyboard, on a phone, in the dark."""

import json

import nbformat
import pytest
from browsers import start_chromium
from nbformat.v4 import new_notebook
from report_samples import FACTS, first_notebook, folded_notebook, numbers, second_notebook
from selenium.webdriver.support.ui import WebDriverWait

from seednb.report.html import build_report

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PHONE, DESKTOP = (390, 844), (1440, 900)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A built report as a file address."""
    folder = tmp_path_factory.mktemp("report")
    files = []
    notebooks = {"a": first_notebook(), "b": second_notebook(), "c": folded_notebook()}
    for name, cells in notebooks.items():
        files.append(folder / f"{name}.ipynb")
        nbformat.write(new_notebook(cells=cells), files[-1])
    return build_report(files, numbers(), FACTS, folder / "index.html").as_uri()


@pytest.fixture(scope="module")
def driver():
    """Chromium without a window; the tests are skipped where it is not installed."""
    browser = start_chromium("--disable-background-networking")
    yield browser
    browser.quit()


@pytest.fixture
def page(driver, address):
    """A function that opens the report anew in a window of a size and a colour scheme."""

    def open_page(size=DESKTOP, scheme="light"):
        width, height = size
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": features})
        WebDriverWait(driver, 10).until(lambda _: opens_without_memory(driver, address))
        return driver

    return open_page


def opens_without_memory(driver, address):
    """Open the page; whether it finds nothing that an earlier test stored. What it finds is cleared.

    Clearing and opening it anew at once would be a race: the next page's storage may be cleared late.
    """
    driver.get(address)
    cleared = "const n = localStorage.length; if (n) localStorage.clear(); return n"
    return driver.execute_script(cleared) == 0


def style(driver, selector, name):
    """A computed style of the first element that matches."""
    script = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
    return driver.execute_script(script, selector, name)


def requests(driver):
    """Addresses that the browser asked for since the last call."""
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    sent = (event for event in events if event["method"] == "Network.requestWillBeSent")
    return {event["params"]["request"]["url"] for event in sent}


def test_nothing_is_requested_but_the_file_itself(page, address):
    driver = page()
    driver.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    asked = requests(driver)
    assert address in asked
    assert {url for url in asked if not url.startswith("data:")} == {address}


def test_even_a_script_cannot_reach_the_network(page):
    driver = page()
    outcome = driver.execute_async_script(
        "const done = arguments[0];"
        "fetch('https://example.org/').then(() => done('sent'), () => done('refused'));"
    )
    assert outcome == "refused"
    assert not {url for url in requests(driver) if url.startswith("http")}
    driver.get_log("browser")  # the refusal itself is logged; the next test starts clean


@pytest.mark.parametrize("size", [PHONE, DESKTOP])
def test_the_console_stays_empty(page, size):
    driver = page(size)
    driver.find_element("id", "theme").click()
    driver.find_element("id", "all-code").click()
    driver.execute_script("location.hash = 'appendix-numbers'")
    assert driver.get_log("browser") == []


def settles_at(driver, accepted):
    """Wait until the page's background, which fades, stays at an accepted colour."""
    seen = []

    def stays(browser):
        seen.append(style(browser, "body", "backgroundColor"))
        return len(seen) > 1 and seen[-1] == seen[-2] and accepted(seen[-1])

    WebDriverWait(driver, 5).until(stays)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_follows_the_system_until_the_button_is_used(page, scheme):
    driver = page(scheme=scheme)
    system = style(driver, "body", "backgroundColor")
    driver.find_element("id", "theme").click()
    chosen = theme(driver)
    settles_at(driver, lambda colour: colour != system)
    WebDriverWait(driver, 10).until(lambda _: outlives_a_reload(driver, chosen))
    driver.find_element("id", "theme").click()
    settles_at(driver, lambda colour: colour == system)


def theme(driver):
    """What the button chose; None before it is used."""
    return driver.find_element("tag name", "html").get_attribute("data-theme")


def outlives_a_reload(driver, chosen):
    """Whether a reload keeps a choice; it is chosen anew where a busy Chromium lost it on its way."""
    if theme(driver) != chosen:
        driver.find_element("id", "theme").click()
    driver.refresh()
    return theme(driver) == chosen


@pytest.mark.parametrize("width", [320, 390, 768, 1440])
def test_the_page_never_scrolls_sideways(page, width):
    driver = page((width, 844))
    driver.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    boxes = driver.find_elements("css selector", ".scroll")
    assert any(box.get_property("scrollWidth") > box.get_property("clientWidth") for box in boxes)


def test_verdict_table_and_figure_are_on_the_first_screen(page):
    driver = page(DESKTOP)
    for selector in (".verdict", ".overview", ".forest svg"):
        box = driver.find_element("css selector", selector).rect
        assert box["y"] + box["height"] <= DESKTOP[1], selector


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("size", "form"), [(PHONE, "narrow"), (DESKTOP, "wide")])
def test_a_figure_has_the_page_s_ink_font_and_ground_and_the_window_s_form(
    page, size, form, scheme
):
    driver = page(size, scheme)
    figures = driver.find_elements("css selector", "figure.plot svg")
    (visible,) = [figure for figure in figures if figure.is_displayed()]
    assert visible.get_attribute("class") == form
    assert visible.aria_role in ("img", "image") and visible.accessible_name == "Two intervals"
    text = f"figure.plot .{form} text"
    assert style(driver, text, "fill") == style(driver, "body", "color")
    assert style(driver, text, "fontFamily") == style(driver, "body", "fontFamily")
    assert style(driver, "figure.plot", "backgroundColor") == "rgba(0, 0, 0, 0)"
    scale = visible.rect["width"] / float(visible.get_dom_attribute("viewBox").split()[2])
    assert scale * float(style(driver, text, "fontSize").removesuffix("px")) >= 11


def test_a_link_into_a_fold_opens_it(page):
    driver = page()
    fold = driver.find_element("css selector", "details.fold")
    assert not fold.get_property("open")
    driver.execute_script("location.hash = 'chapter-05-more-numbers'")
    WebDriverWait(driver, 5).until(lambda _: fold.get_property("open"))


def test_a_long_table_opens_by_its_box_and_by_what_a_search_moves(page):
    from selenium.webdriver.common.keys import Keys

    for reach in (
        lambda box, more: more.send_keys(Keys.SPACE),
        lambda box, more: box.parent.execute_script("arguments[0].scrollTop = 400", box),
    ):
        driver = page()
        driver.execute_script("document.querySelector('details.fold').open = true")
        box = driver.find_element("css selector", ".long > .scroll")
        assert box.get_property("clientHeight") < 300 < box.get_property("scrollHeight")
        reach(box, driver.find_element("css selector", ".long input"))
        WebDriverWait(driver, 5).until(lambda _, box=box: box.get_property("clientHeight") > 900)


@pytest.mark.parametrize("size", [PHONE, DESKTOP])
def test_only_numbers_are_set_flush_right(page, size):
    driver = page(size)
    aligned = driver.execute_script(
        "return [...document.querySelectorAll('.output :is(th, td)')].map("
        "cell => [cell.textContent, getComputedStyle(cell).textAlign])"
    )
    assert {align for text, align in aligned if "sentence" in text or text == "meaning"} == {"left"}
    assert {align for text, align in aligned if "[1.0" in text or text == "points"} == {"right"}


def test_a_widgets_slider_answers_to_the_arrow_keys(page):
    from selenium.webdriver.common.keys import Keys

    driver = page()
    slider = driver.find_element("css selector", "#face input")
    slider.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert driver.find_element("css selector", "#face output").text == "0.8"
    slider.send_keys(Keys.ARROW_LEFT)
    assert driver.find_element("css selector", "#face output").text == "0.7"


def test_contents_open_on_a_phone_and_close_by_escape_or_choice(page):
    from selenium.webdriver.common.keys import Keys

    driver = page(PHONE)
    contents = driver.find_element("id", "contents")
    assert not contents.is_displayed()
    menu = driver.find_element("id", "menu")
    menu.click()
    assert contents.is_displayed()
    menu.send_keys(Keys.ESCAPE)
    assert not contents.is_displayed()
    menu.click()
    contents.find_element("css selector", "a[href='#chapter-03']").click()
    assert not contents.is_displayed()
    assert driver.current_url.endswith("#chapter-03")


def test_one_button_unfolds_all_code(page):
    driver = page()
    count = "return document.querySelectorAll('details.code[open]').length"
    assert driver.execute_script(count) == 0
    driver.find_element("id", "all-code").click()
    assert driver.execute_script(count) == len(driver.find_elements("css selector", "details.code"))


def test_focus_is_visible_and_the_first_stop_skips_to_the_content(page):
    from selenium.webdriver.common.keys import Keys

    driver = page()
    driver.find_element("css selector", "body").send_keys(Keys.TAB)
    focused = driver.switch_to.active_element
    assert focused.get_attribute("class") == "skip"
    assert focused.rect["x"] >= 0
    assert style(driver, ".skip", "outlineStyle") == "solid"


def test_print_leaves_out_controls_and_folded_code(page):
    driver = page()
    driver.find_element("id", "theme").click()  # dark on the screen
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    for selector in (".bar", "#contents", ".permalink", "details.code"):
        assert style(driver, selector, "display") == "none", selector
    assert style(driver, "body", "backgroundColor") == "rgb(255, 255, 255)"
    assert style(driver, ".verdict", "color") == "rgb(27, 31, 36)"
    assert style(driver, ".overview", "display") == "table"


def test_print_opens_folds_and_long_tables(page):
    driver = page()
    table = driver.find_element("css selector", ".long table")
    assert table.rect["height"] == 0 or not table.is_displayed()
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    box = driver.find_element("css selector", ".long > .scroll")
    assert box.rect["height"] >= table.rect["height"] > 600
    assert style(driver, ".more", "display") == "none"
