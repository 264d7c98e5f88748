"""Draw the rooms of `seednb` and who imports whom: python docs/make_architecture.py

Reads the imports out of the code and writes docs/images/architecture.svg. A room that does not exist
is left out. An arrow goes from the room that imports to the room that is imported; its number counts
pairs of modules, and its width grows with that number.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from html import escape
from math import sqrt
from pathlib import Path

ROOT = Path(__file__).parents[1]
DRAWING = ROOT / "docs/images/architecture.svg"
ROOMS = {  # from the top: each imports only from those below it
    "cli": "one file a verb: report, train, evaluate, score, demo, doctor",
    "report": "pipeline of notebooks, tables, plots, widgets, claims, the page",
    "experiments": "an experiment and its stages, metric rows, sweeps and ablations",
    "evaluation": "answers, parsers, benchmarks, intervals, controls",
    "training": "one optimiser step, the loop around it, checkpoints, the monitor",
    "model": "loading, LoRA, forward, generation, prompts, pixels, packing",
    "data": "COCO, LLaVA-Instruct, images, probes, the pocket world",
    "method": "SEED as mathematics: noise, purification, beta, losses, v1 to v7",
    "core": "errors, parameters, stages and files, locks, workers, devices",
}
INK, PAPER, BOX, LINE = "#1b1b1b", "#ffffff", "#f1f1f1", "#6b6b6b"
LEFT, TOP, WIDTH, HEIGHT, STEP = 16, 16, 470, 58, 80  # of a room, in pixels
REACH = 50  # pixels that an arrow goes out for each room that it passes


def modules(room: str, package: Path) -> list[Path]:
    """Files of a room that hold code."""
    return sorted(f for f in (package / room).rglob("*.py") if f.read_text().strip())


def imported(file: Path) -> Iterator[str]:
    """Dotted names that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = node.module == "seednb"
            yield from (f"seednb.{n.name}" for n in node.names) if whole else (node.module,)


def count_imports(package: Path) -> Counter[tuple[str, str]]:
    """(importing room, imported room) -> pairs of modules of which one imports the other."""
    pairs = {
        (room, name.split(".")[1], file, name)
        for room in ROOMS
        for file in modules(room, package)
        for name in imported(file)
        if name.startswith("seednb.")
    }
    return Counter((a, b) for a, b, *_ in pairs if a != b and b in ROOMS)


def draw(package: Path = ROOT / "seednb") -> str:
    """The drawing as SVG text; the same code gives the same bytes."""
    rooms = [room for room in ROOMS if modules(room, package)]
    arrows = count_imports(package)
    spans = [abs(rooms.index(a) - rooms.index(b)) for a, b in arrows]
    width = round(LEFT + WIDTH + 0.75 * (30 + REACH * max(spans, default=0)) + 24)
    height = 2 * TOP + STEP * len(rooms) - (STEP - HEIGHT)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        'font-family="Helvetica, Arial, sans-serif">',
        "<title>The rooms of seednb, and how many imports go from each to those below</title>",
        f'<rect width="{width}" height="{height}" fill="{PAPER}"/>',
    ]
    parts += [_room(place, room, package) for place, room in enumerate(rooms)]
    places = {room: place for place, room in enumerate(rooms)}
    numbered = sorted((places[a], places[b], n) for (a, b), n in arrows.items())
    parts += [_arrow(*arrow) for arrow in numbered] + [_number(*arrow) for arrow in numbered]
    return "\n".join([*parts, "</svg>", ""])


def _room(place: int, room: str, package: Path) -> str:
    files = modules(room, package)
    lines = sum(len(file.read_text().splitlines()) for file in files)
    size = f"{len(files)} files, {max(round(lines, -2), 100):,} lines"
    y = TOP + STEP * place
    return (
        f'<rect x="{LEFT}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="{BOX}" '
        f'stroke="{INK}"/>\n'
        f'<text x="{LEFT + 14}" y="{y + 25}" font-size="17" font-weight="bold" '
        f'fill="{INK}">{room}</text>\n'
        f'<text x="{LEFT + WIDTH - 14}" y="{y + 25}" font-size="13" text-anchor="end" '
        f'fill="{INK}">{size}</text>\n'
        f'<text x="{LEFT + 14}" y="{y + 46}" font-size="13" fill="{INK}">'
        f"{escape(ROOMS[room])}</text>"
    )


def _ends(start: int, end: int) -> tuple[float, float]:
    """Heights at which an arrow leaves a room (its lower half) and enters one (its upper half)."""
    span = abs(end - start)
    lean = HEIGHT / 2 / (len(ROOMS) + 1) * span
    leaves = TOP + STEP * start + (HEIGHT - lean if end > start else lean)
    enters = TOP + STEP * end + (lean if end > start else HEIGHT - lean)
    return leaves, enters


def _arrow(start: int, end: int, n: int) -> str:
    leaves, enters = _ends(start, end)
    x, out = LEFT + WIDTH, LEFT + WIDTH + 30 + REACH * abs(end - start)
    tip = x + 9
    return (
        f'<path d="M{x} {leaves:.1f} C{out} {leaves:.1f} {out} {enters:.1f} {tip} {enters:.1f}" '
        f'fill="none" stroke="{LINE}" stroke-width="{0.8 + sqrt(n) / 2:.1f}"/>\n'
        f'<path d="M{x + 1} {enters:.1f} l10 -4.5 v9 z" fill="{INK}"/>'
    )


def _number(start: int, end: int, n: int) -> str:
    leaves, enters = _ends(start, end)
    x = LEFT + WIDTH + 0.75 * (30 + REACH * abs(end - start))
    y = (leaves + enters) / 2
    half = 4.5 * len(str(n)) + 3
    return (
        f'<rect x="{x - half:.1f}" y="{y - 9:.1f}" width="{2 * half:.1f}" height="18" rx="4" '
        f'fill="{PAPER}"/><text x="{x:.1f}" y="{y + 4.5:.1f}" font-size="13" '
        f'text-anchor="middle" fill="{INK}">{n}</text>'
    )


if __name__ == "__main__":
    DRAWING.write_text(draw(), encoding="utf-8")
    print(DRAWING)
