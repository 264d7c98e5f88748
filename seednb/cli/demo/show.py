"""A demonstration as terminal lines, as one offline page, and as an image."""

import base64
import io
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from seednb.cli.demo.captioner import MODELS, Described
from seednb.cli.demo.sheet import draw_sheet
from seednb.core.console import bar, has_colours, styled
from seednb.core.files import replacing
from seednb.report.html.page import write_page

PAGE, SHEET = "index.html", "captions.png"
SHOWN = 480  # pixels, longest side of an image on the page
WIDTH = 96  # characters of a line in the terminal


def terminal_lines(described: Sequence[Described]) -> Iterator[str]:
    """Each image's captions, words for absent objects underlined (between * * without colours)."""
    for each in described:
        yield styled(each.sample.name, "bold")
        if each.sample.present is not None:
            yield f"  in the image: {', '.join(sorted(each.sample.present)) or 'nothing named'}"
        for name in MODELS:
            text = "".join(_marked(piece, kind) for piece, kind in each.segments[name])
            lead = f"  {name:>4}: "
            yield textwrap.fill(text, WIDTH, initial_indent=lead, subsequent_indent=" " * len(lead))
        yield f"  next word after “{_tail(each.so_far)}”"
        width = max(len(word.text) for word in each.words)
        for word in each.words:
            shares = ((name, getattr(word, name.lower())) for name in MODELS)
            bars = "   ".join(f"{name} {bar(share, 12)} {share:6.1%}" for name, share in shares)
            yield f"    {word.text:<{width}}  {bars}"
        yield ""
    if any(each.sample.present is not None for each in described):
        yield "Underlined: not in the image." if has_colours() else "*word*: not in the image."
    else:
        yield "No annotations of these images were found, so nothing is marked."


def write_files(described: Sequence[Described], folder: Path, adapter: str) -> tuple[Path, Path]:
    """Write page and sheet to a folder; returns their paths."""
    sheet = folder / SHEET
    with replacing(sheet) as partial:
        draw_sheet(described).save(partial, "PNG")
    items = [page_item(each) for each in described]
    return write_page(folder / PAGE, "demo.html.j2", items=items, adapter=adapter), sheet


def page_item(each: Described) -> dict[str, Any]:
    """What the page's template shows of one image."""
    return {
        "name": each.sample.name,
        "image": image_address(each.sample.image),
        "present": None if each.sample.present is None else sorted(each.sample.present),
        "segments": each.segments,
        "so_far": _tail(each.so_far),
        "words": each.words,
        "parted": each.parted,
    }


def image_address(image: Image.Image, side: int = SHOWN) -> str:
    """A data address of a small copy; nothing but pixels is kept (no EXIF, no place)."""
    small = image.copy()
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.convert("RGB").save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _marked(piece: str, kind: str) -> str:
    if kind != "wrong":
        return piece
    return styled(piece, "wrong") if has_colours() else f"*{piece}*"


def _tail(text: str, n_words: int = 8) -> str:
    """The last words of a text."""
    words = text.split()
    return " ".join((["…"] if len(words) > n_words else []) + words[-n_words:])
