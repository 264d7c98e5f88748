"""Executed notebooks and their numbers in, one offline HTML file out."""

from seednb.report.html.build import build_report
from seednb.report.html.front.comparison import build_comparison, write_index
from seednb.report.html.runs import outcome, read_run, write_facts

__all__ = ["build_comparison", "build_report", "outcome", "read_run", "write_facts", "write_index"]
