"""CHAIR (Rohrbach et al., EMNLP 2018): which of the objects that a caption names are not there.

A mention is hallucinated if its object is neither annotated in the image nor named by any of its
reference captions. Mentions are counted with repetition and pooled over the corpus. Every figure
is a function of summed counts, so `seednb.stats` can resample images.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from seednb.errors import SeedError
from seednb.metrics.records import Row, list_ids
from seednb.metrics.vocabulary import Mention, Vocabulary, find_mentions
from seednb.metrics.words import lemmas, singulars
from seednb.stats import Array, ratio

__all__ = [
    "COUNTS",
    "STATISTICS",
    "VARIANTS",
    "Mention",
    "Vocabulary",
    "count",
    "drop_unfinished_sentence",
    "extract_objects",
    "find_mentions",
    "ground_truth",
    "per_image_sums",
    "score",
]

VARIANTS = ("lemma", "pattern", "pocket")
COUNTS = (
    "n_captions",
    "n_hallucinated_captions",
    "n_mentions",
    "n_hallucinated",
    "n_found",
    "n_present",
    "n_tokens",
)


def extract_objects(caption: str, vocabulary: Vocabulary, variant: str) -> list[str]:
    """The objects that a caption names, in order, with repetition.

    lemma    tokens tagged and lemmatised by NLTK (OPERA, less-is-more, lmms-eval)
    pattern  every token made singular by the pattern library's rules (original CHAIR, POPE)
    pocket   vocabulary words and their regular plurals; needs no NLTK

    Raises SeedError for another variant and for missing NLTK data.
    """
    if variant == "pocket":
        return [mention.object for mention in find_mentions(caption, vocabulary)]
    words = _chair_words(caption, vocabulary, variant)
    return [vocabulary.object_of[word] for word in words if word in vocabulary.object_of]


def ground_truth(
    objects_by_image: Mapping[Any, Iterable[str]],
    captions_by_image: Mapping[Any, Iterable[str]],
    vocabulary: Vocabulary,
    variant: str,
) -> dict[Any, set[str]]:
    """Objects of each image: its annotated categories and what its reference captions name.

    Raises SeedError for a category that the vocabulary does not know.
    """
    truth: dict[Any, set[str]] = {}
    for image_id, categories in objects_by_image.items():
        names = set(categories)
        unknown = sorted(names - vocabulary.object_of.keys())
        if unknown:
            raise SeedError(
                f"image {image_id}: category {unknown[0]!r} is not in the vocabulary; add a line"
            )
        truth[image_id] = {vocabulary.object_of[name] for name in names}
    for image_id, captions in captions_by_image.items():
        named = truth.setdefault(image_id, set())
        for caption in captions:
            named.update(extract_objects(caption, vocabulary, variant))
    return truth


def count(
    captions: Sequence[Row],
    truth: Mapping[Any, Iterable[str]],
    vocabulary: Vocabulary,
    variant: str,
    drop_unfinished: bool = False,
    first: Mapping[str, int] | None = None,
) -> pd.DataFrame:
    """One row a caption: `image_id`, `COUNTS` and `hallucinated`, the names with repetition.

    n_mentions and n_hallucinated count with repetition; n_found and n_present count distinct
    objects; n_tokens is the caption's own `n_tokens` (the model's tokens) or else its words.
    `drop_unfinished` cuts the unfinished last sentence first. `first`, by image id as text, keeps that
    many mentions of a caption from its beginning (`seednb.metrics.controls`). Raises SeedError for a caption that
    is given twice, lacks a key, or whose image has no ground truth.
    """
    present_in = {str(image_id): set(names) for image_id, names in truth.items()}
    _check_captions(captions, present_in)
    rows = []
    for row in captions:
        text = drop_unfinished_sentence(row) if drop_unfinished else row["caption"]
        objects = extract_objects(text, vocabulary, variant)
        objects = objects[: first[str(row["image_id"])]] if first else objects
        present = present_in[str(row["image_id"])]
        hallucinated = [name for name in objects if name not in present]
        rows.append(
            {
                "image_id": row["image_id"],
                "n_captions": 1,
                "n_hallucinated_captions": int(bool(hallucinated)),
                "n_mentions": len(objects),
                "n_hallucinated": len(hallucinated),
                "n_found": len(present.intersection(objects)),
                "n_present": len(present),
                "n_tokens": row.get("n_tokens", len(text.split())),
                "hallucinated": hallucinated,
            }
        )
    return pd.DataFrame(rows)


def per_image_sums(counts: pd.DataFrame) -> pd.DataFrame:
    """`COUNTS` of each image; index `image_id`, sorted, for `seednb.stats`."""
    return counts.groupby("image_id")[list(COUNTS)].sum()


def chair_i(sums: Array) -> Array:
    """CHAIRi: hallucinated mentions / mentions."""
    total = _by_name(sums)
    return ratio(total["n_hallucinated"], total["n_mentions"])


def chair_s(sums: Array) -> Array:
    """CHAIRs: captions with a hallucinated mention / captions."""
    total = _by_name(sums)
    return ratio(total["n_hallucinated_captions"], total["n_captions"])


def recall(sums: Array) -> Array:
    """Distinct present objects that are named / present objects."""
    total = _by_name(sums)
    return ratio(total["n_found"], total["n_present"])


def mentions(sums: Array) -> Array:
    """Mentions a caption: a model can lower CHAIRi by saying less."""
    total = _by_name(sums)
    return ratio(total["n_mentions"], total["n_captions"])


STATISTICS: dict[str, Callable[[Array], Array]] = {
    "CHAIRi": chair_i,
    "CHAIRs": chair_s,
    "recall": recall,
    "mentions": mentions,
}


def score(
    captions: Sequence[Row],
    truth: Mapping[Any, Iterable[str]],
    vocabulary: Vocabulary,
    variant: str,
    drop_unfinished: bool = False,
) -> dict[str, Any]:
    """Integer counts and ratios of a caption file."""
    sums = count(captions, truth, vocabulary, variant, drop_unfinished)[list(COUNTS)].sum()
    figures = {name: float(f(sums.to_numpy(float))) for name, f in STATISTICS.items()}
    return {"variant": variant, **{name: int(sums[name]) for name in COUNTS}, **figures}


def drop_unfinished_sentence(row: Row) -> str:
    """The caption up to its last full stop, unless the row says `finished` (OPERA's rule).

    A caption cut at a token limit ends in half a sentence; without any full stop nothing is left.
    """
    caption: str = row["caption"]
    return caption if row.get("finished") else caption[: caption.rfind(".") + 1]


def _chair_words(caption: str, vocabulary: Vocabulary, variant: str) -> list[str]:
    """Singular words with CHAIR's pairs merged from left to right."""
    if variant not in VARIANTS:
        raise SeedError(f"CHAIR variant {variant!r} is unknown; use one of {', '.join(VARIANTS)}")
    words = lemmas(caption) if variant == "lemma" else singulars(caption)
    merged: list[str] = []
    position = 0
    while position < len(words):
        pair = vocabulary.double_words.get(" ".join(words[position : position + 2]))
        merged.append(words[position] if pair is None else pair)
        position += 1 if pair is None else 2
    # "the seat of the toilet" is no chair
    return [w for w in merged if w != "seat"] if "toilet" in merged else merged


def _check_captions(captions: Sequence[Row], present_in: Mapping[str, set[str]]) -> None:
    for number, row in enumerate(captions, start=1):
        if "image_id" not in row or not isinstance(row.get("caption"), str):
            raise SeedError(f"caption {number} needs 'image_id' and a text 'caption'; add them")
        if not isinstance(row["image_id"], int | str):
            raise SeedError(
                f"caption {number}: image_id {row['image_id']!r:.60} is no number or name"
            )
        if type(row.get("n_tokens", 0)) is not int:
            found = f"n_tokens is {row['n_tokens']!r:.60}"
            raise SeedError(f"caption {number}: {found}, expected a whole number; correct it")
    if not captions:
        raise SeedError("there is no caption to count; check the caption file")
    ids = pd.Series([str(row["image_id"]) for row in captions])
    if ids.duplicated().any():
        raise SeedError(f"images captioned twice: {list_ids(ids[ids.duplicated()])}; keep one each")
    unknown = ids[~ids.isin(list(present_in))]
    if len(unknown):
        raise SeedError(
            f"no ground truth for image_id {list_ids(unknown)}; check that the annotations cover "
            "the captioned images"
        )


def _by_name(sums: Array) -> dict[str, Array]:
    return dict(zip(COUNTS, np.moveaxis(np.asarray(sums, float), -1, 0), strict=True))
