"""Sampling draws from the softmax, and the same text in any batch."""

import copy
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from seednb.core.profiles import load_params
from seednb.method.perturbation import gaussian_noise
from seednb.model.generation import (
    ContrastiveLogits,
    Sampling,
    TextRule,
    contrastive_generate,
    generate,
    write,
)
from seednb.model.generation.search import encode_all, search
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


class Scores(TextRule):
    """Keeps the scores of every token, by text."""

    def __init__(self):
        self.of_text = defaultdict(list)

    def __call__(self, input_ids, scores):
        for text, row in zip(self.texts, scores, strict=True):
            self.of_text[text].append(row)
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
        tokens = [torch.stack(scores.of_text[text]) for text in range(len(rows))]
        found.append((answers, torch.cat(tokens)))
    assert read == [2, 5]
    assert found[0][0] == found[1][0] and len({answer.text for answer in found[0][0]}) > 1
    torch.testing.assert_close(found[0][1], found[1][1], atol=1e-9, rtol=0)


def test_beams_read_a_image_for_each_of_its_questions(bundle):
    pixels = torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    questions = ["Is there a red ball?", "Describe this image."]
    shared = generate(bundle, questions, pixels, 8, n_beams=2, rows=[0, 0])
    assert shared == generate(bundle, questions, pixels[[0, 0]], 8, n_beams=2)


@pytest.fixture(scope="module")
def double(bundle):
    return replace(bundle, model=copy.deepcopy(bundle.model).double())


QUESTIONS = ["Describe this image.", "Is there a red ball?", "What is left of the box?"]


def written(bundle, order, n_at_once, contrast=None, draws=False, longest=40):
    """Texts of twelve images, by image, asked in some order with so many at once."""
    pixels = torch.randn(2, 12, 3, 96, 96, generator=torch.Generator().manual_seed(5)).double()
    texts = write(
        bundle,
        [QUESTIONS[image % 3] for image in order],
        order,
        lambda images: [pixels[view, list(images)] for view in range(2 if contrast else 1)],
        n_at_once,
        longest,
        [Sampling([str(image) for image in order])] if draws else [],
        contrast,
    )
    return {order[number]: text for number, text in texts}


@pytest.mark.parametrize("contrast", [None, ContrastiveLogits(1.0, 0.1)])
@pytest.mark.parametrize("draws", [False, True])
def test_a_text_is_the_same_alone_in_batches_and_in_any_order(double, contrast, draws):
    forwards, backwards = list(range(12)), list(range(11, -1, -1))
    alone = written(double, forwards, 1, contrast, draws)
    assert len({text.n_tokens for text in alone.values()}) > 2
    for order, n_at_once in ((forwards, 5), (backwards, 5), (forwards, 12), (backwards, 64)):
        assert written(double, order, n_at_once, contrast, draws) == alone


def test_the_queue_writes_what_transformers_generate_writes(double):
    pixels = torch.randn(2, 12, 3, 96, 96, generator=torch.Generator().manual_seed(5)).double()
    contrast, keys = ContrastiveLogits(1.0, 0.1), [str(image) for image in range(12)]
    prompts = encode_all(double, [QUESTIONS[image % 3] for image in range(12)])
    order = list(range(12))
    plain = search(double, prompts, pixels[0], 40)
    assert [written(double, order, 5)[n] for n in order] == plain
    drawn = search(double, prompts, pixels[0], 40, [Sampling(keys)])
    assert [written(double, order, 5, draws=True)[n] for n in order] == drawn
    both = search(
        double, [*prompts, *prompts], pixels.flatten(0, 1), 40, [contrast, Sampling(keys * 2)]
    )
    assert [written(double, order, 5, contrast, draws=True)[n] for n in order] == both[:12]


def test_a_text_ends_at_the_limit_and_the_next_takes_its_row(double):
    texts = written(double, list(range(12)), 3, longest=2)
    assert len(texts) == 12 and not any(text.n_tokens > 2 for text in texts.values())
    assert {text.finished for text in texts.values() if text.n_tokens == 2} == {False}
