"""Robustness: are answers the same in another wording or language, or for a degraded image?"""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image, ImageFilter

from seednb.core.files import write_lines
from seednb.core.stage import Stage, making
from seednb.data.probes import with_article
from seednb.data.readers import read_json_lines
from seednb.evaluation.answer_files import answer_file
from seednb.evaluation.benchmarks import pope
from seednb.evaluation.evaluator import answer_probes
from seednb.evaluation.parsers import language_named, parser_named, translate
from seednb.evaluation.stats import Interval, bootstrap, paired_bootstrap, ratio
from seednb.experiments.experiment import Experiment
from seednb.model.inputs.pixels import ImageReader
from seednb.model.loading import Bundle

Record = dict[str, Any]
SPLIT = "adversarial"
WRITTEN_TOKENS = 16  # of an answer in another language: a few words say yes or no
JPEG_QUALITY = 8  # of 95: blocks and false colours, the objects still nameable
PHRASINGS = (  # of POPE's question; the first is POPE's own
    "Is there {a_object} in the image?",
    "Is there {a_object} in the photo?",
    "Is {a_object} in the image?",
)


def blurred(image: Image.Image) -> Image.Image:
    """Out of focus by a hundredth of the shorter side, at least one pixel."""
    return image.filter(ImageFilter.GaussianBlur(max(1.0, min(image.size) / 100)))


def compressed(image: Image.Image) -> Image.Image:
    """Through a JPEG of very low quality."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return Image.open(buffer).convert("RGB")


DEGRADATIONS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "blurred": blurred,
    "low quality": compressed,
}


class DegradedImageReader(ImageReader):
    """A folder's images, each degraded before the processor."""

    def __init__(
        self,
        folder: Path,
        processor: Any,
        image_fit: str,
        degrade: Callable[[Image.Image], Image.Image],
    ) -> None:
        """`degrade` takes and returns an RGB image."""
        super().__init__(folder, processor, image_fit)
        self.degrade = degrade

    def load(self, name: str) -> Image.Image:
        """The degraded image, RGB."""
        return self.degrade(super().load(name))


def rephrase(probes: Sequence[Record], phrasing: str) -> list[Record]:
    """POPE's probes in other words; everything else in them stays."""
    return [
        dict(probe) | {"text": phrasing.format(a_object=with_article(probe["object"]))}
        for probe in probes
    ]


def in_language(probes: Sequence[Record], code: str) -> list[Record]:
    """POPE's probes in another language, with its own words for "answer yes or no".

    Records keep the language, so that their answers are read in it.
    """
    suffix = language_named(code).suffix
    return [
        row | {"text": row["text"] + suffix, "language": code} for row in translate(probes, code)
    ]


@dataclass(frozen=True)
class Robustness:
    """One variant of the questions or of the images against the originals."""

    same: Interval  # share of probes with the same verdict
    accuracy: Interval  # change of accuracy


def compare(
    original: Sequence[Record],
    variant: Sequence[Record],
    parser: str,
    resamples: int,
    seed: int,
) -> Robustness:
    """Consistency of two answer records to the same probes, in the same order.

    Answers in another language are read in that language. Raises ValueError if they are about
    other images.
    """
    before, after = (pd.DataFrame(records) for records in (original, variant))
    if list(before["image"]) != list(after["image"]):
        raise ValueError("compare: the records are about other images, or in another order")
    read = [(frame, _parser(frame, parser)) for frame in (before, after)]
    said, says = (frame["answer"].map(parser_named(name)) for frame, name in read)
    counts = pd.DataFrame({"same": (said == says).astype(int), "n": 1}).groupby(before["image"])
    sums_before, sums_after = (pope.per_image_sums(frame, name) for frame, name in read)
    return Robustness(
        bootstrap(counts.sum(), lambda n: ratio(n[..., 0], n[..., 1]), resamples, seed),
        paired_bootstrap(sums_before, sums_after, pope.STATISTICS["accuracy"], resamples, seed),
    )


