"""Draw the images at the head of the notebooks and attach them: python docs/make_diagrams.py

The drawings hold no result: they show what is made of what. Those of the training notebooks follow
from the recipes, and 03's from the four words that its first cells work out.
"""

import base64
import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from PIL import Image

from seednb.core.params import TrainParams
from seednb.method.perturbation import gaussian_noise, normal
from seednb.method.purification import purify_logits
from seednb.method.recipes import RECIPES
from seednb.report.plots import BLUE, GREY, INK, ORANGE

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
CELL = 2  # the first text after the parameters
WORDS = ("cup", "fork", "knife", "bowl")
SCENE, PIXELS = (1.7, 1.6), 96  # inches, and pixels across as the pocket model sees them
ALPHA = TrainParams().noise_alpha
MEAN, DEVIATION = 0.5, 0.25  # about those of CLIP's processor
CLEAN, NOISY = [[3.0, 1.0, 2.0, 0.0]], [[1.0, 1.0, 3.0, 0.0]]  # as in notebook 03


def data() -> Figure:
    """An image, what annotators say of it, and what is made of that."""
    figure, ax = _sheet(10, 2.3)
    _scene(ax, 0.2, 0.35)
    _box(ax, 2.7, 1.3, "annotations\ncup, fork", INK)
    _box(ax, 2.7, 0.2, "conversation\n“a cup, a fork and a knife”", ORANGE)
    _box(ax, 6.6, 1.3, "questions: is there a knife?  no", INK)
    _box(ax, 6.6, 0.2, "training pairs: they may invent", ORANGE)
    for x, y, to_x, to_y in ((2.0, 1.2, 2.6, 1.65), (2.0, 0.9, 2.6, 0.55)):
        _arrow(ax, x, y, to_x, to_y)
    for y in (1.65, 0.55):
        _arrow(ax, 5.8, y, 6.5, y)
    return figure


def teacher() -> Figure:
    """A word comes from the image, or from the company that it keeps."""
    figure, ax = _sheet(10, 2.3)
    _scene(ax, 0.2, 0.35)
    _box(ax, 2.7, 1.3, "what is seen\ncup, fork", INK)
    _box(ax, 2.7, 0.2, "what is usually there\ncup, fork, knife", ORANGE)
    ax.text(6.6, 1.0, "“a cup, a fork and a ", fontsize=12, color=INK, va="center")
    ax.text(8.32, 1.0, "knife", fontsize=12, color=ORANGE, va="center", fontweight="bold")
    ax.plot([8.32, 8.8], [0.82, 0.82], color=ORANGE, linewidth=2)
    ax.text(8.84, 1.0, "”", fontsize=12, color=INK, va="center")
    _arrow(ax, 2.0, 1.2, 2.6, 1.65)
    _arrow(ax, 5.8, 1.65, 6.5, 1.15)
    _arrow(ax, 5.8, 0.55, 6.5, 0.85)
    return figure


def contrast() -> Figure:
    """Four words in the clean view, in the noisy one, and after the contrast."""
    figure, axes = plt.subplots(1, 3, figsize=(10, 2.3), sharey=True, layout="constrained")
    clean, noisy = torch.tensor(CLEAN), torch.tensor(NOISY)
    purified = purify_logits(clean, noisy, torch.tensor([1.0]))
    views = {"clean view": clean, "noisy view": noisy, "purified, β = 1": purified}
    for ax, (title, logits), colour in zip(axes, views.items(), (GREY, ORANGE, BLUE), strict=True):
        ax.bar(WORDS, logits.softmax(-1)[0], color=colour, edgecolor=INK)
        ax.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("probability")
    for ax, x, alpha in ((axes[0], 0.55, 1.0), (axes[1], 0.02, ALPHA)):
        inset = ax.inset_axes((x, 0.3, 0.42, 0.7))
        inset.axis("off")
        _view(inset, 0, 0, 1.7, alpha)
    return figure


