"""Sampling draws from the softmax, and the same text in any batch."""

import torch

from seednb.decoding import Sampling


def test_draws_have_the_softmax_s_frequencies():
    scores = torch.tensor([2.0, 1.0, 0.0, -1.0]).repeat(20_000, 1)
    rule = Sampling([str(n) for n in range(len(scores))])
    drawn = rule(torch.empty(0), scores).argmax(-1)
    shares = torch.bincount(drawn, minlength=4) / len(drawn)
    torch.testing.assert_close(shares, scores[0].softmax(-1), atol=0.012, rtol=0)


def test_a_row_s_draws_depend_on_its_key_and_not_on_its_neighbours():
    scores = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    together = Sampling(["a", "b", "c"])
    alone = Sampling(["b"])
    for _ in range(2):
        whole = together(torch.empty(0), scores)
        torch.testing.assert_close(whole[1:2], alone(torch.empty(0), scores[1:2]))
    assert not torch.equal(whole[0] - scores[0], whole[1] - scores[1])


def test_each_step_draws_anew():
    rule = Sampling(["a"])
    scores = torch.zeros(1, 50)
    assert not torch.equal(rule(torch.empty(0), scores), rule(torch.empty(0), scores))
