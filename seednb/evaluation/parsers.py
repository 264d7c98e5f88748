"""What an answer says: yes, no or neither by six evaluators and in five languages; objects named.

A model that knows what an image shows should know it in any language that it speaks: POPE's
question is asked in others, too. The object names are those of COCO's 80 categories, with the
article that the language wants, from `assets/coco_names.csv` or from a file with the same columns.
"""

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from seednb.core.errors import SeedError
from seednb.data.vocabulary import Vocabulary, find_mentions
from seednb.evaluation.records import Record, Row, check_known
from seednb.evaluation.words import drop_punctuation, lemmas, singulars

Verdict = Literal["yes", "no", "unclear"]
NAMES = Path(__file__).parents[1] / "assets" / "coco_names.csv"
POPE_QUESTION = re.compile(r"^Is there an? (?P<object>.+) in the im(?:a|an)ge\?")  # "imange": VCD's
CHAIR_VARIANTS = ("lemma", "pattern", "pocket")


def parse_answer(text: str, parser: str) -> Verdict:
    """The verdict of an answer's text under one evaluator's rule.

    official     POPE and LLaVA: up to the first full stop, commas dropped, split at single spaces;
                 a token No, no or not is no, *everything else is yes* ("NO" and "" included).
    vcd          contains "yes" or contains "no", anywhere, lower-cased ("know" contains "no"). The
                 rule itself looks at the label: gold yes is right if the text contains "yes", gold
                 no if it contains "no". Without the label, both or neither is unclear here;
                 `outcomes` of POPE has the label and follows the rule.
    opera        the whole answer without "." and ","; No, no, not, NO or a word in n't is no, else
                 yes.
    lmms-eval    lower-cased and stripped it must equal yes or no ("Yes." is unclear).
    vlmevalkit   after VQA's punctuation rule exactly one of yes and no is among the words.
    strict       one word, yes or no, whatever its case, surrounding space and punctuation.

    A language's code (zh, de, es, fr) reads that language, see `Language.parse`. Raises SeedError for
    another parser.
    """
    return parser_named(parser)(text)


def parser_named(parser: str) -> Callable[[str], Verdict]:
    """The function behind a parser's name, or SeedError listing the names."""
    check_known("answer parser", parser, (*PARSERS, *LANGUAGES))
    return LANGUAGES[parser].parse if parser in LANGUAGES else PARSERS[parser]


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
    # VLMEvalKit's copy of VQA's rule knows one comma between digits, not several
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


def parse_prediction(text: str, parser: str) -> str:
    """yes, no or other, as one evaluator reads a prediction for MME.

    official    lower-cased; else the first four characters contain "yes", else "no" ("not sure"
                and "none" are no).
    lmms-eval   the same after stripping and without full stops; y and n alone are yes and no.

    Raises SeedError for another parser.
    """
    check_known("MME parser", parser, MME_PARSERS)
    return MME_PARSERS[parser](text.lower())


def _mme_official(lowered: str) -> str:
    start = lowered[:4]
    if "yes" in start:
        return "yes"
    return "no" if "no" in start else "other"


def _mme_lmms_eval(lowered: str) -> str:
    word = lowered.strip().replace(".", "")
    return {"y": "yes", "n": "no"}.get(word) or _mme_official(word)


MME_PARSERS: dict[str, Callable[[str], str]] = {
    "official": _mme_official,
    "lmms-eval": _mme_lmms_eval,
}


@dataclass(frozen=True)
class Language:
    """How a language asks for an object, and how it says yes and no."""

    code: str
    name: str
    question: str  # with {object}: the name as the table has it
    suffix: str  # asks for one word, as LLaVA's suffix does in English
    yes: tuple[str, ...]  # the first of each is the one that the suffix asks for
    no: tuple[str, ...]
    has_spaces: bool = True  # between words

    def parse(self, text: str) -> Verdict:
        """yes or no: the first word of the answer that says either; unclear if none does.

        English words count too, because many models answer a foreign question in English. Without
        spaces between words, longer words are tried first: 不是 (no) holds 是 (yes).
        """
        found = self._pattern.search(text.casefold())
        if not found:
            return "unclear"
        return "yes" if found[0] in {*self.yes, "yes"} else "no"

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        own = sorted({*self.yes, *self.no}, key=len, reverse=True)
        english = r"\b(?:yes|no|not)\b"
        words = "|".join(map(re.escape, own))
        return re.compile(
            rf"\b(?:{words})\b|{english}" if self.has_spaces else f"{words}|{english}"
        )


