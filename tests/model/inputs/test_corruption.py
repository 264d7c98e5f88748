"""Corrupted questions keep everything but some of the question's words."""

from pathlib import Path

import pytest
import torch

from seednb.core.profiles import load_params
from seednb.model.inputs.corruption import Corruption, corrupt, ordinary_tokens, question_span
from seednb.model.inputs.prompts import PLAIN, VICUNA_V1, encode
from seednb.model.loading import load_bundle

ROOT = Path(__file__).parents[3]
QUESTION = "Is there a fork in the image?"


@pytest.fixture(scope="module")
def bundle():
    params = load_params(ROOT / "params/smoke.yaml").model
    return load_bundle(str(ROOT / "seednb/assets/pocket-llava"), params, torch.device("cpu"))


@pytest.mark.parametrize("template", [PLAIN, VICUNA_V1])
def test_the_span_is_the_question_and_nothing_of_the_template(bundle, template):
    text = encode(QUESTION, "Yes", bundle.tokenizer, bundle.image_tokens, template)
    start, end = question_span(text, bundle.tokenizer, bundle.image_tokens, template)
    assert bundle.tokenizer.decode(text.input_ids[start:end]).strip() == QUESTION


def test_a_corrupted_text_differs_in_its_share_of_the_question_only(bundle):
    text = encode(QUESTION, "Yes", bundle.tokenizer, bundle.image_tokens, PLAIN)
    corruption = Corruption.of(bundle.tokenizer, PLAIN)
    start, end = question_span(text, bundle.tokenizer, bundle.image_tokens, PLAIN)
    other = corruption(text, bundle.image_tokens, 0.5, "key")
    changed = [n for n in range(len(text.input_ids)) if text.input_ids[n] != other.input_ids[n]]
    assert changed and all(start <= n < end for n in changed)
    assert len(changed) <= -((start - end) // 2)
    assert other == corruption(text, bundle.image_tokens, 0.5, "key")
    assert other != corruption(text, bundle.image_tokens, 0.5, "another key")
    assert text == corruption(text, bundle.image_tokens, 0.0, "key")


def test_a_share_is_rounded_up_and_words_come_from_the_list():
    ids = corrupt([5] * 10, (2, 9), 0.3, [1, 2], "key")
    assert sum(token != 5 for token in ids) == 3  # 2.1 of 7
    assert ids[:2] == [5, 5] and ids[9] == 5 and set(ids) <= {1, 2, 5}


def test_ordinary_tokens_hold_no_image_and_no_end(bundle):
    words = ordinary_tokens(bundle.tokenizer)
    special = {bundle.tokenizer.eos_token_id, bundle.tokenizer.pad_token_id}
    assert len(words) > 100
    assert not set(words) & (special | set(bundle.image_tokens.ids))
