"""The report: one offline file whose every number comes from the rows, and whose words follow."""

import base64
import re
from collections import Counter
from html import unescape
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from report_samples import (
    BAR,
    FACTS,
    HOSTILE,
    PNG,
    SPANS,
    WIDGET,
    first_notebook,
    numbers,
    row,
    said,
    second_notebook,
    shown,
)

from seednb.core.errors import SeedError
from seednb.report.html import build, build_report, page
from seednb.report.html.prose import to_mathml


@pytest.fixture
def report(tmp_path):
    """A function that builds a report and returns its HTML."""

    def make(metrics=(), facts=FACTS, notebooks=None):
        files = []
        for place, cells in enumerate(notebooks or [first_notebook(), second_notebook()]):
            files.append(tmp_path / f"{place}" / "notebook.ipynb")
            files[-1].parent.mkdir(exist_ok=True)
            nbformat.write(new_notebook(cells=cells), files[-1])
        path = build_report(files, metrics or numbers(), facts, tmp_path / "out" / "index.html")
        return path.read_text(encoding="utf-8")

    return make


def test_the_report_loads_nothing_from_anywhere(report):
    html = report()
    loaded = re.findall(r'<(?!a\b)[^>]*?\s(?:src|srcset|href)=["\']([^"\']*)', html)
    assert loaded
    assert all(address.startswith(("data:", "#")) for address in loaded)
    assert not re.search(r"@import|url\((?!['\"]?data:)", html)
    assert "default-src 'none'" in unescape(html)


@pytest.mark.parametrize(
    "html",
    [
        '<img src="https://example.org/a.png">',
        '<script src="//example.org/a.js"></script>',
        "<style>p { background: url(https://example.org/a.png) }</style>",
        '<link rel="stylesheet" href="https://example.org/a.css">',
        "<p style=\"background: url('https://example.org/a.png')\">",
    ],
)
def test_an_output_that_would_load_something_is_refused_by_address(report, html):
    cells = [new_markdown_cell("# 01 · A"), new_code_cell("x", outputs=[shown(html)])]
    with pytest.raises(SeedError, match=r"example\.org/a\..*offline"):
        report(notebooks=[cells])


def test_every_formula_becomes_mathml_and_dollars_in_code_stay(report):
    html = report()
    assert html.count("<math") == 3  # heading, display, inline; the contents hold plain text
    assert html.count('display="block"') == 1
    without_code = re.sub(r"<(script|style|code|pre)\b.*?</\1>", "", html, flags=re.S)
    assert re.findall(r"\$[^$<]*", without_code) == ["$5, a span , and"]
    assert "<code>a $x$ b</code>" in html
    assert "<code>$5</code>" in html
    assert "$HOME" in html and "$PATH" in html


def test_named_operators_keep_their_distance_and_words_stay_whole():
    assert '<mo lspace="0" rspace="0.167em">log</mo>' in to_mathml(r"\log q", "inline")
    assert 'lspace="0.167em"' in to_mathml(r"q\log q", "inline")
    assert "<mi>clean</mi>" in to_mathml(r"\mathrm{clean}", "inline")


@pytest.mark.parametrize("latex", [r"\nonsense x", r"\left(x", r"\text{<b>x</b>}"])
def test_a_formula_that_cannot_be_set_is_named_with_its_notebook_and_cell(report, latex):
    cells = [new_markdown_cell("# 01 · A"), new_markdown_cell(f"Look: ${latex}$")]
    with pytest.raises(
        SeedError, match=r"notebook\.ipynb, cell 1: formula .*" + re.escape(repr(latex))
    ):
        report(notebooks=[cells])


def test_widgets_keep_their_static_face_and_lose_their_live_view(report):
    html = report()
    assert WIDGET in html
    assert "BetaExplorer()" not in html
    assert "widget-view" not in html
    assert "HBox()" not in html


def test_progress_bars_vanish_and_messages_stay(report):
    messages = [
        said(
            "read:  0%|   | 0/9 [00:00<?, ?it/s]\rread: 100%|###| 9/9 [00:01<00:00, 4it/s]\n",
            "stderr",
        ),
        said(f"\r{BAR}Warning: kept on the same line\n", "stderr"),
        said("\r12it [00:01, 9.9it/s]\r\x1b[A", "stderr"),
        said("scores: 40%| of all\n", "stderr"),
    ]
    cells = [new_markdown_cell("# 01 · A"), new_code_cell("x", outputs=messages)]
    html = report(notebooks=[cells])
    (shown_text,) = re.findall(r'<pre class="scroll stderr"[^>]*>(.*?)</pre>', html, flags=re.S)
    assert shown_text == "Warning: kept on the same line\nscores: 40%| of all"
    assert "Messages <span>2 lines" in html


