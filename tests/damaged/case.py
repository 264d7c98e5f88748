"""What a damaged input is, and what became of it."""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seednb.core.errors import SeedError
from seednb.data.readers import Skipped

WORKS, SKIPPED, ERROR, CRASH = "works", "skipped", "error", "crash"
Maker = Callable[[Path], Any]  # writes into an empty folder; returns what the reader is given
Reader = Callable[[Any], Any]  # may return the inputs that it skipped


@dataclass(frozen=True)
class Case:
    """One damaged input, who reads it, and what has to happen."""

    name: str
    made: Maker
    reader: Reader
    expected: str  # WORKS, SKIPPED or ERROR
    says: str = ""  # pattern of the reason (skipped) or of the sentence (error)


@dataclass(frozen=True)
class Outcome:
    """What happened."""

    kind: str
    detail: str
    seconds: float


def outcome(case: Case, folder: Path) -> Outcome:
    """Make the input in a folder and let its reader have it."""
    given = case.made(folder)
    started = time.perf_counter()
    try:
        result = case.reader(given)
    except SeedError as problem:
        kind, detail = ERROR, str(problem)
    except Exception:
        kind, detail = CRASH, traceback.format_exc()
    else:
        items = result if isinstance(result, list) else []
        skipped = [item for item in items if isinstance(item, Skipped)]
        kind = SKIPPED if skipped else WORKS
        detail = ", ".join(dict.fromkeys(item.reason for item in skipped))
    return Outcome(kind, detail, time.perf_counter() - started)
