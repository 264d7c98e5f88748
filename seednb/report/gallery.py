"""Images, captions and widgets of an experiment, as the notebooks show them."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from seednb.data.images import load_image, resolve_image
from seednb.evaluation.benchmarks import chair
from seednb.evaluation.records import Answers, Record
from seednb.experiments import calibration
from seednb.experiments.experiment import Experiment
from seednb.method.confidence import answer_confidence
from seednb.model.forward import AnswerLogits
from seednb.model.generation import generate
from seednb.model.loading import Bundle
from seednb.report import plots
from seednb.report.summaries import caption_spans
from seednb.report.widgets import BetaExplorer, CaptionBrowser, CaptionItem
from seednb.report.widgets.history import History
from seednb.report.widgets.places import CaptionSource, as_image, choose, thumbnail
from seednb.training.examples import Examples

ALPHAS = (0.1, 0.3, 0.5, 0.7)  # to choose from, beside the alpha of training
TEMPERATURES = (1.0, 2.0, 4.0)


def caption_browser(
    lab: Experiment, answers: Mapping[str, Answers], n: int, images: Collection[int] = ()
) -> CaptionBrowser:
    """Widget: validation images with each model's caption, hallucinated words marked.

    Images of which the models say different things come first; the data's order decides the rest.
    Only `images` (their ids), if they are given.
    """
    data = lab.data
    by_image = {
        model: {record["image_id"]: record for record in answer.captions}
        for model, answer in answers.items()
    }

    def is_same(row: Record) -> bool:
        said = {found[row["image_id"]]["caption"] for found in by_image.values()}
        return len(said) == 1

    items = []
    shown = [row for row in data.to_caption if not images or row["image_id"] in images]
    for row in sorted(shown, key=is_same)[:n]:
        image_id, name = row["image_id"], row["file_name"]
        records = {model: found[image_id] for model, found in by_image.items()}
        spans = {
            model: caption_spans(record, data.present[image_id], data.vocabulary)
            for model, record in records.items()
        }
        items.append(
            CaptionItem(
                title=name,
                image=thumbnail(load_image(resolve_image(data.val.image_dir, name))),
                truth=sorted(data.present[image_id]),
                captions={model: record["caption"] for model, record in records.items()},
                hallucinated={model: wrong for model, (wrong, _) in spans.items()},
                correct={model: right for model, (_, right) in spans.items()},
            )
        )
    return CaptionBrowser(items)


def beta_explorer(lab: Experiment, history: Sequence[float], changes: pd.DataFrame) -> BetaExplorer:
    """Widget: what purification does at any word of the base model's captions.

    It opens on examples that are chosen from `changes`, a frame of `purified_mentions`.
    """
    train = lab.params.train
    alphas = sorted({*ALPHAS, train.noise_alpha})
    source = CaptionSource(lab, alphas)
    source.chosen = choose(source, changes, train.noise_alpha)
    rule = History(tuple(history), train.beta_values, train.beta_quantiles, train.beta_window)
    return BetaExplorer(source, rule, alphas, TEMPERATURES, start=train.noise_alpha)


def confidence_history(lab: Experiment, n: int) -> list[float]:
    """Confidence of the frozen model on the first n training pairs."""
    bundle = lab.bundle("base")
    pairs = lab.data.pairs["replay"][:n]
    examples = Examples.of(pairs, bundle, lab.image_reader("train", bundle))
    values: list[float] = []
    size = lab.params.evaluation.eval_batch_size
    for start in range(0, len(pairs), size):
        batch = examples.batch(range(start, min(start + size, len(pairs)))).to(bundle.device)
        with torch.inference_mode():
            logits = AnswerLogits(bundle.model)(batch)
        values += answer_confidence(logits, batch.example_of_token, len(batch)).tolist()
    return values


def noisy_views(lab: Experiment, alphas: Sequence[float]) -> plots.Sheet:
    """One image under growing noise, with the base model's caption of each view."""
    bundle = lab.bundle("base")
    row = lab.data.to_caption[0]
    reader, names = lab.image_reader("val", bundle), [row["file_name"]]
    views = torch.cat([calibration.noisy_views(reader, names, alpha) for alpha in alphas])
    captions = _captions(lab, bundle, views)
    titles = [f"α = {alpha:g}: {caption}" for alpha, caption in zip(alphas, captions, strict=True)]
    return plots.images([np.asarray(as_image(view, bundle)) for view in views], titles)


def captions_under_noise(lab: Experiment, alphas: Sequence[float], n_images: int) -> pd.DataFrame:
    """CHAIR of the base model's captions of noisy views, by alpha."""
    bundle = lab.bundle("base")
    reader, data = lab.image_reader("val", bundle), lab.data
    images = data.to_caption[:n_images]
    names = [row["file_name"] for row in images]
    table = {}
    for alpha in alphas:
        captions = _captions(lab, bundle, calibration.noisy_views(reader, names, alpha))
        records = [
            {"image_id": row["image_id"], "caption": text}
            for row, text in zip(images, captions, strict=True)
        ]
        variant = lab.params.evaluation.chair_variant
        scores = chair.score(records, data.present, data.vocabulary, variant)
        table[f"α = {alpha:g}"] = {
            "CHAIRi (%)": round(100 * scores["CHAIRi"], 1),
            "recall (%)": round(100 * scores["recall"], 1),
            "mentions": round(scores["mentions"], 2),
        }
    return pd.DataFrame(table).T


def validation_image(lab: Experiment, name: str, title: str) -> plots.Sheet:
    """One image by its file name."""
    image = np.asarray(load_image(lab.data.val.image_dir / name))
    return plots.images([image], [title], n_columns=1)


def _captions(lab: Experiment, bundle: Bundle, pixels: Tensor) -> list[str]:
    evaluation = lab.params.evaluation
    texts: list[str] = []
    for chunk in pixels.split(evaluation.eval_batch_size):
        decoded = generate(bundle, evaluation.caption_prompt, chunk, evaluation.max_new_tokens)
        texts += [item.text for item in decoded]
    return texts
