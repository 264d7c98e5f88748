"""Laws of the divergences: signs, zeros, directions, and gradients that stay finite."""

from dataclasses import fields

import pytest
import torch
from torch.nn import functional as F

from seednb.core.params import TrainParams
from seednb.method.losses import (
    DIVERGENCES,
    cross_entropy,
    example_means,
    forward_kl,
    js_divergence,
    reverse_kl,
    seed_loss,
    skew_forward_kl,
    skew_reverse_kl,
)


def two_logits(scale: float = 3, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return (scale * torch.randn(2, 20, 31, generator=generator)).to(dtype)


@pytest.mark.parametrize("name", DIVERGENCES)
def test_divergence_of_a_distribution_to_itself_is_zero(name):
    student, _ = two_logits()
    torch.testing.assert_close(
        DIVERGENCES[name](student, student + 5, 2.0), torch.zeros(20), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("name", DIVERGENCES)
def test_divergence_is_positive_and_shrinks_with_temperature(name):
    student, target = two_logits()
    sharp, soft = (DIVERGENCES[name](student, target, t) for t in (1.0, 4.0))
    assert (sharp > 0).all()
    assert (soft < sharp).all()


def test_reverse_kl_puts_the_student_in_front():
    student, target = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.25, 0.75]]).log()
    by_hand = torch.tensor(
        [0.5 * torch.log(torch.tensor(2.0)) + 0.5 * torch.log(torch.tensor(2 / 3))]
    )
    torch.testing.assert_close(reverse_kl(student, target, 1.0), by_hand)
    torch.testing.assert_close(forward_kl(target, student, 1.0), by_hand)


def test_reverse_kl_equals_kl_div_where_that_is_defined():
    student, target = two_logits()
    library = F.kl_div(
        (target / 2).log_softmax(-1), (student / 2).softmax(-1), reduction="none"
    ).sum(-1)
    torch.testing.assert_close(reverse_kl(student, target, 2.0), library)


def test_skewed_divergences_are_kl_to_a_mixture_and_bounded():
    student, target = two_logits(scale=40, dtype=torch.float64)
    q, p = student.softmax(-1), target.softmax(-1)
    by_hand = (q * (q / (0.9 * p + 0.1 * q)).log()).sum(-1)
    torch.testing.assert_close(skew_reverse_kl(student, target, 1.0), by_hand)
    torch.testing.assert_close(skew_forward_kl(target, student, 1.0), by_hand)
    assert by_hand.max() <= 2.31 < reverse_kl(student, target, 1.0).max()  # log 10


def test_js_divergence_is_symmetric_and_at_most_log_two():
    student, target = two_logits(scale=40)
    there, back = js_divergence(student, target, 1.0), js_divergence(target, student, 1.0)
    torch.testing.assert_close(there, back)
    assert there.max() <= torch.log(torch.tensor(2.0)) + 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", DIVERGENCES)
def test_gradient_is_finite_at_logit_range_200(name, dtype):
    generator = torch.Generator().manual_seed(1)
    student, target = (200 * torch.rand(2, 16, 512, generator=generator)).to(dtype)
    student.requires_grad_()
    DIVERGENCES[name](student, target, 2.0).mean().backward()
    assert torch.isfinite(student.grad).all()
    assert student.grad.abs().max() > 0


def test_kl_div_with_a_soft_target_has_a_nan_gradient_there():
    """The reason for summing in log space; if this ever fails, the library has been mended."""
    generator = torch.Generator().manual_seed(1)
    student, target = (400 * torch.rand(2, 16, 512, generator=generator)).half()
    student.requires_grad_()
    loss = F.kl_div((target / 2).log_softmax(-1), (student / 2).softmax(-1), reduction="batchmean")
    loss.backward()
    assert not torch.isfinite(student.grad).all()


def test_example_means_weigh_each_token_of_an_example_alike():
    values = torch.tensor([1.0, 3.0, 10.0])
    torch.testing.assert_close(
        example_means(values, torch.tensor([0, 0, 1]), 2), torch.tensor([2.0, 10.0])
    )


def test_seed_loss_mixes_by_weight_and_scales_by_temperature_squared():
    distillation, supervision = torch.tensor([2.0]), torch.tensor([4.0])
    torch.testing.assert_close(
        seed_loss(distillation, supervision, 0.7, 2.0), torch.tensor([0.7 * 4 * 2 + 0.3 * 4])
    )


def test_cross_entropy_is_computed_in_float32():
    logits = torch.tensor([[30000.0, 0.0]]).half()
    assert cross_entropy(logits, torch.tensor([1])).dtype == torch.float32


def test_every_divergence_that_a_params_file_can_name_is_there():
    (knob,) = (field for field in fields(TrainParams) if field.name == "divergence")
    assert set(DIVERGENCES) == set(knob.metadata["choices"])
