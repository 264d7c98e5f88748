"""Numbers behind the beta explorer: probabilities of candidate words at every beta."""

from dataclasses import dataclass

import numpy as np
import torch

from seednb.core.errors import SeedError
from seednb.method.purification import purify_logits
from seednb.report.widgets.face import check_png

BETAS = tuple(step / 10 for step in range(21))  # 0 to 2: the slider's positions
SCALES = (50, 100, 200, 300, 400, 600, 800, 1000)  # right ends of the probability axis, thousandths


@dataclass(frozen=True, eq=False)
class ExplorerExample:
    """One place in an answer where the model chooses its next word.

    Logits are over the full vocabulary V; `noisy_logits` has one array an alpha. `present[k]` says
    whether candidate k names an object of the image (None: it names no object). `confidence` is
    that of the whole answer (nats a token, at most 0).
    """

    title: str
    image_png: bytes
    question: str
    answer_so_far: str
    confidence: float
    clean_logits: np.ndarray
    noisy_logits: dict[float, np.ndarray]
    words: list[str]
    word_ids: list[int]
    present: list[bool | None]

    def __post_init__(self) -> None:
        """Raise SeedError on logits, words or a confidence that do not fit together."""
        check_png(self.image_png, self.title)
        if not -np.inf < self.confidence <= 0:
            self._refuse(f"confidence={self.confidence}: must be finite and at most 0")
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
        raise SeedError(f"example {self.title!r}: {reason}; rebuild it from the model's logits")

    @property
    def focus(self) -> list[int]:
        """Candidates read aloud: the likeliest absent and present objects, else the likeliest."""
        by_logit = np.argsort(-self.clean_logits[self.word_ids], kind="stable").tolist()
        absent = [k for k in by_logit if self.present[k] is False]
        present = [k for k in by_logit if self.present[k] is True]
        return absent[:1] + present[:1] or by_logit[:1]


@dataclass(frozen=True, eq=False)
class Frames:
    """Probabilities of the candidate words in thousandths, at one alpha and temperature."""

    scale: int  # right end of the axis, one for all betas so that their bars can be compared
    clean: list[int]
    noisy: list[int]
    purified: list[list[int]]  # one list a beta of BETAS


def frames(example: ExplorerExample, alpha: float, temperature: float) -> Frames:
    """Purify over the whole vocabulary, soften by the temperature, then pick the candidates."""
    clean = torch.from_numpy(example.clean_logits).float()
    noisy = torch.from_numpy(example.noisy_logits[alpha]).float()
    shape = (len(BETAS), len(clean))
    purified = purify_logits(clean.expand(shape), noisy.expand(shape), torch.tensor(BETAS))
    probs = (torch.cat([clean[None], noisy[None], purified]) / temperature).softmax(-1)
    thousandths = (1000 * probs[:, example.word_ids]).round().int().tolist()
    scale = next(end for end in SCALES if max(map(max, thousandths)) <= end)
    return Frames(scale, thousandths[0], thousandths[1], thousandths[2:])
