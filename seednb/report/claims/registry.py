"""The checks that the ledger may name."""

from collections.abc import Callable
from typing import Any

from seednb.report.claims import costs, design, method, sums, tables
from seednb.report.claims.figures import CheckResult

CHECKS: dict[str, Callable[..., CheckResult]] = {
    check.__name__: check
    for check in (
        sums.difference,
        sums.product,
        sums.weighted_sum,
        sums.weighted_range,
        sums.total,
        sums.within,
        sums.falling,
        sums.same_figure,
        sums.signal_kept,
        sums.signal_to_noise,
        sums.duration,
        tables.precision_recall,
        tables.accuracy_yes_ratio,
        tables.whole_count,
        tables.closer_to_half,
        tables.chair_pair,
        tables.resolves,
        tables.resolves_measured,
        design.same_label,
        design.only_change,
        design.all_reported,
        design.best_of,
        costs.lora_count,
        costs.lora_share,
        costs.model_memory,
        costs.adapter_size,
        costs.step_cost,
        method.log_space_purification,
        method.kl_argument_order,
        method.beta_rule,
        method.history_by_batch,
        method.continuous_beta,
        method.level_or_mean,
        method.temperature_effect,
    )
}


def run_check(name: str, arguments: dict[str, Any]) -> CheckResult:
    """Run a check by name; ValueError or KeyError if an argument's value makes no sense."""
    return CHECKS[name](**arguments)
