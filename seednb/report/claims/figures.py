"""Printed figures with the rounding they carry, and the outcome of checking one."""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

RELATIVE_SLACK = 1e-6  # of a tolerance: float sums of printed decimals are off by about 1e-15


@dataclass(frozen=True)
class CheckResult:
    """Whether a claim agrees with the computation, and the computation in words."""

    consistent: bool
    evidence: str


@dataclass(frozen=True)
class PrintedFigure:
    """A number as printed: its value and how far rounding lets the truth lie from it.

    The tolerance is half a unit of the last printed digit. A figure marked `~` gets a whole unit of
    its last digit that is not a trailing zero (`~320` is 310 to 330, `~76` is 75 to 77).
    """

    text: str
    value: float
    tolerance: float
    decimals: int

    def agrees(self, computed: float) -> bool:
        """Whether `computed` lies within the tolerance."""
        return abs(computed - self.value) <= self.tolerance * (1 + RELATIVE_SLACK)

    def show(self, computed: float) -> str:
        """`computed` with the digits of this figure; one more where a `~` figure has none."""
        decimals = self.decimals
        if self.text.startswith("~"):
            decimals = max(decimals, 1)
        return f"{computed:.{decimals}f}" if decimals <= 5 else f"{computed:.2e}"


def read_figure(text: str) -> PrintedFigure:
    """Read `"2.40"`, `"~320"`, `"2e-6"`; the digits matter, so a bare number is refused.

    Raises ValueError for anything that is not a quoted decimal number.
    """
    if not isinstance(text, str):
        raise ValueError(f"figure {text!r} must be quoted: its printed digits set the tolerance")
    try:
        number = Decimal(text.removeprefix("~"))
    except InvalidOperation:
        raise ValueError(f"figure {text!r} is not a decimal number") from None
    if text.startswith("~") and number == number.to_integral_value():
        number = number.normalize()
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError(f"figure {text!r} is not finite")
    unit = 10.0**exponent
    tolerance = unit if text.startswith("~") else unit / 2
    return PrintedFigure(text, float(number), tolerance, max(0, -exponent))


def read_figures(texts: list[str]) -> list[PrintedFigure]:
    """`read_figure` of each."""
    return [read_figure(text) for text in texts]


def compare(
    formula: str, computed: float, printed: PrintedFigure, input_slack: float = 0.0
) -> CheckResult:
    """CheckResult of recomputing a printed figure from other printed figures.

    The printed inputs are taken at face value. `input_slack` is how far their own rounding could
    move the result; where only that would save the figure, the evidence says so.
    """
    consistent = printed.agrees(computed)
    evidence = (
        f"{formula} = {printed.show(computed)}, printed {printed.text} "
        f"(rounding allows {printed.tolerance:g})"
    )
    reach = (printed.tolerance + input_slack) * (1 + RELATIVE_SLACK)
    if not consistent and input_slack and abs(computed - printed.value) <= reach:
        evidence += "; only figures rounded after the computation could give it"
    return CheckResult(consistent, evidence)
