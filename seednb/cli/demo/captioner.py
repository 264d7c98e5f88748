"""One model, its adapter off and on: two captions of an image, and the next word they disagree on."""

from collections.abc import Mapping, Sequence, Set
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from jaxtyping import Float
from peft import PeftModel
from PIL import Image
from torch import Tensor

from seednb.data.images import fit_image
from seednb.data.vocabulary import Vocabulary
from seednb.experiments.experiment import Experiment
from seednb.model.forward import AnswerLogits, TeacherMode
from seednb.model.generation import generate
from seednb.model.inputs.collate import Batch, collate, in_chunks
from seednb.model.inputs.prompts import encode
from seednb.report.summaries import caption_spans

MODELS = ("base", "SEED")
N_WORDS = 5  # candidate next words
LIKELY = 0.002  # a word below that in both models would be a row without bars
Segment = tuple[str, str]  # text, and "wrong", "right" or ""


@dataclass(frozen=True)
class Sample:
    """An image to describe; `present`: the objects in it, or None where nobody annotated it."""

    name: str
    image: Image.Image
    present: Set[str] | None = None


@dataclass(frozen=True)
class Word:
    """A candidate next word and its probability in both models."""

    text: str
    base: float
    seed: float


@dataclass(frozen=True)
class Described:
    """An image with both captions, cut at object words, and the next word that they disagree on.

    `so_far`: what both wrote before that word; `parted`: whether the captions differ at all.
    """

    sample: Sample
    captions: Mapping[str, str]
    segments: Mapping[str, Sequence[Segment]]
    so_far: str
    words: Sequence[Word]
    parted: bool


class Captioner:
    """Base model and adapter, the weights in memory once."""

    def __init__(self, lab: Experiment, adapter: Path) -> None:
        """Load the profile's model with an adapter."""
        self.params = lab.params
        self.bundle = lab.adapted(adapter)
        self.vocabulary = Vocabulary.read(self.params.path(self.params.evaluation.vocabulary))
        self._mode: dict[str, AbstractContextManager[None]] = {
            "base": TeacherMode(cast(PeftModel, self.bundle.model)),
            "SEED": nullcontext(),
        }

    def describe(self, samples: Sequence[Sample]) -> list[Described]:
        """Both captions of each image."""
        size = self.params.evaluation.eval_batch_size
        return [each for chunk in in_chunks(samples, size) for each in self._chunk(chunk)]

    def _chunk(self, samples: Sequence[Sample]) -> list[Described]:
        pixels = torch.stack([self._pixels(sample.image) for sample in samples])
        evaluation = self.params.evaluation
        prompt, n_tokens = evaluation.caption_prompt, evaluation.max_new_tokens
        texts = {}
        for name in MODELS:
            with self._mode[name]:
                decoded = generate(self.bundle, prompt, pixels, n_tokens)
                texts[name] = [each.text for each in decoded]
        return [
            self._described(sample, pixels[n : n + 1], {name: texts[name][n] for name in MODELS})
            for n, sample in enumerate(samples)
        ]

    def _described(
        self, sample: Sample, pixels: Float[Tensor, "1 C H W"], captions: dict[str, str]
    ) -> Described:
        parted, so_far, words = self._next_words(pixels, captions)
        segments = {name: self._segments(text, sample.present) for name, text in captions.items()}
        return Described(sample, captions, segments, so_far, words, parted)

    def _pixels(self, image: Image.Image) -> Float[Tensor, "C H W"]:
        fitted = fit_image(image, self.params.data.image_fit)
        processor = self.bundle.processor.image_processor
        pixels: Tensor = processor(fitted, return_tensors="pt").pixel_values[0]
        return pixels

    def _segments(self, caption: str, present: Set[str] | None) -> list[Segment]:
        """The caption in pieces; without annotations nothing is marked."""
        if present is None:
            return [(caption, "")]
        wrong, right = caption_spans({"caption": caption}, set(present), self.vocabulary)
        marked = sorted([(*span, "wrong") for span in wrong] + [(*span, "right") for span in right])
        pieces, at = [], 0
        for start, end, kind in marked:
            pieces += [(caption[at:start], ""), (caption[start:end], kind)]
            at = end
        return [piece for piece in [*pieces, (caption[at:], "")] if piece[0]]

    def _next_words(
        self, pixels: Float[Tensor, "1 C H W"], captions: Mapping[str, str]
    ) -> tuple[bool, str, list[Word]]:
        """(do the captions part, the text before the word, its candidates).

        The word is the first one in which the captions differ; if they are equal, the one on whose
        distribution the models differ most (total variation).
        """
        base_batch, seed_batch = (self._batch(pixels, captions[name]) for name in MODELS)
        base_ids, seed_ids = base_batch.answer_ids.tolist(), seed_batch.answer_ids.tolist()
        both = enumerate(zip(base_ids, seed_ids, strict=False))
        place = next((n for n, (base_id, seed_id) in both if base_id != seed_id), None)
        base_probs, seed_probs = (self._probs(name, base_batch) for name in MODELS)
        parted = place is not None
        if place is None:
            place = int((base_probs - seed_probs).abs().sum(-1).argmax())
        base, seed = base_probs[place], seed_probs[place]
        decode = self.bundle.tokenizer.decode
        tokens = [token for probs in (base, seed) for token in probs.topk(N_WORDS).indices.tolist()]
        words = [
            Word(str(decode([token])).strip() or "␣", float(base[token]), float(seed[token]))
            for token in dict.fromkeys(tokens)
        ]
        words.sort(key=lambda word: -max(word.base, word.seed))
        n_likely = sum(max(word.base, word.seed) >= LIKELY for word in words)
        shown = words[: min(N_WORDS, max(2, n_likely))]
        return parted, str(decode(base_ids[:place])).strip(), shown

    def _batch(self, pixels: Float[Tensor, "1 C H W"], caption: str) -> Batch:
        bundle, question = self.bundle, self.params.evaluation.caption_prompt
        text = caption.strip() or "."  # a model that says nothing still has a next word
        row = encode(question, text, bundle.tokenizer, bundle.image_tokens, bundle.template)
        return collate([row], [0], pixels, bundle.layout).to(bundle.device)

    @torch.inference_mode()
    def _probs(self, name: str, batch: Batch) -> Float[Tensor, "N V"]:
        with self._mode[name]:
            return AnswerLogits(self.bundle.model)(batch).float().softmax(-1).cpu()