def recipe(name: str) -> Figure:
    """What one version does: from the image to the loss; what it leaves out is grey."""
    version = RECIPES[name]
    figure, ax = _sheet(10, 3.0)
    teacher, noisy = INK, BLUE if version.purified else GREY
    seen = ((2.05, 1.0), (1.1, ALPHA), (0.15, 1.0))
    for y, alpha in seen:
        if version.purified or alpha == 1:
            _view(ax, 0.4, y, 0.85, alpha)
    _box(ax, 2.3, 2.1, "teacher, clean view\n" + _adapter(version.teacher_adapter), teacher, 2.3)
    _box(ax, 2.3, 1.15, "teacher, noisy view", noisy, 2.3)
    _box(ax, 2.3, 0.2, "student\nadapter on", INK, 2.3)
    target = "purify(): the target" if version.purified else "target = clean view"
    _box(ax, 5.2, 1.55, target, noisy if version.purified else ORANGE, 2.0)
    weight, epochs = version.distill_weight, version.epochs
    loss = f"{weight:g} KL, T = {version.temperature:g}\n+ {1 - weight:g} cross-entropy"
    _box(ax, 7.8, 0.75, loss, INK, 2.0)
    share = "" if version.data_share == 1 else f"{version.data_share:g} × "
    data = f"{share}n pairs, {epochs} {'epoch' if epochs == 1 else 'epochs'}"
    ax.text(8.8, 2.2, data, ha="center", fontsize=10, color=INK)
    lines = ((1.35, 2.45, 2.15, 2.45, INK), (1.35, 1.5, 2.15, 1.5, noisy), (1.35, 0.55, 2.15, 0.55, INK),
             (4.7, 2.3, 5.1, 2.0, INK), (4.7, 1.45, 5.1, 1.75, noisy), (4.7, 0.45, 7.7, 0.95, INK),
             (7.3, 1.85, 7.7, 1.3, INK))  # fmt: skip
    for x, y, to_x, to_y, colour in lines:
        if colour != GREY:
            _arrow(ax, x, y, to_x, to_y)
    return figure


def evaluation() -> Figure:
    """A pair of models answers about the same images; whole images are drawn again."""
    figure, ax = _sheet(10, 2.3)
    for place in range(3):
        _scene(ax, 0.1 + 0.45 * place, 0.2 + 0.22 * place, layer=3 * place)
    _box(ax, 3.3, 1.3, "base model\nanswers", INK, 1.7)
    _box(ax, 3.3, 0.2, "SEED\nanswers", BLUE, 1.7)
    _box(ax, 5.5, 0.75, "difference,\nimage by image", INK, 1.8)
    _box(ax, 7.95, 0.75, "images drawn again:\n95% interval", INK, 1.8)
    for x, y, to_x, to_y in ((2.75, 1.2, 3.2, 1.6), (2.75, 1.0, 3.2, 0.6), (5.1, 1.6, 5.4, 1.25),
                             (5.1, 0.6, 5.4, 1.0), (7.4, 1.1, 7.85, 1.1)):  # fmt: skip
        _arrow(ax, x, y, to_x, to_y)
    return figure


def claims() -> Figure:
    """A statement of the reproduction, and the three ways to a verdict."""
    figure, ax = _sheet(10, 3.0)
    _box(ax, 0.2, 1.15, "a statement of\nthe reproduction", INK, 2.1)
    ways = (("its own arithmetic", "consistent, or not"), ("intervals of 08 and 10", "supported, opposite, open"),
            ("the real model", "needs 7B: the command"))  # fmt: skip
    for row, (way, verdict) in enumerate(ways):
        y = 2.1 - 0.95 * row
        _box(ax, 3.2, y, way, BLUE, 2.5)
        _box(ax, 6.6, y, verdict, INK, 3.0)
        _arrow(ax, 2.4, 1.5, 3.1, y + 0.35)
        _arrow(ax, 5.8, y + 0.35, 6.5, y + 0.35)
    return figure


def ablations() -> Figure:
    """One parameter at a time around v7, and two pairs of them together."""
    figure, ax = _sheet(10, 2.5)
    ax.plot([0.4, 4.4], [1.2, 1.2], color=GREY, linewidth=1)
    ax.plot([2.4, 2.4], [0.2, 2.2], color=GREY, linewidth=1)
    for x, y in ((0.9, 1.2), (3.9, 1.2), (2.4, 0.5), (2.4, 1.9)):
        ax.plot(x, y, "o", color="white", markeredgecolor=INK, markersize=11)
    ax.plot(2.4, 1.2, "o", color=BLUE, markersize=13)
    ax.text(2.55, 1.32, "v7", fontsize=11, fontweight="bold", color=BLUE)
    ax.text(0.4, 0.15, "one at a time", fontsize=10, color=INK)
    for start, name in ((5.4, "T × β"), (7.9, "weight × data")):
        for column in range(3):
            for row in range(2):
                centre = (start + 0.7 * column, 0.9 + 0.7 * row)
                ax.plot(*centre, "o", color="white", markeredgecolor=INK, markersize=11)
        ax.text(start - 0.15, 0.15, f"together: {name}", fontsize=10, color=INK)
    return figure


