"""Greedy, sampled and beam generation; contrastive decoding of each; "mention less" control."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import DynamicCache, LogitsProcessor, LogitsProcessorList

from seednb.method.perturbation import generator
from seednb.method.purification import is_plausible, purify_logits
from seednb.model.inputs.collate import n_shared
from seednb.model.inputs.prompts import Encoded, check_length, encode_prompt
from seednb.model.loading import Bundle


@dataclass(frozen=True)
class Decoded:
    """One generated text."""

    text: str
    n_tokens: int
    finished: bool  # ended by itself, not by the token limit


class ContrastiveLogits(LogitsProcessor):
    """Decodes from (1 + beta) clean - beta noisy: rows 0..B-1 see the clean, B..2B-1 the noisy image.

    Both halves receive the purified scores, so that greedy decoding, beams and equal draws keep them
    on the same text, and each keeps its own cache (Leng et al., 2024, Eq. 3). Words less likely on
    the clean view than `plausibility` times the likeliest are forbidden (there, Eq. 5; 0: none). The
    scores are log-probabilities, because beams add them up.
    """

    def __init__(self, beta: float | Float[Tensor, "B"], plausibility: float = 0.0) -> None:
        """`beta`: strength of the contrast; `plausibility`: a share of the largest probability."""
        self.beta, self.plausibility = beta, plausibility

    def __call__(
        self, input_ids: Int[Tensor, "2B T"], scores: Float[Tensor, "2B V"]
    ) -> Float[Tensor, "2B V"]:
        """Purified scores for both halves."""
        clean_logits, noisy_logits = scores.chunk(2)
        return self.purified(clean_logits, noisy_logits).log_softmax(-1).repeat(2, 1)

    def purified(
        self, clean_logits: Float[Tensor, "B V"], noisy_logits: Float[Tensor, "B V"]
    ) -> Float[Tensor, "B V"]:
        """Purified logits of plausible words; minus infinity for the others."""
        purified = purify_logits(clean_logits, noisy_logits, self.beta)
        forbidden = ~is_plausible(clean_logits, self.plausibility)
        return purified.masked_fill(forbidden, -torch.inf)


class MentionPenalty(LogitsProcessor):
    """Subtracts a constant from tokens that name, or announce, one more object.

    A control: it makes any model more cautious without looking at the image.
    """

    def __init__(self, token_ids: Sequence[int], penalty: float) -> None:
        """`penalty` is in logits (nats)."""
        self.token_ids, self.penalty = torch.tensor(token_ids), penalty

    def __call__(
        self, input_ids: Int[Tensor, "B T"], scores: Float[Tensor, "B V"]
    ) -> Float[Tensor, "B V"]:
        """Scores with the penalty applied."""
        scores = scores.clone()
        scores[:, self.token_ids.to(scores.device)] -= self.penalty
        return scores


class Sampling(LogitsProcessor):
    """Adds Gumbel noise, so that the largest score is a draw from the softmax at temperature 1.

    (Gumbel, 1954; "Gumbel-max trick".) A row's noise comes from its key alone: the same text is
    drawn in any batch and in any process.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        """One key a row."""
        self.generators = [generator(key) for key in keys]

    def __call__(
        self, input_ids: Int[Tensor, "B T"], scores: Float[Tensor, "B V"]
    ) -> Float[Tensor, "B V"]:
        """Scores with noise."""
        draws = [torch.empty(scores.shape[1]).exponential_(generator=g) for g in self.generators]
        return scores.float() - torch.stack(draws).log().to(scores.device)


@torch.inference_mode()
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
    several questions is read once, and its keys and values are repeated (beams read it for each).
    Shorter prompts are padded on the left, behind what is shared: an answer continues its prompt's
    last token. Raises SeedError for a prompt that fills the model's context.
    """
    tokenizer, device = bundle.tokenizer, bundle.device
    rows = range(len(pixel_values)) if rows is None else rows
    asked = [questions] * len(rows) if isinstance(questions, str) else questions
    tokens, template = bundle.image_tokens, bundle.template
    encoded = {q: encode_prompt(q, tokenizer, tokens, template) for q in set(asked)}
    prompts = [encoded[question] for question in asked]
    longest = max(prompts, key=len)
    check_length(longest, bundle.layout.n_positions)
    pixels = pixel_values.to(device, bundle.model.dtype)
    start, image = 0, torch.tensor(rows, device=device)
    if len(rows) > len(pixels) and n_beams == 1:
        start = n_shared(Encoded(tuple(longest), len(longest)), bundle.layout.image_token)
    seen = (
        {"past_key_values": _shared_cache(bundle, longest[:start], pixels, image)}
        if start
        else {"pixel_values": pixels[image]}
    )
    n_padding = [len(longest) - len(prompt) for prompt in prompts]
    ids = [
        [*prompt[:start], *[tokenizer.pad_token_id] * n, *prompt[start:]]
        for n, prompt in zip(n_padding, prompts, strict=True)
    ]
    place, padding = torch.arange(len(longest)), torch.tensor(n_padding)[:, None]
    is_word = (place < start) | (place >= start + padding)
    output = bundle.model.generate(  # type: ignore[operator]  # mixed in by the model's class
        input_ids=torch.tensor(ids, device=device),
        attention_mask=is_word.long().to(device),
        **seen,
        do_sample=False,
        num_beams=n_beams,
        max_new_tokens=max_new_tokens,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        logits_processor=LogitsProcessorList(processors),
    )
    return [_decoded(row, bundle) for row in output[:, len(longest) :].tolist()]


def _shared_cache(
    bundle: Bundle,
    start: Sequence[int],
    pixels: Float[Tensor, "R C H W"],
    image: Int[Tensor, "B"],
) -> DynamicCache:
    """Keys and values of the prompts' shared start, image included, repeated for each question."""
    ids = torch.tensor([start] * len(pixels), device=bundle.device)
    cache = bundle.model(
        input_ids=ids, pixel_values=pixels, use_cache=True, logits_to_keep=1
    ).past_key_values
    cache.batch_select_indices(image)
    return cache


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
    both = torch.cat([clean_pixels, noisy_pixels])
    rules: list[LogitsProcessor] = [contrast]
    if draws:
        rules.append(Sampling([*draws, *draws]))  # both halves draw alike
    decoded = generate(bundle, question, both, max_new_tokens, rules, n_beams)
    return decoded[: len(clean_pixels)]


def _decoded(token_ids: list[int], bundle: Bundle) -> Decoded:
    eos = bundle.tokenizer.eos_token_id
    finished = eos in token_ids
    kept = token_ids[: token_ids.index(eos)] if finished else token_ids
    return Decoded(str(bundle.tokenizer.decode(kept)).strip(), len(kept), finished)
