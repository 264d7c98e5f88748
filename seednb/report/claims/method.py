"""Checks on the method's formulas, computed on small tensors (torch is imported when one runs)."""

import math
from itertools import combinations_with_replacement, pairwise

from seednb.report.claims.figures import CheckResult, read_figure, read_figures


def log_space_purification(
    beta: str, rows: int, vocabulary: int, claimed: str, seed: int = 0
) -> CheckResult:
    """Purifying log-probabilities gives a `different` (or the `same`) distribution as logits."""
    import torch

    from seednb.method.purification import purify_logits

    generator = torch.Generator().manual_seed(seed)
    clean_logits, noisy_logits = 5 * torch.randn(2, rows, vocabulary, generator=generator)
    strength = read_figure(beta).value
    from_logits = purify_logits(clean_logits, noisy_logits, strength).softmax(-1)
    from_logprobs = purify_logits(
        clean_logits.log_softmax(-1), noisy_logits.log_softmax(-1), strength
    ).softmax(-1)
    gap = float((from_logits - from_logprobs).abs().max())
    found = "same" if gap < 1e-5 else "different"
    return CheckResult(
        found == claimed,
        f"largest difference of a probability over {rows} x {vocabulary}: {gap:.1e} ({found}): "
        "the normalisers are constants of a row and softmax drops them",
    )


def kl_argument_order(
    claimed: str, rows: int = 8, vocabulary: int = 50, seed: int = 0
) -> CheckResult:
    """`kl_div(log teacher, student)` is `reverse`, KL(student || teacher), or `forward`."""
    import torch
    from torch.nn.functional import kl_div

    generator = torch.Generator().manual_seed(seed)
    student_logits, teacher_logits = torch.randn(
        2, rows, vocabulary, generator=generator, dtype=torch.float64
    )
    student, teacher = student_logits.softmax(-1), teacher_logits.softmax(-1)
    value = float(kl_div(teacher.log(), student, reduction="batchmean"))
    reverse = float((student * (student / teacher).log()).sum(-1).mean())
    forward = float((teacher * (teacher / student).log()).sum(-1).mean())
    found = "reverse" if abs(value - reverse) < abs(value - forward) else "forward"
    return CheckResult(
        found == claimed,
        f"the call gives {value:.4f}; KL(student||teacher) {reverse:.4f}, "
        f"KL(teacher||student) {forward:.4f}: {found}",
    )


def beta_rule(values: list[str], quantiles: list[str], n: int = 200) -> CheckResult:
    """The printed loop gives a larger beta to a lower confidence, as `BetaSelector` does."""
    import torch

    from seednb.method.beta import BetaSelector

    betas = [figure.value for figure in read_figures(values)]
    cuts = [figure.value for figure in read_figures(quantiles)]
    if len(betas) != len(cuts) + 1:
        return CheckResult(
            False, f"{len(betas)} betas and {len(cuts)} quantiles do not go together"
        )
    history = torch.linspace(-3.0, 0.0, n, dtype=torch.float64)
    thresholds = torch.quantile(history, torch.tensor(cuts, dtype=torch.float64)).tolist()
    probes = [-2.9, -2.0, -1.0, -0.1]
    chosen = [betas[sum(probe >= threshold for threshold in thresholds)] for probe in probes]
    picked = ", ".join(f"{probe:g} -> {beta:g}" for probe, beta in zip(probes, chosen, strict=True))
    if not all(first > second for first, second in pairwise(chosen)):
        return CheckResult(False, f"beta by confidence: {picked}; it does not fall")
    ours = []
    for probe in probes:
        selector = BetaSelector(betas, cuts, window=1000)
        selector.history.extend(history.tolist())
        ours.append(float(selector.select(torch.tensor([probe]))))
    same = all(math.isclose(a, b, rel_tol=1e-6) for a, b in zip(chosen, ours, strict=True))
    return CheckResult(
        same, f"beta by confidence: {picked}; BetaSelector {'agrees' if same else ours}"
    )


def history_by_batch(
    batch_sizes: list[int], window: int, claimed: str, n: int = 2000, seed: int = 0
) -> CheckResult:
    """Another batch size makes the betas of the same confidences `differ` (or stay the `same`)."""
    import torch

    from seednb.method.beta import BetaSelector

    confidences = -torch.rand(n, generator=torch.Generator().manual_seed(seed))
    runs = []
    for size in batch_sizes:
        selector = BetaSelector(window=window)
        runs.append(torch.cat([selector.select(batch) for batch in confidences.split(size)]))
    found = "same" if all(torch.equal(runs[0], run) for run in runs) else "differ"
    listed = " and ".join(str(size) for size in batch_sizes)
    return CheckResult(
        found == claimed,
        f"{n} confidences in batches of {listed}: betas {found}; the window counts {window} "
        "examples, not steps",
    )


def continuous_beta(beta_max: str, levels: list[str]) -> CheckResult:
    """beta_max sigmoid(-confidence / tau) reaches every printed level, for confidence <= 0."""
    largest = read_figure(beta_max).value
    lowest = largest / 2
    missed = [f.text for f in read_figures(levels) if not lowest <= f.value <= largest]
    found = f"never {', '.join(missed)}" if missed else "every level"
    return CheckResult(
        not missed,
        "confidence is at most 0, so sigmoid is at least 1/2: "
        f"beta from {lowest:g} to {largest:g}, {found}",
    )


def level_or_mean(printed: str, levels: list[str], n: int) -> CheckResult:
    """A printed beta is one of the levels (n = 1) or a mean of `n` of them."""
    figure = read_figure(printed)
    values = [level.value for level in read_figures(levels)]
    possible = [sum(chosen) / n for chosen in combinations_with_replacement(values, n)]
    fits = any(figure.agrees(mean) for mean in possible)
    nearest = min(possible, key=lambda mean: abs(mean - figure.value))
    listed = ", ".join(levels)
    return CheckResult(fits, f"nearest mean of {n} of {listed}: {nearest:g}; {printed} printed")


def temperature_effect(
    cases: dict[str, list[str]], beta: str, temperatures: list[str]
) -> CheckResult:
    """A higher temperature brings purified and clean distributions closer, in every case.

    A case is a two-token choice: [clean logit gap, noisy logit gap]. The distance is the
    difference of the first token's probability, sigmoid(gap / T).
    """
    strength = read_figure(beta).value
    described, shrinks = [], []
    for name, gaps in cases.items():
        clean, noisy = (figure.value for figure in read_figures(gaps))
        purified = (1 + strength) * clean - strength * noisy
        distances = [
            abs(_sigmoid(purified / figure.value) - _sigmoid(clean / figure.value))
            for figure in read_figures(temperatures)
        ]
        shrinks.append(all(first >= second for first, second in pairwise(distances)))
        described.append(f"{name}: " + ", ".join(f"{distance:.2g}" for distance in distances))
    return CheckResult(
        all(shrinks), f"distance at T = {', '.join(temperatures)}: " + "; ".join(described)
    )


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))
