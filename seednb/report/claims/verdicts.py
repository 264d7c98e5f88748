"""Claims and metrics in, verdicts out: no verdict of a computed kind is typed by hand."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from seednb.core.errors import SeedError
from seednb.evaluation.stats import COUNTED, Interval
from seednb.report.claims.ledger import EXPECTATIONS, Claim, Query
from seednb.report.claims.registry import run_check

COLUMNS = ["id", "section", "statement", "kind", "verdict", "evidence", "command"]


def settle(claims: Iterable[Claim], metrics_rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row a claim: id, section, statement, kind, verdict, evidence, command.

    `metrics_rows` are the rows of a report's metrics.json (an empty list: nothing was run).
    Verdicts: arithmetic `consistent | inconsistent`; tried_here `supported | not contradicted |
    not supported | opposite | not run`; needs_7b `needs the 7B run`; source `wrong | right |
    ambiguous`.
    Raises SeedError that names the claim if a check cannot use its arguments.
    """
    rows = []
    for claim in claims:
        verdict, evidence = _settle_one(claim, metrics_rows)
        if claim.note:
            evidence = f"{evidence}; {claim.note}"
        rows.append(
            [claim.id, claim.section, claim.statement, claim.kind, verdict, evidence, claim.command]
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def counts(frame: pd.DataFrame) -> pd.DataFrame:
    """How many claims of a settled frame have each verdict: columns kind, verdict, claims."""
    sizes = frame.groupby(["kind", "verdict"], sort=False).size()
    return sizes.rename("claims").reset_index()


def interval_verdict(low: float, high: float, expected: str) -> str:
    """Verdict on a difference from its 95% interval, by the rule for `expected` in EXPECTATIONS.

    An interval that holds 0 is no proof of "no effect": a wide one holds large effects, too.
    Raises ValueError for another expectation.
    """
    if expected not in EXPECTATIONS:
        raise ValueError(f"expected {expected!r} is not a rule")
    below, around, above = EXPECTATIONS[expected]
    return below if high < 0 else above if low > 0 else around


def _settle_one(claim: Claim, metrics_rows: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    if claim.kind == "arithmetic":
        try:
            outcome = run_check(claim.check, dict(claim.arguments or {}))
        except (ArithmeticError, KeyError, TypeError, ValueError) as error:
            raise SeedError(
                f"claim {claim.id!r}: check {claim.check} cannot use its arguments: {error}; "
                "correct them in the ledger"
            ) from error
        return ("consistent" if outcome.consistent else "inconsistent"), outcome.evidence
    if claim.query is not None:
        return _settle_query(claim.query, metrics_rows)
    if claim.kind == "source":
        return claim.verdict, claim.reason
    return "needs the 7B run", "only the real model or its data can settle this"


def _settle_query(query: Query, rows: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Verdict of the matching rows; where variants disagree, the weaker or `not supported`."""
    found = [row for row in rows if _matches(query, row) and Interval.of(row).is_defined]
    if not found:
        return "not run", f"no row with an interval for {_title(query)}"
    verdicts = {interval_verdict(row["low"], row["high"], query.expected) for row in found}
    if len(verdicts) == 1:
        (verdict,) = verdicts
    elif verdicts == {"supported", "not contradicted"}:
        verdict = "not contradicted"
    else:
        verdict = "not supported"
    listed = "; ".join(_describe(row) for row in found)
    return verdict, f"{_title(query)}, expected {query.expected.replace('_', ' ')}: {listed}"


def _matches(query: Query, row: Mapping[str, Any]) -> bool:
    names = ("model", "versus", "benchmark", "split", "metric")
    same = all(row.get(name) == getattr(query, name) for name in names)
    return same and query.variant in (None, row.get("variant"))


def _title(query: Query) -> str:
    place = f" ({query.split})" if query.split else ""
    return f"{query.model} - {query.versus}, {query.benchmark}{place} {query.metric}"


def _describe(row: Mapping[str, Any]) -> str:
    unit = "a caption" if row["metric"] in COUNTED else "points"
    variant = f", {row['variant']}" if row.get("variant") else ""
    return f"{Interval.of(row).text(row['metric'], True, unit)}, n = {row['n']}{variant}"
