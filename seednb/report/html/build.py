"""Executed notebooks, metrics and facts -> one self-contained HTML file."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seednb.report.html.appendix import steps
from seednb.report.html.chapters import Chapter, read_chapter
from seednb.report.html.front.overview import GLOSSES, forest_plot, overview_table
from seednb.report.html.front.tally import claim_bars
from seednb.report.html.page import write_page
from seednb.report.html.prose import plain_text
from seednb.report.html.verdict import further, judge

LARGE_MB = 6.0  # a page beyond that is slow to open on a phone
NO_FACTS: dict[str, Any] = {
    "profile": "",
    "notice": "",
    "commit": "",
    "parameters": [],
    "versions": {},
    "seeds": {},
    "skipped": [],
    "hero": None,
    "model": None,
    "settings": None,
    "missing": [],
}


def build_report(
    executed: Sequence[Path],
    metrics: Sequence[Mapping[str, Any]],
    facts: Mapping[str, Any],
    destination: Path,
) -> Path:
    """Write the report of the executed notebooks (in this order) and return its path.

    `metrics` are the rows of metrics.json. `facts` may hold `profile`, `notice` (a warning on the
    first screen), `parameters` (rows of name, value, default, unit, meaning, section), `versions`,
    `seeds`, `durations_s`, `artifacts`, `commit`, `skipped` (rows of item, reason), `claims` (rows of
    kind, verdict, claims), `missing` (rows of file, number, command: chapters that were not run and
    what adds them), `hero`, `model` and `settings` (`front`), `captions` and `confidence`
    (`verdict.further`); what is absent is left out. The same arguments give the same bytes. Warns if
    the file is large; raises SeedError if it would need a network.
    """
    chapters = [read_chapter(file) for file in executed]
    missing = [read_chapter(row["file"]) for row in facts.get("missing", ())]
    commands = [row["command"] for row in facts.get("missing", ())]
    table = overview_table(metrics)
    places = {plain_text(h.text): h.id for chapter in chapters for h in chapter.headings}
    claims = claim_bars(facts.get("claims"), places)
    write_page(
        destination,
        "report.html.j2",
        chapters=sorted([*chapters, *missing], key=lambda chapter: chapter.number),
        not_run={c.id: command for c, command in zip(missing, commands, strict=True)},
        findings=judge(metrics) if metrics else (),
        remarks=further(metrics, facts) if metrics else (),
        table=table,
        glosses=GLOSSES,
        forest=forest_plot(table),
        claims=claims,
        steps=steps(facts),
        facts=NO_FACTS | dict(facts),
        metrics=metrics,
    )
    _warn_if_large(destination, chapters)
    return destination


def _warn_if_large(file: Path, chapters: Sequence[Chapter]) -> None:
    size_mb = file.stat().st_size / 1e6
    if size_mb <= LARGE_MB:
        return
    largest = max(chapters, key=lambda chapter: chapter.n_characters, default=None)
    where = f"; the largest chapter is {largest.short_title!r}" if largest else ""
    warnings.warn(
        f"{file} has {size_mb:.1f} MB, more than {LARGE_MB:g}{where}: show fewer images there",
        stacklevel=3,
    )
