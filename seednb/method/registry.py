"""Every choice of every extension, described by its docstring."""

import inspect
from collections.abc import Mapping
from typing import Any

import pandas as pd

from seednb.method.beta import BETA_RULES
from seednb.method.confidence import CONFIDENCES, POOLINGS
from seednb.method.losses import DIVERGENCES
from seednb.method.perturbation import PERTURBATIONS
from seednb.method.purification import SPACES

REGISTRIES: dict[str, Mapping[str, Any]] = {
    "perturbation": PERTURBATIONS,
    "confidence": CONFIDENCES,
    "pooling": POOLINGS,
    "beta_rule": BETA_RULES,
    "purified_space": SPACES,
    "divergence": DIVERGENCES,
}


def catalogue() -> pd.DataFrame:
    """One row a choice: the parameter, the value to give it, and its formula and source in words."""
    return pd.DataFrame(
        [
            {"parameter": parameter, "value": name, "what it does": _summary(choice)}
            for parameter, registry in REGISTRIES.items()
            for name, choice in registry.items()
        ]
    )


def _summary(function: Any) -> str:
    """The first paragraph of a docstring, without its line breaks."""
    text = inspect.getdoc(function) or ""
    return " ".join(text.split("\n\n")[0].split())
