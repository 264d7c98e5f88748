"""Frames in, figures out: no statistics, no files. Readable in greyscale, intervals where given."""

import base64
import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import HTML
from jinja2 import Template
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.rcsetup import cycler
from PIL import Image

from seednb.report.html.svg import BLUE, EDGE, GREEN, GREY, GRID, INK, ORANGE, PALE, figure_html
from seednb.training.monitor import Bands

SHEET = Template(
    '<figure class="sheet" aria-label="{{ alt }}" style="display:grid;gap:.8rem;margin:0;max-width:'
    '{{ 14 * n_columns }}rem;grid-template-columns:repeat(auto-fill, minmax(min(100%, {{ least }}rem), 1fr))">'
    "{% for address, title in cells %}"
    '<div><img src="{{ address }}" alt="{{ title }}" style="width:100%;border-radius:6px">'
    '<div style="font-size:.8125rem;line-height:1.35" aria-hidden="true">{{ title }}</div></div>'
    "{% endfor %}</figure>",
    autoescape=True,
)
QUALITY = 88  # of a photograph as WebP
LARGEST = 448  # pixels, longest side of an image of a sheet: twice as many as it is shown with
LEAST = 9  # rem, the narrowest image of a sheet
LABEL_WIDTH = 36  # characters of a bar's name in one line
N_SHADES = 12  # of a heatmap
SQUARE = ((0, 0), (1, 0), (1, 1), (0, 1), (0, 0))  # corners of a cell, from its first
N_ACROSS = 4  # panels of faulty runs side by side
MARKERS = "osD^vXP"  # tell models apart without colour
AT_LEAST = {"distillation": 0.01, "beta": 0.5}  # upper ends of the panels of curves near zero
STYLE: dict[str, Any] = {
    "figure.constrained_layout.use": True,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "seednb",  # the same figure gives the same file
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Helvetica", "Arial", "sans-serif"],
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.labelsize": 10,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "legend.fontsize": 9.5,
    "grid.color": GRID,
    "axes.edgecolor": EDGE,
    "axes.prop_cycle": cycler(color=(BLUE, ORANGE, GREEN, GREY, INK)),
}


@dataclass(frozen=True)
class Sheet:
    """Images, each with a line of text under it; `n_columns` at most side by side."""

    images: Sequence[np.ndarray | Image.Image]
    titles: Sequence[str]
    n_columns: int


def show(figure: Figure | Sheet, alt: str) -> HTML:
    """A figure for notebook and report, with a text alternative."""
    if isinstance(figure, Sheet):
        cells = zip(map(_address, figure.images), figure.titles, strict=False)
        columns = {"n_columns": figure.n_columns, "least": LEAST}
        return HTML(SHEET.render(alt=alt, cells=list(cells), **columns))
    html = figure_html(figure, alt)
    plt.close(figure)
    return HTML(html)


def canvas(
    n_rows: int = 1, n_columns: int = 1, width: float = 6.8, height: float = 3.2
) -> tuple[Figure, np.ndarray]:
    """An empty figure in the project's style, with its axes as a flat array."""
    sns.set_theme(style="whitegrid", rc=STYLE)
    figure, axes = plt.subplots(n_rows, n_columns, figsize=(width, height), squeeze=False)
    return figure, axes.ravel()


def images(
    images: Sequence[np.ndarray | Image.Image], titles: Sequence[str], n_columns: int = 4
) -> Sheet:
    """A sheet of images, arrays (H, W, 3) of bytes or of fractions, with a line of text under each."""
    return Sheet(images, titles, n_columns)


def differences(
    frame: pd.DataFrame, metric: str, better: str = "lower", versus: str = "the base model"
) -> Figure:
    """Forest plot: difference to the base model (or another) in points, with its 95% interval.

    `frame` has columns model, value, low, high (fractions).
    """
    figure, (ax,) = canvas(height=0.9 + 0.34 * len(frame))
    y = np.arange(len(frame))[::-1]
    value, whiskers = _in_points(frame)
    ax.axvline(0, color=INK, linewidth=1)
    ax.errorbar(value, y, xerr=whiskers, fmt="o", color=BLUE, capsize=3)
    ax.set_yticks(y, frame["model"])
    ax.set_ylim(-0.6, len(frame) - 0.4)
    ax.set_xlabel(f"{metric}: difference to {versus} (points; {better} is better)")
    return figure


