"""Images, words and captions of an experiment for the beta explorer, and which of them to show."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from seednb.core.errors import SeedError
from seednb.data.images import load_image, resolve_image
from seednb.data.vocabulary import find_mentions
from seednb.experiments.calibration import (
    OTHER,
    PRESENT,
    SAME,
    caption_logits,
    first_tokens,
    noisy_views,
)
from seednb.experiments.experiment import Experiment, Record
from seednb.method.confidence import answer_confidence
from seednb.method.purification import PLAUSIBILITY
from seednb.model.generation import ContrastiveLogits, generate
from seednb.model.inputs.collate import in_chunks
from seednb.model.loading import Bundle
from seednb.report.summaries import caption_spans
from seednb.report.widgets.captions import cut
from seednb.report.widgets.face import percent
from seednb.report.widgets.frames import Caption, ExplorerExample, Place

THUMBNAIL = 224  # pixels, longest side of an image inside a widget
QUALITY, NOISE_QUALITY = 85, 40  # WebP's; noise takes many bytes and has no detail to lose
N_WORDS = 8  # candidate words of one place
LIKELY = 0.002  # a word below that in both views would be a row without bars
N_WORKING, N_TRIED = 3, 60  # examples where purification works, and how many are looked at for them
WORD = re.compile(r"[\w'-]+|[^\w\s]")  # words and punctuation marks


@dataclass(frozen=True)
class Chosen:
    """A caption to show, by its number, with the character where its word begins."""

    number: int
    start: int
    title: str = ""
    note: str = ""


class CaptionSource:
    """The base model's captions, with the logits that chose each word: clean, and noisy at each alpha.

    The first ones are the chosen ones. Raises SeedError if the model has written no caption.
    """

    def __init__(self, lab: Experiment, alphas: Sequence[float]) -> None:
        """Loads the base model."""
        self._lab, self._bundle, self._alphas = lab, lab.bundle("base"), list(alphas)
        self._reader = lab.image_reader("val", self._bundle)
        self._records = [each for each in lab.answers("base").captions if each["caption"].strip()]
        if not self._records:
            raise SeedError("the base model has written no caption; run: seednb report --only 02")
        self.chosen: list[Chosen] = []

    @property
    def titles(self) -> list[str]:
        """The chosen examples, then every image by its file's name."""
        chosen = [each.title for each in self._kept]
        return chosen + [record["image"] for record in self._records]

    @property
    def n_kept(self) -> int:
        """How many are chosen."""
        return len(self._kept)

    @property
    def _kept(self) -> list[Chosen]:
        return self.chosen or [Chosen(0, 0, self._records[0]["image"])]

    def example(self, number: int) -> ExplorerExample:
        """The image of that number, with the logits of every word of its caption."""
        chosen = self._chosen(number)
        record, bundle, lab = self._records[chosen.number], self._bundle, self._lab
        ((clean, *noisy),) = caption_logits(lab, bundle, self._reader, [record], self._alphas)
        of_token, names = torch.zeros(len(clean), dtype=torch.long), [record["image"]]
        views = [noisy_views(self._reader, names, alpha)[0] for alpha in self._alphas]
        words = list(WORD.finditer(record["caption"]))
        tokens = first_tokens(bundle, record["caption"], [word.start() for word in words])
        places = [
            self._place(record, word, clean[n].numpy(), [view[n].numpy() for view in noisy])
            for word, n in zip(words, tokens, strict=True)
        ]
        image = load_image(resolve_image(lab.data.val.image_dir, record["image"]))
        return ExplorerExample(
            title=record["image"],
            image=thumbnail(image),
            noisy_images={
                alpha: thumbnail(as_image(view, bundle), NOISE_QUALITY)
                for alpha, view in zip(self._alphas, views, strict=True)
            },
            question=lab.params.evaluation.caption_prompt,
            caption=self._caption(record, record["caption"]),
            confidence=answer_confidence(clean, of_token, 1).item(),
            places=places,
            start=next((n for n, word in enumerate(words) if word.end() > chosen.start), 0),
            note=chosen.note,
        )

    def captions(
        self, number: int, alpha: float, betas: Sequence[float], plausible: bool
    ) -> list[Caption]:
        """The whole caption decoded greedily from purified logits, with each of the betas."""
        record = self._records[self._chosen(number).number]
        texts = self._decoded([record] * len(betas), alpha, betas, plausible)
        return [self._caption(record, text) for text in texts]

    def outcomes(
        self, numbers: Sequence[int], alpha: float, betas: Sequence[float]
    ) -> list[tuple[int, int]]:
        """For captions by number, decoded again with a beta each: inventions and true objects gained."""
        records = [self._records[number] for number in numbers]
        pairs = zip(records, self._decoded(records, alpha, betas, plausible=False), strict=True)
        before = [self._counts(record, record["caption"]) for record in records]
        after = [self._counts(record, text) for record, text in pairs]
        return [(a[0] - b[0], a[1] - b[1]) for b, a in zip(before, after, strict=True)]

    def _decoded(
        self, records: Sequence[Record], alpha: float, betas: Sequence[float], plausible: bool
    ) -> list[str]:
        """A caption of each record, with its beta; an image of several is read once."""
        params, texts = self._lab.params.evaluation, list[str]()
        pairs = list(zip(records, betas, strict=True))
        for part in in_chunks(pairs, max(1, params.eval_batch_size // 2)):
            names = list(dict.fromkeys(record["image"] for record, _ in part))
            views = [self._reader.batch(names), noisy_views(self._reader, names, alpha)]
            rows = [names.index(record["image"]) for record, _ in part]
            beta = torch.tensor([beta for _, beta in part], device=self._bundle.device)
            decoded = generate(
                self._bundle,
                params.caption_prompt,
                torch.cat(views),
                params.max_new_tokens,
                [ContrastiveLogits(beta, PLAUSIBILITY if plausible else 0.0)],
                rows=[*rows, *(row + len(names) for row in rows)],
            )
            texts += [each.text for each in decoded[: len(part)]]
        return texts

    def _chosen(self, number: int) -> Chosen:
        kept = self._kept
        other = number - len(kept)
        return kept[number] if other < 0 else Chosen(other, self._first(other))

    def _first(self, number: int) -> int:
        """Where a caption's first object stands, an invented one before a present one."""
        record, data = self._records[number], self._lab.data
        wrong, right = caption_spans(record, data.present[record["image_id"]], data.vocabulary)
        return min(wrong or right, default=(0, 0))[0]

    def _place(
        self, record: Record, word: re.Match[str], clean: np.ndarray, noisy: list[np.ndarray]
    ) -> Place:
        noisy_logits = dict(zip(self._alphas, noisy, strict=True))
        word_ids = _candidates(clean, noisy_logits[self._lab.params.train.noise_alpha])
        decoded = [str(self._bundle.tokenizer.decode([token])).strip() for token in word_ids]
        words = [text or "␣" for text in decoded]
        return Place(
            word=word[0],
            so_far=record["caption"][: word.start()].rstrip(),
            is_present=self._is_present(word[0], record),
            clean_logits=clean,
            noisy_logits=noisy_logits,
            words=words,
            word_ids=word_ids,
            present=[self._is_present(text, record) for text in words],
        )

    def _is_present(self, word: str, record: Record) -> bool | None:
        """Whether a word names, or begins to name, an object of the image; None for no object."""
        named = self._lab.data.vocabulary.begun_by(word)
        return None if named is None else named in self._lab.data.present[record["image_id"]]

    def _caption(self, record: Record, text: str) -> Caption:
        data = self._lab.data
        present = data.present[record["image_id"]]
        wrong, right = caption_spans({"caption": text}, present, data.vocabulary)
        n_wrong, n_true = self._counts(record, text)
        there = f"{n_true} object{'s' * (n_true != 1)} of the image"
        return Caption(
            cut(text, wrong, right), f"It names {there} and invents {n_wrong or 'none'}."
        )

    def _counts(self, record: Record, text: str) -> tuple[int, int]:
        """(objects that a caption invents, objects of the image that it names)."""
        data = self._lab.data
        named = {mention.object for mention in find_mentions(text, data.vocabulary)}
        n_true = len(named & set(data.present[record["image_id"]]))
        return len(named) - n_true, n_true


def choose(source: CaptionSource, changes: pd.DataFrame, alpha: float) -> list[Chosen]:
    """Examples to show: where purification works, best first, then where it does not.

    `changes` is a frame of `purified_mentions`, made with this alpha. It works where an invented word
    gives way to an object of the image that the caption has not named yet, and the whole caption,
    decoded again, names fewer inventions and more objects of the image.
    """
    rows = changes.assign(fall=changes["before"] - changes["after"]).sort_values(
        "fall", ascending=False, kind="stable"
    )
    invented, true = rows[rows["hallucinated"]], rows[~rows["hallucinated"]]
    helped = invented[(invented["becomes"] == PRESENT) & ~invented["repeats"]].head(N_TRIED)
    gains = source.outcomes(helped["number"].tolist(), alpha, helped["beta"].tolist())
    whole = [
        row
        for row, (wrong, true) in zip(helped.itertuples(), gains, strict=True)
        if wrong < 0 < true
    ]
    chosen = [
        _chosen("Works", row, alpha, f"“{row.likeliest}”, which is, takes its place")
        for row in whole[:N_WORKING]
    ]
    rising = invented[(invented["becomes"] == SAME) & (invented["fall"] < 0)].tail(1)
    for row in rising.itertuples():
        chosen.append(_chosen("Makes it worse", row, alpha, "it stays the likeliest word"))
    for row in true[true["becomes"] == OTHER].head(1).itertuples():
        end = f"“{row.likeliest}”, an invention, takes its place"
        chosen.append(_chosen("Makes it worse", row, alpha, end))
    for row in invented[invented["becomes"] == OTHER].head(1).itertuples():
        end = f"“{row.likeliest}”, another invention, takes its place"
        chosen.append(_chosen("No help", row, alpha, end))
    return chosen


def _chosen(kind: str, row: Any, alpha: float, end: str) -> Chosen:
    """An example of a row, with the sentence that says what happens there."""
    there = "is not" if row.hallucinated else "is"
    way = "falls" if row.after < row.before else "rises"
    after = f" becomes “{row.likeliest}”" if row.becomes != SAME else f" {way}"
    shares = [percent(round(1000 * share)) for share in (row.before, row.after)]
    note = (
        f"By the rule (alpha {alpha:g}, beta {row.beta:g}) “{row.word}”, which {there} in the image, "
        f"{way} from {shares[0]} to {shares[1]}; {end}."
    )
    return Chosen(row.number, row.start, f"{kind}: “{row.word}”{after}", note)


def thumbnail(image: Image.Image, quality: int = QUALITY) -> bytes:
    """A small WebP of an image."""
    image = image.copy()
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=quality)
    return buffer.getvalue()


def as_image(pixels: Float[Tensor, "3 H W"], bundle: Bundle) -> Image.Image:
    """Normalised pixels as an image: the processor's normalisation undone."""
    processor = bundle.processor.image_processor
    mean, deviation = (
        torch.tensor(v).view(3, 1, 1) for v in (processor.image_mean, processor.image_std)
    )
    shown = (pixels * deviation + mean).clamp(0, 1).permute(1, 2, 0)
    return Image.fromarray((255 * shown).round().byte().numpy())


def _candidates(clean: np.ndarray, noisy: np.ndarray) -> list[int]:
    """The words that either view finds likely: between two and N_WORDS of them."""
    best = torch.from_numpy(clean).softmax(-1).maximum(torch.from_numpy(noisy).softmax(-1))
    n_likely = int((best >= LIKELY).sum())
    return best.topk(min(N_WORDS, max(2, n_likely))).indices.tolist()
