"""`seednb check`: what the monitor says of a run, and healthy bands from runs that are well."""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from seednb.cli.options import add_verb
from seednb.core.errors import SeedError

EXAMPLES = """
seednb check runs/pocket/train-v7-replay-…
seednb check runs/pocket/train-v7-replay-… --follow
seednb check RUN RUN RUN --calibrate seednb/assets/bands/pocket.yaml
"""
EVERY_S = 5.0  # a run that is followed is read again


def add(verbs: Any) -> None:
    """Add the verb and its options."""
    verb = add_verb(verbs, "check", check, "is a training run well? Exits with 1 if not", EXAMPLES)
    verb.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a run, finished or at work")  # fmt: skip
    verb.add_argument("--bands", type=Path, metavar="FILE", help="healthy bands (default: those that the run was watched with)")  # fmt: skip
    what = verb.add_mutually_exclusive_group()
    what.add_argument("--json", action="store_true", help="the findings of each run as one JSON object a line")  # fmt: skip
    what.add_argument("--follow", action="store_true", help="check again until the run ends or a failure is found")  # fmt: skip
    what.add_argument("--calibrate", type=Path, metavar="FILE", help="take the runs as healthy and write their bands")  # fmt: skip


def check(options: argparse.Namespace) -> None:
    """Print the findings. Raises SeedError if there are any."""
    from seednb.report.tables import as_text
    from seednb.training.monitor import as_frame, check_run, read_bands

    if options.calibrate:
        _calibrate(options.runs, options.calibrate)
        return
    bands = read_bands(options.bands) if options.bands else None
    if options.follow:
        _follow(options.runs, bands)
    found = {run: check_run(run, bands) for run in options.runs}
    for run, findings in found.items():
        if options.json:
            print(json.dumps({"run": str(run), "findings": [asdict(each) for each in findings]}))
        else:
            print(f"{run}\n{as_text(as_frame(findings))}")
    n_ill = sum(map(bool, found.values()))
    if n_ill:
        names = ", ".join(dict.fromkeys(each.failure for run in found.values() for each in run))
        raise SeedError(f"{n_ill} of {len(found)} runs have findings ({names}); their fixes are above")  # fmt: skip


def _calibrate(runs: list[Path], file: Path) -> None:
    """Write bands from runs in which no rule that needs none has found anything."""
    from seednb.training.history import read_curve
    from seednb.training.monitor import calibrate, check_run, write_bands

    for run in runs:
        if findings := check_run(run, bands={}):
            raise SeedError(f"{run} is no healthy run ({findings[0].failure}); calibrate on others")
    curves = [read_curve(run)[0] for run in runs]
    made_by = f"seednb check {' '.join(run.name for run in runs)} --calibrate {file.name}"
    n_steps = ", ".join(str(len(curve)) for curve in curves)
    write_bands(file, calibrate(curves), f"{made_by}\nLowest and highest means over 8 steps, of runs of {n_steps} steps.")  # fmt: skip
    print(f"bands: {file}")


def _follow(runs: list[Path], bands: Any) -> None:
    """Return once each run has ended, or has findings."""
    from seednb.training.history import read_curve
    from seednb.training.monitor import check_run

    while not all(read_curve(run)[1] or check_run(run, bands) for run in runs):
        time.sleep(EVERY_S)
