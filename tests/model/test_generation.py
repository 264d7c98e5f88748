"""Sampling draws from the softmax, and the same text in any batch."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import LogitsProcessor

from seednb.core.profiles import load_params
from seednb.method.perturbation import gaussian_noise
from seednb.model.generation import ContrastiveLogits, Sampling, contrastive_generate, generate
from seednb.model.loading import load_bundle

ROOT = Path(__file__).parents[2]
SMOKE, CHECKPOINT = ROOT / "params/smoke.yaml", ROOT / "seednb/assets/pocket-llava"


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


def test_implausible_words_are_forbidden_whatever_the_contrast_says():
    clean = torch.tensor([[0.6, 0.35, 0.05]]).log()
    noisy = torch.tensor([[0.6, 0.3999, 0.0001]]).log()  # the contrast likes the third word most
    both = torch.cat([clean, noisy])
    assert ContrastiveLogits(2.0)(torch.empty(0), both).argmax(-1).tolist() == [2, 2]
    scores = ContrastiveLogits(2.0, plausibility=0.1)(torch.empty(0), both)
    assert scores.argmax(-1).tolist() == [0, 0] and torch.isinf(scores[:, 2]).all()


def test_contrastive_scores_are_log_probabilities_and_the_halves_agree():
    both = torch.randn(6, 20, generator=torch.Generator().manual_seed(0))
    scores = ContrastiveLogits(0.7)(torch.empty(0), both)
    torch.testing.assert_close(scores.exp().sum(-1), torch.ones(6))
    assert torch.equal(scores[:3], scores[3:])


@pytest.fixture(scope="module")
def bundle():
    return load_bundle(str(CHECKPOINT), load_params(SMOKE).model, torch.device("cpu"))


def captions(bundle, beta, **settings):
    generator = torch.Generator().manual_seed(3)
    clean, noise = torch.randn(2, 3, 3, 96, 96, generator=generator)
    how = (bundle, "Describe this image.", clean, gaussian_noise(clean, 0.3, noise), 32)
    return [
        text.text for text in contrastive_generate(*how, ContrastiveLogits(beta), **settings)
    ], clean


def test_without_a_contrast_beams_and_draws_are_those_of_the_clean_view(bundle):
    ways = {"draws": (["a", "b", "c"], 1), "beams": ([], 3), "greedy": ([], 1)}
    for draws, n_beams in ways.values():
        contrasted, clean = captions(bundle, 0.0, draws=draws, n_beams=n_beams)
        rules = [Sampling(draws)] if draws else []
        plain = generate(bundle, "Describe this image.", clean, 32, rules, n_beams)
        assert contrasted == [text.text for text in plain]


def test_a_contrast_changes_captions_in_every_way_of_decoding(bundle):
    for settings in ({"draws": ["a", "b", "c"]}, {"n_beams": 3}, {}):
        assert captions(bundle, 1.5, **settings)[0] != captions(bundle, 0.0, **settings)[0]


class Scores(LogitsProcessor):
    """Keeps the scores of every step."""

    def __init__(self):
        self.steps = []

    def __call__(self, input_ids, scores):
        self.steps.append(scores)
        return scores


def test_a_image_of_several_questions_is_read_once_and_nothing_changes(bundle):
    double = replace(bundle, model=copy.deepcopy(bundle.model).double())
    tower, read = double.model.model.vision_tower, []
    tower.register_forward_pre_hook(
        lambda module, args, kwargs: read.append(len(kwargs.get("pixel_values", args and args[0]))),
        with_kwargs=True,
    )
    pixels = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    questions = ["Is there a red ball?", "Describe this image.", "What is left of the box?"]
    questions, rows = questions + questions[:2], [0, 1, 0, 0, 1]
    found = []
    for images, of_question in ((pixels, rows), (pixels[rows], None)):
        scores = Scores()
        how = (8, [scores])
        answers = generate(double, questions, images, *how, rows=of_question)
        found.append((answers, torch.stack(scores.steps)))
    assert read == [2, 5]
    assert found[0][0] == found[1][0] and len({answer.text for answer in found[0][0]}) > 1
    torch.testing.assert_close(found[0][1], found[1][1], atol=1e-9, rtol=0)


def test_beams_read_a_image_for_each_of_its_questions(bundle):
    pixels = torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    questions = ["Is there a red ball?", "Describe this image."]
    shared = generate(bundle, questions, pixels, 8, n_beams=2, rows=[0, 0])
    assert shared == generate(bundle, questions, pixels[[0, 0]], 8, n_beams=2)
