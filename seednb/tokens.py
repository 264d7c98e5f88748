"""Answer tokens of a batch lie flattened along one axis N; this returns to one value an example."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def example_means(
    token_values: Float[Tensor, "N"], example_of_token: Int[Tensor, "N"], n_examples: int
) -> Float[Tensor, "B"]:
    """Mean over the answer tokens of each example; an example without a token gives NaN."""
    sums, counts = _sums(token_values, example_of_token, n_examples)
    return sums / counts


def mean_of_means(
    token_values: Float[Tensor, "N"], example_of_token: Int[Tensor, "N"], n_examples: int
) -> Float[Tensor, ""]:
    """Mean, over the examples that have a token, of the means over their tokens.

    Which those are is not asked of the device: a host that waits leaves it idle.
    """
    sums, counts = _sums(token_values, example_of_token, n_examples)
    return (sums / counts.clamp(min=1)).sum() / (counts > 0).sum()


def _sums(
    token_values: Tensor, example_of_token: Tensor, n_examples: int
) -> tuple[Float[Tensor, "B"], Float[Tensor, "B"]]:
    """(sum, number) of each example's tokens."""
    zeros = token_values.new_zeros(n_examples)
    ones = torch.ones_like(token_values)
    return zeros.index_add(0, example_of_token, token_values), zeros.index_add(
        0, example_of_token, ones
    )


def precise(values: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """At least float32, which sums of probabilities need; float64 stays."""
    return values if values.dtype == torch.float64 else values.float()
