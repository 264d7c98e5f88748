"""Notebook widgets with two faces: live controls in JupyterLab, precomputed frames in a report."""

from seednb.widgets.captions import CaptionBrowser, CaptionItem
from seednb.widgets.explorer import BetaExplorer, ExplorerExample
from seednb.widgets.training import CompareRuns, TrainingCurve

__all__ = [
    "BetaExplorer",
    "CaptionBrowser",
    "CaptionItem",
    "CompareRuns",
    "ExplorerExample",
    "TrainingCurve",
]
