"""TrainingCurve follows a run at work; CompareRuns lays runs over each other."""

from collections.abc import Mapping
from pathlib import Path
from threading import Event, Thread
from typing import Any

import ipywidgets as widgets
import pandas as pd

from seednb.core.errors import SeedError
from seednb.report.widgets.curves import QUANTITIES, WINDOWS, chart, quantities
from seednb.report.widgets.face import NATURAL, Card, boxed, dropdown, render, static_face
from seednb.training.history import read_curve
from seednb.training.monitor import Bands
from seednb.training.monitor.bands import NO_BANDS

EVERY_S = 2.0  # seconds between two readings of a growing curve
N_STYLES = 4  # of lines that can be told apart


class CurveView(Card):
    """Curves of one or more runs; `quantity` and `window` are its controls, `view` the drawing.

    Live in JupyterLab; elsewhere its `text/html` is a static face with every drawing precomputed.
    """

    label = "Training curve"

    def __init__(self, curves: Mapping[str, pd.DataFrame], bands: Bands = NO_BANDS) -> None:
        """`curves`: one row a step, as the trainer writes them, by the run's name.

        `bands`: where healthy runs of the profile lie.
        """
        self._curves, self._bands = dict(curves), bands
        names = self._find_quantities()
        self.quantity = dropdown("Quantity", [(QUANTITIES[name], name) for name in names])
        self.window = dropdown("Drawn as", list(WINDOWS.items()), value=5)
        self.view = widgets.HTML()
        self.controls = boxed("sw-controls", self.quantity, self.window)
        super().__init__(self.controls, self.view)
        for control in (self.quantity, self.window):
            control.observe(self._draw, "value")
        self._draw()

    def _find_quantities(self) -> list[str]:
        if all(curve.empty for curve in self._curves.values()):
            return list(QUANTITIES)  # a run that has not begun will have them all
        return quantities(self._curves)

    def _draw(self, _change: Any = None) -> None:
        self.view.value = self._chart(self.quantity.value, self.window.value)

    def _chart(self, quantity: str, window: int) -> str:
        return render("curves_chart.html", chart=chart(self._curves, quantity, window, self._bands))

    def static_html(self) -> str:
        """The static face: a drawing for each quantity and window, one shown at a time."""
        first = (self.quantity.value, self.window.value)
        drawn = self._find_quantities()
        return static_face(
            "curves",
            self.label,
            {"windows": len(WINDOWS)},
            charts=[
                (self._chart(quantity, window), (quantity, window) == first)
                for quantity in drawn
                for window in WINDOWS.values()
            ],
            quantities=[(QUANTITIES[name], name == first[0]) for name in drawn],
            windows=[(title, window == first[1]) for title, window in WINDOWS.items()],
        )


class TrainingCurve(CurveView):
    """The curve of one run; one that is still at work is followed until it ends or `stop` is pressed."""

    def __init__(self, curve: pd.DataFrame, name: str = "run", bands: Bands = NO_BANDS) -> None:
        """A curve as it is; for a run at work use `following`."""
        super().__init__({name: curve}, bands)
        self.name, self.folder, self._stopped = name, Path(), Event()
        self.stop = widgets.Button(description="Stop following", layout=NATURAL)
        self.stop.on_click(lambda _: self._stopped.set())

    @classmethod
    def following(
        cls,
        folder: Path | str,
        name: str = "",
        every_s: float = EVERY_S,
        bands: Bands = NO_BANDS,
    ) -> "TrainingCurve":
        """The curve in a run's folder, drawn again as it grows.

        The folder need not exist yet. Raises SeedError if it is a file.
        """
        folder = Path(folder)
        if folder.is_file():
            raise SeedError(f"{folder} is a file; name the run's folder, runs/PROFILE/train-…")
        widget = cls(read_curve(folder)[0], name or folder.name, bands)
        widget.folder = folder
        if not widget.refresh():
            widget.controls.children = (*widget.controls.children, widget.stop)
            Thread(target=widget._follow, args=(every_s,), daemon=True).start()
        return widget

    def refresh(self) -> bool:
        """Read the file and draw what is new; returns whether the run is finished."""
        curve, finished = read_curve(self.folder)
        if len(curve) != len(self._curves[self.name]):
            self._curves[self.name] = curve
            self._draw()
        return finished

    def _follow(self, every_s: float) -> None:
        while not self._stopped.wait(every_s):
            if self.refresh():
                self._stopped.set()
        self.stop.disabled = True
        self.stop.description = "Not followed any more"


class CompareRuns(CurveView):
    """Two or more runs on common axes."""

    label = "Runs compared"

    def __init__(self, curves: Mapping[str, pd.DataFrame], bands: Bands = NO_BANDS) -> None:
        """Raises SeedError unless there are two runs to four, each with a step at least."""
        if not 2 <= len(curves) <= N_STYLES:
            raise SeedError(
                f"two runs to {N_STYLES} are compared, not {len(curves)}; give {{name: curve}} of them"
            )
        for name, curve in curves.items():
            if curve.empty:
                raise SeedError(f"the curve of {name!r} has no step; compare runs that have begun")
        super().__init__(curves, bands)

    @classmethod
    def of(cls, *runs: Path | str) -> "CompareRuns":
        """Runs by their folders, finished or not."""
        names = [Path(run).name for run in runs]
        if len({*names}) < len(names):
            raise SeedError(f"folders of the same name: {', '.join(names)}; rename one of them")
        return cls({name: read_curve(Path(run))[0] for name, run in zip(names, runs, strict=True)})
