"""What the beta explorer draws: bars, sentences, and its static face with every frame inside."""

from collections.abc import Callable, Sequence
from typing import Any

from markupsafe import Markup

from seednb.report.widgets.captions import Segments
from seednb.report.widgets.face import percent, render, static_face
from seednb.report.widgets.frames import BETAS, REST, ExplorerExample, Frames, Place, Source
from seednb.report.widgets.history import History

PRESENCE = {
    "present": "in the image",
    "absent": "not in the image",
    "none": "names no object",
    "rest": "each less likely",
}
UNCHANGED = "Beta 0 changes nothing: the purified words are the clean ones."
PLAUSIBLE = (
    "Among plausible words alone: those with at least a tenth of the likeliest word's clean "
    "probability."
)
FramesOf = Callable[[int, int, float, float], Frames]  # image, place, alpha, temperature


def slider_betas(history: History) -> list[float]:
    """Where the slider can stand: every tenth from 0 to 2, and every beta of the rule."""
    return sorted({*BETAS, *history.betas, history.selector().start_value})


def chart(place: Place, shown: Frames, step: int, plausible: bool, n_rows: int = 0) -> str:
    """Grouped bars of one frame, one group a candidate word and one for all others.

    Empty rows follow up to `n_rows`: the static face's script writes other places into them.
    """
    purified = (shown.plausible if plausible else shown.purified)[step]
    rows = [
        {"word": word, "kind": kind, "clean": clean, "noisy": noisy, "purified": pure}
        for (word, kind), clean, noisy, pure in zip(
            place.rows, shown.clean, shown.noisy, purified, strict=True
        )
    ]
    empty = {"word": "", "kind": "none", "clean": 0, "noisy": 0, "purified": 0}
    rows += [empty] * (n_rows - len(rows))
    return render(
        "explorer_chart.html",
        rows=rows,
        n_shown=len(place.rows),
        scale=shown.scale,
        presence=PRESENCE,
    )


def reading(place: Place, shown: Frames, step: int, beta: float, plausible: bool) -> list[str]:
    """The frame in sentences; explorer.js says the same."""
    if beta == 0 and not plausible:
        return [UNCHANGED]
    purified = (shown.plausible if plausible else shown.purified)[step]
    lines = []
    for k in place.focus:
        word, kind = place.rows[k]
        name = f"“{word}” ({PRESENCE[kind]})"
        change = _moved(name, shown.clean[k], purified[k])
        lines.append(f"Beta {beta:g} {change} The noisy view gives it {percent(shown.noisy[k])}.")
    lines.append(f"It {_moved(REST[0], shown.clean[-1], purified[-1])}")
    return lines + [PLAUSIBLE] * plausible


def _moved(name: str, clean: int, purified: int) -> str:
    before, after = percent(clean), percent(purified)
    if before == after:
        return f"leaves {name} at {before}."
    return f"moves {name} from {before} to {after}."


def static_html(
    source: Source,
    example_of: Callable[[int], ExplorerExample],
    frames_of: FramesOf,
    history: History,
    alphas: Sequence[float],
    temperatures: Sequence[float],
    start: float,
) -> str:
    """The static face: the source's first images, the objects of their captions, every beta."""
    numbers, betas = range(source.n_kept), slider_betas(history)
    examples = [example_of(number) for number in numbers]
    data = []
    for number, example in zip(numbers, examples, strict=True):
        texts, table = _texts(source, number, alphas, betas)
        data.append(
            {
                "beta": betas.index(history.beta(example.confidence)),
                "start": example.objects.index(example.start),
                "places": [
                    _place(example.places[n], [[frames_of(number, n, a, t) for t in temperatures] for a in alphas])
                    for n in example.objects
                ],
                "texts": texts,
                "captions": table,
            }
        )  # fmt: skip
    first = examples[0]
    place, step = first.places[first.start], betas.index(history.beta(first.confidence))
    shown = frames_of(0, first.start, start, temperatures[0])
    n_rows = max(len(example.places[n].rows) for example in examples for n in example.objects)
    (again,) = source.captions(0, start, [betas[step]], False)
    return static_face(
        "explorer",
        "Beta explorer",
        {"betas": [f"{beta:g}" for beta in betas], "images": data},
        titles=source.titles[: source.n_kept],
        examples=examples,
        strips=[history.strip(example.confidence) for example in examples],
        chart=Markup(chart(place, shown, step, False, n_rows)),
        lines=reading(place, shown, step, betas[step], False),
        caption=again,
        beta=f"{betas[step]:g}",
        alphas=alphas,
        start=start,
        temperatures=temperatures,
        n_images=len(source.titles),
    )


def _place(place: Place, shown: Sequence[Sequence[Frames]]) -> dict[str, Any]:
    """One place by alpha and temperature, without names: they would be most of the bytes.

    Among plausible words all others are 0 and are left out.
    """
    kept = [*shown[0][0].kept, len(place.words)]
    return {
        "word": place.word,
        "so_far": place.so_far,
        "rows": place.rows,
        "focus": place.focus,
        "kept": kept,
        "frames": [
            [
                (each.scale, each.clean, each.noisy, each.purified, [[bars[k] for k in kept] for bars in each.plausible])
                for each in by_temperature
            ]
            for by_temperature in shown
        ],
    }  # fmt: skip


def _texts(
    source: Source, number: int, alphas: Sequence[float], betas: Sequence[float]
) -> tuple[list[tuple[Segments, str]], list[list[list[int]]]]:
    """Each different caption once, and by alpha, plausibility and beta which one it is."""
    captions = [
        [source.captions(number, alpha, betas, plausible) for plausible in (False, True)]
        for alpha in alphas
    ]
    every = [each for by_alpha in captions for some in by_alpha for each in some]
    unique = list({str(each): each for each in every}.values())
    place = {str(each): n for n, each in enumerate(unique)}
    table = [[[place[str(each)] for each in some] for some in by_alpha] for by_alpha in captions]
    return [(each.segments, each.summary) for each in unique], table
