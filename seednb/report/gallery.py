"""Images, captions and widgets of an experiment, as the notebooks show them."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from seednb.data.images import load_image, resolve_image
from seednb.data.vocabulary import find_mentions
from seednb.evaluation.benchmarks import chair
from seednb.evaluation.records import Answers
from seednb.experiments.experiment import Experiment
from seednb.method.confidence import answer_confidence
from seednb.method.perturbation import example_noise, gaussian_noise
from seednb.model.forward import AnswerLogits
from seednb.model.generation import generate
from seednb.model.inputs.collate import collate
from seednb.model.inputs.pixels import ImageReader
from seednb.model.inputs.prompts import Encoded, encode, encode_prompt
from seednb.model.loading import Bundle
from seednb.report import plots
from seednb.report.summaries import caption_spans
from seednb.report.widgets import BetaExplorer, CaptionBrowser, CaptionItem, ExplorerExample
from seednb.training.examples import Examples

THUMBNAIL = 224  # pixels, longest side of an image inside a widget
ALPHAS = (0.1, 0.3, 0.5, 0.7)  # to choose from, beside the alpha of training
TEMPERATURES = (1.0, 2.0, 4.0)
N_WORDS = 8  # candidate words of one example
LIKELY = 0.002  # a word below that in both views would be a row without bars


def caption_browser(lab: Experiment, answers: Mapping[str, Answers], n: int) -> CaptionBrowser:
    """Widget: validation images with each model's caption, hallucinated words marked."""
    data = lab.data
    by_image = {
        model: {record["image_id"]: record for record in answer.captions}
        for model, answer in answers.items()
    }
    items = []
    for row in data.to_caption[:n]:
        image_id, name = row["image_id"], row["file_name"]
        records = {model: found[image_id] for model, found in by_image.items()}
        spans = {
            model: caption_spans(record, data.present[image_id], data.vocabulary)
            for model, record in records.items()
        }
        items.append(
            CaptionItem(
                title=name,
                image_png=_thumbnail(load_image(resolve_image(data.val.image_dir, name))),
                truth=sorted(data.present[image_id]),
                captions={model: record["caption"] for model, record in records.items()},
                hallucinated={model: wrong for model, (wrong, _) in spans.items()},
                correct={model: right for model, (_, right) in spans.items()},
            )
        )
    return CaptionBrowser(items)


def beta_explorer(lab: Experiment, history: Sequence[float], n: int = 5) -> BetaExplorer:
    """Widget: places in base captions where an absent object is about to be named."""
    bundle = lab.bundle("base")
    reader = lab.image_reader("val", bundle)
    data, own_alpha = lab.data, lab.params.train.noise_alpha
    alphas = sorted({*ALPHAS, own_alpha})
    examples: list[ExplorerExample] = []
    for record in lab.answers("base").captions:
        wrong, _ = caption_spans(record, data.present[record["image_id"]], data.vocabulary)
        if wrong and len(examples) < n:
            examples.append(_explorer_example(lab, bundle, reader, record, wrong[0][0], alphas))
    return BetaExplorer(examples, history, alphas, TEMPERATURES, start=own_alpha)


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


def noisy_views(lab: Experiment, alphas: Sequence[float]) -> Figure:
    """One image under growing noise, with the base model's caption of each view."""
    bundle = lab.bundle("base")
    row = lab.data.to_caption[0]
    pixels = lab.image_reader("val", bundle).batch([row["file_name"]])
    views = torch.cat([_noisy(pixels, [row["file_name"]], alpha) for alpha in alphas])
    captions = _captions(lab, bundle, views)
    titles = [f"α = {alpha:g}: {caption}" for alpha, caption in zip(alphas, captions, strict=True)]
    return plots.images([_as_image(view, bundle) for view in views], titles)


def captions_under_noise(lab: Experiment, alphas: Sequence[float], n_images: int) -> pd.DataFrame:
    """CHAIR of the base model's captions of noisy views, by alpha."""
    bundle = lab.bundle("base")
    reader, data = lab.image_reader("val", bundle), lab.data
    images = data.to_caption[:n_images]
    names = [row["file_name"] for row in images]
    table = {}
    for alpha in alphas:
        captions = _captions(lab, bundle, _noisy(reader.batch(names), names, alpha))
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


def validation_image(lab: Experiment, name: str, title: str) -> Figure:
    """One image by its file name."""
    image = np.asarray(load_image(lab.data.val.image_dir / name))
    return plots.images([image], [title], n_columns=1)


