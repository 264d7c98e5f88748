"""Examples, captions and widgets that the tests of the widgets share."""

import io
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from seednb.report.widgets import BetaExplorer, CaptionItem, ExplorerExample
from seednb.report.widgets.frames import Caption, Place
from seednb.report.widgets.history import History
from seednb.report.widgets.places import NOISE_QUALITY, thumbnail

ALPHAS, TEMPERATURES = (0.1, 0.3, 0.5, 0.7), (1.0, 2.0, 4.0)
WORDS = ["knife", "fork", "cup", "spoon", "and", "bowl", "table", "cat"]
PRESENT = [False, True, True, False, None, True, None, False]
# The first 200 lie outside the selector's window of 1000 and would move every threshold.
HISTORY = [-4.0] * 200 + (-np.random.default_rng(1).gamma(2, 0.25, 1000)).tolist()
VIEW = "application/vnd.jupyter.widget-view+json"
ATTACK = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"


def noise_png(seed: int) -> bytes:
    """An image that PNG cannot compress: the largest file of its size."""
    buffer = io.BytesIO()
    noise(seed).save(buffer, "PNG")
    return buffer.getvalue()


def noise(seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (96, 96, 3), np.uint8)
    return Image.fromarray(pixels)


def make_place(
    seed: int = 0, n_vocabulary: int = 60, word: str = "knife", is_present: bool | None = False
) -> Place:
    rng = np.random.default_rng(seed)
    return Place(
        word=word,
        so_far="The image shows a table with a",
        is_present=is_present,
        clean_logits=rng.normal(0, 2, n_vocabulary).astype(np.float32),
        noisy_logits={a: rng.normal(0, 2, n_vocabulary).astype(np.float32) for a in ALPHAS},
        words=WORDS,
        word_ids=rng.choice(n_vocabulary, len(WORDS), replace=False).tolist(),
        present=PRESENT,
    )


def make_example(seed: int = 0, title: str = "", n_vocabulary: int = 60) -> ExplorerExample:
    """An image whose caption has three words: an invention, one of no object, and a true one."""
    return ExplorerExample(
        title=title or f"dining {seed}",
        image=thumbnail(noise(seed)),
        noisy_images={a: thumbnail(noise(seed + n), NOISE_QUALITY) for n, a in enumerate(ALPHAS)},
        question="Describe this image.",
        caption=Caption([("a ", ""), ("knife", "wrong"), (" and a cup", "")], "It invents 1."),
        confidence=-0.1 - 0.3 * seed,
        places=[
            make_place(seed, n_vocabulary),
            make_place(seed + 20, n_vocabulary, "and", None),
            replace(make_place(seed + 40, n_vocabulary, "cup", True), words=["cup", "cat"], word_ids=[3, 4], present=[True, False]),
        ],
        note=f"note {seed}",
    )  # fmt: skip


class Examples:
    """A source of finished examples; its captions say with what they were decoded."""

    def __init__(self, examples: Sequence[ExplorerExample], n_kept: int | None = None) -> None:
        self.examples, self.n_kept = examples, len(examples) if n_kept is None else n_kept
        self.asked: list[tuple[Any, ...]] = []

    @property
    def titles(self) -> list[str]:
        return [example.title for example in self.examples]

    def example(self, number: int) -> ExplorerExample:
        return self.examples[number]

    def captions(
        self, number: int, alpha: float, betas: Sequence[float], plausible: bool
    ) -> list[Caption]:
        self.asked.append((number, alpha, list(betas), plausible))
        return [
            Caption(
                [(f"image {number} alpha {alpha:g} ", ""), (f"beta {round(beta)}", "wrong")],
                f"plausible {plausible}",
            )
            for beta in betas
        ]


def explorer_of(
    examples: Sequence[ExplorerExample],
    history: Sequence[float] = HISTORY,
    alphas: Sequence[float] = ALPHAS,
    temperatures: Sequence[float] = TEMPERATURES,
) -> BetaExplorer:
    return BetaExplorer(Examples(examples), History(tuple(history)), alphas, temperatures)


def make_explorer(n_examples: int = 2, history: Sequence[float] = HISTORY) -> BetaExplorer:
    return explorer_of([make_example(seed) for seed in range(n_examples)], history)


def make_items() -> list[CaptionItem]:
    different = CaptionItem(
        title="a.png",
        image=noise_png(0),
        truth=["cup", "fork"],
        captions={"base": "a fork and a knife", "v7": "a fork and a cup"},
        hallucinated={"base": [(13, 18)]},
        correct={"base": [(2, 6)], "v7": [(2, 6), (13, 16)]},
    )
    same = replace(
        different, title="b.png", captions=dict.fromkeys(("base", "v7"), "a fork and a knife")
    )
    same = replace(same, correct={"v7": [(2, 6)]})
    return [different, same, replace(different, title="c.png")]


def static_data(html: str) -> Any:
    found = re.search(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)
    assert found
    return json.loads(found[1])
