"""Damaged inputs: how each is made, who reads it, what has to happen. `python -m tests.damaged` shows them."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from .annotations import CASES as ANNOTATIONS
from .answers import CASES as ANSWERS
from .case import CRASH, ERROR, SKIPPED, WORKS, Case, Outcome, outcome
from .images import CASES as IMAGES
from .labels import CASES as LABELS
from .models import CASES as MODELS
from .questions import CASES as QUESTIONS
from .settings import CASES as SETTINGS

__all__ = ["CASES", "CRASH", "ERROR", "SKIPPED", "WORKS", "Case", "Outcome", "outcome", "outcomes"]
CASES = [*IMAGES, *LABELS, *ANNOTATIONS, *QUESTIONS, *ANSWERS, *SETTINGS, *MODELS]


def outcomes(words: str = "") -> Iterator[tuple[Case, Outcome]]:
    """Each case whose name has the words, in a folder of its own, and what happened."""
    for case in CASES:
        if words in case.name:
            with tempfile.TemporaryDirectory() as folder:
                happened = outcome(case, Path(folder))
            yield case, replace(happened, detail=happened.detail.replace(folder, "…"))
