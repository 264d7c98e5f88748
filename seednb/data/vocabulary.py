"""CHAIR's vocabulary: which words name which object, and which pairs of words are one."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from seednb.core.errors import SeedError
from seednb.data.readers import read_lines

PAIRS = """
motor bike, motor cycle, air plane, traffic light, street light, traffic signal, stop light,
fire hydrant, stop sign, parking meter, suit case, sports ball, baseball bat, baseball glove,
tennis racket, wine glass, hot dog, cell phone, mobile phone, teddy bear, hair drier, potted plant,
laptop computer, home plate, train track
"""
ANIMALS = "bird cat dog horse sheep cow elephant bear zebra giraffe animal cub"
# CHAIR's pairs of words (Rohrbach et al., EMNLP 2018): a pair stands for the word on the right.
# "home plate" and "train track" are no object, but keep their parts from being one; "wine glas"
# is what the pattern variant makes of "wine glass".
DOUBLE_WORDS: dict[str, str] = (
    {pair: pair for pair in " ".join(PAIRS.split()).split(", ")}
    | {f"{age} {animal}": animal for animal in ANIMALS.split() for age in ("baby", "adult")}
    | {"passenger jet": "jet", "passenger train": "train"}
    | {"bow tie": "tie", "toilet seat": "toilet", "wine glas": "wine glass"}
)


@dataclass(frozen=True)
class Mention:
    """A word that names an object: `caption[start:end] == word`."""

    word: str
    object: str
    start: int
    end: int


@dataclass(frozen=True)
class Vocabulary:
    """Which object each word names. `object_of` has the words exactly as CHAIR splits its file.

    CHAIR splits a line at comma + space, so that a word after two spaces keeps one and never
    matches in the lemma and pattern variants; published figures contain that slip.
    """

    objects: tuple[str, ...]
    object_of: dict[str, str]

    @classmethod
    def read(cls, path: str | Path) -> "Vocabulary":
        """From CHAIR's format: one object a line, `name, synonym, synonym`.

        Raises SeedError for an unreadable or empty file and for a word that names two objects.
        """
        lines = [line.strip().split(", ") for line in read_lines(Path(path)) if line.strip()]
        object_of: dict[str, str] = {}
        for name, *synonyms in lines:
            for word in (name, *synonyms):
                if object_of.setdefault(word, name) != name:
                    raise SeedError(
                        f"{path}: {word!r} names both {object_of[word]!r} and {name!r}; drop one"
                    )
        if not lines:
            raise SeedError(f"{path}: holds no object; write 'name, synonym, …' on each line")
        return cls(tuple(line[0] for line in lines), object_of)

    @classmethod
    def coco(cls) -> "Vocabulary":
        """This project's own words for the 80 COCO categories."""
        return cls.read(Path(__file__).parents[1] / "assets" / "vocabulary.txt")

    @cached_property
    def double_words(self) -> dict[str, str]:
        """CHAIR's pairs, and this vocabulary's own unless their second word says it alone."""
        pairs = [word for word in self.object_of if word.count(" ") == 1 and word[0] != " "]
        own = {w: w for w in pairs if self.object_of.get(w.split()[1]) != self.object_of[w]}
        return own | DOUBLE_WORDS

    @cached_property
    def phrases(self) -> dict[str, str | None]:
        """Singular and plural word or pair -> its object; None where a pair names no object."""
        singular = {pair: self.object_of.get(word) for pair, word in self.double_words.items()}
        singular |= {word.strip().lower(): name for word, name in self.object_of.items()}
        return {plural(word): name for word, name in singular.items()} | singular

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Any of `phrases`, the longest first, with any space or hyphen between their words."""
        longest_first = sorted(self.phrases, key=len, reverse=True)
        words = "|".join(re.escape(phrase).replace(r"\ ", r"[\s-]+") for phrase in longest_first)
        return re.compile(rf"\b(?:{words})\b", re.IGNORECASE | re.ASCII)

    def begun_by(self, word: str) -> str | None:
        """The object that a word names or, as "traffic" does, begins to name; None for neither."""
        mentions, begun = find_mentions(word, self), self.beginnings.get(word, set())
        return mentions[0].object if mentions else next(iter(begun)) if len(begun) == 1 else None

    @cached_property
    def beginnings(self) -> dict[str, set[str | None]]:
        """What each beginning of a phrase of several words can become: "wine" a wine glass."""
        found: dict[str, set[str | None]] = {}
        for phrase, name in self.phrases.items():
            for space in re.finditer(" ", phrase):
                found.setdefault(phrase[: space.start()], set()).add(name)
        return found


def find_mentions(caption: str, vocabulary: Vocabulary) -> list[Mention]:
    """The words that name an object, in order, with their places (the pocket variant).

    No tagger: vocabulary words and their regular plurals, whatever the case, longest match first.
    """
    mentions = []
    for match in vocabulary.pattern.finditer(caption):
        name = vocabulary.phrases[re.sub(r"[\s-]+", " ", match[0].lower())]
        if name is not None:
            mentions.append(Mention(match[0], name, match.start(), match.end()))
    return mentions


def plural(word: str) -> str:
    """The regular plural: -ies after a consonant + y, -es after a hiss, else -s."""
    if re.search(r"[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + ("es" if re.search(r"(s|x|z|ch|sh)$", word) else "s")
