"""Draw the rooms of `seednb` and who imports whom: python docs/make_architecture.py

Reads the imports out of the code and writes docs/images/architecture.svg. A room that does not exist
is left out. Beside each room stands what it imports from each other room: the number of pairs of
modules, on a square that is the darker the more there are.
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
    "cli": "the verbs: report, train, evaluate, score, sweep, demo, doctor",
    "report": "pipeline of notebooks, tables, plots, widgets, claims, the page",
    "experiments": "an experiment and its stages, metric rows, sweeps and ablations",
    "evaluation": "answers, parsers, benchmarks, intervals, controls",
    "training": "one optimiser step, the loop around it, checkpoints, the monitor",
    "model": "loading, LoRA, forward, generation, prompts, pixels, packing",
    "data": "COCO, LLaVA-Instruct, images, probes, the pocket world",
    "method": "SEED as mathematics: noise, purification, beta, losses, v1 to v7",
    "core": "errors, parameters, stages and files, locks, workers, devices",
}
INK, PAPER, BOX, BLUE = "#1b1b1b", "#ffffff", "#f1f1f1", "#2f6fb7"
EDGE, WIDTH, HEIGHT, STEP = 16, 440, 58, 68  # of a room, in pixels
HEADING, GAP, COLUMN = 34, 8, 76  # height of the names, space before the columns, width of one


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
    counts = count_imports(package)
    width = 2 * EDGE + WIDTH + GAP + COLUMN * len(rooms[1:])
    height = 2 * EDGE + HEADING + STEP * len(rooms) - (STEP - HEIGHT)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        'font-family="Helvetica, Arial, sans-serif">',
        "<title>The rooms of seednb, and how many imports go from each to those below</title>",
        f'<rect width="{width}" height="{height}" fill="{PAPER}"/>',
        _text(EDGE + WIDTH - 14, EDGE + 16, "imports from", 13, 'text-anchor="end"'),
    ]
    for row, room in enumerate(rooms):
        parts.append(_room(row, room, package))
        if row:
            parts.append(_text(_centre(row), EDGE + 16, room, 12, 'text-anchor="middle"'))
        for column, other in enumerate(rooms[1:], start=1):
            if counts[room, other] or column > row:
                parts.append(_cell(row, column, counts[room, other], max(counts.values())))
    return "\n".join([*parts, "</svg>", ""])


def _room(row: int, room: str, package: Path) -> str:
    files = modules(room, package)
    lines = sum(len(file.read_text().splitlines()) for file in files)
    size = f"{len(files)} files, {max(round(lines, -2), 100):,} lines"
    y = _top(row)
    shape = f'x="{EDGE}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="6"'
    return "\n".join([
        f'<rect {shape} fill="{BOX}" stroke="{INK}"/>',
        _text(EDGE + 14, y + 25, room, 17, 'font-weight="bold"'),
        _text(EDGE + WIDTH - 14, y + 25, size, 13, 'text-anchor="end"'),
        _text(EDGE + 14, y + 46, escape(ROOMS[room]), 13),
    ])  # fmt: skip


def _cell(row: int, column: int, n: int, most: int) -> str:
    """How many imports go from one room to another; a dot where there are none."""
    x, y = _centre(column), _top(row)
    middle = y + HEIGHT / 2
    if n == 0:
        return f'<circle cx="{x}" cy="{middle}" r="2" fill="{INK}" fill-opacity="0.35"/>'
    shade = 0.08 + 0.62 * sqrt(n / most)
    square = (
        f'<rect x="{x - COLUMN / 2 + 4}" y="{y}" width="{COLUMN - 8}" height="{HEIGHT}" rx="6" '
        f'fill="{BLUE}" fill-opacity="{shade:.2f}"/>'
    )
    return square + _text(x, middle + 5, str(n), 14, 'text-anchor="middle"')


def _text(x: float, y: float, words: str, size: int, more: str = "") -> str:
    return f'<text x="{x}" y="{y}" font-size="{size}" {more} fill="{INK}">{words}</text>'


def _top(row: int) -> int:
    return EDGE + HEADING + STEP * row


def _centre(column: int) -> float:
    return EDGE + WIDTH + GAP + COLUMN * (column - 0.5)


if __name__ == "__main__":
    DRAWING.write_text(draw(), encoding="utf-8")
    print(DRAWING)
