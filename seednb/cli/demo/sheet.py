"""A demonstration as one image: each row a photograph and both captions, absent objects marked."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib as mpl
from PIL import Image, ImageDraw, ImageFont

from seednb.cli.demo.captioner import Described, Segment

WIDTH, MARGIN, SIDE = 1600, 40, 420  # pixels: of the sheet, around a row, of an image at most
BODY, LABEL, NAME = 26, 22, 20  # pixels: sizes of type
LINE = 1.45  # line height in sizes of type
INK, SOFT, WRONG, PAPER, RULE = "#1b1f24", "#586069", "#a83a14", "#ffffff", "#e2e4e0"


@dataclass(frozen=True)
class PlacedText:
    """A piece of text at a place relative to its row (pixels)."""

    x: float
    y: float
    text: str
    size: int
    colour: str
    bold: bool = False
    underlined: bool = False


def draw_sheet(described: Sequence[Described]) -> Image.Image:
    """All rows below each other."""
    rows = [_row(each) for each in described]
    sheet = Image.new("RGB", (WIDTH, sum(row.height for row in rows)), PAPER)
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    return sheet


def _row(each: Described) -> Image.Image:
    sample = each.sample.image.convert("RGB")
    scale = SIDE / max(sample.size)
    sample = sample.resize([max(1, round(scale * side)) for side in sample.size])
    texts, bottom = [], float(MARGIN)
    for model, segments in each.segments.items():
        texts.append(PlacedText(2 * MARGIN + SIDE, bottom, model, LABEL, SOFT, bold=True))
        placed = list(_flow(segments, bottom + LINE * LABEL))
        texts += placed
        bottom = (placed[-1].y if placed else bottom) + LINE * BODY + MARGIN / 2
    name = PlacedText(MARGIN, MARGIN + sample.height + 6, each.sample.name, NAME, SOFT)
    height = round(max(bottom, name.y + LINE * NAME) + MARGIN / 2)
    row = Image.new("RGB", (WIDTH, height), PAPER)
    row.paste(sample, (MARGIN, MARGIN))
    draw = ImageDraw.Draw(row)
    for text in (*texts, name):
        _draw(draw, text)
    draw.line([(MARGIN, height - 1), (WIDTH - MARGIN, height - 1)], RULE, 2)
    return row


def _flow(segments: Sequence[Segment], top: float) -> Iterator[PlacedText]:
    """Words in lines; a full stop stays with the word before it."""
    left, right = 2 * MARGIN + SIDE, WIDTH - MARGIN
    x, y = float(left), top
    for text, kind in segments:
        wrong = kind == "wrong"
        for word in re.findall(r"\s+|\S+", text):
            width = _font(BODY, wrong).getlength(word)
            if x + width > right and not word.isspace() and len(word) > 1:
                x, y = float(left), y + LINE * BODY
            if not word.isspace():
                yield PlacedText(x, y, word, BODY, WRONG if wrong else INK, wrong, wrong)
            if x > left or not word.isspace():
                x += width


def _draw(draw: ImageDraw.ImageDraw, text: PlacedText) -> None:
    font = _font(text.size, text.bold)
    draw.text((text.x, text.y), text.text, text.colour, font)
    if text.underlined:
        line = text.y + 1.25 * text.size
        draw.line([(text.x, line), (text.x + font.getlength(text.text), line)], text.colour, 3)


@cache
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    """DejaVu Sans as Matplotlib brings it, so that the sheet looks the same on every machine."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(mpl.get_data_path(), "fonts", "ttf", name)), size)
