"""Executed notebooks and their numbers in, one offline HTML file out."""

from seednb.report.build import build_report
from seednb.report.comparison import build_comparison
from seednb.report.listing import write_index
from seednb.report.runs import outcome, read_run, write_facts

__all__ = ["build_comparison", "build_report", "outcome", "read_run", "write_facts", "write_index"]