def test_remarks_of_libraries_about_their_own_arguments_vanish(report):
    remarks = [
        said("[transformers] The `use_fast` parameter is deprecated and will go.\n", "stderr"),
        said("a.py:3: FutureWarning: `is_gradient_checkpointing` is deprecated\n", "stderr"),
        said("  warnings.warn(\n", "stderr"),
    ]
    cells = [new_markdown_cell("# 01 · A"), new_code_cell("x", outputs=remarks)]
    assert '<details class="messages"' not in report(notebooks=[cells])


def test_the_progress_of_a_live_cell_stays_out_of_the_report(report):
    live = new_code_cell("train()", outputs=[said("Ep1 Step20")])
    live.metadata["tags"] = ["remove-output"]
    html = report(notebooks=[[new_markdown_cell("# 01 · A"), live]])
    assert "Ep1 Step20" not in html
    assert "train" in html


def test_prints_broken_by_progress_bars_are_one_block(report):
    outputs = [said("one\n"), said(BAR, "stderr"), said("two\n"), said("\n" + BAR, "stderr")]
    cells = [new_markdown_cell("# 01 · A"), new_code_cell("x", outputs=outputs)]
    html = report(notebooks=[cells])
    assert re.findall(r"<pre class=\"scroll (\w+)\"[^>]*>(.*?)</pre>", html, re.S) == [
        ("stdout", "one\ntwo")
    ]


def test_a_failed_cell_shows_its_traceback_without_control_codes(report):
    error = new_output("error", ename="E", evalue="v", traceback=["\x1b[31mBroken\x1b[0m <here>"])
    cells = [new_markdown_cell("# 01 · A"), new_code_cell("x", outputs=[error])]
    html = report(notebooks=[cells])
    assert "ansi-red" in html and "&lt;here&gt;" in html and "\x1b" not in html


def test_nothing_from_data_or_facts_becomes_markup(report):
    facts = FACTS | {
        "profile": HOSTILE,
        "notice": HOSTILE,
        "commit": HOSTILE,
        "parameters": [{"section": HOSTILE, "name": HOSTILE, "value": HOSTILE, "meaning": HOSTILE}],
        "versions": {HOSTILE: HOSTILE},
        "seeds": {HOSTILE: HOSTILE},
        "durations_s": {HOSTILE: 1.0},
        "artifacts": {HOSTILE: HOSTILE},
        "skipped": [{"item": HOSTILE, "reason": HOSTILE}],
        "claims": [{"kind": HOSTILE, "verdict": HOSTILE, "claims": 3}],
    }
    hostile_row = row(HOSTILE, HOSTILE, HOSTILE, HOSTILE, SPANS["up"], HOSTILE)
    html = report([*numbers(), hostile_row | {"records": HOSTILE, "variant": HOSTILE}], facts)
    assert HOSTILE not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 20


def test_what_was_not_run_is_not_judged(report):
    rows = [r for r in numbers() if r["versus"] != "mention_control"]
    html = report([r for r in rows if r["model"] != "sft"])
    assert "The control that only mentions less has not been run." in html
    assert "Not run: sft." in html
    assert "There are no numbers yet" not in html


def test_without_metrics_the_first_screen_says_what_to_run(report, tmp_path):
    report()
    path = build_report([], [], {}, tmp_path / "empty.html")
    html = path.read_text(encoding="utf-8")
    assert "There are no numbers yet" in html and "seednb report" in html
    assert 'class="verdict"' not in html and '<svg viewBox="0 0 420' not in html


def test_the_first_screen_shows_the_rows_numbers_in_points(report):
    rows = [r for r in numbers() if (r["model"], r["metric"]) != ("v7", "CHAIRi")]
    html = report([*rows, row("v7", "base", "chair", "CHAIRi", (-0.0287, -0.0342, -0.0239))])
    result = html[html.index('id="result"') : html.index('id="claims"')]
    assert "<b>−2.9</b> points" in result
    assert result.count("[−3.4, −2.4]") == 3  # table, figure, and the question's card
    assert "21.3" in result


def test_claims_are_counted_from_rows(report):
    rows = [
        {"kind": "tried_here", "verdict": "opposite", "claims": 4},
        {"kind": "tried_here", "verdict": "supported", "claims": 9},
    ]
    html = report(facts=FACTS | {"claims": rows})
    assert "<b>4</b> opposite" in html and "flex-grow:9" in html
    assert 'id="claims"' not in report(facts=FACTS | {"claims": []})


@pytest.mark.parametrize(
    "claims", ["kind verdict", {"tried_here": {"opposite": 4}}, [{"kind": "a"}]]
)
def test_claims_of_another_shape_are_refused(report, claims):
    with pytest.raises(SeedError, match=r"claim counts .* are not rows"):
        report(facts=FACTS | {"claims": claims})


