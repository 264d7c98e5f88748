"""Texts that continue prompts about images: from a queue, or by beams."""

from collections.abc import Hashable, Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import LogitsProcessor

from seednb.model.generation.rules import ContrastiveLogits, Sampling
from seednb.model.generation.search import Decoded, encode_all, search
from seednb.model.generation.writer import Prompt, Views, Writer
from seednb.model.inputs.prompts import check_length
from seednb.model.loading import Bundle


@torch.inference_mode()
def write(
    bundle: Bundle,
    questions: Sequence[str],
    images: Sequence[Hashable],
    views: Views,
    n_at_once: int,
    max_new_tokens: int,
    rules: Sequence[LogitsProcessor] = (),
    contrast: ContrastiveLogits | None = None,
) -> Iterator[tuple[int, Decoded]]:
    """(number of a question, its answer), greedy, as the answers end.

    `images[i]` names the image of question i, whose pixels `views` gives once there is room for it;
    `n_at_once` answers are written beside each other, fewer where a GPU's memory is short. Questions
    about one image that follow each other read it once. An answer depends on its neighbours in
    rounding only. Raises SeedError for a prompt that fills the model's context.
    """
    prompts = [
        Prompt(ids, image) for ids, image in zip(encode_all(bundle, questions), images, strict=True)
    ]
    for prompt in prompts:
        check_length(prompt.ids, bundle.layout.n_positions)
    if not prompts:
        return
    writer = Writer(bundle, prompts, views, n_at_once, max_new_tokens, rules, contrast)
    yield from writer.texts()


def generate(
    bundle: Bundle,
    questions: str | Sequence[str],
    pixel_values: Float[Tensor, "R C H W"],
    max_new_tokens: int,
    processors: Sequence[LogitsProcessor] = (),
    n_beams: int = 1,
    rows: Sequence[int] | None = None,
) -> list[Decoded]:
    """Answers about images to one question, or to several: greedy, or by beams.

    `rows[i]` is the image of question i; without `rows` each question has its own. An image of
    several questions is read once (beams read it for each). Errors as in `write`.
    """
    rows = range(len(pixel_values)) if rows is None else rows
    asked = [questions] * len(rows) if isinstance(questions, str) else questions
    if n_beams > 1:
        prompts = encode_all(bundle, asked)
        check_length(max(prompts, key=len), bundle.layout.n_positions)
        pixels = pixel_values[list(rows)]
        return search(bundle, prompts, pixels, max_new_tokens, processors, n_beams)
    return _in_order(
        write(
            bundle,
            asked,
            rows,
            lambda images: [pixel_values[list(images)]],
            len(asked),
            max_new_tokens,
            processors,
        )
    )


def contrastive_generate(
    bundle: Bundle,
    question: str,
    clean_pixels: Float[Tensor, "B C H W"],
    noisy_pixels: Float[Tensor, "B C H W"],
    max_new_tokens: int,
    contrast: ContrastiveLogits,
    draws: Sequence[str] = (),
    n_beams: int = 1,
) -> list[Decoded]:
    """Answers from purified logits at every step; sampled, if there is a key of draws an image."""
    if n_beams > 1:
        both = torch.cat([clean_pixels, noisy_pixels])
        found = generate(bundle, question, both, max_new_tokens, [contrast], n_beams)
        return found[: len(clean_pixels)]
    return _in_order(
        write(
            bundle,
            [question] * len(clean_pixels),
            range(len(clean_pixels)),
            lambda images: [clean_pixels[list(images)], noisy_pixels[list(images)]],
            len(clean_pixels),
            max_new_tokens,
            [Sampling(draws)] if draws else [],
            contrast,
        )
    )


def _in_order(texts: Iterator[tuple[int, Decoded]]) -> list[Decoded]:
    found = dict(texts)
    return [found[number] for number in range(len(found))]
