"""Records of what a model answers to probes and writes as captions."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm
from transformers import LogitsProcessor

from seednb.core.devices import process_state
from seednb.core.params import EvaluationParams
from seednb.evaluation.answer_files import answers_to, by_chunk
from seednb.evaluation.records import Record
from seednb.method.perturbation import View
from seednb.method.purification import purify_logits
from seednb.model import generation
from seednb.model.attention import choose_attention
from seednb.model.compile import CompiledLayers, compile_layers
from seednb.model.forward import AnswerLogits
from seednb.model.generation import (
    MentionPenalty,
    Sampling,
    contrastive_generate,
    generate,
    write,
)
from seednb.model.inputs.collate import Batch, Layout, in_chunks
from seednb.model.inputs.packing import make_batch
from seednb.model.inputs.pixels import ImageReader
from seednb.model.inputs.prompts import Encoded, encode_prompt
from seednb.model.loading import Bundle

ANNOUNCERS = (",", " and")  # words that announce one more object in a list


@dataclass(frozen=True)
class Contrast:
    """Inference-time contrastive decoding: strength `beta`, against a view perturbed at `alpha`."""

    beta: float
    alpha: float
    perturbation: str = "gaussian"
    plausibility: float = 0.0

    @classmethod
    def of(cls, params: EvaluationParams) -> "Contrast":
        """From the parameters `contrast_*`."""
        return cls(
            params.contrast_beta,
            params.contrast_alpha,
            params.contrast_perturbation,
            params.contrast_plausibility,
        )

    @property
    def rule(self) -> generation.ContrastiveLogits:
        """How it changes scores."""
        return generation.ContrastiveLogits(self.beta, self.plausibility)

    def noisy(self, reader: ImageReader, names: Sequence[str]) -> Float[Tensor, "R ..."]:
        """The noisy view of each image; it depends on the image's name only."""
        view = View(self.perturbation, self.alpha)
        return reader.noisy([f"contrast-{name}" for name in names], names, view)


@torch.inference_mode()
def answer_probes(
    bundle: Bundle,
    probes: Sequence[Record],
    reader: ImageReader,
    params: EvaluationParams,
    contrast: Contrast | None = None,
    draw: str | None = None,
    kept: Path | None = None,
) -> list[Record]:
    """The first word of each answer and its margin, logit("Yes") - logit("No").

    The word is the likeliest one; with `draw`, a name for this set of draws, it is sampled.
    Probes that repeat an image and a question (POPE's positives stand in three splits) are asked
    once, and the probes of an image share one row; no text is generated. With `compile_probes` the
    rows of a batch are a packed sequence on a GPU, and layers are compiled. Several processes share the
    work, and each returns all records. With `kept`, a file name, chunks that are done are kept in a
    journal of that name: a killed run resumes after them.
    """
    questions = sorted({(probe["image"], probe["text"]) for probe in probes})
    tokenizer, layout = bundle.tokenizer, bundle.layout
    layers = _compiled_layers(bundle) if params.compile_probes else None
    packed = layers is not None and choose_attention("auto", bundle)[0]
    yes, no = (bundle.next_token(word) for word in ("Yes", "No"))

    def answer(chunk: Sequence[tuple[str, str]]) -> list[Record]:
        names, rows = layout.rows([image for image, _ in chunk])
        prompts = []
        for image, text in chunk:
            tokens = reader.tokens(image) or bundle.image_tokens
            ids = encode_prompt(text + params.probe_suffix, tokenizer, tokens, bundle.template)
            prompts.append(Encoded(tuple(ids), len(ids)))
        pixels = reader.batch(names)
        batch = make_batch(packed, prompts, rows, pixels, layout, reader.extras(names))
        logits = scores = _logits(bundle, batch)
        if contrast:
            noisy_logits = _logits(bundle, batch.seen_as([contrast.noisy(reader, names)]))
            scores = contrast.rule.purified(logits, noisy_logits)
            logits = purify_logits(logits, noisy_logits, contrast.beta)  # a margin stays finite
        if draw:
            scores = Sampling([f"{draw}-{image}-{text}" for image, text in chunk])(
                batch.input_ids, scores
            )
        chosen = scores.argmax(-1)
        margins = (logits[:, yes] - logits[:, no]).tolist()
        words = [tokenizer.decode([token]).strip() for token in chosen.tolist()]
        return [
            {"answer": word, "margin": margin} for word, margin in zip(words, margins, strict=True)
        ]

    chunks = _rows(questions, params.eval_batch_size, layout)
    with layers.used() if layers else nullcontext():
        answers = answers_to(chunks, partial(map, answer), "answer probes", "probe", kept)
    answer_to = dict(zip(questions, answers, strict=True))
    return [dict(probe) | answer_to[probe["image"], probe["text"]] for probe in probes]