def test_every_link_inside_the_page_has_one_target(report):
    html = report()
    ids = Counter(re.findall(r'\sid="([^"]+)"', html))
    targets = set(re.findall(r'href="#([^"]+)"', html))
    assert {"result", "claims", "chapter-01", "chapter-03", "appendix", "main"} <= targets
    assert targets <= set(ids)
    assert [name for name, times in ids.items() if times > 1] == []
    assert "chapter-01-sizes-2" in ids


def test_headings_form_an_outline_without_gaps(report):
    levels = [int(level) for level in re.findall(r"<h([1-6])", report())]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_page_has_language_skip_link_and_text_alternatives(report):
    html = report()
    assert '<html lang="en">' in html
    assert html.index('class="skip" href="#main"') < html.index("<header")
    assert 'alt="A red dot"' in html
    assert all("alt=" in tag for tag in re.findall(r"<img[^>]*>", html))


def test_code_is_folded_and_injected_parameters_are_left_out(report):
    html = report()
    assert '<details class="code"><summary>Code <span>1 line</span></summary>' in html
    assert "injected" not in html
    assert '<span class="nb">print</span>' in html


def tagged(source, *tags, shows=None):
    """A code cell with tags and one output."""
    outputs = [shown(shows)] if shows else []
    return new_code_cell(source, outputs=outputs, metadata={"tags": list(tags)})


def test_tagged_cells_are_folded_with_their_text_and_nothing_is_lost(report):
    cells = [
        new_markdown_cell("# 01 · A"),
        new_markdown_cell("## Random split\n\nFor completeness."),
        tagged("first", "all-tables", shows="<i>table 1</i>"),
        new_markdown_cell("*The answer.* This stays."),
        tagged("second", shows="<i>table 2</i>"),
        new_markdown_cell("**More seeds.** Each moves a little."),
        tagged("third", "all-tables", shows="<i>table 3</i>"),
        tagged("fourth", "all-tables", shows="<i>table 4</i>"),
        new_markdown_cell("**Half widths.** They shrink."),
        tagged("fifth", "fold", shows="<i>table 5</i>"),
        new_markdown_cell("**Change me.** Guess."),
        tagged("sixth", shows="<i>table 6</i>"),
        new_markdown_cell("*The answer.* It is so."),
        tagged("seventh"),
        tagged("last", "fold", shows="<i>table 7</i>"),
    ]
    html = report(notebooks=[cells])
    chapter = html[html.index('id="chapter-01"') : html.index('id="appendix"')]
    folds = re.findall(r'<details class="fold"><summary>(.*?)</summary>', chapter)
    assert folds == ["All tables", "Half widths", "Change me", "More"]
    shown_in = re.findall(r"table \d|This stays|It is so|completeness|class=.fold", chapter)
    assert shown_in == [
        "This stays", "table 2", "class=\"fold", "completeness", "table 1", "table 3", "table 4",
        "class=\"fold", "table 5", "class=\"fold", "table 6", "It is so",
        "class=\"fold", "table 7",
    ]  # fmt: skip
    assert 'href="#chapter-01-random-split"' in html and 'id="chapter-01-random-split"' in chapter


@pytest.mark.parametrize(("n", "is_long"), [(12, False), (13, True)])
def test_a_long_table_begins_with_its_first_rows_and_says_how_many_there_are(report, n, is_long):
    rows = "".join(f"<tr><th>{i}</th><td>value</td></tr>" for i in range(n))
    table = f"<table><thead><tr><th></th><th>name</th></tr></thead><tbody>{rows}</tbody></table>"
    html = report(notebooks=[[new_markdown_cell("# 01 · A"), tagged("x", shows=table)]])
    assert (f"All {n} rows" in html) is is_long
    assert html.count("<td>value</td>") == n


def test_narrow_outputs_stand_beside_their_text_and_wide_ones_below(report):
    cells = [
        new_markdown_cell("# 01 · A"),
        tagged("parameters"),
        new_markdown_cell("Narrow."),
        tagged("x", shows="<table><tr><td>1</td><td>2</td></tr></table>"),
        new_markdown_cell("Wide."),
        tagged("x", shows="<table><tr>" + 12 * "<td>twelve words wide</td>" + "</tr></table>"),
        new_markdown_cell("A widget."),
        tagged("x", shows=WIDGET),
    ]
    html = report(notebooks=[cells])
    assert re.findall(r'<div class="(step[^"]*)">', html) == ["step", "step wide", "step wide"]


