"""Healthy bands: where a profile's figures lie while all is well, measured on healthy runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import pandas as pd
import yaml

from seednb.core.errors import SeedError
from seednb.core.files import write_text
from seednb.training.monitor.rows import rows_of, supervised_weight

WINDOW = 8  # steps whose mean is compared with a band
BANDED = (
    "loss", "distillation", "supervision", "beta", "confidence", "contrast",
    "gradient_norm", "nan_count",
)  # fmt: skip
START = "start_supervision"  # its mean over a run's first steps: the base model's own
WEIGHT = "supervision_weight"


@dataclass(frozen=True)
class Band:
    """Lowest and highest mean over `WINDOW` steps that healthy runs have shown."""

    low: float
    high: float


Bands = Mapping[str, Band]
NO_BANDS: Bands = {}


def calibrate(curves: Sequence[pd.DataFrame]) -> Bands:
    """Bands from the curves of healthy runs: the lowest and the highest moving mean of each column.

    Raises SeedError for a curve that is shorter than a window.
    """
    if any(len(curve) < WINDOW for curve in curves):
        raise SeedError(f"a calibration needs runs of at least {WINDOW} steps; give longer ones")
    bands: dict[str, Band] = {}
    for column in BANDED:
        known = [curve[column].dropna() for curve in curves if column in curve]
        means = [m for values in known for m in values.rolling(WINDOW).mean().dropna()]
        if means:
            bands[column] = Band(min(means), max(means))
    starts = [fmean(curve["supervision"].head(WINDOW)) for curve in curves]
    bands[START] = Band(min(starts), max(starts))
    weights = [supervised_weight(rows_of(curve)) for curve in curves]
    if found := [weight for weight in weights if weight is not None]:
        bands[WEIGHT] = Band(min(found), max(found))
    return bands


def write_bands(file: Path, bands: Bands, made_by: str) -> None:
    """Write bands as YAML; `made_by` says which runs they come from."""
    lines = "".join(f"# {line}\n" for line in made_by.splitlines())
    values = (f"{name}: [{band.low:.4g}, {band.high:.4g}]\n" for name, band in bands.items())
    write_text(file, lines + "".join(values))


def read_bands(file: Path) -> Bands:
    """Read bands. Raises SeedError for a file that is missing or not `name: [low, high]` lines."""
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        return {str(name): Band(float(low), float(high)) for name, (low, high) in values.items()}
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, ValueError, AttributeError):
        raise SeedError(
            f"{file} holds no healthy bands, lines of name: [low, high]; write it with: seednb "
            "check RUN --calibrate FILE"
        ) from None
