"""Checks on benchmark tables: what a confusion matrix, a count or a sample size allows."""

import math

from seednb.report.claims.figures import CheckResult, compare, read_figure

Z_95 = 1.959964


def precision_recall(precision: str, recall: str, metric: str, printed: str) -> CheckResult:
    """Precision and recall force F1, accuracy and yes ratio when half of the answers are yes.

    With as many positives as negatives and true-positive rate r: predicted yes = r / (2 p),
    false-positive rate = r (1 - p) / p. Percentages in and out.
    Raises ValueError unless `metric` is f1, accuracy or yes_ratio.
    """
    p, r = read_figure(precision).value / 100, read_figure(recall).value / 100
    forced = {
        "f1": 2 * p * r / (p + r),
        "accuracy": 0.5 + r / 2 - r * (1 - p) / (2 * p),
        "yes_ratio": r / (2 * p),
    }
    if metric not in forced:
        raise ValueError(f"metric {metric!r} is not one of {', '.join(forced)}")
    formula = f"precision {precision} and recall {recall} on a balanced set force {metric}"
    return compare(formula, 100 * forced[metric], read_figure(printed))


def accuracy_yes_ratio(accuracy: str, yes_ratio: str, printed: str) -> CheckResult:
    """Accuracy and yes ratio force recall on a balanced set: accuracy + yes ratio - 1/2."""
    right, yes = read_figure(accuracy), read_figure(yes_ratio)
    recall = right.value + yes.value - 50
    formula = f"accuracy {accuracy} and yes ratio {yes_ratio} on a balanced set force recall"
    return compare(formula, recall, read_figure(printed), right.tolerance + yes.tolerance)


def whole_count(printed: str, n: int) -> CheckResult:
    """Some whole number out of `n` gives the printed percentage."""
    figure = read_figure(printed)
    below = math.floor(figure.value * n / 100)
    shares = {k: 100 * k / n for k in (below, below + 1)}
    found = [k for k, share in shares.items() if figure.agrees(share)]
    digits = figure.decimals + 1
    around = " and ".join(f"{k}/{n} = {share:.{digits}f}%" for k, share in shares.items())
    ending = f"{found[0]} fits" if found else "no whole number fits"
    return CheckResult(bool(found), f"{printed}% of {n}: {around}; {ending}")


def closer_to_half(before: str, after: str) -> CheckResult:
    """The second yes ratio is nearer to 50% than the first."""
    gaps = [abs(read_figure(text).value - 50) for text in (before, after)]
    return CheckResult(
        gaps[1] < gaps[0], f"distance from 50%: {gaps[0]:.1f} before, {gaps[1]:.1f} after"
    )


def chair_pair(chair_i: str, chair_s: str) -> CheckResult:
    """CHAIRi is not above CHAIRs, unless the captions with an invented object are longer.

    A share s of captions holds every invented mention. Even if *all* their mentions are invented,
    CHAIRi = s x / (s x + 1 - s), where x is how many times as many objects they name; so CHAIRi > s
    needs x > 1. Consistent if x <= 1 suffices.
    """
    mentions, captions = (read_figure(text).value / 100 for text in (chair_i, chair_s))
    least_ratio = mentions * (1 - captions) / (captions * (1 - mentions))
    return CheckResult(
        least_ratio <= 1,
        f"CHAIRi {chair_i} with CHAIRs {chair_s}: even if every object in the flagged captions "
        f"were invented, they would have to name at least {least_ratio:.2f} times as many objects "
        "as the others",
    )


def resolves(difference: str, rate: str, n: int, resolved: bool = True) -> CheckResult:
    """A change exceeds (or, `resolved` false, does not) the 95% half-width of a rate at size n.

    1.96 sqrt(p (1 - p) / n): also the half-width of a paired difference whose two sides correlate
    by one half. The best case for pairing, every changed answer changed the same way, is the exact
    sign test 2 / 2^k of the k answers.
    """
    p, change = read_figure(rate).value / 100, abs(read_figure(difference).value)
    half_width = 100 * Z_95 * math.sqrt(p * (1 - p) / n)
    changed = round(change * n / 100)
    best_p = min(1.0, 2 * 0.5**changed)
    return CheckResult(
        (change > half_width) == resolved,
        f"half-width of {rate}% at n = {n}: {half_width:.1f} points, change {change:g} "
        f"({changed} answers); if all changed one way, exact p = {best_p:.2g}",
    )


def resolves_measured(
    difference: str, half_width: str, measured_n: int, n: int, resolved: bool = True
) -> CheckResult:
    """As `resolves`, with a half-width that was measured at one size and scaled by 1 / sqrt(n)."""
    change = abs(read_figure(difference).value)
    measured = read_figure(half_width).value
    scaled = measured * math.sqrt(measured_n / n)
    needed = math.ceil(measured_n * (measured / change) ** 2)
    return CheckResult(
        (change > scaled) == resolved,
        f"half-width {half_width} points, measured on {measured_n} captions, is {scaled:.2f} at "
        f"{n}; {change:g} points would need about {needed} captions",
    )
