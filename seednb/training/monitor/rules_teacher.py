"""Rules about what is distilled: the teacher, its contrast, beta and the confidences behind it."""

from math import sqrt
from statistics import fmean, pstdev

from seednb.training.monitor.bands import WINDOW
from seednb.training.monitor.findings import Finding
from seednb.training.monitor.rows import Row, mean, number, numbers
from seednb.training.monitor.seen import RECENT, Seen

SURE = 3  # steps in a row that a failure takes which one step shows
ABSENT = 1e-7  # nats: no difference but rounding's
TOO_LARGE = 4.0  # times; a sum over an answer is as many times its mean as the answer has tokens
WEAK = 0.6  # share of the lowest healthy contrast
STEADY = 100  # examples from which a quartile is known to 4 points: sqrt(1/4 3/4 / 100)
DRIFT = 6.0  # standard errors


def signal_absent(seen: Seen) -> Finding | None:
    """Teacher and target are the same: nothing is distilled (the silent bug of v4)."""
    rows = seen.last(SURE)
    contrasts, betas = numbers(rows, "contrast"), numbers(rows, "beta")
    if len(contrasts) < SURE or max(contrasts) > ABSENT:
        return None
    cause = "beta is 0" if max(betas, default=0.0) == 0 else "clean and noisy view are the same"
    return Finding(
        "distillation signal absent",
        f"the target is the teacher's own output, {max(contrasts):.1e} nats apart, and {cause}",
        "call purify() on the clean and the noisy logits of a teacher whose adapter is off (v5)",
        seen.step,
    )


def teacher_moves(seen: Seen) -> Finding | None:
    """The same images and texts, asked again, get another answer: the adapter is on."""
    shift = number(seen.latest, "teacher_shift")
    if shift is None or shift <= seen.settings.shift_tolerance:
        return None
    return Finding(
        "teacher adapter left on",
        f"the teacher's hidden states of the first step's examples have moved by {shift:.1e} of "
        "their length",
        "switch the adapter and dropout off in the teacher's forward passes (disable_adapter)",
        seen.step,
    )


def not_normalised(seen: Seen) -> Finding | None:
    """The distillation loss is a sum over tokens, not their mean."""
    rows = [row for row in seen.last(WINDOW) if (number(row, "probed") or 0) > ABSENT]
    loss, per_token = mean(rows, "distillation", SURE), mean(rows, "probed", SURE)
    if loss is None or per_token is None or loss < TOO_LARGE * per_token:
        return None
    return Finding(
        "divergence not normalised",
        f"the distillation loss is {loss:.3g}, {loss / per_token:.0f} times the divergence of a "
        f"token, {per_token:.3g}",
        "take the mean over an answer's tokens, and mask the others",
        seen.step,
    )


def direction_swapped(seen: Seen) -> Finding | None:
    """What is optimised is KL(target || student)."""
    found = numbers(seen.last(SURE), "direction")
    if len(found) < SURE or not 0.9 < fmean(found) < 1.1:
        return None
    return Finding(
        "KL direction swapped",
        f"token by token the loss agrees with KL(target || student): {fmean(found):.2f} on a scale "
        "from 0, reverse, to 1, forward",
        "divergence=reverse: KL(student || target), the student's probabilities in front",
        seen.step,
    )


def signal_weak(seen: Seen) -> Finding | None:
    """The target differs from the teacher's own output by less than in healthy runs."""
    bands = seen.settings.bands
    column = next((name for name in ("contrast", "distillation") if name in bands), None)
    value = mean(seen.last(WINDOW), column, WINDOW) if column else None
    if column is None or value is None or not ABSENT < value < WEAK * bands[column].low:
        return None
    return Finding(
        "distillation signal too weak",
        f"{column} is {value:.3g} over {WINDOW} steps; healthy runs keep above "
        f"{bands[column].low:.3g}",
        "temperature=2, which shows the student what lies below the first word; more pairs",
        seen.step,
    )


def beta_stuck(seen: Seen) -> Finding | None:
    """One beta for every example, although confidences differ."""
    rows = [row for row in seen.last(WINDOW) if _is_settled(row)]
    low, high = numbers(rows, "beta_low"), numbers(rows, "beta_high")
    if len(low) < WINDOW or min(low) < max(high) or max(high) == 0:
        return None
    if len(set(numbers(rows, "confidence"))) == 1:
        return None
    return Finding(
        "beta stuck",
        f"every example of {WINDOW} steps got beta {max(high):.2f}",
        "check that confidences enter the history, that beta_window is above 20 and that "
        "beta_values differ",
        seen.step,
    )


def history_short(seen: Seen) -> Finding | None:
    """Beta's quantiles come from a handful of confidences."""
    n, n_seen = number(seen.latest, "history"), number(seen.latest, "examples")
    if n is None or n_seen is None or (number(seen.latest, "beta_high") or 0) == 0:
        return None
    if n >= STEADY or n_seen < STEADY:
        return None
    return Finding(
        "confidence history too short",
        f"{n:.0f} confidences are remembered after {n_seen:.0f} examples: a quartile of so few is "
        f"off by {100 * sqrt(0.1875 / max(1, n)):.0f} points",
        f"beta_window={STEADY} or more; the reproduction's is 1000",
        seen.step,
    )


def confidence_drifts(seen: Seen) -> Finding | None:
    """The teacher's confidences leave those that beta's history holds."""
    start = numbers(seen.first, "confidence")
    end = numbers(seen.last(RECENT), "confidence")
    if len(start) < RECENT or seen.step < 2 * RECENT or len(end) < RECENT:
        return None
    error = sqrt((pstdev(start) ** 2 + pstdev(end) ** 2) / RECENT)
    change = fmean(end) - fmean(start)
    if abs(change) <= DRIFT * error + 0.1 * abs(fmean(start)):
        return None
    return Finding(
        "confidence drifts",
        f"its mean went from {fmean(start):.3f} to {fmean(end):.3f}, {abs(change) / error:.0f} "
        "standard errors",
        "freeze the teacher; shuffle the pairs, so that easy and hard ones mix",
        seen.step,
    )


def _is_settled(row: Row) -> bool:
    """Whether the history had its first confidences before this step."""
    return (number(row, "examples") or 0) >= 64