LANGUAGES = {
    language.code: language
    for language in (
        Language(
            "zh",
            "Chinese",
            "图片中有{object}吗？",
            "请用“是”或“否”回答。",
            ("是", "有", "存在"),
            ("否", "不是", "没有", "不存在", "不", "没", "无"),
            has_spaces=False,
        ),
        Language(
            "de",
            "German",
            "Ist {object} auf dem Bild zu sehen?",
            "\nAntworte nur mit Ja oder Nein.",
            ("ja",),
            ("nein", "nicht", "kein", "keine", "keinen"),
        ),
        Language(
            "es",
            "Spanish",
            "¿Hay {object} en la imagen?",
            "\nResponde solo con sí o no.",
            ("sí", "si"),
            ("no", "ningún", "ninguna"),
        ),
        Language(
            "fr",
            "French",
            "Y a-t-il {object} sur l'image ?",
            "\nRéponds uniquement par oui ou non.",
            ("oui",),
            ("non", "pas", "aucun", "aucune"),
        ),
    )
}


def language_named(code: str) -> Language:
    """The language, or SeedError listing the codes."""
    if code not in LANGUAGES:
        known = ", ".join(f"{key} ({one.name})" for key, one in LANGUAGES.items())
        raise SeedError(f"language {code!r} is unknown; there are {known}")
    return LANGUAGES[code]


def read_names(code: str, file: Path = NAMES) -> dict[str, str]:
    """English object name -> name in a language, from a CSV file with a column for each language.

    Raises SeedError for an unreadable file, a missing column and an empty cell.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise SeedError(f"{file}: no readable table of names ({problem}); check the path") from None
    if not rows or not {"en", code} <= rows[0].keys():
        raise SeedError(f"{file} needs a first line with the columns en and {code}; add it")
    for number, row in enumerate(rows, start=2):
        if not row["en"] or not row[code]:
            raise SeedError(f"{file}, line {number}: a name in en or {code} is empty; fill it in")
    return {row["en"]: row[code] for row in rows}


def translate(probes: Sequence[Row], code: str, file: Path = NAMES) -> list[Record]:
    """POPE's probes in another language; everything but `text` stays.

    Raises SeedError for a probe that is not POPE's question and for an object without a translation.
    """
    language, names = language_named(code), read_names(code, file)
    return [
        dict(probe) | {"text": language.question.format(object=_name(probe, names, file))}
        for probe in probes
    ]


def _name(probe: Row, names: dict[str, str], file: Path) -> str:
    asked = POPE_QUESTION.match(str(probe.get("text")))
    if not asked and "object" not in probe:
        raise SeedError(
            f"question {probe.get('question_id')} is not POPE's ('Is there a … in the image?'), so it "
            "cannot be translated; give POPE's probes"
        )
    name = str(probe["object"] if "object" in probe else asked["object"])  # type: ignore[index]
    if name not in names:
        raise SeedError(f"{file} has no line for {name!r}; add one")
    return names[name]


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


def drop_unfinished_sentence(row: Row) -> str:
    """The caption up to its last full stop, unless the row says `finished` (OPERA's rule).

    A caption cut at a token limit ends in half a sentence; without any full stop nothing is left.
    """
    caption: str = row["caption"]
    return caption if row.get("finished") else caption[: caption.rfind(".") + 1]


def _chair_words(caption: str, vocabulary: Vocabulary, variant: str) -> list[str]:
    """Singular words with CHAIR's pairs merged from left to right."""
    check_known("CHAIR variant", variant, CHAIR_VARIANTS)
    words = lemmas(caption) if variant == "lemma" else singulars(caption)
    merged: list[str] = []
    position = 0
    while position < len(words):
        pair = vocabulary.double_words.get(" ".join(words[position : position + 2]))
        merged.append(words[position] if pair is None else pair)
        position += 1 if pair is None else 2
    # "the seat of the toilet" is no chair
    return [w for w in merged if w != "seat"] if "toilet" in merged else merged
