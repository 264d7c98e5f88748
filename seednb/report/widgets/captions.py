"""CaptionBrowser: images beside the captions of several models, object words marked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import ipywidgets as widgets

from seednb.core.errors import SeedError
from seednb.report.widgets.face import (
    COMPACT,
    NATURAL,
    Card,
    boxed,
    check_image,
    render,
    static_face,
)

Span = tuple[int, int]  # characters [start, end) of a caption
Segments = list[tuple[str, str]]  # (text, kind) of a caption's pieces
WRONG, RIGHT, PLAIN = "wrong", "right", ""


@dataclass(frozen=True)
class CaptionItem:
    """One image with each model's caption.

    `hallucinated` and `correct` give, by model, the character spans of object words.
    """

    title: str
    image: bytes
    truth: list[str]
    captions: dict[str, str]
    hallucinated: dict[str, list[Span]] = field(default_factory=dict)
    correct: dict[str, list[Span]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise SeedError on spans that leave the caption, overlap, or belong to no caption."""
        check_image(self.image, self.title)
        if not self.captions:
            raise SeedError(f"image {self.title!r} has no caption; give at least one model's")
        for model in {*self.hallucinated, *self.correct}:
            if model not in self.captions:
                raise SeedError(f"image {self.title!r}: spans of {model!r}, but no caption of it")
        for model in self.captions:
            self.segments(model)

    def segments(self, model: str) -> Segments:
        """The caption cut into (text, kind); kind is `wrong`, `right` or empty."""
        wrong, right = self.hallucinated.get(model, []), self.correct.get(model, [])
        where = f"image {self.title!r}, caption of {model!r}"
        return cut(self.captions[model], wrong, right, where)

    @property
    def differs(self) -> bool:
        """Whether the models say different things."""
        return len(set(self.captions.values())) > 1


def cut(
    caption: str, wrong: Sequence[Span], right: Sequence[Span], where: str = "caption"
) -> Segments:
    """A caption cut at its object words; raises SeedError, which begins with `where`, for bad spans."""
    spans = [(*span, WRONG) for span in wrong] + [(*span, RIGHT) for span in right]
    pieces, at = [], 0
    for start, end, kind in sorted(spans):
        if not at <= start < end <= len(caption):
            raise SeedError(
                f"{where}: span ({start}, {end}) is empty, overlaps another or leaves the "
                f"{len(caption)} characters; recompute the spans"
            )
        pieces += [(caption[at:start], PLAIN), (caption[start:end], kind)]
        at = end
    return [piece for piece in [*pieces, (caption[at:], PLAIN)] if piece[0]]


class CaptionBrowser(Card):
    """Images one at a time; `position`, `previous`, `next` and `only_different` are its controls.

    Live in JupyterLab; elsewhere its `text/html` is a static face that holds all the items.
    """

    def __init__(self, items: Sequence[CaptionItem]) -> None:
        """Raise SeedError if there is no item."""
        if not items:
            raise SeedError("the caption browser has no item; give it at least one image")
        self._items = list(items)
        self.previous = widgets.Button(description="Previous", icon="arrow-left", layout=NATURAL)
        self.next = widgets.Button(description="Next", icon="arrow-right", layout=NATURAL)
        self.position = widgets.IntSlider(1, 1, len(items), description="Image", **COMPACT)
        self.position.add_class("sw-wide")
        self.only_different = widgets.Checkbox(
            description="only where they differ",
            indent=False,
            disabled=not any(item.differs for item in items),
            **COMPACT,
        )
        self.view = widgets.HTML()
        controls = boxed(
            "sw-controls", self.previous, self.next, self.position, self.only_different
        )
        super().__init__(controls, self.view)
        self.previous.on_click(lambda _: self._move(-1))
        self.next.on_click(lambda _: self._move(+1))
        self.only_different.observe(self._filter, "value")
        self.position.observe(self._update, "value")
        self._update()

    @property
    def shown(self) -> list[CaptionItem]:
        """The items that the filter lets through."""
        return [item for item in self._items if item.differs or not self.only_different.value]

    def _move(self, step: int) -> None:
        self.position.value += step  # the slider keeps it between its ends

    def _filter(self, _change: Any) -> None:
        """Stay at the image if it is still there."""
        current = self._current
        self.position.max = len(self.shown)
        found = [place for place, item in enumerate(self.shown, start=1) if item is current]
        self.position.value = found[0] if found else 1
        self._update()

    def _update(self, _change: Any = None) -> None:
        self._current = self.shown[min(self.position.value, len(self.shown)) - 1]
        self.previous.disabled = self.position.value == 1
        self.next.disabled = self.position.value == self.position.max
        self.view.value = render("captions_item.html", item=self._current)

    def static_html(self) -> str:
        """The static face: all items, shown one at a time by its script (all without one)."""
        return static_face(
            "captions",
            "Caption browser",
            {"differs": [item.differs for item in self._items]},
            items=self._items,
        )
