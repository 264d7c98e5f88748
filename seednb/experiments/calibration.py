"""Mentions of objects: does low confidence predict a wrong one, and what does purification do to it?"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from seednb.core.errors import SeedError
from seednb.data.vocabulary import find_mentions
from seednb.evaluation.stats import Interval, level, resample_auc
from seednb.experiments.experiment import Experiment
from seednb.method.beta import BetaSelector
from seednb.method.confidence import CONFIDENCES, POOLINGS, answer_confidence
from seednb.method.perturbation import View
from seednb.method.purification import purify_logits
from seednb.model.forward import AnswerLogits
from seednb.model.inputs.collate import Batch, collate, in_chunks
from seednb.model.inputs.pixels import ImageReader
from seednb.model.inputs.prompts import answer_spans, encode
from seednb.model.loading import Bundle

N_BINS = 8
OUTCOMES = ("the same word", "a present object", "another invention", "no object")
SAME, PRESENT, OTHER, NONE = OUTCOMES


@torch.inference_mode()
def mention_confidences(lab: Experiment, n: int) -> pd.DataFrame:
    """One row an object mention in the base model's captions of n images.

    `hallucinated` says whether the object is absent; each measure of `CONFIDENCES` has a column with
    its value at the mention's first token, and `caption <pooling>` the caption's default confidence
    by each pooling.
    """
    bundle, data = lab.bundle(), lab.data
    reader, model = lab.image_reader("val", bundle), AnswerLogits(bundle.model)
    rows = []
    for record in lab.answers("base").captions[:n]:
        batch = _batch(lab, bundle, reader, [record])
        hidden = model.hidden(batch.to(bundle.device))
        tokens = {name: measure(model.head, hidden).cpu() for name, measure in CONFIDENCES.items()}
        default = next(iter(tokens.values()))
        pooled = {f"caption {name}": pool(default).item() for name, pool in POOLINGS.items()}
        mentions = find_mentions(record["caption"], data.vocabulary)
        starts = [mention.start for mention in mentions]
        places = first_tokens(bundle, record["caption"], starts)
        for mention, place in zip(mentions, places, strict=True):
            at_token = {name: values[place].item() for name, values in tokens.items()}
            absent = mention.object not in data.present[record["image_id"]]
            rows.append({"image": record["image"], "hallucinated": absent} | at_token | pooled)
    return pd.DataFrame(rows)


def in_bins(frame: pd.DataFrame, measures: Sequence[str]) -> pd.DataFrame:
    """Share of hallucinated mentions in bins of equal size, from the least confident to the most.

    Bins are of ranks, so measures on different scales can be compared.
    """
    bins = {}
    for name in measures:
        bin_of = (frame[name].rank(method="first") - 1) * N_BINS // len(frame)
        bins[name] = frame.groupby(bin_of)["hallucinated"].mean()
    return pd.DataFrame(bins).rename_axis("confidence bin")


def caption_auc(frame: pd.DataFrame) -> pd.DataFrame:
    """How well low confidence tells hallucination: AUC in percent, 50 is chance, NaN if undefined.

    Of mentions, by the confidence at their first token; of captions, by the pooled confidence.
    """
    captions = frame.groupby("image").agg(
        {"hallucinated": "any"} | {f"caption {name}": "first" for name in POOLINGS}
    )
    sources = [("mention's token", frame, name, name) for name in CONFIDENCES]
    sources += [("caption", captions, f"caption {name}", name) for name in POOLINGS]
    return pd.DataFrame(
        [
            {"of": kind, "confidence": label, "AUC": 100 * _area(part, column)}
            for kind, part, column, label in sources
        ]
    )


def auc(frame: pd.DataFrame, measure: str) -> Interval:
    """How well a low `measure` tells hallucinated mentions, with the interval over images."""
    wrong = frame["hallucinated"]
    return level(resample_auc(-frame[measure], wrong, frame["image"]))


@torch.inference_mode()
def purified_mentions(lab: Experiment, history: Sequence[float]) -> pd.DataFrame:
    """One row an object mention in the base model's captions: its probability before and after.

    Both are those of the mention's first token, given the words before it. The contrast is with the
    noisy view of the profile's `noise_alpha`; beta is what the rule gives to the caption's confidence
    after `history`, earlier confidences. `likeliest` is the word that the purified logits prefer,
    `becomes` what it is: the same word, a present object (`repeats`: named before), another
    invention, or no object. `number` is the caption's, `start` the mention's first character.
    Raises SeedError if the captions name no object.
    """
    bundle, train = lab.bundle(), lab.params.train
    reader = lab.image_reader("val", bundle)
    selector = BetaSelector(train.beta_values, train.beta_quantiles, train.beta_window)
    selector.history.extend(history)
    records = lab.answers("base").captions
    rows: list[dict[str, Any]] = []
    for chunk in in_chunks(range(len(records)), lab.params.evaluation.eval_batch_size):
        chosen = [records[number] for number in chunk]
        logits = caption_logits(lab, bundle, reader, chosen, [train.noise_alpha])
        for number, record, (clean, noisy) in zip(chunk, chosen, logits, strict=True):
            of_token = torch.zeros(len(clean), dtype=torch.long)
            sure = answer_confidence(clean, of_token, 1).item()
            beta = selector.rule(selector, sure, 0.0)
            purified = purify_logits(clean, noisy, beta)
            facts = {"number": number, "image": record["image"], "confidence": sure, "beta": beta}
            rows += [facts | row for row in _changes(lab, bundle, record, clean, purified)]
    if not rows:
        raise SeedError("the base model's captions name no object; run: seednb report --only 02")
    frame = pd.DataFrame(rows)
    return frame.assign(becomes=pd.Categorical(frame["becomes"], OUTCOMES))


def _changes(
    lab: Experiment, bundle: Bundle, record: dict[str, Any], clean: Tensor, purified: Tensor
) -> Iterator[dict[str, Any]]:
    """What purification does to each mention of one caption; logits are (T, V)."""
    present, vocabulary = lab.data.present[record["image_id"]], lab.data.vocabulary
    mentions = find_mentions(record["caption"], vocabulary)
    places = first_tokens(bundle, record["caption"], [mention.start for mention in mentions])
    before, after = clean.softmax(-1), purified.softmax(-1)
    named: set[str] = set()
    for mention, place in zip(mentions, places, strict=True):
        token, then = int(clean[place].argmax()), int(purified[place].argmax())
        likeliest = str(bundle.tokenizer.decode([then])).strip()
        new = vocabulary.begun_by(likeliest)
        becomes = NONE if new is None else PRESENT if new in present else OTHER
        yield {
            "start": mention.start,
            "word": mention.word,
            "hallucinated": mention.object not in present,
            "before": before[place, token].item(),
            "after": after[place, token].item(),
            "likeliest": likeliest,
            "becomes": SAME if then == token else becomes,
            "repeats": new in named,
        }
        named.add(mention.object)


@torch.inference_mode()
def caption_logits(
    lab: Experiment,
    bundle: Bundle,
    reader: ImageReader,
    records: Sequence[dict[str, Any]],
    alphas: Iterable[float],
) -> list[tuple[Tensor, ...]]:
    """Logits (T, V) of each caption's tokens: on the clean view, then on the noisy view of each alpha."""
    batch = _batch(lab, bundle, reader, records)
    names = [record["image"] for record in records]
    views = [batch.pixel_values, *(noisy_views(reader, names, alpha) for alpha in alphas)]
    logits = AnswerLogits(bundle.model)(batch.seen_as(views).to(bundle.device)).float().cpu()
    by_view = [view.split(batch.n_answer_tokens) for view in logits.chunk(len(views))]
    return list(zip(*by_view, strict=True))


