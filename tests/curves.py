"""A healthy curve of a run, and what each failure that the monitor knows makes of it."""

import numpy as np
import pandas as pd

from seednb.training import monitor
from seednb.training.monitor.seen import Settings

N = 80
STEP = np.arange(1, N + 1)
SAMPLED = (STEP == 1) | (STEP % 10 == 0)
WAVE = np.sin(STEP)


def curve(weight=0.7, **changes):
    """A healthy curve, with some columns replaced; the loss follows from its parts."""
    healthy = {
        "step": STEP,
        "examples": 16 * STEP,
        "distillation": 0.3 + 0.01 * WAVE,
        "probed": 0.3 + 0.01 * WAVE,
        "contrast": 0.3 + 0.02 * WAVE,
        "direction": 0.0,
        "supervision": np.linspace(1.2, 0.8, N),
        "beta": 0.7 + 0.1 * WAVE,
        "beta_low": 0.4,
        "beta_high": 1.1,
        "confidence": -0.5 + 0.05 * WAVE,
        "history": np.minimum(16 * STEP, 1000),
        "gradient_norm": 0.5,
        "nan_count": 0,
        "repeats": np.where(SAMPLED, 0.0, np.nan),
        "distinct_2": np.where(SAMPLED, 0.9, np.nan),
        "teacher_shift": np.where(SAMPLED, 0.0, np.nan),
        "waiting_s": 0.01,
    }
    frame = pd.DataFrame(healthy | changes)
    if "loss" not in frame:
        frame["loss"] = weight * frame["distillation"] + (1 - weight) * frame["supervision"]
    return frame


SETTINGS = Settings(bands=monitor.calibrate([curve()]), uniform_loss=6.0)
LATE = STEP > 30
FAILURES = {
    "loss not finite": {"nan_count": np.where(LATE, 2, 0)},
    "gradient to the adapter is zero": {"gradient_norm": np.where(LATE, 0.0, 0.5)},
    "distillation signal absent": {
        "contrast": 0.0, "probed": 0.0, "beta": 0.0, "beta_low": 0.0, "beta_high": 0.0,
    },
    "teacher adapter left on": {"teacher_shift": np.where(SAMPLED & LATE, 0.01, np.nan)},
    "divergence not normalised": {"probed": 0.02},
    "KL direction swapped": {"direction": 1.0},
    "distillation signal too weak": {"contrast": 0.1},
    "labels misaligned": {"supervision": np.full(N, 5.0)},
    "supervision suppressed by the weight": {"weight": 0.97},
    "repetition: the learning rate is too large": {
        "distinct_2": np.where(SAMPLED, np.where(LATE, 0.1, 0.9), np.nan),
    },
    "supervised loss rises": {"supervision": np.where(LATE, 5.0, 1.0)},
    "beta stuck": {"beta_low": 0.7, "beta_high": 0.7},
    "confidence history too short": {"history": 25},
    "confidence drifts": {"confidence": -0.5 + 0.05 * WAVE + np.where(LATE, 0.3, 0)},
    "data loader stalled": {"waiting_s": np.where(STEP == 40, 400.0, 0.01)},
    "outside its healthy band": {"gradient_norm": np.where(LATE, 50.0, 0.5)},
}  # fmt: skip
