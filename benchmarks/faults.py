"""Whether the monitor finds every fault of the reproduction, and leaves healthy runs alone.

python benchmarks/faults.py --jobs 2                 # about 4 minutes on two cores
python benchmarks/faults.py --calibrate --jobs 2     # first measure the pocket bands anew
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from results import write_result

from seednb.core.errors import SeedError
from seednb.experiments.experiment import Experiment
from seednb.experiments.fault_injection import FAULTS, as_frame, run_fault
from seednb.training.history import CURVE
from seednb.training.monitor import calibrate, check_run, write_bands

PARAMS = Path(__file__).parents[1] / "params/pocket.yaml"
CALIBRATED_ON = (101, 102, 103)  # seeds of the runs that the bands come from
HEALTHY = (1, 2, 3, 4, 5)  # seeds of the runs that must not alarm
EARLY = 0.1  # share of a run within which a fault should be found


def train_healthy(seed: int, runs: str) -> Path:
    """Train v7 with a seed, or find that run; its folder."""
    torch.set_num_threads(1)
    training = Experiment.open(str(PARAMS), {"seed": seed, "runs_dir": runs}).train("v7")
    return training.folder


def healthy(seeds: tuple[int, ...], runs: str, jobs: int) -> list[Path]:
    """The folders of v7's runs with these seeds, some at a time."""
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        return list(pool.map(train_healthy, seeds, [runs] * len(seeds)))


def measure_bands(runs: str, jobs: int) -> None:
    """Write the profile's bands from healthy runs of seeds that are used for nothing else."""
    folders = healthy(CALIBRATED_ON, runs, jobs)
    for folder in folders:
        if findings := check_run(folder, bands={}):
            raise SeedError(f"{folder} is no healthy run: {findings[0]}")
    curves = [pd.read_parquet(folder / CURVE) for folder in folders]
    lab = Experiment.open(str(PARAMS))
    made_by = (
        f"python benchmarks/faults.py --calibrate\nLowest and highest means over 8 steps, of v7 on "
        f"{PARAMS.name} with seeds {', '.join(map(str, CALIBRATED_ON))}."
    )
    write_bands(lab.params.path(lab.params.monitor.healthy_bands), calibrate(curves), made_by)


def main() -> None:
    """Run all, write `results/faults.json`, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calibrate", action="store_true", help="measure the bands first")
    parser.add_argument("--jobs", type=int, default=1, help="healthy runs at a time")
    parser.add_argument("--runs", default="runs", help="folder of the runs")
    options = parser.parse_args()
    runs = str(Path(options.runs).resolve())
    torch.set_num_threads(1)
    if options.calibrate:
        measure_bands(runs, options.jobs)
    lab = Experiment.open(str(PARAMS), {"runs_dir": runs})
    folders = healthy(HEALTHY, runs, options.jobs)
    alarms: list[dict[str, Any]] = [
        {
            "fault": f"none: healthy v7, seed {seed}",
            "alarms": [*map(str, check_run(folder, lab.bands))],
        }
        for seed, folder in zip(HEALTHY, folders, strict=True)
    ]
    table = as_frame([run_fault(lab, fault) for fault in FAULTS])
    print(table.drop(columns=["symptom", "evidence"]).to_string(index=False))
    print(*alarms, sep="\n")
    early = table["detected"] & (table["step"] <= EARLY * table["of"])
    headline = {
        "n_faults": len(table),
        "n_detected_within_a_tenth": int(early.sum()),
        "n_healthy_runs": len(alarms),
        "n_alarms_on_healthy_runs": sum(len(row["alarms"]) for row in alarms),
    }
    write_result("faults", [*table.to_dict("records"), *alarms], headline)


if __name__ == "__main__":
    main()
