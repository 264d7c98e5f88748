"""Controls: what a yes/no score owes to its threshold, and a caption score to saying less.

They take records alone, so they hold for any model: `margin`, logit(yes) - logit(no), for the
threshold, and mentions by caption for the captions. `seednb score pope --baseline` and `seednb score
chair --baseline` print them beside a method's difference to its base model. In Python:

    records = join_answers(read_rows("questions.jsonl"), read_rows("base.jsonl"))
    resample_auc(records["margin"], records["label"] == "yes", records["image"]).value
    threshold, other_half, images = refit_threshold(records, seed=0)
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from seednb.core.errors import SeedError
from seednb.evaluation.records import list_ids
from seednb.evaluation.stats import Array


class RefittedThreshold(NamedTuple):
    """A threshold fitted on half of the images, and the other half answered by it."""

    threshold: float  # answers Yes above it; logits
    records: pd.DataFrame  # the other half's records, `answer` replaced by Yes or No
    images: list[str]  # the other half's images: score base and SEED on these too


def refit_threshold(records: pd.DataFrame, seed: int) -> RefittedThreshold:
    """Choose the margin's threshold for the best accuracy on half of the images; score the rest.

    Whole images are split, so no image is in both halves. Among equally accurate thresholds the
    one nearest 0, the model's own, is taken. Raises SeedError for fewer than two images or a
    margin that is not a number.
    """
    nameless = records[records["margin"].isna()]
    if len(nameless):
        ids = list_ids(nameless["question_id"])
        raise SeedError(f"records without a margin: question_id {ids}; evaluate them again")
    images = np.sort(records["image"].unique())
    if len(images) < 2:
        raise SeedError(f"a threshold needs two images or more to fit and score, got {len(images)}")
    fitted = np.random.default_rng(seed).permutation(images)[: len(images) // 2]
    is_fitted = records["image"].isin(fitted)
    half, other = records[is_fitted], records[~is_fitted].copy()
    threshold = best_threshold(half["margin"], half["label"] == "yes")
    other["answer"] = np.where(other["margin"] > threshold, "Yes", "No")
    return RefittedThreshold(threshold, other, sorted(other["image"].unique()))


def best_threshold(margins: ArrayLike, labels: ArrayLike) -> float:
    """The threshold of highest accuracy, and of those the nearest to 0.

    Every accuracy is reached halfway between two neighbouring margins, beyond the ends, or at 0.
    """
    scores, positive = np.asarray(margins, float), np.asarray(labels, bool)
    levels = np.unique(scores)
    between = (levels[:-1] + levels[1:]) / 2
    candidates = np.concatenate([between, [levels[0] - 1, levels[-1] + 1, 0.0]])
    n_right = _n_above(scores[positive], candidates) - _n_above(scores[~positive], candidates)
    best = candidates[n_right == n_right.max()]
    return float(best[np.abs(best).argmin()])


def matched_mentions(mentions: Mapping[str, int], wanted: int, seed: int) -> dict[str, int]:
    """How many mentions each caption may keep, from its start, to leave `wanted` in all.

    The same number for every caption, and one more for some drawn by `seed`: a model that stops
    earlier and sees no better. Later mentions are the more often hallucinated ones, so this alone
    lowers CHAIR. Raises SeedError if the captions have fewer mentions than wanted.
    """
    if wanted > sum(mentions.values()):
        raise SeedError(
            f"the baseline has {sum(mentions.values())} mentions, fewer than the {wanted} of the "
            "method, so it cannot be made to say as little; no control is needed"
        )
    cap = 0
    while sum(min(n, cap + 1) for n in mentions.values()) <= wanted and cap < wanted:
        cap += 1
    kept = {image: min(n, cap) for image, n in mentions.items()}
    longer = sorted(image for image, n in mentions.items() if n > cap)
    more = wanted - sum(kept.values())
    for image in np.random.default_rng(seed).permutation(longer)[:more]:
        kept[str(image)] += 1
    return kept


def _n_above(scores: Array, thresholds: Array) -> NDArray[np.intp]:
    return len(scores) - np.searchsorted(np.sort(scores), thresholds, side="right")
