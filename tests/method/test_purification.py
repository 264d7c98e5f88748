"""Laws of the spaces in which the views are contrasted."""

import pytest
import torch

from seednb.method.purification import (
    PROBABILITY_FLOOR,
    SPACES,
    is_plausible,
    purify_logits,
    purify_plausible,
)


def views(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 4 * torch.randn(2, 40, 15, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("purify", SPACES.values(), ids=SPACES)
def test_without_beta_or_without_a_difference_the_clean_distribution_stays(purify):
    clean, noisy = views()
    for other, beta in ((noisy, torch.zeros(40)), (clean, torch.full((40,), 0.8))):
        found = purify(clean, other, beta.double()).softmax(-1)
        torch.testing.assert_close(found, clean.softmax(-1), atol=2e-5, rtol=0)


@pytest.mark.parametrize("purify", SPACES.values(), ids=SPACES)
def test_a_constant_a_row_changes_nothing_in_any_space(purify):
    """So log-probabilities are no space of their own."""
    (clean, noisy), beta = views(), torch.full((40,), 0.8, dtype=torch.float64)
    shifted = purify(clean.log_softmax(-1), noisy.log_softmax(-1), beta)
    torch.testing.assert_close(shifted.softmax(-1), purify(clean, noisy, beta).softmax(-1))


def test_probabilities_are_contrasted_and_clipped():
    clean, noisy = torch.tensor([[0.6, 0.3, 0.1]]).log(), torch.tensor([[0.2, 0.7, 0.1]]).log()
    found = SPACES["probabilities"](clean, noisy, torch.tensor([1.0])).exp()
    torch.testing.assert_close(found, torch.tensor([[1.0, PROBABILITY_FLOOR, 0.1]]))


def test_only_plausible_words_are_contrasted():
    clean, noisy = torch.tensor([[0.6, 0.35, 0.05]]).log(), torch.tensor([[0.2, 0.1, 0.7]]).log()
    beta = torch.tensor([1.0])
    found = purify_plausible(clean, noisy, beta)
    torch.testing.assert_close(found[:, :2], purify_logits(clean, noisy, beta)[:, :2])
    torch.testing.assert_close(found[:, 2], clean[:, 2])


def test_plausibility_is_a_share_of_the_largest_probability():
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log() + 7.0
    assert is_plausible(logits, 0.31).tolist() == [[True, True, False, False]]
    assert is_plausible(logits, 0.0).all() and is_plausible(logits, 1.0).sum() == 1
