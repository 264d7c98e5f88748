"""Executed notebooks and their numbers in, one offline HTML file out."""

from seednb.report.build import build_report

__all__ = ["build_report"]
