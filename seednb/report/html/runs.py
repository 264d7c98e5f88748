"""A finished report on disk: its numbers, and the few facts that tell it from others."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seednb.core.console import styled
from seednb.core.errors import SeedError
from seednb.core.files import write_json
from seednb.report.html.verdict import Conclusion, judge

PAGE, METRICS, FACTS = "index.html", "metrics.json", "run.json"
FIELDS = ("model", "versus", "benchmark", "split", "variant", "metric", "value", "low", "high", "n")


@dataclass(frozen=True)
class ReportedRun:
    """One report: `rows` are those of metrics.json, `values` its parameters, if they were kept."""

    name: str
    folder: Path
    rows: Sequence[Mapping[str, Any]]
    date: str = ""
    commit: str = ""
    notice: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def findings(self) -> tuple[Conclusion, ...]:
        """The verdict, from the rows alone."""
        return judge(self.rows) if self.rows else ()


def outcome(findings: Sequence[Conclusion]) -> list[str]:
    """The verdict as lines for a terminal."""
    marks = {"supported": ("✓", "green"), "opposite": ("✗", "red"), "unresolved": ("≈", "dim")}
    lines = []
    for finding in findings:
        mark, style = marks.get(finding.outcome, ("-", "dim"))
        lines.append(f"{styled(mark, style)} {finding.sentence}")
    return lines or ["no numbers yet: the evaluation (chapter 08) has not run"]


def write_facts(folder: Path, date: str, commit: str, notice: str, values: Any) -> None:
    """Keep beside a report what `read_run` finds again. `date`: when its newest chapter ran."""
    facts = {"date": date, "commit": commit, "notice": notice, "parameters": values}
    write_json(folder / FACTS, facts)


def read_run(text: str, reports: Path) -> ReportedRun:
    """The run of a report, given by its name, its folder, or its metrics.json.

    Raises SeedError that names the file, and the reports there are, if it cannot be read.
    """
    given = Path(text).expanduser()
    choices = (given, given / METRICS, reports / text / METRICS)
    file = next((path for path in choices if path.is_file()), None)
    if file is None:
        known = ", ".join(path.parent.name for path in sorted(reports.glob(f"*/{METRICS}")))
        raise SeedError(
            f"{text}: no report of that name and no {METRICS} there; there are: {known or 'none'}"
        )
    return _read(file, _name(file, reports))


def all_runs(reports: Path) -> list[ReportedRun]:
    """Every report below a folder, the newest first."""
    pages = (folder.parent for folder in reports.glob(f"*/{PAGE}"))
    files = [folder / METRICS for folder in pages if (folder / METRICS).is_file()]
    runs = [_read(file, file.parent.name) for file in files]
    return sorted(sorted(runs, key=lambda run: run.name), key=lambda run: run.date, reverse=True)


def _name(file: Path, reports: Path) -> str:
    """The folder's name; for a file from elsewhere with the folder above, which tells it apart."""
    folder = file.resolve().parent
    if folder.parent == reports.resolve():
        return folder.name
    return f"{folder.parent.name}/{folder.name}"


def _read(file: Path, name: str) -> ReportedRun:
    rows = _json(file)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise SeedError(f"{file}: not a list of rows; build the report anew: seednb report")
    for number, row in enumerate(rows, start=1):
        missing = [key for key in FIELDS if key not in row]
        if missing:
            raise SeedError(f"{file}: row {number} has no {missing[0]!r}; is it a metrics.json?")
    kept = file.parent / FACTS
    facts = _json(kept) if kept.is_file() else {}
    return ReportedRun(
        name=name,
        folder=file.parent,
        rows=rows,
        date=facts.get("date", ""),
        commit=facts.get("commit", ""),
        notice=facts.get("notice", ""),
        values=facts.get("parameters", {}),
    )


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SeedError(f"{file}: not readable as JSON ({error}); run: seednb report") from None
