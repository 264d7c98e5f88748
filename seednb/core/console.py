"""What the verbs print: plain text that stays plain in a pipe, with colours where a reader sits."""

import os
import re
import sys
from collections.abc import Sequence
from statistics import fmean
from typing import TextIO

STYLES = {"bold": "1", "red": "31", "green": "32", "dim": "2", "wrong": "31;4"}
BLOCKS = "▁▂▃▄▅▆▇█"
BAR_WIDTH = 20  # characters


def has_colours(stream: TextIO | None = None) -> bool:
    """Whether escape codes are welcome: a terminal, and no NO_COLOR (https://no-color.org)."""
    stream = stream or sys.stdout
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return wanted and stream.isatty()


def styled(text: str, style: str) -> str:
    """The text in a style of STYLES, or as it is where colours are not welcome."""
    return f"\033[{STYLES[style]}m{text}\033[0m" if has_colours() else text


def bar(share: float, width: int = BAR_WIDTH) -> str:
    """A horizontal bar of a share in [0, 1]; ASCII where the stream cannot write blocks."""
    full, empty = ("█", "░") if _writes_blocks() else ("#", ".")
    n = round(width * min(1.0, max(0.0, share)))
    return full * n + empty * (width - n)


def table(rows: Sequence[Sequence[str]], indent: int = 2) -> list[str]:
    """Rows of cells as lines in columns, without blanks at their ends."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return [(" " * indent + line).rstrip() for line in lines]


def marked(text: str) -> str:
    """A report of lines with its headings bold, `found` green and `missing` red, where welcome."""
    if not has_colours():
        return text
    text = re.sub(r"^(?=\S)(.*)$", lambda line: styled(line[1], "bold"), text, flags=re.M)
    text = re.sub(r"^(\s+)found\b", rf"\1{styled('found', 'green')}", text, flags=re.M)
    return re.sub(r"^(\s+)missing\b", rf"\1{styled('missing', 'red')}", text, flags=re.M)


def sparkline(values: Sequence[float], width: int = 40) -> str:
    """A line of blocks, one a share of the values, the highest for the largest; empty in ASCII."""
    if not _writes_blocks() or not len(values):
        return ""
    size = -(-len(values) // width)
    means = [fmean(values[start : start + size]) for start in range(0, len(values), size)]
    low, high = min(means), max(means)
    steps = [round((len(BLOCKS) - 1) * (mean - low) / (high - low or 1)) for mean in means]
    return "".join(BLOCKS[step] for step in steps)


def _writes_blocks() -> bool:
    return (sys.stdout.encoding or "").lower().startswith("utf")


def hides_progress(is_main_process: bool = True) -> bool:
    """Whether a progress bar is off: it moves by control characters, which a log does not want.

    A notebook is no terminal either, but shows bars well.
    """
    kernel = sys.modules.get("ipykernel.kernelapp")  # also there where a kernel was only started
    watched = sys.stderr.isatty() or (kernel is not None and kernel.IPKernelApp.initialized())
    return not is_main_process or not watched
