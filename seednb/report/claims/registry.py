"""The checks that the ledger may name: every function of these modules that gives a CheckResult."""

import inspect
from collections.abc import Callable
from typing import Any

from seednb.report.claims import costs, design, method, sums, tables
from seednb.report.claims.figures import CheckResult

CHECKS: dict[str, Callable[..., CheckResult]] = {
    name: check
    for module in (sums, tables, design, costs, method)
    for name, check in inspect.getmembers(module, inspect.isfunction)
    if check.__module__ == module.__name__
    and inspect.signature(check).return_annotation is CheckResult
}


def run_check(name: str, arguments: dict[str, Any]) -> CheckResult:
    """Run a check by name; ValueError or KeyError if an argument's value makes no sense."""
    return CHECKS[name](**arguments)
