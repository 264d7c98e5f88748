"""Pages beside the report: two runs side by side, and the list of all runs."""

import json
import re

import pytest
from report_samples import CLAIMS, HOSTILE, numbers, row

from seednb.cli.__main__ import main
from seednb.core.errors import SeedError
from seednb.report.html import build_comparison, read_run, write_facts, write_index
from seednb.report.html.front.comparison import changed_parameters, pairs
from seednb.report.html.front.overview import forest_plot, overview_table
from seednb.report.html.front.tally import KINDS, TONES, claim_bars
from seednb.report.html.runs import ReportedRun


def run(name, rows, folder, **more):
    return ReportedRun(name, folder, rows, **more)


@pytest.fixture
def reports(tmp_path):
    """Two finished reports in one folder."""
    for name, effect, date in (
        ("old", "flat", "2026-01-02 03:04"),
        ("new", "down", "2026-02-01 00:00"),
    ):
        folder = tmp_path / "reports" / name
        folder.mkdir(parents=True)
        (folder / "index.html").write_text("a report")
        (folder / "metrics.json").write_text(json.dumps(numbers(effect=effect)))
        write_facts(folder, date, "abc1234", "", {"seed": 1, "n_pairs": len(name), "name": name})
    return tmp_path / "reports"


def test_every_claim_is_in_a_bar_that_leads_to_the_section_of_its_name():
    places = {"Tried here": "chapter-09-tried-here", "Arithmetic": "chapter-09-arithmetic"}
    bars = {bar.kind: bar for bar in claim_bars(CLAIMS, places)}
    assert sum(bar.claims for bar in bars.values()) == sum(row["claims"] for row in CLAIMS)
    assert list(bars) == list(KINDS)
    linked = {bar.title: bar.place for bar in bars.values() if bar.place}
    assert linked == places
    assert [part.verdict for part in bars["tried_here"].parts] == [
        "supported",
        "not supported",
        "opposite",
    ]


def test_an_error_of_the_document_has_not_the_tone_of_a_failure_of_this_run():
    parts = {part.verdict: part.tone for bar in claim_bars(CLAIMS, {}) for part in bar.parts}
    assert parts["opposite"] == "bad" and parts["supported"] == "good"
    about_the_document = {TONES[v] for v in ("consistent", "inconsistent", "right", "wrong")}
    assert not about_the_document & {"good", "bad"}


def test_intervals_are_apart_only_if_they_do_not_touch(tmp_path):
    spans = {"below": (0.1, 0.0, 0.2), "touching": (0.3, 0.2, 0.4), "above": (0.5, 0.41, 0.6)}
    rows = {name: [row("v7", "base", "chair", "CHAIRi", span)] for name, span in spans.items()}
    runs = {name: run(name, each, tmp_path) for name, each in rows.items()}
    (near,) = pairs(runs["below"], runs["touching"])
    (far,) = pairs(runs["below"], runs["above"])
    (back,) = pairs(runs["above"], runs["touching"])
    assert (near.apart, far.apart, back.apart) == (False, True, True)
    assert (near.moved, far.moved, back.moved) == ("+20.0", "+40.0", "−20.0")
    assert near.first == "+10.0 [0.0, +20.0]"


def test_only_figures_of_the_same_name_are_compared(tmp_path):
    first = run("a", [row("v7", "base", "chair", "CHAIRi", (0, 0, 0))], tmp_path)
    second = run("b", [row("v7", "sft", "chair", "CHAIRi", (0, 0, 0))], tmp_path)
    assert not list(pairs(first, second))


def test_parameters_that_differ_are_named_and_others_are_not():
    changed = list(changed_parameters({"a": 1, "b": 2}, {"b": 3, "c": 4, "a": 1}))
    assert changed == [("b", "2", "3"), ("c", "–", "4")]


def test_a_forest_of_two_runs_sets_a_models_lines_side_by_side_and_names_it_once():
    tables = [overview_table(numbers(effect=way)) for way in ("down", "up")]
    forest = forest_plot(*tables)
    lines = [each for each in forest.rows if each.model == "v7"]
    assert [line.series for line in lines] == [0, 1]
    assert lines[0].y < lines[1].y and lines[0].high < forest.zero < lines[1].low
    assert [line.name_y is not None for line in lines] == [True, False]
    assert forest_plot(tables[0]).height == forest.height


def test_compare_writes_one_offline_page_and_lists_it(reports, capsys):
    options = ["--params", "params/smoke.yaml", "-p", f"reports_dir={reports}"]
    assert main(["report", "--compare", "old", str(reports / "new"), *options]) == 0
    page = reports / "compare" / "old--new.html"
    assert str(page) in capsys.readouterr().out
    html = page.read_text()
    assert "is not distinguishable from the base model" in html
    assert "hallucinates less than the base model" in html
    assert re.search(r"<code>n_pairs|<code>name", html) and "<code>seed</code>" not in html
    assert 'href="compare/old--new.html"' in (reports / "index.html").read_text()


def test_the_index_lists_every_report_the_newest_first_with_its_verdict(reports):
    (reports / "half").mkdir()
    (reports / "half" / "index.html").write_text("a report")
    (reports / "half" / "metrics.json").write_text("[]")
    html = write_index(reports).read_text()
    links = re.findall(r'<h2><a href="([^"]+)"', html)
    assert links == ["new/index.html", "old/index.html", "half/index.html"]
    assert "2026-02-01 00:00" in html and "No numbers yet" in html
    assert html.index("hallucinates less") < html.index("is not distinguishable")


def test_names_and_values_are_escaped(tmp_path):
    hostile = run(HOSTILE, numbers(), tmp_path, values={HOSTILE: HOSTILE}, notice=HOSTILE)
    html = build_comparison(hostile, run("b", numbers(), tmp_path), tmp_path).read_text()
    assert HOSTILE not in html and "&lt;script&gt;alert(1)" in html


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"none\.json|no report of that name.*new, old"),
        ("{", r"metrics\.json: not readable as JSON"),
        ('{"a": 1}', r"metrics\.json: not a list of rows"),
        ('[{"model": "v7"}]', r"metrics\.json: row 1 has no 'versus'"),
    ],
)
def test_a_run_that_cannot_be_read_is_named(reports, tmp_path, content, message):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    if content is not None:
        (folder / "metrics.json").write_text(content)
    with pytest.raises(SeedError, match=message):
        read_run(str(folder), reports)


def test_a_run_from_elsewhere_keeps_the_name_of_the_folder_above(reports, tmp_path):
    folder = tmp_path / "cluster" / "reports" / "old"
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text("[]")
    assert read_run(str(folder), reports).name == "reports/old"
    assert read_run("old", reports).name == "old"
