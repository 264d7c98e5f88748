"""POPE's question in other languages, with each one's words for yes and no.

A model that knows what a picture shows should know it in any language that it speaks. The object
names are those of COCO's 80 categories, with the article that the language wants, from
`assets/coco_names.csv` or from a file of the same form.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from seednb.errors import SeedError

Row = dict[str, Any]
Verdict = Literal["yes", "no", "unclear"]
NAMES = Path(__file__).parents[1] / "assets" / "coco_names.csv"
POPE_QUESTION = re.compile(r"^Is there an? (?P<object>.+) in the im(?:a|an)ge\?")  # "imange": VCD's


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


def translate(probes: Sequence[Row], code: str, file: Path = NAMES) -> list[Row]:
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
    name = probe["object"] if "object" in probe else asked["object"]  # type: ignore[index]
    if name not in names:
        raise SeedError(f"{file} has no line for {name!r}; add one")
    return names[name]
