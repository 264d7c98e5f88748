"""Laws of purification and of the choice of beta."""

import pytest
import torch

from seednb.purify import MIN_HISTORY, BetaSelector, answer_confidence, confidence, purify_logits


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


def test_confidence_is_zero_for_a_certain_model_and_ignores_masked_tokens():
    logits = torch.zeros(1, 3, 5)
    logits[0, 0, 2] = 100
    torch.testing.assert_close(
        confidence(logits, torch.tensor([[True, False, False]])), torch.zeros(1)
    )


def test_confidence_of_uniform_tokens_is_minus_log_of_the_vocabulary():
    mask = torch.ones(2, 3, dtype=torch.bool)
    expected = torch.full((2,), -torch.log(torch.tensor(8.0)).item())
    torch.testing.assert_close(confidence(torch.zeros(2, 3, 8), mask), expected)


def test_confidence_from_answer_tokens_equals_confidence_from_the_whole_batch():
    logits = random_logits(3, 6, 11)
    mask = torch.tensor(
        [[1, 0, 1, 0, 0, 0], [0, 1, 1, 1, 0, 0], [0, 0, 0, 0, 0, 1]], dtype=torch.bool
    )
    flattened = answer_confidence(logits[mask], mask.nonzero()[:, 0], 3)
    torch.testing.assert_close(flattened, confidence(logits, mask))


def test_confidence_without_an_answer_token_is_an_error():
    with pytest.raises(ValueError, match="no answer token"):
        confidence(torch.zeros(2, 3, 4), torch.tensor([[True, True, True], [False] * 3]))


def test_a_short_history_gives_the_median_beta():
    selector = BetaSelector()
    betas = selector.select(torch.linspace(-2, 0, MIN_HISTORY))
    torch.testing.assert_close(betas, torch.full((MIN_HISTORY,), 0.7))


def test_lower_confidence_never_gets_a_smaller_beta():
    selector = BetaSelector()
    selector.select(random_logits(200).abs().neg())
    betas = [selector._beta(value) for value in torch.linspace(-12, 0, 50).tolist()]
    assert betas == sorted(betas, reverse=True)
    assert set(betas) == {1.1, 0.8, 0.6, 0.4}


def test_the_batch_size_does_not_change_the_betas():
    confidences = random_logits(300, seed=3).abs().neg()
    whole = BetaSelector().select(confidences)
    one_by_one = BetaSelector()
    torch.testing.assert_close(
        torch.cat([one_by_one.select(value[None]) for value in confidences]), whole
    )


def test_only_the_window_is_remembered():
    selector = BetaSelector(window=30)
    selector.select(torch.full((100,), -9.0))
    selector.select(torch.full((30,), -1.0))
    assert set(selector.history) == {-1.0}


@pytest.mark.parametrize("values", [(1.1, 0.8), (0.4, 0.6, 0.8, 1.1)])
def test_wrong_beta_values_are_refused(values):
    with pytest.raises(ValueError, match="quantiles"):
        BetaSelector(values=values)


def test_twenty_confidences_are_needed_and_a_thousand_are_remembered():
    selector = BetaSelector()
    selector.select(torch.linspace(-3, -1, 19))
    assert selector.thresholds() == [] and MIN_HISTORY == 20
    selector.select(torch.tensor([-1.0]))
    assert len(selector.thresholds()) == 3
    assert selector.history.maxlen == 1000


def test_a_confidence_equal_to_a_threshold_counts_as_above_it():
    selector = BetaSelector()
    selector.select(torch.full((MIN_HISTORY,), -2.0))
    betas = selector.select(torch.tensor([-2.0, -2.5]))
    torch.testing.assert_close(betas, torch.tensor([0.4, 1.1]))
