"""Words of captions and answers, as the published scorers cut, singularise and compare them.

Three rules that figures rest on: singular words (CHAIR, AMBER), AMBER's nouns against its word
lists, and VQA's normalisation of short answers.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from seednb.core.errors import SeedError
from seednb.data.readers import read_json, read_lines

# Where TextBlob, which keeps the pattern library's rules alive, mends them for a word that the
# CHAIR vocabulary knows. Published figures come from the rules before that.
PATTERN_SLIPS = {
    "abuses": "abus",
    "airbuses": "airbus",
    "collies": "collies",
    "doggies": "doggies",
    "minibuses": "minibus",
}
WORDNET_POS = {"J": "a", "V": "v", "N": "n", "R": "r"}


def lemmas(caption: str) -> list[str]:
    """Lower-cased tokens, each lemmatised by WordNet as the part of speech its tag says.

    The variant of OPERA and its successors. "men" stays "men"; a verb is no object.
    """
    with _needs_nltk_data():
        return [
            _lemma(word, WORDNET_POS.get(tag[0], "n")) for word, tag in _tagged(caption.lower())
        ]


def singulars(caption: str) -> list[str]:
    """Lower-cased tokens, each through pattern.en's `singularize` whatever it is.

    The variant of the original CHAIR and of POPE. "men" becomes "man", but "bus" "bu".
    """
    import nltk

    with _needs_nltk_data():
        return [_singular(token) for token in nltk.word_tokenize(caption.lower())]


def nouns(caption: str) -> list[str]:
    """The tokens that NLTK tags as nouns (NN, NNS, NNP, NNPS), lemmatised, case kept.

    AMBER's extraction. Upper case matters: "TV" is in its vocabulary, "Dog" is not.
    """
    with _needs_nltk_data():
        return [_lemma(word, "n") for word, tag in _tagged(caption) if tag.startswith("NN")]


def _tagged(text: str) -> list[tuple[str, str]]:
    import nltk

    return list(nltk.pos_tag(nltk.word_tokenize(text)))


@cache
def _lemma(word: str, pos: str) -> str:
    from nltk.stem import WordNetLemmatizer

    return str(WordNetLemmatizer().lemmatize(word, pos=pos))


@cache
def _singular(word: str) -> str:
    from textblob.en.inflect import singularize

    return str(singularize(word, custom=PATTERN_SLIPS))


@contextmanager
def _needs_nltk_data() -> Iterator[None]:
    """Raises SeedError that names the NLTK resource to download, if one is missing."""
    try:
        yield
    except LookupError as problem:
        named = re.search(r"nltk\.download\('(\w+)'\)", str(problem))
        if named is None:
            raise
        raise SeedError(
            f"NLTK's resource {named[1]!r} is missing; run: python -m nltk.downloader {named[1]}"
        ) from None


Similarity = Callable[[str, str], float]
SIMILAR = 0.8  # above it, two words are taken for the same thing
SPACY_MODEL = "en_core_web_lg"  # the smaller models give other numbers, or have no vectors at all


@dataclass(frozen=True)
class WordLists:
    """AMBER's association vocabulary (relation.json) and safe words (safe_words.txt)."""

    associations: Mapping[str, Sequence[str]]
    safe: frozenset[str]

    @classmethod
    def read(cls, relation: Path, safe: Path) -> "WordLists":
        """From AMBER's files; raises SeedError for other content."""
        associations = read_json(relation)
        lists = associations.values() if isinstance(associations, dict) else [None]
        if not all(
            isinstance(words, list) and all(isinstance(word, str) for word in words)
            for words in lists
        ):
            raise SeedError(
                f"{relation}: not an object of words and their associations; download it"
            )
        # split at line ends only: the official script keeps spaces
        return cls(associations, frozenset(read_lines(safe)))

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


VQA_RULES = ("llava", "lmms-eval")
MARKS = ';/[]"{}()=+\\_-><@`,?!'
DIGITS = "zero one two three four five six seven eight nine ten"
NUMBERS = {word: str(n) for n, word in enumerate(DIGITS.split())} | {"none": "0"}
ARTICLES = {"a", "an", "the"}
RESTORED = """
ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't
haven't he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've
might've mustn't must've needn't not've o'clock oughtn't 'ow's'at shan't she'd've should've
shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd someone'd've someone'll
someone's something'd something'd've something'll that's there'd there'd've there're there's
they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's
what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's
won't would've wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""
# What stands for a contraction is the contraction without one of its apostrophes. The last entry
# is VQA's own slip the other way round; words such as "she'd" are left alone because "shed" is one.
CONTRACTIONS = {
    word[: mark.start()] + word[mark.end() :]: word
    for word in RESTORED.split()
    for mark in re.finditer("'", word)
} | {"somebody'd": "somebodyd"}


@cache  # annotators repeat each other: most of the two million answers of val2014 are known
def normalise(answer: str, rule: str) -> str:
    """An answer as VQA compares it.

    Newlines and tabs to spaces, the punctuation rule, lower case, number words to digits, articles
    dropped, apostrophes restored. `llava` (its submission script and m4c evaluator) first drops
    commas and question marks and splits off 's; `lmms-eval` does not. Raises SeedError for another
    rule.
    """
    if rule not in VQA_RULES:
        raise SeedError(f"VQA normalisation {rule!r} is unknown; use one of {', '.join(VQA_RULES)}")
    if rule == "llava":
        answer = answer.lower().replace(",", "").replace("?", "").replace("'s", " 's")
    text = answer.replace("\n", " ").replace("\t", " ").strip()
    digits = [NUMBERS.get(word, word) for word in drop_punctuation(text).lower().split()]
    return " ".join(CONTRACTIONS.get(word, word) for word in digits if word not in ARTICLES)


def drop_punctuation(text: str, between_digits: str = r"\d,+\d") -> str:
    """VQA's punctuation rule.

    A mark is deleted if it touches a space anywhere in the text, or if the text holds
    `between_digits`; else it becomes a space. Full stops go unless a digit follows.
    """
    cleaned, is_numeric = text, re.search(between_digits, text)
    for mark in MARKS:
        deleted = is_numeric or f"{mark} " in text or f" {mark}" in text
        cleaned = cleaned.replace(mark, "" if deleted else " ")
    # The published code hands re.UNICODE (32) to `count`, so it removes at most 32 full stops.
    return re.sub(r"\.(?!\d)", "", cleaned, count=32)
