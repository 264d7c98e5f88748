"""Reading yes or no out of an answer, the way six published evaluators do it."""

import re
from collections.abc import Callable

from seednb.errors import SeedError
from seednb.metrics.languages import LANGUAGES, Verdict
from seednb.metrics.vqa_words import drop_punctuation


def parse_answer(text: str, parser: str) -> Verdict:
    """The verdict of an answer's text under one evaluator's rule.

    official     POPE and LLaVA: up to the first full stop, commas dropped, split at single spaces;
                 a token No, no or not is no, *everything else is yes* ("NO" and "" included).
    vcd          contains "yes" or contains "no", anywhere, lower-cased ("know" contains "no"). The
                 rule itself looks at the label: gold yes is right if the text contains "yes", gold
                 no if it contains "no". Without the label, both or neither is unclear here;
                 `seednb.metrics.pope.outcomes` has the label and follows the rule.
    opera        the whole answer without "." and ","; No, no, not, NO or a word in n't is no, else
                 yes.
    lmms-eval    lower-cased and stripped it must equal yes or no ("Yes." is unclear).
    vlmevalkit   after VQA's punctuation pass exactly one of yes and no is among the words.
    strict       one word, yes or no, whatever its case, surrounding space and punctuation.

    A language's code (zh, de, es, fr) reads that language, see `Language.parse`. Raises SeedError for another parser.
    """
    return parser_named(parser)(text)


def parser_named(parser: str) -> Callable[[str], Verdict]:
    """The function behind a parser's name, or SeedError listing the names."""
    if parser in LANGUAGES:
        return LANGUAGES[parser].parse
    if parser not in PARSERS:
        known = ", ".join((*PARSERS, *LANGUAGES))
        raise SeedError(f"answer parser {parser!r} is unknown; use one of {known}")
    return PARSERS[parser]


def _official(text: str) -> Verdict:
    words = text.split(".")[0].replace(",", "").split(" ")
    return "no" if {"No", "not", "no"}.intersection(words) else "yes"


def _vcd(text: str) -> Verdict:
    lowered = text.lower()
    return _one_of("yes" in lowered, "no" in lowered)


def _opera(text: str) -> Verdict:
    words = text.replace(".", "").replace(",", "").split(" ")
    negated = any(word.endswith("n't") for word in words)
    return "no" if negated or {"No", "not", "no", "NO"}.intersection(words) else "yes"


def _lmms_eval(text: str) -> Verdict:
    word = text.lower().strip()
    return _one_of(word == "yes", word == "no")


def _vlmevalkit(text: str) -> Verdict:
    # VLMEvalKit's copy of VQA's pass knows one comma between digits, not several
    words = drop_punctuation(text.lower(), between_digits=r"\d,\d").split()
    return _one_of("yes" in words, "no" in words)


def _strict(text: str) -> Verdict:
    word = re.sub(r"^\W+|\W+$", "", text).lower()
    return _one_of(word == "yes", word == "no")


def _one_of(says_yes: bool, says_no: bool) -> Verdict:
    if says_yes == says_no:
        return "unclear"
    return "yes" if says_yes else "no"


PARSERS: dict[str, Callable[[str], Verdict]] = {
    "official": _official,
    "vcd": _vcd,
    "opera": _opera,
    "lmms-eval": _lmms_eval,
    "vlmevalkit": _vlmevalkit,
    "strict": _strict,
}
