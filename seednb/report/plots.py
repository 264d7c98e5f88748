"""Frames in, figures out: no statistics, no files. Readable in greyscale, intervals where given."""

import base64
import io
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import HTML
from jinja2 import Template
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from seednb.training.monitor import Bands

TITLE_WIDTH = 33  # characters of 8.5 points above an image of 2.4 inches
INK, BLUE, ORANGE, GREEN, GREY = "#22252b", "#2f6db5", "#d9822b", "#3b8f6b", "#8a8f98"
FIGURE = Template(
    '<figure class="plot"><img alt="{{ alt }}" src="data:image/svg+xml;base64,{{ svg }}"></figure>',
    autoescape=True,
)
PHOTOGRAPH = re.compile(rb"data:image/png;base64,\s*([A-Za-z0-9+/=\s]+)")
JPEG_QUALITY = 88
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
    "grid.color": "#e3e5e8",
    "axes.edgecolor": "#c5c9c8",
}


def show(figure: Figure, alt: str) -> HTML:
    """A figure for notebook and report: SVG with a text alternative."""
    buffer = io.BytesIO()
    # tight, because long titles stick out of the layout
    figure.savefig(buffer, format="svg", metadata={"Date": None}, bbox_inches="tight", pad_inches=0.06)  # fmt: skip
    plt.close(figure)
    svg = PHOTOGRAPH.sub(_as_jpeg, buffer.getvalue())
    return HTML(FIGURE.render(alt=alt, svg=base64.b64encode(svg).decode()))


def canvas(
    n_rows: int = 1, n_columns: int = 1, width: float = 7.5, height: float = 3.2
) -> tuple[Figure, np.ndarray]:
    """An empty figure in the project's style, with its axes as a flat array."""
    sns.set_theme(style="whitegrid", rc=STYLE)
    figure, axes = plt.subplots(n_rows, n_columns, figsize=(width, height), squeeze=False)
    return figure, axes.ravel()


def images(images: Sequence[np.ndarray], titles: Sequence[str], n_columns: int = 4) -> Figure:
    """A sheet of images with a line of text under each."""
    n_rows = -(-len(images) // n_columns)
    n_lines = max(len(textwrap.wrap(title, TITLE_WIDTH)) for title in titles)
    figure, axes = canvas(n_rows, n_columns, 2.4 * n_columns, (2.35 + 0.17 * n_lines) * n_rows)
    for ax in axes:
        ax.axis("off")
    for ax, image, title in zip(axes, images, titles, strict=False):
        ax.imshow(image, interpolation="lanczos")
        # matplotlib's own wrapping lets neighbours overlap
        wrapped = textwrap.fill(title, TITLE_WIDTH)
        ax.set_title(wrapped, fontsize=8.5, fontweight="normal", loc="left", color=INK)
    return figure


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
        ax.axhline(-edge, color="#c5c9c8", linewidth=0.8)
    ax.set_xlabel(xlabel)
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def levels(frame: pd.DataFrame, metric: str) -> Figure:
    """Bars of a metric by model with 95% intervals; `frame` as for `differences`."""
    figure, (ax,) = canvas(height=0.9 + 0.34 * len(frame))
    y = np.arange(len(frame))[::-1]
    value, whiskers = _in_points(frame)
    ax.barh(y, value, xerr=whiskers, color="#a9c3e4", edgecolor=INK, capsize=3)
    ax.set_yticks(y, frame["model"])
    ax.set_xlabel(f"{metric} (%)")
    return figure


def counts(series: pd.Series, xlabel: str, n_largest: int = 20) -> Figure:
    """Horizontal bars of the largest counts."""
    top = series.sort_values(ascending=False).head(n_largest)[::-1]
    figure, (ax,) = canvas(height=0.8 + 0.22 * len(top))
    ax.barh(top.index.astype(str), top.to_numpy(), color=BLUE)
    ax.set_xlabel(xlabel)
    return figure


def heatmap(table: pd.DataFrame, label: str) -> Figure:
    """A square table of counts as shades."""
    figure, (ax,) = canvas(width=7.5, height=6.4)
    bar = {"label": label, "shrink": 0.6}
    sns.heatmap(table, cmap="Greys", square=True, cbar_kws=bar, ax=ax, xticklabels=True, yticklabels=True)  # fmt: skip
    ax.tick_params(labelsize=8)
    ax.set_xlabel("")
    ax.set_ylabel("")
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
    sns.histplot(x=list(values), bins=40, color="#a9c3e4", edgecolor=INK, ax=ax)
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
    figure, axes = canvas(2, 3, 9.5, 4.6)
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
    figure, axes = canvas(n_rows, N_ACROSS, 9.5, 2.3 * n_rows)
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


def _as_jpeg(found: re.Match[bytes]) -> bytes:
    """A raster of an SVG as JPEG where that is smaller: photographs and noise are, drawings are not."""
    png, jpeg = base64.b64decode(found[1]), io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(jpeg, "JPEG", quality=JPEG_QUALITY)
    if jpeg.tell() >= len(png):
        return found[0]
    return b"data:image/jpeg;base64," + base64.b64encode(jpeg.getvalue())


def _in_points(frame: pd.DataFrame) -> tuple[np.ndarray, list[np.ndarray]]:
    """(values, how far their intervals reach down and up), fractions drawn in points."""
    value, low, high = (100 * frame[name].to_numpy(float) for name in ("value", "low", "high"))
    return value, [value - low, high - value]
