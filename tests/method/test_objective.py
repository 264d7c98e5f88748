"""Losses in chunks, or compiled, change nothing but memory and time."""

import functools
from functools import partial

import pytest
import torch

from seednb.method import objective
from seednb.method.confidence import CONFIDENCES
from seednb.method.losses import DIVERGENCES
from seednb.method.objective import Objective
from seednb.method.purification import SPACES

N, HIDDEN, VOCABULARY = 37, 8, 50


def tensors():
    generator = torch.Generator().manual_seed(0)
    student, clean, noisy = torch.randn(3, N, HIDDEN, generator=generator, dtype=torch.float64)
    answer_ids = torch.randint(VOCABULARY, (N,), generator=generator)
    beta = torch.rand(N, generator=generator, dtype=torch.float64)
    return student.requires_grad_(), answer_ids, clean, noisy, beta


@pytest.mark.parametrize("teacher", [0, 2, 3], ids=["none", "clean", "purified"])
@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_chunks_give_the_losses_and_gradients_of_the_whole(monkeypatch, divergence, teacher):
    head = torch.nn.Linear(HIDDEN, VOCABULARY, bias=False).double()
    found = []
    for logits_at_once in (2**25, 5 * VOCABULARY, 1):
        monkeypatch.setattr(objective, "CHUNK", logits_at_once)
        student, *others = tensors()
        compare = Objective(head, DIVERGENCES[divergence], temperature=2.0)
        losses = compare.token_losses(student, others[0], *others[1 : 1 + teacher])
        sum(part.square().sum() for part in losses).backward()
        found.append((*losses, compare.confidence(others[1]), student.grad))
    for other in found[1:]:
        for whole, chunked in zip(found[0], other, strict=True):
            torch.testing.assert_close(chunked, whole, atol=1e-12, rtol=0)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("measure", CONFIDENCES)
def test_chunks_change_nothing_in_any_space_and_for_any_confidence(monkeypatch, space, measure):
    head = torch.nn.Linear(HIDDEN, VOCABULARY, bias=False).double()
    found = []
    for logits_at_once in (2**25, 5 * VOCABULARY):
        monkeypatch.setattr(objective, "CHUNK", logits_at_once)
        student, *others = tensors()
        compare = Objective(head, DIVERGENCES["reverse"], 2.0, CONFIDENCES[measure], SPACES[space])
        losses = compare.token_losses(student, *others)
        sum(part.square().sum() for part in losses).backward()
        found.append((*losses, compare.confidence(others[1]), student.grad))
    for whole, chunked in zip(*found, strict=True):
        torch.testing.assert_close(chunked, whole, atol=1e-12, rtol=0)


@pytest.mark.parametrize("logits_at_once", [2**25, 5 * VOCABULARY], ids=["whole", "chunks"])
def test_fused_losses_are_the_losses(monkeypatch, logits_at_once):
    monkeypatch.setattr(objective, "CHUNK", logits_at_once)
    options = {"dynamic": True, "backend": "aot_eager", "fullgraph": True}
    monkeypatch.setattr(objective, "compiled", functools.cache(partial(torch.compile, **options)))
    head = torch.nn.Linear(HIDDEN, VOCABULARY, bias=False).double()
    found = []
    for fused in (False, True):
        student, *others = tensors()
        compare = Objective(head, DIVERGENCES["reverse"], 2.0, fused=fused)
        losses = compare.token_losses(student, *others)
        sum(part.square().sum() for part in losses).backward()
        found.append((*losses, compare.confidence(others[1]), student.grad))
    for plain, compiled in zip(*found, strict=True):
        torch.testing.assert_close(compiled, plain, atol=1e-12, rtol=0)
