"""AMBER's generative part: which nouns of a description are in the picture, and which are not."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from seednb.errors import SeedError
from seednb.metrics.words import nouns

Similarity = Callable[[str, str], float]
SIMILAR = 0.8  # above it, two words are taken for the same thing
SPACY_MODEL = "en_core_web_lg"  # the smaller models give other numbers, or have no vectors at all


@dataclass(frozen=True)
class WordLists:
    """AMBER's association vocabulary (relation.json) and safe words (safe_words.txt)."""

    associations: Mapping[str, Sequence[str]]
    safe: frozenset[str]

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """Every word that can be counted at all."""
        return frozenset(self.associations).union(*self.associations.values())

    def expanded(self, words: Sequence[str]) -> list[tuple[str, int]]:
        """The words' associations, then the words: each with the place of the word it stands for.

        Raises SeedError for a word that has no entry.
        """
        unknown = [word for word in words if word not in self.associations]
        if unknown:
            raise SeedError(
                f"AMBER's relation.json has no entry {unknown[0]!r}, which annotations.json names; "
                "take both from the same copy of the repository"
            )
        associated = [
            (other, n) for n, word in enumerate(words) for other in self.associations[word]
        ]
        return associated + [(word, n) for n, word in enumerate(words)]


def count_description(
    response: str, annotation: Mapping[str, Any], lists: WordLists, similarity: Similarity
) -> dict[str, int]:
    """Counts of one description, by the rule of the official script.

    A noun counts if it is in the vocabulary. It is safe if it is a safe word, equals a truth word
    or an association of one, or is similar to one of those; the first that fits is covered. A noun
    that is not equal to one also hits the hallucination targets that it equals or is similar to,
    even if similarity to the truth saves it.
    """
    truth = lists.expanded(_words(annotation, "truth"))
    targets = lists.expanded(_words(annotation, "hallu"))
    covered: set[int | None] = set()
    hit: set[int | None] = set()
    n_unsafe = 0
    counted = [noun for noun in nouns(response) if noun in lists.vocabulary]
    for noun in counted:
        if noun in lists.safe:
            continue
        place = _equal(noun, truth)
        if place is None:
            hit |= {_equal(noun, targets), _similar(noun, targets, similarity)}
            place = _similar(noun, truth, similarity)
        n_unsafe += place is None
        covered.add(place)
    return {
        "n_nouns": len(counted),
        "n_unsafe": n_unsafe,
        "n_truth": len(annotation["truth"]),
        "n_covered": len(covered - {None}),
        "n_targets": len(annotation["hallu"]),
        "n_hit": len(hit - {None}),
        "n_clean": int(n_unsafe == 0),
    }


def spacy_similarity() -> Similarity:
    """Similarity by spaCy's large English vectors, as the official script has it.

    Raises SeedError with the command that installs what is missing.
    """
    try:
        import spacy

        nlp = spacy.load(SPACY_MODEL)
    except (ImportError, OSError):
        raise SeedError(
            f"AMBER's near-synonyms need spaCy and its model {SPACY_MODEL}; run: pip install spacy "
            f"&& python -m spacy download {SPACY_MODEL} (or take --similarity exact)"
        ) from None
    read = cache(nlp)
    return lambda one, other: float(read(one).similarity(read(other)))


def exact_similarity(one: str, other: str) -> float:
    """1 for the same word and 0 for any other: no near-synonyms, so figures are a little worse."""
    return float(one == other)


def _words(annotation: Mapping[str, Any], key: str) -> list[str]:
    words = annotation.get(key)
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise SeedError(
            f"AMBER annotation {annotation.get('id')}: {key!r} is no list of words; use the "
            "repository's data/annotations.json"
        )
    return words


def _equal(noun: str, words: Sequence[tuple[str, int]]) -> int | None:
    return next((place for word, place in words if word == noun), None)


def _similar(noun: str, words: Sequence[tuple[str, int]], similarity: Similarity) -> int | None:
    return next((place for word, place in words if similarity(noun, word) > SIMILAR), None)