def _explorer_example(
    lab: Experiment,
    bundle: Bundle,
    reader: ImageReader,
    record: dict,
    start: int,
    alphas: Sequence[float],
) -> ExplorerExample:
    """Logits of clean and noisy views just before character `start` of a caption."""
    question, caption = lab.params.evaluation.caption_prompt, record["caption"]
    so_far = caption[:start].rstrip()
    tokenizer, image, template = bundle.tokenizer, bundle.image_tokens, bundle.template
    begun = encode(question, so_far, tokenizer, image, template).input_ids[:-1] if so_far else ()
    prompt = begun or tuple(encode_prompt(question, tokenizer, image, template))
    name = record["image"]
    pixels = reader.batch([name])
    views = torch.cat([pixels, *(_noisy(pixels, [name], alpha) for alpha in alphas)])
    logits, _ = _answer_logits(bundle, [Encoded(prompt, len(prompt))] * len(views), views)
    clean, *noisy = logits.float().cpu().numpy()
    noisy_logits = dict(zip(alphas, noisy, strict=True))
    word_ids = _candidates(clean, noisy_logits[lab.params.train.noise_alpha])
    words = [str(tokenizer.decode([token])).strip() or "␣" for token in word_ids]
    return ExplorerExample(
        title=f"{name}: “… {caption[start:].split()[0].strip('.,')}”",
        image_png=_thumbnail(load_image(resolve_image(lab.data.val.image_dir, name))),
        question=question,
        answer_so_far=so_far,
        confidence=_caption_confidence(lab, bundle, pixels, caption),
        clean_logits=clean,
        noisy_logits=noisy_logits,
        words=words,
        word_ids=word_ids,
        present=[_is_present(lab, word, record["image_id"]) for word in words],
    )


def _candidates(clean: np.ndarray, noisy: np.ndarray) -> list[int]:
    """The words that either view finds likely: between two and N_WORDS of them."""
    best = torch.from_numpy(clean).softmax(-1).maximum(torch.from_numpy(noisy).softmax(-1))
    n_likely = int((best >= LIKELY).sum())
    return best.topk(min(N_WORDS, max(2, n_likely))).indices.tolist()


def _is_present(lab: Experiment, word: str, image_id: int) -> bool | None:
    """Whether a word names an object of the image; None if it names no object."""
    mentions = find_mentions(word, lab.data.vocabulary)
    return mentions[0].object in lab.data.present[image_id] if mentions else None


def _caption_confidence(lab: Experiment, bundle: Bundle, pixels: Tensor, caption: str) -> float:
    question = lab.params.evaluation.caption_prompt
    row = encode(question, caption, bundle.tokenizer, bundle.image_tokens, bundle.template)
    logits, example_of_token = _answer_logits(bundle, [row], pixels)
    return answer_confidence(logits, example_of_token, 1).item()


def _answer_logits(
    bundle: Bundle, rows: Sequence[Encoded], pixels: Tensor
) -> tuple[Tensor, Tensor]:
    """Logits of the answer tokens, (tokens, V), and each token's row; one image a row."""
    batch = collate(rows, range(len(rows)), pixels, bundle.layout).to(bundle.device)
    with torch.inference_mode():
        return AnswerLogits(bundle.model)(batch), batch.example_of_token


def _captions(lab: Experiment, bundle: Bundle, pixels: Tensor) -> list[str]:
    evaluation = lab.params.evaluation
    texts: list[str] = []
    for chunk in pixels.split(evaluation.eval_batch_size):
        decoded = generate(bundle, evaluation.caption_prompt, chunk, evaluation.max_new_tokens)
        texts += [item.text for item in decoded]
    return texts


def _noisy(pixels: Tensor, names: Sequence[str], alpha: float) -> Tensor:
    noise = example_noise([f"view-{name}" for name in names], tuple(pixels.shape[1:]))
    return gaussian_noise(pixels, alpha, noise)


def _as_image(pixels: Tensor, bundle: Bundle) -> np.ndarray:
    """Undo the processor's normalisation."""
    processor = bundle.processor.image_processor
    mean, deviation = (
        torch.tensor(v).view(3, 1, 1) for v in (processor.image_mean, processor.image_std)
    )
    return (pixels * deviation + mean).clamp(0, 1).permute(1, 2, 0).numpy()


def _thumbnail(image: Image.Image) -> bytes:
    image = image.copy()
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
