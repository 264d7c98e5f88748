"""Examples, captions and widgets that the tests of the widgets share."""

import io
import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from seednb.report.widgets import BetaExplorer, CaptionItem, ExplorerExample

ALPHAS, TEMPERATURES = (0.1, 0.3, 0.5, 0.7), (1.0, 2.0, 4.0)
WORDS = ["knife", "fork", "cup", "spoon", "and", "bowl", "table", "cat"]
PRESENT = [False, True, True, False, None, True, None, False]
# The first 200 lie outside the selector's window of 1000 and would move every threshold.
HISTORY = [-4.0] * 200 + (-np.random.default_rng(1).gamma(2, 0.25, 1000)).tolist()
VIEW = "application/vnd.jupyter.widget-view+json"
ATTACK = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"


def noise_png(seed: int) -> bytes:
    """An image that PNG cannot compress: the largest file of its size."""
    pixels = np.random.default_rng(seed).integers(0, 256, (96, 96, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def make_example(seed: int = 0, title: str = "", n_vocabulary: int = 60) -> ExplorerExample:
    rng = np.random.default_rng(seed)
    return ExplorerExample(
        title=title or f"dining {seed}",
        image_png=noise_png(seed),
        question="Describe this image.",
        answer_so_far="The image shows a table with a",
        confidence=-0.1 - 0.3 * seed,
        clean_logits=rng.normal(0, 2, n_vocabulary).astype(np.float32),
        noisy_logits={a: rng.normal(0, 2, n_vocabulary).astype(np.float32) for a in ALPHAS},
        words=WORDS,
        word_ids=rng.choice(n_vocabulary, len(WORDS), replace=False).tolist(),
        present=PRESENT,
    )


def make_explorer(n_examples: int = 2, history: list[float] = HISTORY) -> BetaExplorer:
    examples = [make_example(seed) for seed in range(n_examples)]
    return BetaExplorer(examples, history, ALPHAS, TEMPERATURES)


def make_items() -> list[CaptionItem]:
    different = CaptionItem(
        title="a.png",
        image_png=noise_png(0),
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
