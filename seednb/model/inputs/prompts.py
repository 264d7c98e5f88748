"""LLaVA's prompt templates, with the image tag expanded to one token an image feature."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from seednb.core.errors import ImageTokensCut, SeedError
from seednb.data.instruct import IMAGE_TAG

PLAIN = "USER: <image>\n{question} ASSISTANT:"
VICUNA_V1 = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions. " + PLAIN
)
TEMPLATES = {"plain": PLAIN, "vicuna_v1": VICUNA_V1}


@dataclass(frozen=True)
class ImageTokens:
    """The tag that stands for an image in a model's text, and the tokens that take its place."""

    tag: str
    ids: tuple[int, ...]  # among them one image token for each image feature


@dataclass(frozen=True)
class Encoded:
    """One example as tokens: the prompt, then the answer with its end-of-text token."""

    input_ids: tuple[int, ...]
    n_prompt: int  # tokens before the answer

    @property
    def predicted(self) -> tuple[int, ...]:
        """The tokens to predict; of a bare prompt, one place whose token is not known (0)."""
        return self.input_ids[self.n_prompt :] or (0,)


def encode_prompt(
    question: str, tokenizer: PreTrainedTokenizerBase, image: ImageTokens, template: str
) -> list[int]:
    """Token ids of the prompt, the image tag replaced by the image's tokens.

    Nothing is truncated: a cut prompt loses image tokens, and the model then refuses the image.
    Raises SeedError for a question with an image tag: the template has the image's place.
    """
    return _expanded(
        _token_ids(_prompt(question, image, template), tokenizer, image), image, tokenizer
    )


def encode(
    question: str,
    answer: str,
    tokenizer: PreTrainedTokenizerBase,
    image: ImageTokens,
    template: str,
) -> Encoded:
    """Tokens of prompt and answer, from their text in one piece.

    An answer by itself is other tokens: Llama's tokenizer puts one that stands for a space before
    any text, so that " Yes" and " No" alone begin alike. Raises SeedError for an answer without
    tokens or with a tag, and where a token holds the prompt's end and the answer's start.
    """
    _refuse_tag(answer, image)
    prompt = _prompt(question, image, template)
    prompt_ids = _token_ids(prompt, tokenizer, image)
    whole = _token_ids(f"{prompt} {answer.strip()}", tokenizer, image)
    n_prompt = len(prompt_ids)
    if not answer.strip() or len(whole) <= n_prompt:
        raise SeedError(
            f"the answer to {question!r:.200} has no tokens; remove or repair that pair"
        )
    if whole[:n_prompt] != prompt_ids:
        raise SeedError(
            f"the tokenizer joins the prompt's end and the answer {answer!r:.80} in one token, so "
            "the answer cannot be told from its prompt; reword that pair"
        )
    expanded = _expanded(prompt_ids, image, tokenizer)
    return Encoded((*expanded, *whole[n_prompt:], tokenizer.eos_token_id), len(expanded))


@lru_cache(maxsize=1024)  # asked for every answer, of a few words
def next_token(
    text: str, tokenizer: PreTrainedTokenizerBase, tag: str, template: str, after: str = ""
) -> int:
    """The token with which an answer that begins with `after` goes on to `text`."""
    image = ImageTokens(tag, ())
    if not after:
        return encode("", text, tokenizer, image, template).predicted[0]
    begun = encode("", after, tokenizer, image, template).input_ids[:-1]
    whole = encode("", after + text, tokenizer, image, template).input_ids
    if whole[: len(begun)] != begun:
        raise SeedError(
            f"the tokenizer joins {after!r} and {text!r} in one token; name another word"
        )
    return whole[len(begun)]


def answer_spans(
    question: str, answer: str, tokenizer: PreTrainedTokenizerBase, tag: str, template: str
) -> list[tuple[int, int]]:
    """Start and end of each answer token in f" {answer.strip()}", in characters."""
    image = ImageTokens(tag, ())
    prompt = _prompt(question, image, template)
    n_prompt = len(_token_ids(prompt, tokenizer, image))
    whole = tokenizer(f"{prompt} {answer.strip()}", return_offsets_mapping=True)
    offsets = whole.offset_mapping[n_prompt : len(_without_end(whole.input_ids, tokenizer))]
    return [(start - len(prompt), end - len(prompt)) for start, end in offsets]