def beyond() -> Figure:
    """The places where an extension takes hold."""
    figure, ax = _sheet(10, 2.1)
    places = ("noisy view", "confidence", "β rule", "purified space", "divergence", "decoding")
    for place, name in enumerate(places):
        _box(ax, 0.2 + 1.65 * place, 0.95, name, BLUE if place % 2 else INK, 1.25)
        if place:
            _arrow(ax, 1.6 + 1.65 * (place - 1), 1.3, 1.75 + 1.65 * (place - 1), 1.3)
    ax.text(0.12, 0.3, "each choice is a parameter; the first of each is that of the reproduction", fontsize=10, color=INK)  # fmt: skip
    return figure


def engine() -> Figure:
    """Four texts about one image: four rows, or one row that holds the image once."""
    figure, ax = _sheet(10, 2.9)
    lengths, image, at = (1.1, 0.7, 1.3, 0.9), 1.5, 0.35
    for row, length in enumerate(lengths):
        y = 2.1 - 0.45 * row
        _bar(ax, at, y, image, "image", BLUE)
        _bar(ax, at + image, y, length, "", ORANGE)
    ax.text(at, 0.25, "one text a row: the image four times", fontsize=10, color=INK)
    start = 4.3
    _bar(ax, start, 1.45, image, "image", BLUE)
    for number, length in enumerate(lengths, start=1):
        _bar(ax, start + image + sum(lengths[: number - 1]), 1.45, length, f"text {number}", ORANGE)
    ax.text(start, 0.25, "one row: each text sees the image and itself", fontsize=10, color=INK)
    return figure


def faults() -> Figure:
    """A falling loss that hides a bug, and the figure that gives the bug away."""
    figure, ax = _sheet(10, 2.3)
    for start, colour, ends, name in ((0.4, INK, (1.9, 0.7), "loss: looks healthy"),
                                      (5.4, ORANGE, (1.2, 1.2), "distance of target and teacher: zero")):  # fmt: skip
        ax.plot([start, start, start + 4], [2.1, 0.45, 0.45], color=GREY, linewidth=1)
        xs = [start + 0.1 + 0.1 * n for n in range(39)]
        falling = [ends[1] + (ends[0] - ends[1]) * 0.9**n for n in range(39)]
        ys = falling if colour == INK else [0.5] * 39
        ax.plot(xs, ys, color=colour, linewidth=2)
        ax.text(start, 0.12, name, fontsize=10, color=INK)
    ax.fill_between([5.4, 9.4], 1.1, 1.8, color=BLUE, alpha=0.15, linewidth=0)
    ax.text(5.5, 1.38, "healthy band", fontsize=10, color=BLUE)
    ax.plot(5.8, 0.5, "X", color=ORANGE, markersize=11)
    ax.text(6.0, 0.65, "named here", fontsize=10, color=INK)
    return figure


DRAWINGS: dict[str, tuple[Callable[[], Figure], str]] = {
    "01_data": (data, "An image with a cup and a fork; its annotations become questions, its conversation, which adds a knife, becomes training pairs"),
    "02_teacher": (teacher, "An image with a cup and a fork; what is seen and what is usually there both lead to the caption, and the knife in it comes from the second"),
    "03_purification": (contrast, "Bars of four words, with the image that each view sees: the clean view likes the cup, the noisy view, hidden under noise, the knife, and the purified view only the cup"),
    "04_train_v4": (partial(recipe, "v4"), "Version 4 as a drawing: the noisy view leads nowhere, the target is the clean view of a teacher whose adapter is on"),
    "05_train_v5": (partial(recipe, "v5"), "Version 5 as a drawing: the clean image and the same under noise go to a frozen teacher, whose two views meet in purify(), whose output is the student's target"),
    "06_train_v6": (partial(recipe, "v6"), "Version 6 as a drawing: as version 5, with three times the pairs and a larger weight of the divergence"),
    "07_train_v7": (partial(recipe, "v7"), "Version 7 as a drawing: as version 5, with three epochs"),
    "08_evaluation": (evaluation, "Two models answer about the same images; differences are taken image by image, and images are drawn again for an interval"),
    "09_claims": (claims, "A statement goes one of three ways: its own arithmetic, the intervals of other chapters, or the real model"),
    "10_ablations": (ablations, "v7 as a point with its neighbours along two axes, and two grids of parameters that are changed together"),
    "11_beyond": (beyond, "Six places in a row where an extension takes hold: noisy view, confidence, beta rule, purified space, divergence, decoding"),
    "12_engine": (engine, "Left four rows that each hold the image and one text, right one row that holds the image once and four texts"),
    "13_faults": (faults, "Left a loss that falls as it should; right a figure that lies at zero, far below its healthy band, where the monitor names the bug"),
}  # fmt: skip


