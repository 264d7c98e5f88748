"""Laws of the choice of beta."""

import pytest
import torch

from seednb.method.beta import BETA_RULES, MIN_HISTORY, BetaSelector, beta_by_quantile


def random_logits(*shape: int, seed: int = 0) -> torch.Tensor:
    return 4 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_short_history_gives_the_median_beta():
    selector = BetaSelector()
    betas = selector.select(torch.linspace(-2, 0, MIN_HISTORY))
    torch.testing.assert_close(betas, torch.full((MIN_HISTORY,), 0.7))


def test_lower_confidence_never_gets_a_smaller_beta():
    selector = BetaSelector()
    selector.select(random_logits(200).abs().neg())
    betas = [beta_by_quantile(selector, v, 0.0) for v in torch.linspace(-12, 0, 50).tolist()]
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


def selector_with_history(rule, **settings):
    selector = BetaSelector(rule=rule, **settings)
    selector.history.extend(torch.linspace(-2, 0, 101).tolist())
    return selector


@pytest.mark.parametrize(
    "rule", [rule for rule in BETA_RULES if rule not in ("fixed", "curriculum")]
)
def test_every_confidence_rule_falls_from_low_to_high_confidence(rule):
    selector = selector_with_history(rule)
    betas = [selector.rule(selector, value, 0.0) for value in torch.linspace(-2, 0, 21).tolist()]
    assert betas == sorted(betas, reverse=True)
    assert betas[0] == pytest.approx(1.1, abs=1e-6) and betas[0] > betas[-1]


def test_the_reproductions_sigmoid_never_falls_below_half_of_its_largest_beta():
    proposed, corrected = selector_with_history("sigmoid"), selector_with_history("tanh")
    certain = torch.zeros(1)
    assert proposed.select(certain).item() == pytest.approx(0.55)
    assert corrected.select(certain).item() == pytest.approx(0.0)
    values = torch.linspace(-30, 0, 200)
    assert proposed.select(values).min() >= 0.55
    assert (BetaSelector(rule="tanh", tau=0.05).select(values) >= 0).all()


def test_the_rank_rule_meets_the_quantile_rule_at_both_ends_and_is_smooth():
    ranked = selector_with_history("rank")
    values = torch.linspace(-2, 0.01, 300).tolist()
    betas = torch.tensor([ranked.rule(ranked, value, 0.0) for value in values])
    assert betas[0] == pytest.approx(1.1) and betas[-1] == pytest.approx(0.4)
    assert betas.diff().abs().max() < 0.02  # the quantile rule jumps by 0.3
    short = BetaSelector(rule="rank")
    assert short.select(torch.tensor([-1.0])).item() == pytest.approx(short.start_value)


def test_fixed_ignores_confidence_and_curriculum_follows_the_run():
    values = torch.tensor([-2.0, -0.1])
    assert selector_with_history("fixed").select(values).tolist() == pytest.approx([0.7, 0.7])
    curriculum = selector_with_history("curriculum")
    for progress, beta in ((0.0, 0.4), (0.5, 0.75), (1.0, 1.1)):
        assert curriculum.select(values, progress).tolist() == pytest.approx([beta, beta])


def test_low_is_below_the_quantile_of_the_history():
    selector = selector_with_history("quantiles")
    assert selector.is_low(torch.tensor([-1.9, -1.1, -0.9, 0.0]), 0.5) == [True, True, False, False]
    assert selector.is_low(torch.tensor([-1.9, -0.1]), 0.0) == [False, False]
    assert BetaSelector().is_low(torch.zeros(3), 0.1) == [True] * 3  # nothing to compare with


def test_a_confidence_at_the_quantile_itself_is_not_low():
    selector = BetaSelector()
    selector.history.extend([-2.0] * MIN_HISTORY)
    assert selector.is_low(torch.tensor([-2.0, -2.1]), 0.5) == [False, True]


def test_a_curriculum_starts_at_the_smallest_beta():
    assert BetaSelector(rule="curriculum").select(torch.zeros(1)).item() == pytest.approx(0.4)
