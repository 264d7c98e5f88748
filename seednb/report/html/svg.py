"""Figures for notebook and report: inline SVG in the reader's font and colours, wide and narrow."""

import hashlib
import io
import re
import textwrap
import xml.etree.ElementTree as ET

import numpy as np
from jinja2 import Template
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from matplotlib.textpath import text_to_path

# What the figures are drawn with, and what stands for it: a variable of the report, and where there
# is none, as in a notebook, a colour that shows on a light and on a dark ground.
INK, BLUE, ORANGE, GREEN, GREY = "#22252b", "#2f6db5", "#d9822b", "#3b8f6b", "#8a8f98"
PALE, GRID, EDGE = "#a9c3e4", "#e3e5e8", "#c5c9c8"
COLOURS = {
    INK: "currentColor",
    "#262626": "currentColor",  # seaborn's text and marks
    "#1a1a1a": "currentColor",
    "#000000": "currentColor",
    "#ffffff": "none",
    BLUE: "var(--plot-blue, #4a86d0)",
    ORANGE: "var(--plot-orange, #d9822b)",
    GREEN: "var(--plot-green, #3b9a70)",
    GREY: "var(--plot-grey, #8a8f98)",
    PALE: "var(--plot-pale, #7aa5dc)",
    GRID: "var(--plot-grid, #8a8f9840)",
    EDGE: "var(--plot-edge, #8a8f9880)",
    "#cccccc": "var(--plot-edge, #8a8f9880)",  # seaborn's axes
}
FIGURE = Template(
    '<figure class="plot" style="margin:0;--wide:{{ width }}px">{{ wide | safe }}{{ narrow | safe }}</figure>'
)
COLOUR = re.compile(r"#[0-9a-f]{6}\b")
FAMILY = re.compile(r"font-family: [^;]*;? ?")  # the page's stands for it
SHORTHAND = re.compile(r"font: (?:(\w+) )?([\d.]+px) [^;]*")  # of Matplotlib before 3.11
REFERENCE = re.compile(r"(?<=#)[\w-]+")
LINE_OF_TEXT = re.compile(r"translate\([^)]*\)")
PLACE = re.compile(r"([MLz])(?: (-?[\d.]+) (-?[\d.]+))?")
DECIMALS = re.compile(r"-?\d+\.\d+")
COORDINATES = ("d", "x", "y", "transform", "x1", "x2", "y1", "y2", "points", "width", "height")
MANY = 600  # characters of a path whose points need one decimal only
NARROW = 3.7  # inches: a phone's page
LABEL, SENTENCE = 15, 42  # characters of a tick's label and of an axis' on a narrow figure
LINE = 0.17  # inches of a line of text
SMALL = 6.5  # points of labels where there are many
MANY_LABELS = 20


def figure_html(figure: Figure, alt: str) -> str:
    """The figure as HTML with its text alternative; on a phone its narrow form takes its place."""
    wide = _svg(figure, alt, "wide")
    width = round(float(wide.get("width", "0")))
    _make_narrow(figure)
    narrow = _svg(figure, alt, "narrow")
    narrow.set("style", "display:none")
    texts = (ET.tostring(svg, encoding="unicode") for svg in (wide, narrow))
    return FIGURE.render(width=width, **dict(zip(("wide", "narrow"), texts, strict=True)))


def _svg(figure: Figure, alt: str, form: str) -> ET.Element:
    """A form of the figure as an element whose ids no other figure has."""
    buffer = io.BytesIO()
    # tight, because long titles stick out of the layout
    figure.savefig(buffer, format="svg", metadata={"Date": None}, bbox_inches="tight", pad_inches=0.03)  # fmt: skip
    digest = hashlib.sha256(form.encode() + alt.encode() + buffer.getvalue()).hexdigest()[:8]
    root = ET.fromstring(buffer.getvalue())
    _clean(root, f"plot-{digest}-")
    width, height = (float(number) for number in root.attrib["viewBox"].split()[2:])
    root.attrib = {
        "class": form,
        "role": "img",
        "aria-label": alt,
        "viewBox": root.attrib["viewBox"],
        "width": f"{width * 4 / 3:.0f}",  # points to pixels
        "height": f"{height * 4 / 3:.0f}",
    }
    return root


