"""Training health, live and afterwards: each finding names the failure, its evidence and the fix."""

from seednb.training.monitor.bands import Bands, calibrate, read_bands, write_bands
from seednb.training.monitor.findings import Finding, as_frame, in_words
from seednb.training.monitor.rules import RULES
from seednb.training.monitor.seen import Settings
from seednb.training.monitor.watch import Watch, check, check_run

__all__ = [
    "RULES",
    "Bands",
    "Finding",
    "Settings",
    "Watch",
    "as_frame",
    "calibrate",
    "check",
    "check_run",
    "in_words",
    "read_bands",
    "write_bands",
]
