"""The rules: each reads a run so far and returns the finding of its failure, or None.

A rule returns None where the columns that it reads are missing: an older curve, a run that does not
distil, a profile without bands. Thresholds are ratios to the run's own figures or to healthy bands.
"""

from collections.abc import Callable

from seednb.training.monitor import rules_learning as learning
from seednb.training.monitor import rules_teacher as teacher
from seednb.training.monitor.findings import Finding
from seednb.training.monitor.seen import Seen

Rule = Callable[[Seen], Finding | None]
RULES: tuple[Rule, ...] = (
    learning.not_finite,
    learning.no_gradient,
    teacher.signal_absent,
    teacher.teacher_moves,
    teacher.not_normalised,
    teacher.direction_swapped,
    teacher.signal_weak,
    learning.labels_misaligned,
    learning.supervision_suppressed,
    learning.repetition,
    learning.loss_rises,
    teacher.beta_stuck,
    teacher.history_short,
    teacher.confidence_drifts,
    learning.loader_stalled,
    learning.band_left,
)