def examine(lab: Experiment, models: Sequence[str]) -> dict[tuple[str, str], Robustness]:
    """Every model under every variant, on POPE's adversarial probes; records are kept in `runs`.

    The languages are those of the parameter `probe_languages`. Few models speak any but English, and
    the pocket model speaks no other, so by default there are none.
    """
    params = lab.params.evaluation
    found = {}
    for model in models:
        answers = lab.answers(model)
        original = [row for row in answers.probes if row["split"] == SPLIT]
        for variant, records in ask_variants(lab, model).items():
            found[model, variant] = compare(
                original, records, params.pope_parser, params.resamples, params.bootstrap_seed
            )
    return found


def table(found: Mapping[tuple[str, str], Robustness]) -> pd.DataFrame:
    """One row a (model, variant): answers that stay the same and the change of accuracy, in percent."""
    return pd.DataFrame(
        {
            "model": model,
            "variant": variant.replace("{a_object}", "…"),
            "same answer, %": result.same.text(),
            "accuracy, points": result.accuracy.text(signed=True),
        }
        for (model, variant), result in found.items()
    )


def weakest(found: Mapping[tuple[str, str], Robustness]) -> dict[str, tuple[str, str]]:
    """Model -> the variant that changes most of its answers, and what stays the same, in percent."""
    ordered = sorted(found.items(), key=lambda item: -item[1].same.value)
    return {
        model: (variant.replace("{a_object}", "…"), result.same.text())
        for (model, variant), result in ordered
    }


def variants_stage(lab: Experiment, model: str) -> Stage:
    """Where a model's answers to the variants lie, beside its plain answers."""
    languages = spoken(lab.params.evaluation.probe_languages)
    plain = lab.stages.answers(model).folder.name
    return Stage(lab.runs, f"robust-{model}", {"answers": plain, "languages": list(languages)})


def spoken(codes: str) -> dict[str, str]:
    """Name -> code of the languages in a comma-separated list; raises SeedError for unknown ones."""
    wanted = [code.strip() for code in codes.split(",") if code.strip()]
    return {f"in {language_named(code).name}": code for code in wanted}


def ask_variants(lab: Experiment, model: str) -> dict[str, list[Record]]:
    """A model's answers to each variant, asked once and then read from their stage."""
    languages = spoken(lab.params.evaluation.probe_languages)
    stage = variants_stage(lab, model)
    names = [*PHRASINGS[1:], *languages, *DEGRADATIONS]
    files = {name: stage.path(f"variant-{number}.jsonl") for number, name in enumerate(names)}
    with making(stage, lab.patience_s) as is_left:
        if is_left:
            _ask(lab, model, files, languages)
    return {name: read_json_lines(file) for name, file in files.items()}


def _ask(
    lab: Experiment, model: str, files: Mapping[str, Path], languages: Mapping[str, str]
) -> None:
    """Write a model's answers to each variant that has no file yet."""
    bundle = lab.bundle(model)
    probes = [probe for probe in lab.data.probes if probe["split"] == SPLIT]
    params = lab.params.evaluation
    reader = lab.image_reader("val", bundle)
    for name, file in files.items():
        if file.is_file():  # written whole, by a run that was killed later
            continue
        if name in DEGRADATIONS:
            worse = DegradedImageReader(
                reader.folder, bundle.processor, reader.image_fit, DEGRADATIONS[name]
            )
            records = answer_probes(bundle, probes, worse, params, kept=file)
        elif name in languages:
            records = _written(in_language(probes, languages[name]), bundle, reader, file, lab)
        else:
            records = answer_probes(bundle, rephrase(probes, name), reader, params, kept=file)
        write_lines(file, records)


def _written(
    probes: Sequence[Record], bundle: Bundle, reader: ImageReader, file: Path, lab: Experiment
) -> list[Record]:
    """Probes with the answers that a model writes: "Sí" and "Oui" take more than their first token."""
    params = replace(lab.params.evaluation, max_new_tokens=WRITTEN_TOKENS)
    output = file.with_suffix(".answers.jsonl")
    answer_file(bundle, probes, reader, output, params)
    text_of = {line["question_id"]: line["text"] for line in read_json_lines(output)}
    return [probe | {"answer": text_of[probe["question_id"]]} for probe in probes]


def _parser(records: pd.DataFrame, parser: str) -> str:
    """The records' own language, or the parser for English."""
    return str(records["language"].iloc[0]) if "language" in records else parser
