"""What a step came to: numbers that are on their way from the device while others are queued."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from accelerate.utils import gather_object

from seednb.transfer import OnHost


@dataclass(frozen=True)
class Figures:
    """What a step came to, on its way to the host."""

    values: list[dict[str, OnHost]]  # of each pass: one number an example
    gradient_norm: OnHost
    learning_rate: float
    n_nan: int  # passes of the run so far whose loss was not finite
    n_history: int  # confidences that were remembered by then

    def row(self) -> dict[str, Any]:
        """Means over all processes' examples, once they have arrived."""
        values = [{k: v.values.tolist() for k, v in part.items()} for part in self.values]
        every = gather_object(values)
        numbers = {key: [n for part in every for n in part.get(key, ())] for key in every[0]}
        means = {key: fmean(values) for key, values in numbers.items()}
        return means | {
            "beta_low": min(numbers["beta"]),
            "beta_high": max(numbers["beta"]),
            "learning_rate": self.learning_rate,
            "gradient_norm": float(self.gradient_norm.values),
            "nan_count": self.n_nan,
            "history": self.n_history,
        }


def not_finite(values: Sequence[Mapping[str, OnHost]]) -> set[int]:
    """The passes with a loss that is not finite; awaited while their backward pass runs."""
    return {n for n, of_pass in enumerate(values) if not of_pass["loss"].values.isfinite().all()}