def test_wide_tables_scroll_in_a_box_of_their_own(report):
    html = report()
    assert re.search(r'<div class="scroll table" [^>]*><table class=\'dataframe\'>', html)
    assert re.search(r'<div class="scroll table" [^>]*><table><thead>\s*<tr>\s*<th>kind', html)


def test_plain_images_become_figures_with_an_alternative(report):
    data = {"image/png": PNG + "\n", "text/plain": "<Figure>"}
    outputs = [
        new_output("display_data", data=data),
        new_output("display_data", data=data, metadata={"image/png": {"alt": 'a "dot"'}}),
        new_output("display_data", data={"text/markdown": "*yes*"}),
        new_output("display_data", data={"text/latex": r"$\alpha$"}),
        new_output("display_data", data={"image/svg+xml": "<svg><title>dot</title></svg>"}),
    ]
    cells = [new_markdown_cell("# 01 · A"), new_code_cell("x", outputs=outputs)]
    html = report(notebooks=[cells])
    assert html.count(f'src="data:image/png;base64,{PNG}"') == 2
    assert 'alt="a &#34;dot&#34;"' in html
    assert "<em>yes</em>" in html and "<mi>α</mi>" in html
    svg = base64.b64encode(b"<svg><title>dot</title></svg>").decode()
    assert f'src="data:image/svg+xml;base64,{svg}"' in html  # as an image it can run no script


def test_html_in_displayed_markdown_stays_text_and_harmful_links_go(report):
    text = f"*yes* [link](javascript:alert(1)) {HOSTILE}\n\n<img src=x onerror=alert(1)>"
    outputs = [new_output("display_data", data={"text/markdown": text})]
    html = report(notebooks=[[new_markdown_cell("# 01 · A"), new_code_cell("x", outputs=outputs)]])
    assert "<em>yes</em>" in html and HOSTILE not in html
    assert "<img src=x" not in html and "javascript:" not in html


def test_skipped_inputs_are_counted_by_reason(report):
    reasons = ["image is missing", "image is damaged", "image is missing"]
    skipped = [{"item": str(n), "reason": reason} for n, reason in enumerate(reasons)]
    html = report(facts=FACTS | {"skipped": skipped})
    assert "3 inputs could not be used: image is damaged (1), image is missing (2)" in html


def test_the_appendix_says_how_the_report_was_made(report):
    html = report()
    appendix = html[html.index('id="appendix"') :]
    for fact in ("n_pairs", "1600", "2.13.0", "no git", "6f1c2a9b0d3e", "24.2 s", "1 min 35 s",
                 "image is damaged", "answers/captions.jsonl"):  # fmt: skip
        assert fact in appendix
    assert 'class="changed"' in appendix


def test_same_input_gives_the_same_bytes(report):
    assert report() == report()


def test_a_large_report_warns_and_names_the_largest_chapter(report, monkeypatch):
    monkeypatch.setattr(build, "LARGE_MB", 0.01)
    with pytest.warns(UserWarning, match=r"MB, more than 0\.01; the largest chapter is 'Data'"):
        report()


@pytest.mark.parametrize("first", [new_markdown_cell("No heading"), new_code_cell("# 01 · A")])
def test_a_notebook_without_a_title_is_refused_by_name(report, first):
    with pytest.raises(SeedError, match=r"notebook\.ipynb: cell 0 has no heading"):
        report(notebooks=[[first]])


def test_a_missing_or_broken_notebook_is_named(tmp_path):
    with pytest.raises(SeedError, match=r"gone\.ipynb is missing"):
        build_report([tmp_path / "gone.ipynb"], [], {}, tmp_path / "index.html")
    (tmp_path / "broken.ipynb").write_text("{")
    with pytest.raises(SeedError, match=r"broken\.ipynb: not a notebook"):
        build_report([tmp_path / "broken.ipynb"], [], {}, tmp_path / "index.html")


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_stands_out_from_every_ground(theme):
    css = Path(page.ASSETS, "report.css").read_text(encoding="utf-8")
    pairs = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", css)
    colour = {name: _luminance(both[theme]) for name, *both in pairs}
    grounds = {
        "paper": ("ink", "soft", "accent", "good", "bad", "open"),
        "card": ("ink", "soft", "accent", "good", "bad", "open"),
        "sunken": ("ink", "soft", "keyword", "string", "number", "name"),
        "accent-wash": ("ink", "soft", "accent", "good", "bad"),
        "bad-wash": ("bad",),
    }
    for ground, texts in grounds.items():
        for text in texts:
            low, high = sorted((colour[ground], colour[text]))
            assert (high + 0.05) / (low + 0.05) >= 4.5, f"{text} on {ground}"


def _luminance(colour):
    """WCAG relative luminance of #rrggbb."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
