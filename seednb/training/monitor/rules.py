"""The rules: each looks at a run so far and names its failure, or says nothing.

A rule is silent where the columns that it reads are missing: an older curve, a run that does not
distil, a profile without bands. Thresholds are ratios to the run's own figures or to healthy bands.
"""

from collections.abc import Callable

from seednb.training.monitor.findings import Finding
from seednb.training.monitor.rules_learning import (
    band_left,
    labels_misaligned,
    loader_stalled,
    loss_rises,
    no_gradient,
    not_finite,
    repetition,
    supervision_suppressed,
)
from seednb.training.monitor.rules_teacher import (
    beta_stuck,
    confidence_drifts,
    direction_swapped,
    history_short,
    not_normalised,
    signal_absent,
    signal_weak,
    teacher_moves,
)
from seednb.training.monitor.seen import Seen

Rule = Callable[[Seen], Finding | None]
RULES: tuple[Rule, ...] = (
    not_finite,
    no_gradient,
    signal_absent,
    teacher_moves,
    not_normalised,
    direction_swapped,
    signal_weak,
    labels_misaligned,
    supervision_suppressed,
    repetition,
    loss_rises,
    beta_stuck,
    history_short,
    confidence_drifts,
    loader_stalled,
    band_left,
)
