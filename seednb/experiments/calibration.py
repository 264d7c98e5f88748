"""Calibration: does low confidence predict a hallucination? And how alike are the views' logits?"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from seednb.data.vocabulary import find_mentions
from seednb.experiments.experiment import Experiment
from seednb.method.confidence import CONFIDENCES, POOLINGS
from seednb.method.perturbation import View
from seednb.model.forward import AnswerLogits
from seednb.model.inputs.collate import Batch, collate
from seednb.model.inputs.pixels import ImageReader
from seednb.model.inputs.prompts import answer_spans, encode
from seednb.model.loading import Bundle

N_BINS = 8


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
        batch = _batch(lab, bundle, reader, record)
        hidden = model.hidden(batch.to(bundle.device))
        tokens = {name: measure(model.head, hidden).cpu() for name, measure in CONFIDENCES.items()}
        default = next(iter(tokens.values()))
        pooled = {f"caption {name}": pool(default).item() for name, pool in POOLINGS.items()}
        text = f" {record['caption'].strip()}"
        question, caption = lab.params.evaluation.caption_prompt, record["caption"]
        spans = answer_spans(question, caption, bundle.tokenizer, bundle.image_tag, bundle.template)
        for mention in find_mentions(text, data.vocabulary):
            place = next(n for n, (_, end) in enumerate(spans) if end > mention.start)
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
        batch = _batch(lab, bundle, reader, record)
        noisy = reader.noisy([f"overlap-{record['image']}"], [record["image"]], view)
        both = model(batch.seen_as([batch.pixel_values, noisy]).to(bundle.device)).double()
        clean_logits, noisy_logits = both.chunk(2)
        weight = clean_logits.softmax(-1)
        clean, other = (_centred(part, weight) for part in (clean_logits, noisy_logits))
        products += [float((weight * clean * part).sum()) for part in (other, clean)]
    return float(products[0] / products[1])


def _batch(lab: Experiment, bundle: Bundle, reader: ImageReader, record: dict[str, str]) -> Batch:
    """A caption as if it were a label."""
    question = lab.params.evaluation.caption_prompt
    text = encode(
        question, record["caption"], bundle.tokenizer, bundle.image_tokens, bundle.template
    )
    return collate([text], [0], reader.batch([record["image"]]), bundle.layout)


def _centred(logits: Tensor, weight: Tensor) -> Tensor:
    """Softmax does not see a constant a row."""
    return logits - (weight * logits).sum(-1, keepdim=True)