def grouped(frame: pd.DataFrame, xlabel: str, groups: str = "split") -> Figure:
    """Values with their 95% intervals, models side by side within groups; zero is marked.

    `frame` has columns model, value, low, high (fractions) and the one that names the group.
    """
    models, rows = list(frame["model"].unique()), list(frame[groups].unique())
    figure, (ax,) = canvas(height=1.1 + 0.18 * len(rows) * (len(models) + 1))
    ax.axvline(0, color=INK, linewidth=1)
    styles = zip(MARKERS, (BLUE, ORANGE, GREEN, GREY, INK, BLUE, ORANGE), strict=True)
    for n, (model, (marker, colour)) in enumerate(zip(models, styles, strict=False)):
        mine = frame[frame["model"] == model]
        y = np.array([-rows.index(name) for name in mine[groups]]) - (n + 1) / (len(models) + 1)
        value, whiskers = _in_points(mine)
        ax.errorbar(value, y, xerr=whiskers, fmt=marker, color=colour, capsize=3, label=model)
    ax.set_yticks(-np.arange(len(rows)) - 0.5, rows)
    ax.set_ylim(-len(rows), 0)
    ax.grid(False, axis="y")
    for edge in range(1, len(rows)):
        ax.axhline(-edge, color=EDGE, linewidth=0.8)
    ax.set_xlabel(xlabel)
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def levels(frame: pd.DataFrame, metric: str) -> Figure:
    """Bars of a metric by model with 95% intervals; `frame` as for `differences`."""
    figure, (ax,) = canvas(height=0.9 + 0.34 * len(frame))
    y = np.arange(len(frame))[::-1]
    value, whiskers = _in_points(frame)
    ax.barh(y, value, xerr=whiskers, color=PALE, edgecolor=INK, capsize=3)
    ax.set_yticks(y, frame["model"])
    ax.set_xlabel(f"{metric} (%)")
    return figure


def counts(series: pd.Series, xlabel: str, n_largest: int = 20) -> Figure:
    """Horizontal bars of the largest counts."""
    top = series.sort_values(ascending=False).head(n_largest)[::-1]
    names = [textwrap.fill(name, LABEL_WIDTH) for name in top.index.astype(str)]
    n_lines = sum(1 + name.count("\n") for name in names)
    figure, (ax,) = canvas(height=0.8 + 0.06 * len(top) + 0.16 * n_lines)
    ax.barh(names, top.to_numpy(), color=BLUE)
    ax.set_xlabel(xlabel)
    return figure


def heatmap(table: pd.DataFrame, label: str) -> Figure:
    """A table of counts as shades: the darker, the more."""
    figure, (ax,) = canvas(height=5.0)
    largest = max(1, table.to_numpy().max())
    shades = np.round(N_SHADES * table.to_numpy() / largest)
    for shade in range(1, N_SHADES + 1):  # one path a shade; the ink is light on a dark page
        corners = [(x + dx, y + dy) for y, x in np.argwhere(shades == shade) for dx, dy in SQUARE]
        if corners:
            cells = Path(
                corners, [Path.MOVETO, *3 * [Path.LINETO], Path.CLOSEPOLY] * (len(corners) // 5)
            )
            ax.add_patch(PathPatch(cells, facecolor=INK, alpha=shade / N_SHADES, linewidth=0))
    ax.set(xlim=(0, table.shape[1]), ylim=(table.shape[0], 0), aspect="equal")
    ax.set_xticks(np.arange(table.shape[1]) + 0.5, table.columns, rotation=90)
    ax.set_yticks(np.arange(table.shape[0]) + 0.5, table.index)
    ax.grid(False)
    ax.set_title(f"{label}: from 0 (blank) to {largest:g} (full)", fontweight="normal", fontsize=10)
    ax.tick_params(labelsize=8)
    return figure


def bars_side_by_side(table: pd.DataFrame, ylabel: str, title: str = "") -> Figure:
    """Grouped bars: one group a row of the table, one bar a column."""
    figure, (ax,) = canvas(height=3.0)
    colours: list[Any] = [GREY, ORANGE, BLUE]  # the stubs want a union that a list of text is not
    table.plot.bar(ax=ax, color=colours[: table.shape[1]], edgecolor=INK, rot=0, width=0.8)
    for hatch, container in zip(("", "///", "xx"), ax.containers, strict=False):
        for bar in container:
            bar.set_hatch(hatch)
    ax.set_ylabel(ylabel)
    ax.set_xlabel("")
    ax.set_title(title)
    ax.legend(frameon=False)
    return figure


def lines(frame: pd.DataFrame, xlabel: str, ylabel: str, title: str = "") -> Figure:
    """One line a column over the frame's index, each with its own dash pattern."""
    figure, (ax,) = canvas(height=2.9)
    sns.lineplot(frame, ax=ax, dashes=True, palette=[INK, ORANGE, BLUE, GREEN][: frame.shape[1]])
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    ax.legend(frameon=False)
    return figure


def trade_off(frame: pd.DataFrame, xlabel: str, ylabel: str) -> Figure:
    """Curves with 95% intervals over what is spent, one for each group; zero is marked.

    `frame` has columns group, spent, value, low, high (the last three fractions, drawn in points).
    """
    figure, (ax,) = canvas(height=3.0)
    ax.axhline(0, color=INK, linewidth=1)
    groups = frame.groupby("group", sort=False)
    step = 0.008 * (frame["spent"].max() - frame["spent"].min())  # so that whiskers do not coincide
    styles = zip(MARKERS, (BLUE, ORANGE, GREEN, GREY), ("-", "--", ":", "-."), strict=False)
    for n, ((name, mine), (marker, colour, dash)) in enumerate(zip(groups, styles, strict=False)):
        mine = mine.sort_values("spent")
        value, whiskers = _in_points(mine)
        ax.errorbar(
            mine["spent"] + n * step, value, yerr=whiskers,
            fmt=marker, linestyle=dash, color=colour, capsize=3, label=name,
        )  # fmt: skip
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if len(groups) > 1:
        ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def before_and_after(frame: pd.DataFrame, groups: str, what: str) -> Figure:
    """A point a row at (`before`, `after`), fractions drawn in percent; below the diagonal it fell."""
    figure, (ax,) = canvas(width=7.5, height=4.2)
    ax.plot([0, 100], [0, 100], color=INK, linewidth=1)
    styles = zip(MARKERS, (GREY, BLUE, ORANGE, GREEN), strict=False)
    for (name, mine), (marker, colour) in zip(
        frame.groupby(groups, observed=True), styles, strict=False
    ):
        label = f"{name} ({len(mine)})"
        x, y = 100 * mine["before"], 100 * mine["after"]
        ax.scatter(x, y, s=16, marker=marker, color=colour, alpha=0.7, linewidths=0, label=label)
    ax.set(xlabel=f"{what} before (%)", ylabel=f"{what} after (%)", xlim=(0, 100), ylim=(0, 100))
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), title=groups)
    return figure


