"""Checks by plain arithmetic on printed figures."""

import math

from seednb.report.claims.figures import CheckResult, compare, read_figure, read_figures

FLOAT_SLACK = 1e-9  # 0.1 + 0.2 is above 0.3 in binary


def difference(before: str, after: str, printed: str) -> CheckResult:
    """A printed change equals after - before."""
    first, second = read_figure(before), read_figure(after)
    slack = first.tolerance + second.tolerance
    change = second.value - first.value
    return compare(f"{after} - {before}", change, read_figure(printed), slack)


def product(times: list[str], printed: str, over: list[str] | None = None) -> CheckResult:
    """A printed figure equals the product of `times` divided by the product of `over`."""
    divisors = over or []
    computed = math.prod(f.value for f in read_figures(times))
    computed /= math.prod(f.value for f in read_figures(divisors))
    formula = " x ".join(times) + "".join(f" / {divisor}" for divisor in divisors)
    return compare(formula, computed, read_figure(printed))


def weighted_sum(weights: list[str], parts: list[str], printed: str) -> CheckResult:
    """A printed total equals the weighted sum of its printed parts."""
    pairs = list(zip(read_figures(weights), read_figures(parts), strict=True))
    computed = sum(weight.value * part.value for weight, part in pairs)
    slack = sum(weight.value * part.tolerance for weight, part in pairs)
    formula = " + ".join(f"{weight.text} x {part.text}" for weight, part in pairs)
    return compare(formula, computed, read_figure(printed), slack)


def weighted_range(
    weights: list[str], lows: list[str], highs: list[str], low: str, high: str
) -> CheckResult:
    """A printed range of a weighted sum equals what the printed ranges of its parts allow."""
    shares = [figure.value for figure in read_figures(weights)]
    ends = []
    for parts in (lows, highs):
        values = [figure.value for figure in read_figures(parts)]
        ends.append(sum(share * value for share, value in zip(shares, values, strict=True)))
    agree = read_figure(low).agrees(ends[0]) and read_figure(high).agrees(ends[1])
    return CheckResult(
        agree, f"the parts allow {ends[0]:g} to {ends[1]:g}, printed {low} to {high}"
    )


def total(parts: list[str], low: str, high: str) -> CheckResult:
    """The sum of printed parts lies in a printed range."""
    computed = sum(figure.value for figure in read_figures(parts))
    start, end = read_figure(low).value, read_figure(high).value
    inside = start - FLOAT_SLACK <= computed <= end + FLOAT_SLACK
    allowed = f"printed {low}" if low == high else f"range {low} to {high}"
    return CheckResult(inside, f"{' + '.join(parts)} = {computed:g}, {allowed}")


def within(values: list[str], low: str, high: str) -> CheckResult:
    """Every printed value lies in a range."""
    start, end = read_figure(low).value, read_figure(high).value
    outside = [f.text for f in read_figures(values) if not start <= f.value <= end]
    found = f"outside: {', '.join(outside)}" if outside else "none outside"
    return CheckResult(not outside, f"{', '.join(values)} against {low} to {high}; {found}")


def falling(values: list[str]) -> CheckResult:
    """Printed values fall from each to the next (or stay)."""
    numbers = [figure.value for figure in read_figures(values)]
    rises = [
        f"{values[i]} to {values[i + 1]}"
        for i in range(len(numbers) - 1)
        if numbers[i + 1] > numbers[i]
    ]
    found = f"rises at {', '.join(rises)}" if rises else "never rises"
    return CheckResult(not rises, f"{', '.join(values)}; {found}")


def same_figure(figures: dict[str, str]) -> CheckResult:
    """One quantity that is printed in several places has one value."""
    values = read_figures(list(figures.values()))
    agree = all(a.agrees(b.value) or b.agrees(a.value) for a in values for b in values)
    places = "; ".join(f"{place}: {text}" for place, text in figures.items())
    return CheckResult(agree, f"{places} ({'the same' if agree else 'not the same'})")


def signal_kept(alpha: str, printed: str) -> CheckResult:
    """A printed percentage equals sqrt(alpha), the amplitude that noise injection keeps."""
    power = read_figure(alpha).value
    outcome = compare(f"100 sqrt({alpha})", 100 * math.sqrt(power), read_figure(printed))
    return CheckResult(
        outcome.consistent, f"{outcome.evidence}; of the power {100 * power:g}% is kept"
    )


def signal_to_noise(alpha: str, low_db: str, high_db: str) -> CheckResult:
    """Signal over noise, 10 log10(alpha / (1 - alpha)) for unit-variance input, is in a range."""
    power = read_figure(alpha).value
    ratio_db = 10 * math.log10(power / (1 - power))
    inside = read_figure(low_db).value <= ratio_db <= read_figure(high_db).value
    return CheckResult(
        inside,
        f"10 log10({alpha} / {1 - power:g}) = {ratio_db:.1f} dB, range {low_db} to {high_db} dB",
    )


def duration(samples: str, per_second: str, printed: str) -> CheckResult:
    """Printed hours equal samples over speed, for some speed that rounds to the printed one.

    A speed of two digits dominates the error, so its rounding is carried through.
    """
    n, speed, hours = read_figure(samples).value, read_figure(per_second), read_figure(printed)
    shortest = n / (speed.value + speed.tolerance) / 3600
    longest = n / (speed.value - speed.tolerance) / 3600
    reaches = hours.value + hours.tolerance >= shortest
    consistent = reaches and hours.value - hours.tolerance <= longest
    return CheckResult(
        consistent,
        f"{samples} / {per_second} per second = {shortest:.2f} to {longest:.2f} h "
        f"(the speed is rounded), printed {printed} h",
    )
