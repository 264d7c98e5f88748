"""Training health, live and afterwards: each finding names the failure, its evidence and the fix."""

from seednb.monitor.bands import Bands, calibrate, read_bands, write_bands
from seednb.monitor.findings import Finding, as_frame
from seednb.monitor.rules import RULES
from seednb.monitor.seen import Settings
from seednb.monitor.watch import Watch, check, check_run

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
    "read_bands",
    "write_bands",
]