def write_captions(
    bundle: Bundle,
    images: Sequence[Record],
    reader: ImageReader,
    params: EvaluationParams,
    contrast: Contrast | None = None,
    penalty: MentionPenalty | None = None,
    draw: str | None = None,
    kept: Path | None = None,
) -> list[Record]:
    """A caption of each image; `images` are rows with `image_id` and `file_name`.

    Greedy, or by `caption_beams`; with `draw`, a name for this set of draws, sampled at temperature
    1. Each way goes with `contrast` too. All images wait in one queue for a row that is free, unless
    there are beams. `kept`: as in `answer_probes`.
    """

    prompt, longest, n_beams = params.caption_prompt, params.max_new_tokens, params.caption_beams

    def views(names: Sequence[str]) -> list[Tensor]:
        clean = reader.batch(names)
        return [clean, contrast.noisy(reader, names)] if contrast else [clean]

    def rules(names: Sequence[str]) -> list[LogitsProcessor]:
        drawn = [Sampling([f"{draw}-{name}" for name in names])] if draw else []
        return [penalty, *drawn] if penalty else [*drawn]

    def search(chunk: Sequence[Record]) -> list[Record]:
        names = [row["file_name"] for row in chunk]
        pixels = views(names)
        if contrast:
            clean, noisy = pixels
            found = contrastive_generate(
                bundle, prompt, clean, noisy, longest, contrast.rule, n_beams=n_beams
            )
        else:
            found = generate(bundle, prompt, pixels[0], longest, rules(names), n_beams)
        return [asdict(decoded) for decoded in found]

    def from_queue(chunks: Sequence[Sequence[Record]]) -> Iterator[list[Record]]:
        names = [row["file_name"] for chunk in chunks for row in chunk]
        size, rule = params.eval_batch_size, contrast.rule if contrast else None
        questions = [prompt] * len(names)
        return by_chunk(
            chunks,
            write(bundle, questions, names, views, size, longest, rules(names), rule),
        )

    chunks = in_chunks(images, params.eval_batch_size)
    replies = partial(map, search) if n_beams > 1 else from_queue
    written = answers_to(chunks, replies, "write captions", "caption", kept)
    return [
        {
            "image_id": row["image_id"],
            "image": row["file_name"],
            "caption": text["text"],
            "n_tokens": text["n_tokens"],
            "finished": text["finished"],
        }
        for row, text in zip(images, written, strict=True)
    ]


def match_mentions(
    write: Callable[[float], list[Record]],
    n_mentions: Callable[[list[Record]], int],
    wanted: int,
    largest: float = 8.0,
    rounds: int = 8,
) -> tuple[float, list[Record]]:
    """The penalty whose captions come nearest to `wanted` object mentions, and those captions.

    `write(penalty)` writes captions, `n_mentions` counts objects in them. Bisection: more penalty,
    fewer mentions.
    """
    low, high = 0.0, largest
    best: tuple[int, float, list[Record]] | None = None
    for _ in range(rounds):
        penalty = (low + high) / 2
        records = write(penalty)
        found = n_mentions(records)
        if best is None or abs(found - wanted) < best[0]:
            best = abs(found - wanted), penalty, records
        low, high = (penalty, high) if found > wanted else (low, penalty)
    assert best is not None
    return best[1], best[2]


def mention_tokens(bundle: Bundle, words: Sequence[str]) -> list[int]:
    """Tokens that begin an object word, and those that announce one more object."""
    texts = (*(f" {word}" for word in words), *ANNOUNCERS)
    return sorted({bundle.next_token(text, after="a") for text in texts})


def _compiled_layers(bundle: Bundle) -> CompiledLayers | None:
    layers, remarks = compile_layers(bundle.model, bundle.device)
    if process_state().is_main_process:
        for remark in remarks:
            tqdm.write(remark)
    return layers


def _logits(bundle: Bundle, batch: Batch) -> Float[Tensor, "B V"]:
    return AnswerLogits(bundle.model)(batch.to(bundle.device)).float()


def _rows(questions: Sequence[tuple[str, str]], size: int, layout: Layout) -> list[Sequence[Any]]:
    """(image, question), some rows at a time: images, each with all that is asked about it."""
    rows = [list(row) for _, row in groupby(questions, itemgetter(0))]
    if not layout.packs:
        rows = [[question] for question in questions]
    return [[question for row in some for question in row] for some in in_chunks(rows, size)]
