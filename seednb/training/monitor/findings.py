"""Findings of the monitor: a failure by name, its step, its evidence, and the fix."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from seednb.core.files import read_json, write_json

FINDINGS = "findings.json"  # beside a run's curve


@dataclass(frozen=True)
class Finding:
    """A failure that a rule found, and the optimiser step after which it was found first."""

    failure: str
    evidence: str
    fix: str
    step: int

    def __str__(self) -> str:
        """A line for the log."""
        return f"monitor: {self.failure} at step {self.step}: {self.evidence}; fix: {self.fix}"


def as_frame(findings: Sequence[Finding]) -> pd.DataFrame:
    """Findings as a table; a row that says so if there are none."""
    rows = [asdict(finding) for finding in findings]
    return pd.DataFrame(
        rows or [{"failure": "none", "evidence": "every rule is silent", "fix": "", "step": ""}]
    )


def in_words(findings: Sequence[Finding]) -> str:
    """Findings as sentences; that every rule is silent, if there are none."""
    said = (
        f"**{finding.failure}** at step {finding.step}: {finding.evidence}; {finding.fix}."
        for finding in findings
    )
    return " ".join(said) or "Every rule of the monitor is silent."


def write_findings(folder: Path, findings: Sequence[Finding]) -> None:
    """Write a run's findings beside its curve."""
    write_json(folder / FINDINGS, [asdict(finding) for finding in findings])


def read_findings(folder: Path) -> list[Finding]:
    """The findings of a run that was watched; none if it was not."""
    file = folder / FINDINGS
    return [Finding(**row) for row in read_json(file)] if file.is_file() else []
