"""LLaVA's prompt templates, with the image tag expanded to one token an image feature."""

from collections.abc import Sequence
from dataclasses import dataclass

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
    _refuse_tag(question, image)
    text = template.replace(IMAGE_TAG, image.tag).format(question=question)
    tag = tokenizer.convert_tokens_to_ids(image.tag)
    expanded: list[int] = []
    for token in tokenizer(text).input_ids:
        expanded += image.ids if token == tag else (token,)
    return expanded


def encode(
    question: str,
    answer: str,
    tokenizer: PreTrainedTokenizerBase,
    image: ImageTokens,
    template: str,
) -> Encoded:
    """Tokens of prompt and answer. Raises SeedError for an answer without tokens or with a tag."""
    _refuse_tag(answer, image)
    prompt_ids = encode_prompt(question, tokenizer, image, template)
    answer_ids = tokenizer(f" {answer.strip()}", add_special_tokens=False).input_ids
    if not answer.strip() or not answer_ids:
        raise SeedError(
            f"the answer to {question!r:.200} has no tokens; remove or repair that pair"
        )
    return Encoded((*prompt_ids, *answer_ids, tokenizer.eos_token_id), len(prompt_ids))


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
