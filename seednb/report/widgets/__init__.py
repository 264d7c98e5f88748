"""Notebook widgets with two faces: live controls in JupyterLab, precomputed frames in a report."""

from seednb.report.widgets.captions import CaptionBrowser, CaptionItem
from seednb.report.widgets.explorer import BetaExplorer
from seednb.report.widgets.frames import ExplorerExample
from seednb.report.widgets.training import CompareRuns, TrainingCurve

__all__ = [
    "BetaExplorer",
    "CaptionBrowser",
    "CaptionItem",
    "CompareRuns",
    "ExplorerExample",
    "TrainingCurve",
]
