"""What every benchmark writes: figures, and the machine, versions, date and command behind them."""

import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import torch

from seednb.core.files import write_json
from seednb.core.stage import versions

RESULTS = Path(__file__).parent / "results"


def write_result(name: str, rows: list[dict[str, Any]], headline: dict[str, float]) -> Path:
    """Write `results/<name>.json`; figures have their unit in the key."""
    cuda = torch.cuda.is_available()
    machine = torch.cuda.get_device_name() if cuda else f"{torch.get_num_threads()} CPU threads"
    arguments = [Path(text).name if Path(text).exists() else text for text in sys.argv[1:]]
    n_processes = os.environ.get("WORLD_SIZE", "1")
    launcher = (
        "python" if n_processes == "1" else f"accelerate launch --num_processes {n_processes}"
    )
    file = RESULTS / f"{name}.json"
    result = {
        "command": " ".join([launcher, f"benchmarks/{Path(sys.argv[0]).name}", *arguments]),
        "machine": f"{machine}, {platform.machine()}",
        "versions": versions(),
        "date": time.strftime("%Y-%m-%d"),
        "rows": rows,
        "headline": headline,
    }
    write_json(file, result)
    return file