def _clean(root: ET.Element, prefix: str) -> None:
    """Plain names, few decimals, the reader's font and colours; ids only where something needs them."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.rpartition("}")[2] in ("metadata", "style"):
                parent.remove(child)
    named = {name for e in root.iter() for v in e.attrib.values() for name in REFERENCE.findall(v)}
    ids = named & {element.get("id") for element in root.iter()}
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        texts = ((text or "").strip() or None for text in (element.text, element.tail))
        element.text, element.tail = texts
        values = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
        element.attrib = {
            name: _value(name, value, ids, prefix)
            for name, value in values.items()
            if name != "id" or value in ids
        }
        if element.tag == "text" and "fill:" not in element.get("style", ""):
            element.set("style", element.get("style", "") + ";fill:currentColor")
    for group in root.iter("g"):
        _align(group)


def _align(group: ET.Element) -> None:
    """Anchor lines of text where they were aligned: another font has other widths."""
    lines = [text for text in group if LINE_OF_TEXT.fullmatch(text.get("transform", ""))]
    if len(lines) < 2:
        return
    starts, heights = np.array(
        [text.get("transform", "")[10:-1].split() for text in lines], float
    ).T
    widths = np.array([_width(text) for text in lines])
    shares = {"start": 0.0, "middle": 0.5, "end": 1.0}
    anchor = min(shares, key=lambda name: np.ptp(starts + shares[name] * widths))
    for text, x, y in zip(lines, starts + shares[anchor] * widths, heights, strict=True):
        text.set("transform", f"translate({x:.4g} {y:.4g})")
        text.set("style", f"{text.get('style')};text-anchor:{anchor}")


def _width(text: ET.Element) -> float:
    """How wide a text is in the font that Matplotlib laid it out in."""
    style = dict(part.split(":") for part in text.get("style", "").split(";") if part)
    font = FontProperties(
        size=float(style["font-size"].removesuffix("px")), weight=style.get("font-weight", "normal")
    )
    return text_to_path.get_text_width_height_descent(text.text or "", font, False)[0]


def _value(name: str, value: str, ids: set[str | None], prefix: str) -> str:
    """An attribute's value as the page needs it."""
    if name == "id":
        return prefix + value
    if name == "d" and len(value) > MANY and not set(value) & set("CQ"):
        return _relative(value)
    if name in COORDINATES:
        return " ".join(DECIMALS.sub(lambda found: f"{float(found[0]):.4g}", value).split())
    value = REFERENCE.sub(lambda found: prefix * (found[0] in ids) + found[0], value)
    value = COLOUR.sub(lambda found: COLOURS.get(found[0], found[0]), value)
    value = SHORTHAND.sub(r"font-weight:\1;font-size:\2", value).replace("weight:;", "weight:400;")
    return FAMILY.sub("", value).replace(": ", ":").replace("; ", ";")


def _relative(path: str) -> str:
    """A path of many lines as steps of tenths of a point, which takes a third of the characters."""
    steps, here, before = [], np.zeros(2, int), ""
    for command, x, y in PLACE.findall(path):
        if command == "z":
            steps.append("z")
        else:
            there = np.round(10 * np.array([x, y], float)).astype(int)
            left, up = (f"{n / 10:g}" for n in (there if command == "M" else there - here))
            letter = {"M": "M", "L": "l"}[command] if command != before else " "
            steps.append(f"{letter}{left} {up}")
            here = there
        before = command
    return "".join(steps).replace(" -", "-")


def _make_narrow(figure: Figure) -> None:
    """Lay the figure out anew for a phone: two panels across, labels in lines, legends above."""
    axes = figure.axes
    places = [place for ax in axes if (place := ax.get_subplotspec()) is not None]
    n_rows, n_columns = places[0].get_gridspec().get_geometry() if places else (1, 1)
    _, height = figure.get_size_inches()
    if n_columns > 2:
        height *= -(-len(axes) // 2) / n_rows
        grid = iter(figure.add_gridspec(-(-len(axes) // 2), 2))
        for ax, place in zip(axes, grid, strict=False):
            ax.set_subplotspec(place)
    figure.draw_without_rendering()  # only then legends have a place
    n_lines = max(map(_wrap_labels, axes))
    figure.set_size_inches(NARROW, max(height, 1.0 + LINE * n_lines))


def _wrap_labels(ax: Axes) -> int:
    """Break the labels of one panel into lines; how many lines its vertical axis then has."""
    titles = {ax.get_title(loc="left"), ax.get_title(), ax.get_xlabel()} - {""}
    for text in ax.findobj(Text):
        if text.get_text() in titles:
            text.set_text(textwrap.fill(text.get_text(), SENTENCE))
    legend = ax.get_legend()
    if legend is not None and legend.get_window_extent().x0 > ax.bbox.x1:
        legend.set_loc("lower left")
        legend.set_bbox_to_anchor((0, 1), ax.transAxes)
    n_lines = 0
    for axis in (ax.xaxis, ax.yaxis):
        labels = [label.get_text() for label in axis.get_ticklabels()]
        wrapped = [textwrap.fill(label, LABEL) for label in labels]
        if len(labels) > MANY_LABELS:
            axis.set_tick_params(labelsize=SMALL)
        elif wrapped != [label.replace("\n", " ") for label in labels]:
            axis.set_ticks(axis.get_ticklocs(), wrapped)
        n_lines = sum(1 + text.count("\n") for text in wrapped if text)
    return n_lines