def noisy_views(reader: ImageReader, names: Sequence[str], alpha: float) -> Tensor:
    """The Gaussian noisy view of each image; it depends on the image's name alone."""
    return reader.noisy([f"view-{name}" for name in names], names, View(noise_alpha=alpha))


def first_tokens(bundle: Bundle, caption: str, starts: Sequence[int]) -> list[int]:
    """Among a caption's tokens, the first of the word that begins at each character of `starts`."""
    text = f" {caption.strip()}"
    shift = len(text) - len(caption.rstrip())  # characters that the text has before the caption's
    spans = answer_spans("", caption, bundle.tokenizer, bundle.image_tag, bundle.template)
    return [next(n for n, (_, end) in enumerate(spans) if end > start + shift) for start in starts]


def _area(frame: pd.DataFrame, column: str) -> float:
    if frame["hallucinated"].nunique() < 2:
        return float("nan")
    return float(roc_auc_score(frame["hallucinated"], -frame[column]))


@torch.inference_mode()
def view_overlap(lab: Experiment, n: int) -> float:
    """rho: the slope of the noisy view's logits on the clean view's, over caption tokens.

    Words count by their clean probability: a target's shape is decided among those. 1: the views
    agree and a contrast only repeats; 0: the noisy view says nothing.
    """
    bundle = lab.bundle()
    model, reader = AnswerLogits(bundle.model), lab.image_reader("val", bundle)
    view = View(noise_alpha=lab.params.train.noise_alpha)
    products = np.zeros(2)
    for record in lab.answers("base").captions[:n]:
        batch = _batch(lab, bundle, reader, [record])
        noisy = reader.noisy([f"overlap-{record['image']}"], [record["image"]], view)
        both = model(batch.seen_as([batch.pixel_values, noisy]).to(bundle.device)).double()
        clean_logits, noisy_logits = both.chunk(2)
        weight = clean_logits.softmax(-1)
        clean, other = (_centred(part, weight) for part in (clean_logits, noisy_logits))
        products += [float((weight * clean * part).sum()) for part in (other, clean)]
    return float(products[0] / products[1])


def _batch(
    lab: Experiment, bundle: Bundle, reader: ImageReader, records: Sequence[dict[str, Any]]
) -> Batch:
    """Captions as if they were labels, one a row."""
    question, tokenizer = lab.params.evaluation.caption_prompt, bundle.tokenizer
    texts = [
        encode(question, record["caption"], tokenizer, bundle.image_tokens, bundle.template)
        for record in records
    ]
    pixels = reader.batch([record["image"] for record in records])
    return collate(texts, range(len(texts)), pixels, bundle.layout)


def _centred(logits: Tensor, weight: Tensor) -> Tensor:
    """Softmax does not see a constant a row."""
    return logits - (weight * logits).sum(-1, keepdim=True)