def check_tokenizer(tokenizer: PreTrainedTokenizerBase, tag: str, template: str) -> None:
    """Raise SeedError, with the ids, for a tokenizer with which an answer would be lost in silence.

    Yes and No differ in their first token, an answer's tokens give back its text, an image takes one
    place, and at most one token begins the text.
    """
    token: Any = tokenizer.convert_tokens_to_ids(tag)
    image = ImageTokens(tag, (token,))
    for answer in ("Yes", "No", "A dog, and a cat."):
        text = encode("", answer, tokenizer, image, template)
        ids, prompt = list(text.predicted[:-1]), list(text.input_ids[: text.n_prompt])
        read = str(tokenizer.decode(ids)).strip()
        if read != answer:
            raise SeedError(f"its tokenizer writes {answer!r} as {ids} and reads that as {read!r}")
        if prompt.count(token) != 1:
            raise SeedError(
                f"its tokenizer does not know the image tag {tag!r}: the prompt is {prompt}"
            )
        if prompt.count(tokenizer.bos_token_id) > 1:
            raise SeedError(f"its tokenizer begins the text twice: the prompt is {prompt}")
    yes, no = (next_token(word, tokenizer, tag, template) for word in ("Yes", "No"))
    if yes == no:
        raise SeedError(f"its tokenizer begins Yes and No with the same token, {yes}")


def _prompt(question: str, image: ImageTokens, template: str) -> str:
    _refuse_tag(question, image)
    return template.replace(IMAGE_TAG, image.tag).format(question=question)


def _token_ids(text: str, tokenizer: PreTrainedTokenizerBase, image: ImageTokens) -> list[int]:
    """The tokens of a whole text with its image tag, without an end of text.

    The names of other control tokens ("</s>" in a web page) are plain characters. Raises SeedError
    where the tokenizer cannot read them so.
    """
    if any(name in text for name in _control_names(tokenizer) if name != image.tag):
        ids = _plain(tokenizer, image.tag, text)
    else:
        ids = tokenizer(text).input_ids
    return _without_end(ids, tokenizer)


def _without_end(ids: list[int], tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Some tokenizers end every text; here the answer's end is added where it belongs."""
    return ids[:-1] if ids and ids[-1] == tokenizer.eos_token_id else ids


@lru_cache(maxsize=8)
def _control_names(tokenizer: PreTrainedTokenizerBase) -> tuple[str, ...]:
    added = tokenizer.added_tokens_decoder.values()
    return tuple(token.content for token in added if token.special)


def _plain(tokenizer: PreTrainedTokenizerBase, tag: str, text: str) -> list[int]:
    """The tokens of a text whose control names, all but the tag, are plain characters."""
    ids: list[int] = []
    if tokenizer.is_fast:
        ids = list(_plain_backend(tokenizer, tag).encode(text).ids)
    control = {tokenizer.convert_tokens_to_ids(name) for name in _control_names(tokenizer)}
    control -= {tokenizer.convert_tokens_to_ids(tag), tokenizer.unk_token_id}
    n_start = len(_without_end(tokenizer("").input_ids, tokenizer))
    if not ids or control.intersection(_without_end(ids, tokenizer)[n_start:]):
        names = [name for name in _control_names(tokenizer) if name != tag and name in text]
        raise SeedError(
            f"{text[-80:]!r} contains {names[0]}, which this tokenizer reads as a control token; "
            "remove it"
        )
    return ids


@lru_cache(maxsize=8)
def _plain_backend(tokenizer: PreTrainedTokenizerBase, tag: str) -> Tokenizer:
    """The tokenizer without its control tokens; its start of text stays, and the tag."""
    written = json.loads(tokenizer.backend_tokenizer.to_str())
    written["added_tokens"] = [
        token
        for token in written["added_tokens"]
        if not token["special"] or token["content"] == tag
    ]
    return Tokenizer.from_str(json.dumps(written))


def _expanded(
    ids: Sequence[int], image: ImageTokens, tokenizer: PreTrainedTokenizerBase
) -> list[int]:
    """The ids with the image's tokens in place of its tag."""
    tag = tokenizer.convert_tokens_to_ids(image.tag)
    return [one for token in ids for one in (image.ids if token == tag else (token,))]


def check_length(ids: Sequence[int], n_positions: int | None) -> None:
    """Raise SeedError for a text that does not fit into the model's context."""
    if n_positions is not None and len(ids) > n_positions:
        raise SeedError(
            f"a text has {len(ids)} tokens with its image, the model's context {n_positions}; "
            "shorten it or leave it out"
        )


def check_image_tokens(ids: Sequence[int], image_token: int, n_image_tokens: int) -> None:
    """Raise ImageTokensCut unless every image token is there (truncation cuts them silently)."""
    found = sum(token == image_token for token in ids)
    if found != n_image_tokens:
        raise ImageTokensCut(
            f"a prompt holds {found} image tokens where the image needs {n_image_tokens}; "
            "do not truncate prompts (drop truncation=True and max_length)"
        )


def _refuse_tag(text: str, image: ImageTokens) -> None:
    for tag in (IMAGE_TAG, image.tag):
        if tag in text:
            raise SeedError(
                f"{text!r:.80} contains {tag}, which would stand for a second image; remove it"
            )
