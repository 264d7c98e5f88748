"""Markup in data stays text: captions, names, answers and models that try to run code in the report."""

import io

import nbformat
import numpy as np
import pandas as pd
import pytest
from browsers import start_chromium
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image
from report_samples import FACTS, SPANS, numbers, row, said, shown
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from seednb.report.html import build_report
from seednb.report.plots import canvas, show
from seednb.report.widgets import BetaExplorer, CaptionBrowser, CaptionItem, ExplorerExample
from seednb.report.widgets.frames import Caption, Place
from seednb.report.widgets.history import History

pytestmark = [pytest.mark.browser, pytest.mark.slow]
RUN = "window.hacked=(window.hacked||0)+1"
ATTACKS = (
    f"<script>{RUN}</script>",
    f"</script><script>{RUN}</script>",
    f"<img src=x onerror={RUN}>",
    f"\"><svg onload='{RUN}'>",
    f"' autofocus onfocus='{RUN}' x='",
    f"</style></title></textarea><iframe srcdoc='<script>parent.{RUN}</script>'></iframe>",
    f"<a href='javascript:{RUN}'>click</a>",
    f"<details open ontoggle={RUN}>",
    f"{{{{ 7*7 }}}}{{% raw %}}<script>{RUN}</script>",
    f"\u2028]]><!--<script>{RUN}</script>-->",
)
HOSTILE = "".join(ATTACKS)


def png():
    """Any image."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    return buffer.getvalue()


def example():
    """A place in an answer, with attacks for texts."""
    rng = np.random.default_rng(0)
    logits = [rng.normal(size=9).astype(np.float32) for _ in range(2)]
    place = Place(
        word=HOSTILE, so_far=HOSTILE, is_present=False, clean_logits=logits[0],
        noisy_logits={0.3: logits[1]}, words=[HOSTILE, "cup"], word_ids=[1, 2], present=[False, True],
    )  # fmt: skip
    return ExplorerExample(
        title=HOSTILE, question=HOSTILE, note=HOSTILE, image=png(), noisy_images={0.3: png()},
        confidence=-0.5, places=[place], caption=Caption([(HOSTILE, "wrong")], HOSTILE),
    )  # fmt: skip


class Hostile:
    """A source whose captions are attacks, too."""

    titles, n_kept = [HOSTILE], 1

    def example(self, number):
        return example()

    def captions(self, number, alpha, betas, plausible):
        return [Caption([(HOSTILE, ""), (HOSTILE, "right")], HOSTILE) for _ in betas]


def figure():
    """A figure whose labels are attacks."""
    drawn, (axes,) = canvas()
    axes.set_title(HOSTILE.replace("$", "").split("\u2028")[0])
    return show(drawn, HOSTILE).data


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A report all of whose texts from data, files and models are attacks."""
    folder = tmp_path_factory.mktemp("hostile")
    spans = {HOSTILE: [(0, 9)]}
    item = CaptionItem(HOSTILE, png(), [HOSTILE], {HOSTILE: HOSTILE, "v7": "a cup"}, spans)
    explorer = BetaExplorer(Hostile(), History((-1.0,) * 50), (0.3,), (1.0, 2.0))
    table = pd.DataFrame({HOSTILE: [HOSTILE]}, index=[HOSTILE])
    svg = f"<svg xmlns='http://www.w3.org/2000/svg' onload='{RUN}'><script>{RUN}</script></svg>"
    outputs = [
        said(HOSTILE), said(HOSTILE, "stderr"), said(f"\x1b[31m{HOSTILE}\x1b[0m\r{HOSTILE}\n"),
        shown(table.to_html(), HOSTILE), shown(figure(), HOSTILE),
        shown(CaptionBrowser([item]).static_html()), shown(explorer.static_html()),
        new_output("display_data", data={"text/markdown": f"[x](javascript:{RUN}) {HOSTILE}"}),
        new_output("display_data", data={"text/plain": HOSTILE}),
        new_output("display_data", data={"image/svg+xml": svg}),
        new_output("error", ename=HOSTILE, evalue=HOSTILE, traceback=[HOSTILE]),
    ]  # fmt: skip
    cells = [
        new_markdown_cell("# 01 · Attacks"),
        new_code_cell(f"x = {HOSTILE!r}", outputs=outputs),
    ]
    nbformat.write(new_notebook(cells=cells), folder / "a.ipynb")
    facts = FACTS | {
        "profile": HOSTILE, "notice": HOSTILE, "commit": HOSTILE,
        "skipped": [{"item": HOSTILE, "reason": HOSTILE}],
        "parameters": [{"section": HOSTILE, "name": HOSTILE, "value": HOSTILE, "meaning": HOSTILE}],
        "versions": {HOSTILE: HOSTILE}, "claims": [{"kind": HOSTILE, "verdict": HOSTILE, "claims": 2}],
    }  # fmt: skip
    attack = row(HOSTILE, "base", "chair", "CHAIRi", SPANS["up"])
    file = build_report([folder / "a.ipynb"], [*numbers(), attack], facts, folder / "index.html")
    return file.as_uri()


@pytest.fixture(scope="module")
def page(address):
    """The report, opened, with everything unfolded."""
    browser = start_chromium()
    browser.get(address)
    browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    yield browser
    browser.quit()


def n_run(browser):
    """How many attacks have run."""
    return browser.execute_script("return window.hacked || 0")


def test_no_attack_runs_when_the_report_is_opened_or_used(page):
    assert n_run(page) == 0
    for name in ("next", "previous"):
        page.execute_script(f"document.querySelectorAll('[name={name}]').forEach(b => b.click())")
    for control in page.find_elements("css selector", "input, select"):
        if control.is_displayed():
            control.send_keys(Keys.ARROW_RIGHT)
    page.find_element("id", "theme").click()
    assert n_run(page) == 0


def test_no_element_of_an_attack_is_in_the_page(page):
    selectors = "iframe, object, embed, [onerror], [onload], [onfocus], [ontoggle], [autofocus], a[href^='javascript' i]"  # fmt: skip
    found = page.find_elements("css selector", selectors)
    assert [element.get_attribute("outerHTML")[:200] for element in found] == []


def test_attacks_are_shown_as_the_text_that_they_are(page):
    text = page.execute_script("return document.body.textContent")
    for attack in ATTACKS[:-1]:  # the last one begins with a line separator, which HTML folds
        assert text.count(attack) >= 10, attack


def test_the_page_would_run_such_markup_if_it_were_not_escaped(page):
    """The guard of the tests above: nothing else, such as the page's policy, holds it back."""
    page.execute_script(
        "const box = document.createElement('div'); box.innerHTML = arguments[0];"
        "document.body.append(box);",
        ATTACKS[2],
    )
    WebDriverWait(page, 5).until(n_run)
