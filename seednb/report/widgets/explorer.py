"""BetaExplorer: what purification does to the next word, by hand and by the confidence rule."""

from collections.abc import Sequence
from dataclasses import astuple
from functools import cache
from typing import Any

import ipywidgets as widgets
from markupsafe import Markup

from seednb.core.errors import SeedError
from seednb.report.widgets.face import COMPACT, Card, boxed, dropdown, percent, render, static_face
from seednb.report.widgets.frames import BETAS, ExplorerExample, Frames, frames
from seednb.report.widgets.history import History

PRESENCE = {True: "in the image", False: "not in the image", None: "names no object"}
BY_CONFIDENCE, BY_HAND = "by confidence", "by hand"


class BetaExplorer(Card):
    """Clean, noisy and purified probabilities of candidate words, one example at a time.

    Live in JupyterLab (`example`, `rule`, `beta`, `temperature`, `alpha` are its controls, `chart`
    the drawing); elsewhere its `text/html` is a static face with every frame precomputed.
    Raises SeedError if an example lacks the logits of one of the alphas.
    """

    def __init__(
        self,
        examples: Sequence[ExplorerExample],
        history: Sequence[float],
        alphas: Sequence[float],
        temperatures: Sequence[float],
        start: float | None = None,
    ) -> None:
        """`history`: earlier confidences, oldest first; `start`: the alpha shown first."""
        _check(examples, alphas, temperatures)
        self._examples, self._history = list(examples), History(tuple(map(float, history)))
        self._alphas, self._temperatures = list(alphas), list(temperatures)
        self._start = self._alphas[0] if start is None else start
        self._frames = cache(lambda number, alpha, t: frames(self._examples[number], alpha, t))
        self._build_controls()
        controls = boxed("sw-controls", self.rule, self.alpha, self.temperature, self.beta)
        work = boxed("sw-work", controls, self.chart, self.reading)
        super().__init__(self.example, boxed("sw-grid", self.side, work))
        self._show_example()
        for control in (self.rule, self.beta, self.alpha, self.temperature):
            control.observe(self._update, "value")
        self.example.observe(self._show_example, "value")

    def _build_controls(self) -> None:
        titles = [(example.title, number) for number, example in enumerate(self._examples)]
        self.example = dropdown("Example", titles)
        self.rule = dropdown("Beta rule", [BY_CONFIDENCE, BY_HAND])
        self.alpha = dropdown("Alpha", self._alphas, value=self._start)
        self.temperature = dropdown("Temperature", self._temperatures)
        self.beta = widgets.FloatSlider(
            min=BETAS[0],
            max=BETAS[-1],
            step=0.1,
            readout_format=".1f",
            description="Beta",
            **COMPACT,
        )
        self.beta.add_class("sw-wide")
        self.side, self.chart, self.reading = widgets.HTML(), widgets.HTML(), widgets.HTML()

    def _show_example(self, _change: Any = None) -> None:
        example = self._examples[self.example.value]
        strip = self._history.strip(example.confidence)
        self.side.value = render("explorer_side.html", example=example, strip=strip)
        self._update()

    def _update(self, change: Any = None) -> None:
        """Follow the rule, or switch to 'by hand' when the slider was moved; then draw."""
        example = self._examples[self.example.value]
        ruled = self._history.beta(example.confidence)
        moved = change is not None and change.owner is self.beta
        if moved and _step(self.beta.value) != _step(ruled):
            self.rule.value = BY_HAND
        if self.rule.value == BY_CONFIDENCE:
            self.beta.value = ruled
        shown = self._frames(self.example.value, self.alpha.value, self.temperature.value)
        self.chart.value = _chart(example, shown, self.beta.value)
        self.reading.value = render(
            "explorer_reading.html", lines=_reading(example, shown, self.beta.value)
        )

    def static_html(self) -> str:
        """The static face: every frame, by example, alpha, temperature and beta."""
        examples, numbers = self._examples, range(len(self._examples))
        first = [self._frames(number, self._start, self._temperatures[0]) for number in numbers]
        ruled = [self._history.beta(example.confidence) for example in examples]
        data = [
            {
                "words": example.words,
                "present": example.present,
                "focus": example.focus,
                "beta": beta,
                "frames": self._table(number),
            }
            for number, (example, beta) in enumerate(zip(examples, ruled, strict=True))
        ]
        return static_face(
            "explorer",
            "Beta explorer",
            {"examples": data},
            examples=examples,
            strips=[self._history.strip(example.confidence) for example in examples],
            charts=[Markup(_chart(*each)) for each in zip(examples, first, ruled, strict=True)],
            lines=_reading(examples[0], first[0], ruled[0]),
            alphas=self._alphas,
            start=self._start,
            temperatures=self._temperatures,
        )

    def _table(self, number: int) -> list[list[tuple[Any, ...]]]:
        """Frames of one example by alpha and temperature, as tuples to save the names' bytes."""
        return [
            [astuple(self._frames(number, alpha, t)) for t in self._temperatures]
            for alpha in self._alphas
        ]


def _check(
    examples: Sequence[ExplorerExample], alphas: Sequence[float], temperatures: Sequence[float]
) -> None:
    if not examples or not alphas or not temperatures:
        raise SeedError("the explorer needs at least one example, one alpha and one temperature")
    if min(temperatures) <= 0:
        raise SeedError(f"temperature={min(temperatures)}: must be above 0; softmax divides by it")
    for example in examples:
        missing = [alpha for alpha in alphas if alpha not in example.noisy_logits]
        if missing:
            raise SeedError(
                f"example {example.title!r} has no noisy logits for alpha={missing[0]}; "
                "run the model on that view or leave the alpha out"
            )


def _step(beta: float) -> int:
    """Position of a beta on the slider."""
    return round(10 * beta)


def _chart(example: ExplorerExample, shown: Frames, beta: float) -> str:
    """Grouped bars of one frame, one group a candidate word."""
    purified = shown.purified[_step(beta)]
    bars = [
        {"clean": clean, "noisy": noisy, "purified": pure}
        for clean, noisy, pure in zip(shown.clean, shown.noisy, purified, strict=True)
    ]
    return render(
        "explorer_chart.html", example=example, bars=bars, scale=shown.scale, names=PRESENCE
    )


def _reading(example: ExplorerExample, shown: Frames, beta: float) -> list[str]:
    """The frame in sentences; explorer.js says the same."""
    if _step(beta) == 0:
        return ["Beta 0 changes nothing: the purified words are the clean ones."]
    return [
        _moved(example, k, shown.clean[k], shown.purified[_step(beta)][k], beta)
        + f" The noisy view gives it {percent(shown.noisy[k])}."
        for k in example.focus
    ]


def _moved(example: ExplorerExample, k: int, clean: int, purified: int, beta: float) -> str:
    word = f"“{example.words[k]}” ({PRESENCE[example.present[k]]})"
    before, after = percent(clean), percent(purified)
    if before == after:
        return f"Beta {beta:.1f} leaves {word} at {before}."
    return f"Beta {beta:.1f} moves {word} from {before} to {after}."
