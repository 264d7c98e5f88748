"""Checks on parameter counts, file sizes and the cost of a training step of LLaVA-1.5-7B."""

from seednb.report.claims.figures import CheckResult, read_figure

TOTAL_PARAMETERS = 7_063_427_072
LLAMA_LAYERS, LLAMA_WIDTH = 32, 4096
TOWER_LAYERS, TOWER_WIDTH = 24, 1024
LLAMA_TARGETS = 4  # q, k, v, o
TOWER_TARGETS = 3  # q, k, v: CLIP calls its output projection out_proj


def lora_parameters(rank: int) -> dict[str, int]:
    """Adapter parameters by scope: every square projection of width d gets 2 d rank of them."""
    llama = LLAMA_LAYERS * LLAMA_TARGETS * 2 * LLAMA_WIDTH * rank
    tower = TOWER_LAYERS * TOWER_TARGETS * 2 * TOWER_WIDTH * rank
    return {"all": llama + tower, "language_model": llama}


def lora_count(rank: int, scope: str, printed: str) -> CheckResult:
    """A printed count, in millions, of a scope's adapter parameters."""
    figure = read_figure(printed)
    count = lora_parameters(rank)[scope]
    return CheckResult(
        figure.agrees(count / 1e6), f"rank {rank}, scope {scope}: {count:,}, printed {printed}M"
    )


def lora_share(rank: int, scope: str, printed: str) -> CheckResult:
    """A printed percentage of the model's parameters that a scope's adapters are."""
    count = lora_parameters(rank)[scope]
    share = 100 * count / TOTAL_PARAMETERS
    return CheckResult(
        read_figure(printed).agrees(share),
        f"{count:,} / {TOTAL_PARAMETERS:,} = {share:.2f}%, printed {printed}%",
    )


def model_memory(bytes_each: int, printed: str) -> CheckResult:
    """A printed size in GB of the frozen model."""
    size_gb = TOTAL_PARAMETERS * bytes_each / 1e9
    return CheckResult(
        read_figure(printed).agrees(size_gb),
        f"{TOTAL_PARAMETERS:,} x {bytes_each} bytes = {size_gb:.1f} GB, printed {printed} GB",
    )


def adapter_size(rank: int, printed: str, unit: str) -> CheckResult:
    """A printed adapter size is right for some scope and number width (2 or 4 bytes).

    `unit` is MB or GB; MB is tried as 10^6 and as 2^20 bytes, GB as 10^9 and as 2^30.
    """
    decimal, binary = {"MB": (1e6, 2.0**20), "GB": (1e9, 2.0**30)}[unit]
    figure = read_figure(printed)
    sizes = {
        f"{scope} x {width} bytes": [count * width / base for base in (decimal, binary)]
        for scope, count in lora_parameters(rank).items()
        for width in (2, 4)
    }
    fits = [name for name, pair in sizes.items() if any(figure.agrees(size) for size in pair)]
    listed = ", ".join(f"{name} = {pair[0]:.3g}" for name, pair in sizes.items())
    return CheckResult(
        bool(fits),
        f"{listed} {unit}; printed {printed} {unit}: {'fits ' + fits[0] if fits else 'none fits'}",
    )


def step_cost(teacher_forwards: int, printed: str) -> CheckResult:
    """A printed slow-down is right for some accounting of a step, in units of one forward pass.

    The student's backward costs 1 (frozen weights need no weight gradient) to 2 forwards, plus 1
    where activations are recomputed; the teacher adds `teacher_forwards` and nothing else.
    """
    figure = read_figure(printed)
    supervised = [1 + backward + recompute for backward in (1, 2) for recompute in (0, 1)]
    ratios = [(step + teacher_forwards) / step for step in supervised]
    return CheckResult(
        any(figure.agrees(ratio) for ratio in ratios),
        f"{teacher_forwards} forwards on top of a supervised step of {min(supervised)} to "
        f"{max(supervised)} forwards: {min(ratios):.2f} to {max(ratios):.2f} times, "
        f"printed {printed}",
    )
