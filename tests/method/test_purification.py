"""Laws of purification, in every space in which the views are contrasted."""

import pytest
import torch

from seednb.method.purification import (
    PROBABILITY_FLOOR,
    SPACES,
    effective_sharpness,
    is_plausible,
    purify_logits,
    purify_plausible,
)


def random_logits(*shape: int, seed: int = 0) -> torch.Tensor:
    return 4 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_zero_beta_returns_clean_logits():
    clean, noisy = random_logits(2, 5, 9)
    torch.testing.assert_close(purify_logits(clean, noisy, torch.zeros(5)), clean)


def test_equal_views_are_left_alone_whatever_beta():
    clean = random_logits(5, 9)
    torch.testing.assert_close(purify_logits(clean, clean, torch.arange(5.0)), clean)


def test_each_row_has_its_own_beta():
    clean, noisy = random_logits(2, 3, 4)
    betas = torch.tensor([0.0, 0.5, 1.1])
    purified = purify_logits(clean, noisy, betas)
    for row, beta in enumerate(betas):
        torch.testing.assert_close(purified[row], (1 + beta) * clean[row] - beta * noisy[row])


def test_log_probabilities_give_the_same_distribution():
    clean, noisy = random_logits(2, 50, 30)
    by_logits = purify_logits(clean, noisy, 0.8).softmax(-1)
    by_logprobs = purify_logits(clean.log_softmax(-1), noisy.log_softmax(-1), 0.8).softmax(-1)
    torch.testing.assert_close(by_logits, by_logprobs)


def test_float16_logits_are_contrasted_in_float32():
    clean, noisy = torch.full((1, 2), 60000.0), torch.full((1, 2), -60000.0)
    purified = purify_logits(clean.half(), noisy.half(), 1.1)
    assert purified.dtype == torch.float32
    assert torch.isfinite(purified).all()


def test_sharpness_in_closed_form_is_that_of_the_target():
    """Where the noisy view is a share of the clean one, the target is the clean one, sharper."""
    clean = random_logits(6, 9)
    for beta, temperature, overlap in ((1.1, 2.0, 0.6), (0.4, 1.0, 0.0), (0.7, 4.0, 1.0)):
        target = purify_logits(clean, overlap * clean, beta) / temperature
        sharpness = effective_sharpness(beta, temperature, overlap)
        torch.testing.assert_close(target, sharpness * clean)


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
