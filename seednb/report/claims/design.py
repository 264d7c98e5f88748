"""Checks on the design of an experiment and on words that have to agree."""

from seednb.report.claims.figures import CheckResult, read_figure


def same_label(labels: dict[str, str]) -> CheckResult:
    """One thing that is named in several places has one name."""
    agree = len(set(labels.values())) == 1
    places = "; ".join(f"{place}: {label}" for place, label in labels.items())
    return CheckResult(agree, f"{places} ({'one answer' if agree else 'they differ'})")


def only_change(first: dict[str, str], second: dict[str, str], blamed: str) -> CheckResult:
    """Two runs differ in the blamed setting and in no other, so the effect can be its own.

    Raises ValueError unless both runs state the same settings, the blamed one among them.
    """
    if first.keys() != second.keys() or blamed not in first:
        raise ValueError(f"both runs must state the same settings, with {blamed!r} among them")
    changed = [name for name in first if first[name] != second[name]]
    steps = ", ".join(f"{name} {first[name]} to {second[name]}" for name in changed)
    return CheckResult(changed == [blamed], f"{len(changed)} changed: {steps or 'nothing'}")


def all_reported(searched: list[str], reported: list[str]) -> CheckResult:
    """Every value of a search has a printed result."""
    missing = [value for value in searched if value not in reported]
    found = f"no figure for {', '.join(missing)}" if missing else "every value has a figure"
    return CheckResult(not missing, f"searched {', '.join(searched)}; {found}")


def best_of(results: dict[str, str], chosen: str) -> CheckResult:
    """The chosen setting has the lowest printed result."""
    values = {name: read_figure(text).value for name, text in results.items()}
    if chosen not in values:
        raise ValueError(f"{chosen!r} is not among the results")
    best = min(values, key=lambda name: values[name])
    listed = ", ".join(f"{name} {text}" for name, text in results.items())
    return CheckResult(values[chosen] <= values[best], f"{listed}; lowest is {best}")
