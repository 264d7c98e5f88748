"""Small worked examples for notebook 03."""

from collections.abc import Callable, Sequence
from itertools import takewhile

import numpy as np
import pandas as pd
import torch
from scipy.optimize import minimize
from scipy.stats import norm
from torch.nn import functional as F

from seednb.method.losses import reverse_kl

TOKENS, VOCABULARY = 16, 512


def finite_gradients(ranges: Sequence[float]) -> tuple[pd.Series, bool]:
    """Up to which logit range the gradient of reverse KL is finite: `F.kl_div` against log space.

    The largest of `ranges` (nats, rising) that is reached, by method and precision; the target's
    logits span the range and so do the student's, T = 2. The flag says whether every loss was finite.
    """
    reached: dict[str, float] = {}
    losses = []
    for name, divergence in (("F.kl_div", _kl_div), ("log space", _log_space)):
        for dtype in (torch.float16, torch.bfloat16, torch.float32):
            row = f"{name}, {str(dtype).removeprefix('torch.')}"
            results = [_gradient(divergence, width, dtype) for width in ranges]
            losses += [loss for loss, _ in results]
            finite = takewhile(lambda each: each[1][1], zip(ranges, results, strict=True))
            reached[row] = max((width for width, _ in finite), default=0)
    return pd.Series(reached, name="logit range"), bool(np.isfinite(losses).all())


def one_hump_for_two() -> pd.DataFrame:
    """A target with two humps, and the normal density nearest to it by forward and by reverse KL."""
    x = np.linspace(-6, 6, 241)
    step = x[1] - x[0]
    target = 0.6 * norm.pdf(x, -2, 0.7) + 0.4 * norm.pdf(x, 2.2, 0.7)

    def divergence(fit: np.ndarray, reverse: bool) -> float:
        first, second = (fit, target) if reverse else (target, fit)
        return float(np.sum(first * (np.log(first + 1e-30) - np.log(second + 1e-30))) * step)

    columns = {"target": target}
    for name, reverse in (("forward KL fit", False), ("reverse KL fit", True)):
        found = minimize(
            lambda p, reverse=reverse: divergence(norm.pdf(x, p[0], np.exp(p[1])), reverse),
            x0=[-1.0, 0.0],
            method="Nelder-Mead",
        )
        columns[name] = norm.pdf(x, found.x[0], np.exp(found.x[1]))
    return pd.DataFrame(columns, index=pd.Index(x, name="position"))


def _kl_div(student: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    log_target = (target / 2).log_softmax(-1)
    return F.kl_div(log_target, (student / 2).softmax(-1), reduction="batchmean")


def _log_space(student: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return reverse_kl(student, target, 2.0).mean()


def _gradient(
    divergence: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    width: float,
    dtype: torch.dtype,
) -> tuple[float, bool]:
    """(loss, is the gradient finite) for logits spread evenly over `width`."""
    generator = torch.Generator().manual_seed(0)
    student, target = width * torch.rand(2, TOKENS, VOCABULARY, generator=generator)
    student = student.to(dtype).requires_grad_()
    loss = divergence(student, target.to(dtype))
    loss.backward()
    assert student.grad is not None
    return float(loss.detach()), bool(torch.isfinite(student.grad).all())
