"""Outputs of executed cells -> HTML."""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby, zip_longest
from typing import Any

from markupsafe import Markup
from nbconvert.filters.ansi import ansi2html, strip_ansi

from seednb.report.html.prose import SCROLL_BOX, Prose, plain_text

SVG = "image/svg+xml"
RICHEST_FIRST = ("text/html", SVG, "image/png", "image/jpeg", "text/markdown", "text/latex")
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
# "reading:  40%|####      | 4/10 [00:01<00:01, 3.9it/s]" and "12it [00:01, 9.9it/s]"
PROGRESS_BAR = re.compile(r"^.*?(\d+%\|.*?\| *\S+/\S+|\d+\S*it) \[[^\]]*\d:\d\d[^\]]*\]")
# Remarks of transformers and ipykernel about their own arguments: they say nothing about the run.
REMARKS = re.compile(
    r"`use_fast` parameter is deprecated|FutureWarning: `is_gradient_checkpointing` is deprecated"
    r"|Kernel is running over TCP without encryption|^ *warnings\.warn\($"
)
PLOT = Markup('<figure class="plot">{}</figure>')
DATA_IMAGE = Markup('<img alt="{}" src="data:{};base64,{}">')
OUTPUT = Markup('<div class="output">{}</div>')
TERMINAL = Markup('<pre class="scroll {}" tabindex="0">{}</pre>')
# A box that shows its beginning until it is asked for all; no script is needed for that.
LONG = Markup(
    '<div class="long">{}<label class="more"><input type="checkbox"><span>All {} {}</span></label></div>'
)
N_ROWS, N_LINES = 8, 6  # of a table and of printed text, that are shown at once
ROOM = 660  # pixels beside the text of a step, at a window of 1440
CELL = re.compile(r"<t[hd][^>]*>(.*?)</t[hd]>", re.S)
CHARACTER, CELL_PADDING, LONGEST = 6.5, 26, 40  # pixels, pixels, characters before a cell wraps
MESSAGES = Markup(
    '<details class="messages"><summary>Messages <span>{}</span></summary>{}</details>'
)


def render_outputs(outputs: Iterable[Mapping[str, Any]], prose: Prose) -> Iterator[Markup]:
    """Each visible output of a cell; widget views, progress bars and remarks are not."""
    for is_stream, group in groupby(outputs, lambda output: output["output_type"] == "stream"):
        if is_stream:
            yield from _streams(group)
        else:
            yield from filter(None, (_display(output, prose) for output in group))


def is_wide(output: Markup) -> bool:
    """Whether an output needs more room than there is beside a text: widgets and wide tables."""
    if "<script" in output:
        return True
    columns: list[int] = []
    for row in output.split("<tr")[1:]:
        lengths = [min(LONGEST, len(plain_text(cell))) for cell in CELL.findall(row)]
        columns = [max(pair) for pair in zip_longest(columns, lengths, fillvalue=0)]
    return sum(CHARACTER * length + CELL_PADDING for length in columns) > ROOM


def _streams(outputs: Iterable[Mapping[str, Any]]) -> Iterator[Markup]:
    """One block for what was printed, and one, folded, for messages on the error stream."""
    texts = {"stdout": "", "stderr": ""}
    for output in outputs:
        texts[output["name"]] += _without_progress(output["text"])
    if texts["stdout"].strip():
        yield OUTPUT.format(_terminal(texts["stdout"], "stdout"))
    if messages := texts["stderr"].strip():
        n_lines = len(messages.splitlines())
        size = f"{n_lines} line{'s' if n_lines > 1 else ''}"
        yield OUTPUT.format(MESSAGES.format(size, _terminal(messages, "stderr")))


def _without_progress(text: str) -> str:
    """Text as a terminal leaves it after carriage returns, less progress bars and remarks."""
    lines = []
    for line in text.split("\n"):
        if REMARKS.search(line):
            continue
        states = [PROGRESS_BAR.sub("", state) for state in line.split("\r")]
        visible = [state for state in states if strip_ansi(state).strip()]
        if visible or not line:
            lines.append(visible[-1] if visible else "")
    return "\n".join(lines)


def _display(output: Mapping[str, Any], prose: Prose) -> Markup:
    """The richest of a displayed object's representations that works without a kernel."""
    if output["output_type"] == "error":
        return OUTPUT.format(_terminal("\n".join(output["traceback"]), "error"))
    data = output["data"]
    mime = next((mime for mime in RICHEST_FIRST if mime in data), "")
    if mime == "text/html":
        return _html(data[mime])
    if mime.startswith("image/"):
        return _image(mime, data[mime], output.get("metadata", {}))
    if mime:
        return OUTPUT.format(prose.render_output(data[mime]))
    if WIDGET_VIEW in data or "text/plain" not in data:
        return Markup()
    return OUTPUT.format(_terminal(data["text/plain"], "text"))


def _html(html: str) -> Markup:
    """HTML as the object wrote it; a bare table gets a box of its own to scroll in."""
    if "<table" in html and "<script" not in html:
        table = SCROLL_BOX.format(table=Markup(html))
        return OUTPUT.format(
            _shortened(table, html.partition("</thead>")[2].count("<tr"), N_ROWS, "rows")
        )
    return Markup('<div class="output html">{}</div>').format(Markup(html))


def _image(mime: str, data: str, metadata: Mapping[str, Any]) -> Markup:
    alt = metadata.get(mime, {}).get("alt") or "Figure made by the code above"
    encoded = b64encode(data.encode()).decode() if mime == SVG else "".join(data.split())
    return PLOT.format(DATA_IMAGE.format(alt, mime, encoded))


def _terminal(text: str, kind: str) -> Markup:
    """Text as a terminal would show it, colours included."""
    text = text.rstrip()
    box = TERMINAL.format(kind, Markup(ansi2html(text)))
    return _shortened(box, len(text.splitlines()), N_LINES, "lines")


def _shortened(box: Markup, n: int, limit: int, unit: str) -> Markup:
    """The box, folded after its first rows or lines if there are many more."""
    return LONG.format(box, n, unit) if n > 1.5 * limit else box
