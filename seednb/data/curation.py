"""Curation of instruction pairs: filters, each with its reason, and what is left after them.

Likeness of two texts is the Jaccard index of their word trigrams, |A ∩ B| / |A ∪ B|: 1 for the same
words in the same order, 0 without a run of three words in common. Texts are compared with kept
ones about the same image only, since the same question to another image is another example.
Records without any image never become pairs (see `instruct.to_pairs`), so they need no filter.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from typing import Any

import pandas as pd

from seednb.core.params import CurationParams
from seednb.core.profiles import check_names
from seednb.data.instruct import Pair

WORD = re.compile(r"\w+(?:['’]\w+)*")
N_GRAM = 3  # words; pairs of words recur in any English, runs of four miss one changed word
TRIVIAL = "trivial answer"
SHORT, LONG = "answer is too short", "answer is too long"
SAME_QUESTION, SAME_ANSWER = "near-duplicate question", "near-duplicate answer"
REASONS = (TRIVIAL, SHORT, LONG, SAME_QUESTION, SAME_ANSWER)
# What may follow a yes or no that says nothing more: "Yes, it is.", "No, there are not."
EMPTY_WORDS = frozenset([
    "it", "he", "she", "they", "this", "that", "there", "is", "are", "was", "were", "does", "do",
    "did", "has", "have", "can", "not", "isn't", "aren't", "wasn't", "weren't", "doesn't", "don't",
    "didn't", "hasn't", "haven't", "can't",
])  # fmt: skip


class Curator:
    """Says why a pair is left out; remembers the ones that were kept, in the order of asking."""

    def __init__(self, params: CurationParams) -> None:
        """Use one curator for one reading of the pairs."""
        self.params = params
        self._kept: defaultdict[str, list[Pair]] = defaultdict(list)

    def __call__(self, pair: Pair) -> str:
        """One of `REASONS`, or "" for a pair that is kept."""
        reason = self._against(pair)
        if not reason:
            self._kept[pair.image].append(pair)
        return reason

    def _against(self, pair: Pair) -> str:
        limits, n_words = self.params, len(words(pair.answer))
        if limits.drop_trivial_answers and is_trivial(pair.answer):
            return TRIVIAL
        if n_words < limits.min_answer_words:
            return SHORT
        if limits.max_answer_words is not None and n_words > limits.max_answer_words:
            return LONG
        kept = self._kept[pair.image]
        if _repeats(pair.question, (other.question for other in kept), limits.max_question_overlap):
            return SAME_QUESTION
        # a short answer is no duplicate: "Yes" is right to many questions
        if n_words >= N_GRAM and _repeats(
            pair.answer, (other.answer for other in kept), limits.max_answer_overlap
        ):
            return SAME_ANSWER
        return ""


def curation(values: Mapping[str, Any]) -> CurationParams:
    """Filters from parameters by name. Raises SeedError for any other parameter."""
    check_names(values, [item.name for item in fields(CurationParams)])
    return CurationParams(**values)


def curate(pairs: Sequence[Pair], params: CurationParams) -> tuple[list[Pair], Counter[str]]:
    """The pairs that are kept, in their order, and how many were left out for each reason."""
    refuse = Curator(params)
    reasons = [refuse(pair) for pair in pairs]
    kept = [pair for pair, reason in zip(pairs, reasons, strict=True) if not reason]
    return kept, Counter(reason for reason in reasons if reason)


def quality_against_quantity(
    pairs: Sequence[Pair], settings: Mapping[str, CurationParams]
) -> pd.DataFrame:
    """What each named setting keeps, and how good that is; one row a setting, the most pairs first.

    `pairs`: how many are kept; `kept`: their share; `images`: those that still have a pair;
    `words`: mean length of an answer; `trivial`: share of trivial answers; `distinct`: distinct
    trigrams of the answers / all of them, so 1 means that no run of three words is said twice;
    `like another`: mean over pairs of the largest overlap with an earlier answer about the same
    image.
    """
    rows = {}
    for name, params in settings.items():
        kept, _ = curate(pairs, params)
        rows[name] = {"pairs": len(kept), "kept": len(kept) / max(1, len(pairs)), **_quality(kept)}
    return pd.DataFrame.from_dict(rows, orient="index").sort_values("pairs", ascending=False)


def overlap(text: str, other: str) -> float:
    """Jaccard index of the trigrams of two texts."""
    a, b = trigrams(text), trigrams(other)
    return len(a & b) / len(a | b)


@lru_cache(maxsize=1 << 14)  # an image's records stand together
def trigrams(text: str) -> frozenset[tuple[str, ...]]:
    """Runs of three words; of a text with fewer words, all of them."""
    found = words(text)
    runs = zip(*(found[start:] for start in range(N_GRAM)), strict=False)
    return frozenset(runs) or frozenset([tuple(found)])


def words(text: str) -> list[str]:
    """Lower-case words without punctuation."""
    return WORD.findall(text.lower())


def is_trivial(answer: str) -> bool:
    """One word, or a yes or no with nothing of content after it."""
    found = words(answer)
    return len(found) <= 1 or (found[0] in ("yes", "no") and EMPTY_WORDS.issuperset(found[1:]))


def _repeats(text: str, others: Iterable[str], limit: float | None) -> bool:
    return limit is not None and any(overlap(text, other) > limit for other in others)


def _quality(pairs: Sequence[Pair]) -> dict[str, float]:
    """Figures of `quality_against_quantity`; NaN without pairs."""
    answers = defaultdict[str, list[str]](list)
    rows = []
    for pair in pairs:
        likest = max((overlap(pair.answer, other) for other in answers[pair.image]), default=0.0)
        answers[pair.image].append(pair.answer)
        rows.append((len(words(pair.answer)), is_trivial(pair.answer), likest))
    runs = Counter(run for pair in pairs for run in trigrams(pair.answer))
    frame = pd.DataFrame(rows, columns=["words", "trivial", "like another"], dtype=float)
    means = {str(name): float(column.mean()) for name, column in frame.items()}
    distinct = len(runs) / runs.total() if runs else float("nan")
    return {"images": len(answers), **means, "distinct": distinct}
