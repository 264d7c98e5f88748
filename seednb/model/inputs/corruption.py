"""Corrupted questions: some of a question's tokens replaced at random, so that lengths stay."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

import torch
from transformers import PreTrainedTokenizerBase

from seednb.method.perturbation import generator
from seednb.model.inputs.prompts import Encoded, ImageTokens, encode_prompt


@dataclass(frozen=True)
class Corruption:
    """Replaces a share of each question's tokens."""

    tokenizer: PreTrainedTokenizerBase
    template: str
    words: Sequence[int]  # tokens that may take a place

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, template: str) -> "Corruption":
        """With every ordinary token of a tokenizer."""
        return cls(tokenizer, template, ordinary_tokens(tokenizer))

    def __call__(self, text: Encoded, image: ImageTokens, share: float, key: str) -> Encoded:
        """The text with another question; the key decides which."""
        span = question_span(text, self.tokenizer, image, self.template)
        return replace(text, input_ids=tuple(corrupt(text.input_ids, span, share, self.words, key)))


def question_span(
    text: Encoded, tokenizer: PreTrainedTokenizerBase, image: ImageTokens, template: str
) -> tuple[int, int]:
    """Places (start, end) of the question in the tokens, the template's own words left out.

    Found by comparison with the prompt of an empty question: what both begin with and end with is
    the template.
    """
    prompt = list(text.input_ids[: text.n_prompt])
    empty = encode_prompt("", tokenizer, image, template)
    start = _n_common(prompt, empty)
    n_end = _n_common(prompt[start:][::-1], empty[start:][::-1])
    return start, len(prompt) - n_end


def corrupt(
    input_ids: Sequence[int], span: tuple[int, int], share: float, words: Sequence[int], key: str
) -> list[int]:
    """The tokens with a share of those in `span` (rounded up) replaced by random ones of `words`.

    The places and the words depend on `key` alone. Nothing else changes, so positions and answers
    keep their places.
    """
    ids, (start, end) = list(input_ids), span
    draw = generator(key)
    n = -int(-share * (end - start) // 1)
    places = torch.randperm(end - start, generator=draw)[:n] + start
    chosen = torch.randint(len(words), (n,), generator=draw)
    for place, word in zip(places.tolist(), chosen.tolist(), strict=True):
        ids[place] = words[word]
    return ids


def ordinary_tokens(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Every token that stands for text: no padding, no end, no image."""
    special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
    return [token for token in range(len(tokenizer)) if token not in special]


def _n_common(a: Sequence[int], b: Sequence[int]) -> int:
    """How many items two sequences begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))