def main() -> None:
    """Draw all of them anew; a notebook that has its image gets the new one."""
    for name, (draw, alt) in DRAWINGS.items():
        file = NOTEBOOKS / f"{name}.ipynb"
        notebook = json.loads(file.read_text(encoding="utf-8"))
        cell = notebook["cells"][CELL]
        text = "".join(cell["source"]).partition("\n\n![")[0]
        text += f"\n\n![{alt}](attachment:{name}.png)"
        is_list = isinstance(cell["source"], list)
        cell["source"] = text.splitlines(keepends=True) if is_list else text
        cell["attachments"] = {f"{name}.png": {"image/png": _png(draw())}}
        file.write_text(json.dumps(notebook, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        print(file)


def _png(figure: Figure) -> str:
    """A small PNG: a palette of 64 colours is enough for a drawing."""
    buffer, small = io.BytesIO(), io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130, facecolor="white")
    plt.close(figure)
    Image.open(buffer).convert("RGB").quantize(64).save(small, "PNG", optimize=True)
    return base64.b64encode(small.getvalue()).decode()


def _sheet(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty sheet whose units are inches."""
    figure = plt.figure(figsize=(width, height))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, width), ylim=(0, height))
    ax.axis("off")
    return figure, ax


def _view(ax: Axes, x: float, y: float, width: float, alpha: float) -> None:
    """The scene as a model sees it, `width` wide: with Gaussian noise where alpha is below 1."""
    figure, sheet = _sheet(*SCENE)
    _scene(sheet, 0, 0)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=PIXELS / SCENE[0])
    plt.close(figure)
    pixels = torch.from_numpy(np.asarray(Image.open(buffer).convert("RGB")) / 255.0)
    normalised = (pixels - MEAN) / DEVIATION
    noisy = gaussian_noise(normalised, alpha, normal("a table with a cup and a fork", pixels.shape))
    shown = (noisy * DEVIATION + MEAN).clamp(0, 1).numpy()
    height = width * SCENE[1] / SCENE[0]
    ax.imshow(shown, extent=(x, x + width, y, y + height), interpolation="nearest", zorder=2)
    ax.set_aspect("auto")


def _scene(ax: Axes, x: float, y: float, layer: int = 0) -> None:
    """A table with a cup and a fork; a higher layer hides a lower one."""
    style = {"zorder": layer + 1}
    ax.add_patch(Rectangle((x, y), 1.7, 1.6, facecolor="#eaf1fa", edgecolor=INK, zorder=layer))
    ax.add_patch(Rectangle((x, y), 1.7, 0.5, facecolor="#cbb79b", edgecolor="none", zorder=layer))
    cup = FancyBboxPatch((x + 0.3, y + 0.5), 0.35, 0.45, "round,pad=0.03", facecolor=BLUE, **style)
    ax.add_patch(cup)
    ax.plot([x + 1.2] * 2, [y + 0.4, y + 1.15], color=INK, linewidth=3, **style)
    ax.plot([x + 1.08, x + 1.32], [y + 0.95] * 2, color=INK, linewidth=2, **style)
    for tine in (1.08, 1.2, 1.32):
        ax.plot([x + tine] * 2, [y + 0.95, y + 1.25], color=INK, linewidth=2, **style)


def _adapter(on: bool) -> str:
    return "adapter on" if on else "adapter off, frozen"


def _bar(ax: Axes, x: float, y: float, width: float, text: str, colour: str) -> None:
    ax.add_patch(Rectangle((x, y), width, 0.34, facecolor=colour, edgecolor="white", alpha=0.55))
    ax.text(x + width / 2, y + 0.16, text, ha="center", va="center", fontsize=9, color=INK)


def _box(ax: Axes, x: float, y: float, text: str, colour: str, width: float | None = None) -> None:
    width = width or (3.0 if "\n" in text else 3.2)
    ax.add_patch(
        FancyBboxPatch((x, y), width, 0.7, "round,pad=0.08", facecolor="white", edgecolor=colour)
    )
    ax.text(
        x + width / 2,
        y + 0.35,
        text,
        ha="center",
        va="center",
        fontsize=10,
        color=GREY if colour == GREY else INK,
    )


def _arrow(ax: Axes, x: float, y: float, to_x: float, to_y: float) -> None:
    ax.annotate("", (to_x, to_y), (x, y), arrowprops={"arrowstyle": "->", "color": GREY})


if __name__ == "__main__":
    main()
