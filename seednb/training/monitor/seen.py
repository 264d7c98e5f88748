"""What a rule reads: how a run began, its latest steps, and what is healthy for its profile."""

import math
from collections import deque
from dataclasses import dataclass, field

from seednb.training.monitor.bands import NO_BANDS, Bands
from seednb.training.monitor.rows import Row, number

RECENT = 32  # steps that are remembered of a run's beginning, and of its end


@dataclass(frozen=True)
class Settings:
    """What the rules take from the profile; kept beside the curve, for whoever checks it later."""

    bands: Bands = field(default_factory=lambda: NO_BANDS)
    uniform_loss: float = math.inf  # nats: the loss of a guess among all words
    stall_after_s: float = 300.0  # a step that waits longer for its data has stalled
    shift_tolerance: float = 1e-4  # change of a frozen teacher that rounding explains


@dataclass
class Seen:
    """A run as far as it is known; of its rows no more than a few are kept."""

    settings: Settings = field(default_factory=Settings)
    first: list[Row] = field(default_factory=list)
    recent: deque[Row] = field(default_factory=lambda: deque(maxlen=RECENT))
    first_sample: Row | None = None

    def add(self, row: Row) -> None:
        """Take in the next step."""
        if len(self.first) < RECENT:
            self.first.append(row)
        self.recent.append(row)
        if self.first_sample is None and number(row, "distinct_2") is not None:
            self.first_sample = row

    @property
    def latest(self) -> Row:
        """The row of the last step."""
        return self.recent[-1]

    @property
    def step(self) -> int:
        """The number of the last step."""
        return int(self.latest["step"])

    def last(self, n: int) -> list[Row]:
        """The last n rows, or fewer where the run is young."""
        return list(self.recent)[-n:]
