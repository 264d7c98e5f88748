"""Notebook widgets with two faces: live controls in JupyterLab, precomputed frames in a report."""

from seednb.widgets.captions import CaptionBrowser, CaptionItem
from seednb.widgets.explorer import BetaExplorer, ExplorerExample

__all__ = ["BetaExplorer", "CaptionBrowser", "CaptionItem", "ExplorerExample"]
