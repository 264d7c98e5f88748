"""Draw the pictures at the head of notebooks 01 to 03 and attach them: python docs/make_diagrams.py

The drawings hold no result: 01 shows what is made of a picture, 02 where a word may come from, and 03
the four words that its first cells work out.
"""

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from PIL import Image

from seednb.plots import BLUE, GREY, INK, ORANGE
from seednb.purify import purify_logits

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
CELL = 2  # the first text after the parameters
WORDS = ("cup", "fork", "knife", "bowl")
CLEAN, NOISY = [[3.0, 1.0, 2.0, 0.0]], [[1.0, 1.0, 3.0, 0.0]]  # as in notebook 03


def data() -> Figure:
    """A picture, what annotators say of it, and what is made of that."""
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
    """Two sources of a word: the picture, and the company that it keeps."""
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
    return figure


DRAWINGS: dict[str, tuple[Callable[[], Figure], str]] = {
    "01_data": (data, "A picture with a cup and a fork; its annotations become questions, its conversation, which adds a knife, becomes training pairs"),
    "02_teacher": (teacher, "A picture with a cup and a fork; what is seen and what is usually there both lead to the caption, and the knife in it comes from the second"),
    "03_purification": (contrast, "Bars of four words: the clean view likes the cup, the noisy view the knife, and the purified view only the cup"),
}  # fmt: skip


def main() -> None:
    """Draw all of them anew; a notebook that has its picture gets the new one."""
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


def _scene(ax: Axes, x: float, y: float) -> None:
    """A table with a cup and a fork."""
    ax.add_patch(Rectangle((x, y), 1.7, 1.6, facecolor="#eaf1fa", edgecolor=INK))
    ax.add_patch(Rectangle((x, y), 1.7, 0.5, facecolor="#cbb79b", edgecolor="none"))
    ax.add_patch(FancyBboxPatch((x + 0.3, y + 0.5), 0.35, 0.45, "round,pad=0.03", facecolor=BLUE))
    ax.plot([x + 1.2] * 2, [y + 0.4, y + 1.15], color=INK, linewidth=3)
    ax.plot([x + 1.08, x + 1.32], [y + 0.95] * 2, color=INK, linewidth=2)
    for tine in (1.08, 1.2, 1.32):
        ax.plot([x + tine] * 2, [y + 0.95, y + 1.25], color=INK, linewidth=2)


def _box(ax: Axes, x: float, y: float, text: str, colour: str) -> None:
    width = 3.0 if "\n" in text else 3.2
    ax.add_patch(
        FancyBboxPatch((x, y), width, 0.7, "round,pad=0.08", facecolor="white", edgecolor=colour)
    )
    ax.text(x + width / 2, y + 0.35, text, ha="center", va="center", fontsize=10, color=INK)


def _arrow(ax: Axes, x: float, y: float, to_x: float, to_y: float) -> None:
    ax.annotate("", (to_x, to_y), (x, y), arrowprops={"arrowstyle": "->", "color": GREY})


if __name__ == "__main__":
    main()
