"""Damaged inputs: name -> maker -> reader -> what has to happen. `python -m tests.damaged` shows them."""

from .annotations import CASES as ANNOTATIONS
from .answers import CASES as ANSWERS
from .case import CRASH, ERROR, SKIPPED, WORKS, Case, Outcome, outcome
from .images import CASES as PICTURES
from .labels import CASES as LABELS
from .models import CASES as MODELS
from .questions import CASES as QUESTIONS
from .settings import CASES as SETTINGS

__all__ = ["CASES", "CRASH", "ERROR", "SKIPPED", "WORKS", "Case", "Outcome", "outcome"]
CASES = [*PICTURES, *LABELS, *ANNOTATIONS, *QUESTIONS, *ANSWERS, *SETTINGS, *MODELS]
