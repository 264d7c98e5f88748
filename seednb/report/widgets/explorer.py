"""BetaExplorer: what purification does to the next word, by hand and by the confidence rule."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from threading import Lock
from typing import Any

import ipywidgets as widgets

from seednb.core.errors import SeedError
from seednb.report.widgets.explorer_face import chart, reading, slider_betas, static_html
from seednb.report.widgets.face import COMPACT, Card, boxed, dropdown, render
from seednb.report.widgets.frames import Caption, ExplorerExample, Frames, Source, frames
from seednb.report.widgets.history import History

BY_CONFIDENCE, BY_HAND = "by confidence", "by hand"
REMEMBERED = 32  # images whose logits stay in memory


class BetaExplorer(Card):
    """Clean, noisy and purified probabilities of the next word, at any place of any caption.

    Live in JupyterLab: `image`, `word`, `rule`, `beta`, `temperature`, `alpha`, `plausible`, `betas`
    and `quantiles` are its controls; `chart` and `caption` the drawings. A caption that is not yet
    known is decoded in a thread, and `chart` does not wait for it. Elsewhere its `text/html` is a
    static face with precomputed frames of the source's first images.
    Raises SeedError if an example lacks the logits of one of the alphas.
    """

    def __init__(
        self,
        source: Source,
        history: History,
        alphas: Sequence[float],
        temperatures: Sequence[float],
        start: float | None = None,
    ) -> None:
        """`start`: the alpha shown first."""
        self._source, self.history = source, history
        self._alphas, self._temperatures = list(alphas), list(temperatures)
        self._check()
        self._start = self._alphas[0] if start is None else start
        self.example = lru_cache(REMEMBERED)(self._checked_example)
        self.frames = lru_cache(REMEMBERED)(self._frames)
        self._captions: dict[tuple[Any, ...], Caption] = {}
        self._decoder, self._lock = ThreadPoolExecutor(max_workers=1), Lock()
        self._is_setting = False
        self._build_controls()
        what = boxed("sw-controls", self.image, self.word)
        how = boxed(
            "sw-controls", self.rule, self.alpha, self.temperature, self.plausible, self.beta
        )
        settings = boxed("sw-controls", self.betas, self.quantiles, self.message)
        work = boxed("sw-work", how, self.chart, self.reading, self.caption)
        super().__init__(what, boxed("sw-grid", self.side, work), settings)
        self._show_image()
        for control in (self.rule, self.beta, self.alpha, self.temperature, self.plausible):
            control.observe(self._update, "value")
        self.word.observe(self._update, "value")
        self.image.observe(self._show_image, "value")
        for control in (self.betas, self.quantiles):
            control.observe(self._edit, "value")

    def _check(self) -> None:
        if not self._source.n_kept or not self._alphas or not self._temperatures:
            raise SeedError(
                "the explorer needs at least one example, one alpha and one temperature"
            )
        if min(self._temperatures) <= 0:
            raise SeedError(
                f"temperature={min(self._temperatures)}: must be above 0; softmax divides by it"
            )

    def _checked_example(self, number: int) -> ExplorerExample:
        example = self._source.example(number)
        example.check_alphas(self._alphas)
        return example

    def _frames(self, number: int, place: int, alpha: float, temperature: float) -> Frames:
        betas = slider_betas(self.history)
        return frames(self.example(number).places[place], alpha, temperature, betas)

    def _build_controls(self) -> None:
        titles = [(title, number) for number, title in enumerate(self._source.titles)]
        self.image = dropdown("Image", titles).add_class("sw-wide")
        self.word = dropdown("Word", [])
        self.rule = dropdown("Beta rule", [BY_CONFIDENCE, BY_HAND])
        self.alpha = dropdown("Alpha", self._alphas, value=self._start)
        self.temperature = dropdown("Temperature", self._temperatures)
        self.plausible = widgets.Checkbox(description="Plausible only", indent=False, **COMPACT)
        self.beta = widgets.SelectionSlider(options=self._steps(), description="Beta", **COMPACT)
        self.beta.add_class("sw-wide")
        self.betas, self.quantiles = (
            widgets.Text(_listed(numbers), description=name, continuous_update=False, **COMPACT)
            for name, numbers in (
                ("Rule's betas", self.history.betas),
                ("Rule's quantiles", self.history.quantiles),
            )
        )
        self.side, self.chart, self.reading = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self.caption, self.message = widgets.HTML(), widgets.HTML()

    def _steps(self) -> list[tuple[str, float]]:
        return [(f"{beta:g}", beta) for beta in slider_betas(self.history)]

    def _edit(self, _change: Any) -> None:
        """Take over the rule's settings; where they make no rule, say why and keep the old ones."""
        try:
            betas, quantiles = _numbers(self.betas), _numbers(self.quantiles)
            self.history = replace(self.history, betas=betas, quantiles=quantiles)
        except SeedError as error:
            self.message.value = render("explorer_message.html", message=f"{error}. Not changed.")
            return
        self.message.value = ""
        self.frames.cache_clear()
        self._is_setting = True  # new options move the slider to its first step
        chosen = self.beta.value
        self.beta.options = self._steps()
        self.beta.value = chosen if chosen in slider_betas(self.history) else self._ruled
        self._is_setting = False
        self._update()

    @property
    def _ruled(self) -> float:
        return self.history.beta(self.example(self.image.value).confidence)

    def _show_image(self, _change: Any = None) -> None:
        example = self.example(self.image.value)
        self._is_setting = True
        words = [(f"{n + 1}. {place.word}", n) for n, place in enumerate(example.places)]
        self.word.options = words
        self.word.value = example.start
        self._is_setting = False
        self._update()

    def _update(self, change: Any = None) -> None:
        """Follow the rule, or switch to 'by hand' when the slider was moved; then draw."""
        if self._is_setting:
            return
        moved = change is not None and change.owner is self.beta
        if moved and self.beta.value != self._ruled:
            self.rule.value = BY_HAND
        if self.rule.value == BY_CONFIDENCE:
            self.beta.value = self._ruled
        example = self.example(self.image.value)
        place = example.places[self.word.value]
        shown = self.frames(*self._shown_place)
        step, plausible = self.beta.index, self.plausible.value
        self.chart.value = chart(place, shown, step, plausible)
        lines = reading(place, shown, step, self.beta.value, plausible)
        self.reading.value = render("explorer_reading.html", lines=lines)
        self.side.value = render(
            "explorer_side.html",
            example=example,
            place=place,
            noisy={self.alpha.value: example.noisy_images[self.alpha.value]},
            shown=self.alpha.value,
            strip=self.history.strip(example.confidence),
        )
        self._show_caption()

    @property
    def _shown_place(self) -> tuple[int, int, float, float]:
        return self.image.value, self.word.value, self.alpha.value, self.temperature.value

    @property
    def _shown_caption(self) -> tuple[int, float, float, bool]:
        return self.image.value, self.alpha.value, self.beta.value, self.plausible.value

    def _show_caption(self) -> None:
        """Draw the caption if it is known; else turn the spinner and have it decoded."""
        wanted = self._shown_caption
        if not self._draw_caption(wanted):
            self._decoder.submit(self._decode, wanted)

    def wait(self) -> None:
        """Return when the caption that is shown has been decoded."""
        self._decoder.submit(int).result()

    def _decode(self, wanted: tuple[int, float, float, bool]) -> None:
        """In the decoder's thread: one that the controls have left behind is not decoded."""
        if wanted != self._shown_caption:
            return
        number, alpha, beta, plausible = wanted
        try:
            (self._captions[wanted],) = self._source.captions(number, alpha, [beta], plausible)
        except Exception as error:
            message = f"The caption could not be decoded: {error}"
            self.caption.value = render("explorer_message.html", message=message)
            return
        self._draw_caption(wanted)

    def _draw_caption(self, wanted: tuple[int, float, float, bool]) -> bool:
        """Draw a caption, or the spinner; returns whether it is known. Two threads draw."""
        with self._lock:
            if wanted != self._shown_caption:
                return True
            known = self._captions.get(wanted)
            self.caption.value = render(
                "explorer_caption.html",
                base=self.example(wanted[0]).caption,
                caption=known,
                beta=f"{wanted[2]:g}",
            )
        return known is not None

    @property
    def notes(self) -> str:
        """Why each of the first examples is there, as a list in Markdown."""
        numbers = range(self._source.n_kept)
        notes = [(self._source.titles[n], self.example(n).note) for n in numbers]
        return "\n".join(f"- **{title}.** {note}" for title, note in notes)

    def static_html(self) -> str:
        """The static face: the source's first images, the objects of their captions, every beta."""
        return static_html(
            self._source,
            self.example,
            self.frames,
            self.history,
            self._alphas,
            self._temperatures,
            self._start,
        )


def _listed(numbers: Sequence[float]) -> str:
    return ", ".join(f"{number:g}" for number in numbers)


def _numbers(box: widgets.Text) -> tuple[float, ...]:
    """Numbers of a text box; raises SeedError for a part that is none."""
    parts = [part.strip() for part in box.value.replace(";", ",").split(",")]
    numbers = []
    for part in parts:
        try:
            numbers.append(float(part))
        except ValueError as error:
            message = f"{box.description}: {part!r} is no number; write them as 0.8, 0.4"
            raise SeedError(message) from error
    return tuple(numbers)