def histogram(values: Sequence[float], xlabel: str, marks: Sequence[float] = ()) -> Figure:
    """Distribution of values with marked positions."""
    figure, (ax,) = canvas(height=2.6)
    sns.histplot(x=list(values), bins=40, color=PALE, edgecolor=INK, ax=ax)
    for mark in marks:
        ax.axvline(mark, color=ORANGE, linestyle="--")
    ax.set(xlabel=xlabel, ylabel="examples")
    return figure


def training_curves(curve: pd.DataFrame, window: int) -> Figure:
    """Loss, its two parts, beta and learning rate over optimiser steps (running means)."""
    panels = (
        ("loss", "loss (nats)"),
        ("distillation", "distillation (nats)"),
        ("supervision", "supervision (nats)"),
        ("beta", "beta"),
        ("confidence", "confidence (nats)"),
        ("learning_rate", "learning rate"),
    )
    figure, axes = canvas(2, 3, 6.8, 3.4)
    for ax, (column, label) in zip(axes, panels, strict=True):
        ax.plot(curve["step"], curve[column], color=GREY, alpha=0.4, linewidth=0.8)
        smooth = curve[column].rolling(window, min_periods=1).mean()
        ax.plot(curve["step"], smooth, color=BLUE)
        ax.set(xlabel="step", ylabel=label)
        if column in AT_LEAST:  # else a curve of noise fills its panel like a signal
            ax.set_ylim(0, max(AT_LEAST[column], 1.05 * float(curve[column].max(skipna=True) or 0)))
        for epoch_end in curve.groupby("epoch")["step"].max().iloc[:-1]:
            ax.axvline(epoch_end, color=INK, linewidth=0.6, linestyle=":")
    return figure


def against_healthy(
    healthy: pd.DataFrame, faulty: Mapping[str, tuple[str, pd.DataFrame]], bands: Bands
) -> Figure:
    """A panel for each faulty run: the column that tells, over the steps of a healthy run.

    `faulty` has (column, curve) by name; the last step of a faulty curve is marked.
    """
    n_rows = max(1, -(-len(faulty) // N_ACROSS))
    figure, axes = canvas(n_rows, N_ACROSS, 9.5, 1.75 * n_rows)
    for ax in axes[len(faulty) :]:
        ax.axis("off")
    for ax, (name, (column, curve)) in zip(axes, faulty.items(), strict=False):
        well, ill = (frame[["step", column]].dropna() for frame in (healthy, curve))
        if column in bands:
            shade_band(ax, bands[column].low, bands[column].high)
        ax.plot(well["step"], well[column], color=GREY, linewidth=1)
        ax.plot(ill["step"], ill[column], color=ORANGE, linestyle="--")
        ax.plot(ill["step"].tail(1), ill[column].tail(1), "X", color=ORANGE, markersize=8)
        ax.set(xlabel="step", ylabel=column.replace("_", " "))
        ax.set_title(name, fontsize=9.5)
    return figure


def shade_band(ax: Axes, low: float, high: float) -> None:
    """Mark a healthy range."""
    ax.axhspan(low, high, color=GREEN, alpha=0.12)


def _address(image: np.ndarray | Image.Image) -> str:
    """An image as a data address."""
    values = np.asarray(image)
    if values.dtype != np.uint8:
        values = (255 * values.clip(0, 1)).round().astype(np.uint8)
    shown, buffer = Image.fromarray(values).convert("RGB"), io.BytesIO()
    shown.thumbnail((LARGEST, LARGEST))
    shown.save(buffer, "WEBP", quality=QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _in_points(frame: pd.DataFrame) -> tuple[np.ndarray, list[np.ndarray]]:
    """(values, how far their intervals reach down and up), fractions drawn in points."""
    value, low, high = (100 * frame[name].to_numpy(float) for name in ("value", "low", "high"))
    return value, [value - low, high - value]
