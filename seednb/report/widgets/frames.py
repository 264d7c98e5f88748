"""Numbers behind the beta explorer: probabilities of candidate words at every beta."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from seednb.core.errors import SeedError
from seednb.method.purification import PLAUSIBILITY, is_plausible, purify_logits
from seednb.report.widgets.captions import Segments
from seednb.report.widgets.face import check_image

BETAS = tuple(step / 10 for step in range(21))  # 0 to 2: the slider's positions
SCALES = (50, 100, 200, 300, 400, 600, 800, 1000)  # right ends of the probability axis, thousandths
PRESENCE = {True: "present", False: "absent", None: "none"}
REST = ("all other words", "rest")


@dataclass(frozen=True)
class Caption:
    """A caption cut into (text, kind), its object words marked, and what it is worth in words."""

    segments: Segments
    summary: str


@dataclass(frozen=True, eq=False)
class Place:
    """One place in a caption, where the model chooses its next word.

    Logits are over the full vocabulary V; `noisy_logits` has one array an alpha. `present[k]` says
    whether candidate k names an object of the image (None: it names no object), `is_present` the
    same of the word that stands there.
    """

    word: str
    so_far: str
    is_present: bool | None
    clean_logits: np.ndarray
    noisy_logits: dict[float, np.ndarray]
    words: list[str]
    word_ids: list[int]
    present: list[bool | None]

    def __post_init__(self) -> None:
        """Raise SeedError on logits or words that do not fit together."""
        if self.clean_logits.ndim != 1:
            self._refuse(f"clean_logits has {self.clean_logits.ndim} axes: must have one, V")
        for alpha, logits in [("clean", self.clean_logits), *self.noisy_logits.items()]:
            if logits.shape != self.clean_logits.shape or not np.isfinite(logits).all():
                n_words = len(self.clean_logits)
                self._refuse(f"logits of view {alpha}: must be {n_words} finite numbers")
        if not 0 < len(self.words) == len(self.word_ids) == len(self.present):
            self._refuse("words, word_ids and present: must be of one length, at least 1")
        if not all(flag is None or isinstance(flag, bool) for flag in self.present):
            self._refuse(f"present={self.present}: must hold True, False or None")
        if not all(0 <= word_id < len(self.clean_logits) for word_id in self.word_ids):
            self._refuse(f"word_ids: must be in [0, {len(self.clean_logits) - 1}]")

    def _refuse(self, reason: str) -> None:
        raise SeedError(f"place of {self.word!r}: {reason}; rebuild it from the model's logits")

    @property
    def rows(self) -> list[tuple[str, str]]:
        """(word, kind) of each bar: the candidates, then all other words together."""
        kinds = [PRESENCE[flag] for flag in self.present]
        return [*zip(self.words, kinds, strict=True), REST]

    @property
    def focus(self) -> list[int]:
        """Bars read aloud: the likeliest absent and present objects, else the likeliest word."""
        by_logit = np.argsort(-self.clean_logits[self.word_ids], kind="stable").tolist()
        absent = [k for k in by_logit if self.present[k] is False]
        present = [k for k in by_logit if self.present[k] is True]
        return absent[:1] + present[:1] or by_logit[:1]


@dataclass(frozen=True, eq=False)
class ExplorerExample:
    """An image with the model's caption and the places of its words.

    `noisy_images` has one image an alpha; `confidence` is that of the whole caption (nats a token,
    at most 0). `note` says why this example was chosen.
    """

    title: str
    image: bytes
    noisy_images: dict[float, bytes]
    question: str
    caption: Caption
    confidence: float
    places: list[Place]
    start: int = 0  # the place shown first
    note: str = ""

    def __post_init__(self) -> None:
        """Raise SeedError on a file that is no image, a bad confidence or a caption without words."""
        for image in (self.image, *self.noisy_images.values()):
            check_image(image, self.title)
        if not -np.inf < self.confidence <= 0:
            self._refuse(f"confidence={self.confidence}: must be finite and at most 0")
        if not 0 <= self.start < len(self.places):
            self._refuse(f"start={self.start}: there are {len(self.places)} places")

    def _refuse(self, reason: str) -> None:
        raise SeedError(f"example {self.title!r}: {reason}; rebuild it from the model's answers")

    def check_alphas(self, alphas: Sequence[float]) -> None:
        """Raise SeedError unless every alpha has its noisy image and logits."""
        for alpha in alphas:
            known = [alpha in place.noisy_logits for place in self.places]
            if alpha not in self.noisy_images or not all(known):
                raise SeedError(
                    f"example {self.title!r} has no noisy logits for alpha={alpha}; "
                    "run the model on that view or leave the alpha out"
                )

    @property
    def objects(self) -> list[int]:
        """Numbers of the places whose word names an object; of all places, if there is none."""
        named = [n for n, place in enumerate(self.places) if place.is_present is not None]
        return sorted({*named, self.start}) if named else list(range(len(self.places)))


class Source(Protocol):
    """Where the explorer's images, words and captions come from."""

    @property
    def titles(self) -> Sequence[str]:
        """Of all images to choose from."""
        ...

    @property
    def n_kept(self) -> int:
        """How many of them, the first ones, the static face holds too."""
        ...

    def example(self, number: int) -> ExplorerExample:
        """The image of that number."""
        ...

    def captions(
        self, number: int, alpha: float, betas: Sequence[float], plausible: bool
    ) -> list[Caption]:
        """Its whole caption, decoded again with each of the betas."""
        ...


@dataclass(frozen=True, eq=False)
class Frames:
    """Probabilities of a place's bars in thousandths, at one alpha and temperature."""

    scale: int  # right end of the axis, one for all betas so that their bars can be compared
    clean: list[int]
    noisy: list[int]
    purified: list[list[int]]  # one list a beta
    plausible: list[list[int]]  # the same among plausible words alone
    kept: list[int]  # candidates that are plausible


def frames(place: Place, alpha: float, temperature: float, betas: Sequence[float]) -> Frames:
    """Purify over the whole vocabulary, soften by the temperature, then pick the candidates.

    Plausible words are those of at least `PLAUSIBILITY` times the likeliest's clean probability,
    which is judged before the temperature, as in decoding.
    """
    clean = torch.from_numpy(place.clean_logits).float()
    noisy = torch.from_numpy(place.noisy_logits[alpha]).float()
    shape = (len(betas), len(clean))
    purified = purify_logits(clean.expand(shape), noisy.expand(shape), torch.tensor(betas))
    is_kept = is_plausible(clean, PLAUSIBILITY)
    masked = purified.masked_fill(~is_kept, -torch.inf)
    logits = torch.cat([clean[None], noisy[None], purified, masked])
    probs = (logits / temperature).softmax(-1)
    shown = probs[:, place.word_ids]
    rest = (1 - shown.sum(-1, keepdim=True)).clamp(min=0)
    thousandths = (1000 * torch.cat([shown, rest], -1)).round().int().tolist()
    scale = next(end for end in SCALES if max(map(max, thousandths)) <= end)
    kept = [k for k, word_id in enumerate(place.word_ids) if is_kept[word_id]]
    clean_bars, noisy_bars, *by_beta = thousandths
    n = len(betas)
    return Frames(scale, clean_bars, noisy_bars, by_beta[:n], by_beta[n:], kept)
