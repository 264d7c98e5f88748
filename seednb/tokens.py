"""Answer tokens of a batch lie flattened along one axis N; this returns to one value an example."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def example_means(
    token_values: Float[Tensor, "N"], example_of_token: Int[Tensor, "N"], n_examples: int
) -> Float[Tensor, "B"]:
    """Mean over the answer tokens of each example; an example without a token gives NaN."""
    zeros = token_values.new_zeros(n_examples)
    sums = zeros.index_add(0, example_of_token, token_values)
    return sums / zeros.index_add(0, example_of_token, torch.ones_like(token_values))


def precise(values: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """At least float32, which sums of probabilities need; float64 stays."""
    return values if values.dtype == torch.float64 else values.float()
