"""Captions to singular words, by the singularisers that published CHAIR and AMBER figures rest on."""

import re
from collections.abc import Callable
from functools import cache

from seednb.errors import SeedError

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
    import nltk

    return _with_data(
        lambda: [
            _lemma(word, WORDNET_POS.get(tag[0], "n"))
            for word, tag in nltk.pos_tag(nltk.word_tokenize(caption.lower()))
        ]
    )


def singulars(caption: str) -> list[str]:
    """Lower-cased tokens, each through pattern.en's `singularize` whatever it is.

    The variant of the original CHAIR and of POPE. "men" becomes "man", but "bus" "bu".
    """
    import nltk

    tokens = _with_data(lambda: nltk.word_tokenize(caption.lower()))
    return [_singular(token) for token in tokens]


def nouns(caption: str) -> list[str]:
    """The tokens that NLTK tags as nouns (NN, NNS, NNP, NNPS), lemmatised, case kept.

    AMBER's extraction. Upper case matters: "TV" is in its vocabulary, "Dog" is not.
    """
    import nltk

    return _with_data(
        lambda: [
            _lemma(word, "n")
            for word, tag in nltk.pos_tag(nltk.word_tokenize(caption))
            if tag.startswith("NN")
        ]
    )


@cache
def _lemma(word: str, pos: str) -> str:
    from nltk.stem import WordNetLemmatizer

    return str(WordNetLemmatizer().lemmatize(word, pos=pos))


@cache
def _singular(word: str) -> str:
    from textblob.en.inflect import singularize

    return str(singularize(word, custom=PATTERN_SLIPS))


def _with_data(compute: Callable[[], list[str]]) -> list[str]:
    """The result, or a SeedError that names the NLTK resource to download."""
    try:
        return compute()
    except LookupError as problem:
        named = re.search(r"nltk\.download\('(\w+)'\)", str(problem))
        if named is None:
            raise
        raise SeedError(
            f"NLTK's resource {named[1]!r} is missing; run: python -m nltk.downloader {named[1]}"
        ) from None
