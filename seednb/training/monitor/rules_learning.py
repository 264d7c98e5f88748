"""Rules about what is learnt: finite losses, gradients, labels, the learning rate, the data."""

from seednb.core.errors import GradientLost
from seednb.training.monitor.bands import START, WEIGHT, WINDOW
from seednb.training.monitor.findings import Finding
from seednb.training.monitor.rows import mean, number, numbers, supervised_share, supervised_weight
from seednb.training.monitor.seen import Seen

FIRST = 5  # steps in which the student still is the base model
FAR = 3.0  # times; beyond it a mean has left what it is compared with
LONG = 2 * WINDOW  # steps; whatever has a rule of its own is named before
LIGHT = 0.6  # share of supervision's healthy weight
SUPPRESSED = 0.25  # share of the loss; the weights 0.7 and 0.85 of v7 and v6 leave well above it
REPEATED = 0.5  # share of a sample's four-word runs that stood in it before


def not_finite(seen: Seen) -> Finding | None:
    """A loss or a gradient is NaN or infinite."""
    n_nan, norm = number(seen.latest, "nan_count") or 0, seen.latest.get("gradient_norm", 0.0)
    is_lost = norm is None or norm != norm or abs(norm) == float("inf")
    if n_nan == 0 and not is_lost:
        return None
    skipped = f"NaN or infinite losses that had to be skipped: {n_nan:.0f}"
    return Finding(
        "loss not finite",
        skipped if n_nan else f"the gradient's norm is {norm}",
        "train in bfloat16 or float32, not in 4 bits or float16; take divergences in log space",
        seen.step,
    )


def no_gradient(seen: Seen) -> Finding | None:
    """The adapter receives nothing to learn from."""
    rows = seen.last(2)
    norms = numbers(rows, "gradient_norm")
    is_skipped = any(number(row, "nan_count") for row in rows)
    if len(norms) < 2 or max(norms) > 0 or is_skipped:
        return None
    return Finding(
        GradientLost.failure,
        f"the gradient norm is 0 at steps {seen.step - 1} and {seen.step}",
        "with checkpointing, use_reentrant=False or enable_input_require_grads(); check lora_scope",
        seen.step,
    )


def labels_misaligned(seen: Seen) -> Finding | None:
    """From the start the labels cost far more than the base model's own."""
    loss = mean(seen.first[:FIRST], "supervision", 3)
    if loss is None or seen.step > FIRST:
        return None
    band = seen.settings.bands.get(START)
    limit = FAR * band.high if band else seen.settings.uniform_loss
    if loss <= limit:
        return None
    against = f"healthy runs start below {band.high:.3g}" if band else f"a guess costs {limit:.3g}"
    return Finding(
        "labels misaligned",
        f"the supervised loss starts at {loss:.3g} nats a token; {against}",
        "logits at position t predict token t + 1: shift the labels once, and mask the prompt",
        seen.step,
    )


def supervision_suppressed(seen: Seen) -> Finding | None:
    """A small weight leaves the labels a small share of the loss.

    A weight is no share: it multiplies two losses of different size. So the share is measured,
    (1 - w) supervision / loss, and a small weight with a good share is no failure.
    """
    rows, band = seen.last(WINDOW), seen.settings.bands.get(WEIGHT)
    weight, share = supervised_weight(rows), supervised_share(rows)
    if band is None or weight is None or share is None or len(rows) < WINDOW:
        return None
    if not 0.01 < weight < LIGHT * band.low or share >= SUPPRESSED:
        return None
    return Finding(
        "supervision suppressed by the weight",
        f"the labels make up {share:.0%} of the loss, at a weight of {weight:.2g}; healthy runs "
        f"give them {band.low:.2g}",
        "lower distill_weight (v7: 0.7)",
        seen.step,
    )


def repetition(seen: Seen) -> Finding | None:
    """What the model writes has begun to repeat itself."""
    row, start = seen.latest, seen.first_sample
    repeats, distinct = number(row, "repeats"), number(row, "distinct_2")
    if repeats is None or distinct is None or start is None:
        return None
    before = (number(start, "repeats") or 0, number(start, "distinct_2") or 0)
    if repeats < before[0] + REPEATED and distinct > before[1] / 2:
        return None
    return Finding(
        "repetition: the learning rate is too large",
        f"{repeats:.0%} of four-word runs repeat (at first {before[0]:.0%}), {distinct:.0%} of word "
        f"pairs are new (at first {before[1]:.0%})",
        "lower learning_rate tenfold, with a warm-up; go back to the last good checkpoint",
        seen.step,
    )


def loss_rises(seen: Seen) -> Finding | None:
    """The supervised loss is well above where it began."""
    start = mean(seen.first[:WINDOW], "supervision", WINDOW)
    end = mean(seen.last(LONG), "supervision", LONG)
    if start is None or end is None or end <= FAR * start + 0.1:
        return None
    return Finding(
        "supervised loss rises",
        f"its mean went from {start:.2f} over the first {WINDOW} steps to {end:.2f} over {LONG}",
        "lower learning_rate or distill_weight",
        seen.step,
    )


def loader_stalled(seen: Seen) -> Finding | None:
    """A step waited too long for its data."""
    waited, limit = number(seen.latest, "waiting_s") or 0.0, seen.settings.stall_after_s
    return stalled(seen.step, waited) if waited > limit else None


def stalled(step: int, waited_s: float) -> Finding:
    """The finding of a step whose data does not come."""
    return Finding(
        "data loader stalled",
        f"the step after {step} has waited {waited_s:.0f} s for its data",
        "data_workers=0 reads in this process; a reader that hangs often holds a lock over a fork",
        step,
    )


def band_left(seen: Seen) -> Finding | None:
    """A figure is far above all that healthy runs have shown, for longer than other rules need."""
    for column in ("loss", "distillation", "supervision", "gradient_norm"):
        band, value = seen.settings.bands.get(column), mean(seen.last(LONG), column, LONG)
        if band and value is not None and value > FAR * band.high:
            return Finding(
                "outside its healthy band",
                f"{column} is {value:.3g} over {LONG} steps; healthy runs stay below "
                f"{band.high:.3g}",
                "start from the earliest other finding; without one, calibrate anew for this profile",
                seen.step,
            )
    return None
