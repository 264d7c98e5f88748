"""Laws of the confidence measures and of their pooling."""

import pytest
import torch

from seednb.method.confidence import (
    CONFIDENCES,
    POOLINGS,
    answer_confidence,
    confidence,
    max_logprob,
    mc_dropout,
    pooled,
)

N, HIDDEN, VOCABULARY = 12, 6, 30


@pytest.fixture
def head():
    torch.manual_seed(0)
    return torch.nn.Linear(HIDDEN, VOCABULARY, bias=False).double().requires_grad_(False)


def states(scale=1.0):
    generator = torch.Generator().manual_seed(1)
    return scale * torch.randn(N, HIDDEN, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("measure", CONFIDENCES.values(), ids=CONFIDENCES)
def test_a_measure_is_at_most_zero_and_looks_at_its_token_alone(measure, head):
    hidden = states()
    whole = measure(head, hidden)
    assert (whole <= 0).all() and whole.shape == (N,)
    torch.testing.assert_close(torch.cat([measure(head, row[None]) for row in hidden]), whole)


@pytest.mark.parametrize("name", ["max_logprob", "entropy", "margin"])
def test_sharper_logits_are_surer(name, head):
    blunt, sharp = (CONFIDENCES[name](head, states(scale)).mean() for scale in (0.5, 50.0))
    assert blunt < -0.5 and sharp > -0.15


def test_measures_by_hand():
    """Two words at one half: log ½, minus the entropy log 2, and no margin at all."""
    head = torch.nn.Linear(1, 4, bias=False)
    head.weight.data = torch.tensor([[40.0], [40.0], [0.0], [0.0]])
    torn = torch.ones(1, 1)
    expected = {"max_logprob": -0.6931, "entropy": -0.6931, "margin": -1.0}
    for name, value in expected.items():
        assert CONFIDENCES[name](head, torn).item() == pytest.approx(value, abs=1e-4)


def test_dropout_moves_a_word_that_hangs_on_one_feature_most():
    head = torch.nn.Linear(40, 2, bias=False)
    head.weight.data = torch.stack([torch.ones(40), torch.zeros(40)])
    many, one = torch.full((1, 40), 0.05), torch.zeros(1, 40)
    one[0, 3] = 2.0  # the same logit, from a single feature
    spread, single = mc_dropout(head, many), mc_dropout(head, one)
    assert single < 2 * spread < 0


def test_the_default_is_the_reproductions_confidence(head):
    hidden, example_of_token = states(), torch.arange(N) // 4
    expected = answer_confidence(head(hidden), example_of_token, 3)
    tokens = max_logprob(head, hidden)
    torch.testing.assert_close(pooled(tokens, [4, 4, 4], "mean"), expected)


def test_pooling_trims_outliers_and_finds_the_undecided_words():
    tokens = torch.tensor([-9.0, *[-0.1] * 8, -0.5, *[0.0] * 2])  # 12 tokens, then another example
    other = torch.tensor([-0.3])
    both = torch.cat([tokens, other])
    found = {name: pooled(both, [12, 1], name) for name in POOLINGS}
    assert found["mean"][0] == pytest.approx(tokens.mean())
    assert found["trimmed"][0] == pytest.approx(tokens[1:11].mean())  # -9 and one 0 are gone
    assert found["lowest"][0] == pytest.approx((-9 - 0.5 - 0.1) / 3)
    assert all(values[1] == pytest.approx(-0.3) for values in found.values())


def random_logits(*shape: int, seed: int = 0) -> torch.Tensor:
    return 4 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


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
