"""Laws of the reference step, on a model of two matrices."""

from contextlib import contextmanager
from statistics import median
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from seednb.method.beta import BetaSelector
from seednb.method.reference import BETA_VALUES, Example, answer_logits, seed_step, select_beta

N_TOKENS, VOCABULARY, N_PIXELS = 6, 11, 4


class Linear(nn.Module):
    """Logits from the token and the image; an adapter that starts at zero adds to them."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.words = torch.randn(VOCABULARY, VOCABULARY, generator=generator).double()
        self.image = torch.randn(N_PIXELS, VOCABULARY, generator=generator).double()
        self.adapter = nn.Parameter(torch.zeros(VOCABULARY, VOCABULARY).double())
        self.adapted = True

    def forward(self, input_ids, pixel_values):
        logits = self.words[input_ids] + pixel_values.flatten() @ self.image
        return SimpleNamespace(logits=logits + self.adapter[input_ids] * self.adapted)

    @contextmanager
    def disable_adapter(self):
        self.adapted = False
        yield
        self.adapted = True


def make_example(seed):
    generator = torch.Generator().manual_seed(seed)
    pixels, noise = torch.randn(2, 1, 1, 2, 2, generator=generator).double()
    return Example(torch.randint(VOCABULARY, (1, N_TOKENS), generator=generator), 3, pixels, noise)


def take(model, examples, history=None, **changes):
    optimiser = torch.optim.SGD([model.adapter], lr=1.0)
    settings = {"max_grad_norm": 1e9} | changes
    history = [] if history is None else history
    return seed_step(model, model.disable_adapter, optimiser, examples, history, **settings)


def test_supervision_alone_is_cross_entropy_with_the_answer():
    model, example = Linear(), make_example(1)
    logits = answer_logits(model, example, example.pixel_values)
    expected = nn.functional.cross_entropy(logits, example.input_ids[0, 3:])
    (figures,) = take(model, [example], distill_weight=0.0)
    assert figures["loss"] == figures["supervision"] == pytest.approx(expected.item(), abs=1e-12)


def test_without_noise_and_at_the_start_there_is_nothing_to_distil():
    (figures,) = take(Linear(), [make_example(1)], alpha=1.0)
    assert figures["distillation"] == pytest.approx(0.0, abs=1e-12)
    (figures,) = take(Linear(), [make_example(1)], alpha=0.3)
    assert figures["distillation"] > 0.01


def test_a_step_changes_the_adapter_by_the_mean_of_its_examples_gradients():
    examples, changes = [make_example(n) for n in range(3)], []
    for chosen in (examples, *([example] for example in examples)):
        model = Linear()
        take(model, chosen)
        changes.append(model.adapter.detach())
    assert changes[0].abs().max() > 0
    torch.testing.assert_close(changes[0], sum(changes[1:]) / 3, atol=1e-12, rtol=0)


def test_the_teacher_stays_the_base_model():
    model, example = Linear(), make_example(2)
    first, second = (take(model, [example])[0]["confidence"] for _ in range(2))
    assert first == second
    assert model.adapted


def test_gradients_are_clipped_to_their_norm():
    model = Linear()
    take(model, [make_example(1)], max_grad_norm=0.01)
    assert model.adapter.norm().item() == pytest.approx(0.01, rel=1e-3)


def test_beta_is_the_trainers_for_any_history():
    generator = torch.Generator().manual_seed(3)
    selector, history = BetaSelector(window=1000), []
    for value in (-torch.rand(1100, generator=generator)).tolist():
        beta = select_beta(value, history)
        history.append(value)
        assert beta == selector.select(torch.tensor([value], dtype=torch.float64)).item()
    assert select_beta(-9.0, history) == BETA_VALUES[0]
    assert select_beta(0.0, history) == BETA_VALUES[-1]
    assert select_beta(0.0, history[:19]) == pytest.approx(median(BETA_VALUES))
