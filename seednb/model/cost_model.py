"""What a card can hold and how long a run takes: measured on one card, projected to others.

Measured are the rows of `benchmarks/results/{train_step,memory}.json`, each of one card; the first
names the card that counts as measured. All else is projected from them:

rate     samples/s of a card = min(launched, u x its bf16 peak / operations a sample): `launched` is
         the measured rate x 32 / the model's layers (a processor launches layers one by one), u is
         the share of its data-sheet peak that the measured card reached with the fastest setting
         (an optimistic share for the others), and operations grow with the model's parameters
step     seconds of an optimiser step on N cards that share G examples
         = max(ceil(G / N) / rate, floor) + 2 (N - 1) / N x gradient bytes / bandwidth
         where floor is the time of a micro-batch of one image, not compiled; the second term is a
         ring all-reduce (Patarasuk and Yuan, 2009) over the slowest link. Start-up, stragglers and
         reading images are left out
memory   weights (bf16) + 16 bytes a trainable parameter (float32 weight, gradient, AdamW's two
         moments) + the rest of the measured peak, scaled with layers x hidden size
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seednb.core.errors import SeedError

RESULTS = "benchmarks/results"
TRAINING, MEMORY = "train_step", "memory"
ONE_IMAGE = "7b, LoRA r 64, 1 image of 4 pairs, checkpointing never"
FITS = 0.92  # of a card's memory; the rest is left for the driver and fragments
GIB = 2**30
CARD_STEP = 16  # examples of one optimiser step on each card, unless a plan says otherwise


@dataclass(frozen=True)
class GraphicsCard:
    """An accelerator, from its maker's data sheet."""

    name: str
    memory_gib: float
    peak_tflops: float  # bfloat16, dense
    in_node_gb_s: float  # gigabytes a second between two cards of one machine, each way


@dataclass(frozen=True)
class ModelShape:
    """What decides a model's memory and speed."""

    name: str
    n_parameters: float
    n_trainable: float  # LoRA r = 64 on q, k, v, o
    n_layers: int
    hidden: int


@dataclass(frozen=True)
class Setting:
    """How a step is cut into micro-batches, and the parameters for it."""

    measured_as: str  # the row's name in the result file
    parameters: str
    adapter: float = 1.0  # its parameters, as a share of the default adapter's


CARDS = {
    card.name: card
    for card in (
        GraphicsCard("rtx4080", 16, 97, 32),
        GraphicsCard("a10", 24, 125, 32),
        GraphicsCard("rtx4090", 24, 165, 32),
        GraphicsCard("a100-40", 40, 312, 300),
        GraphicsCard("a100-80", 80, 312, 300),
        GraphicsCard("h100", 80, 989, 450),
        GraphicsCard("h200", 141, 989, 450),
    )
}
SHAPES = {
    shape.name: shape
    for shape in (
        ModelShape("llava-1.5-7b", 7.063e9, 76_546_048, 32, 4096),
        ModelShape("llava-1.5-13b", 13.351e9, 114_294_784, 40, 5120),
        ModelShape("llava-next-34b", 34.752e9, 182_452_224, 60, 7168),
    )
}
SETTINGS = (  # the fastest first
    Setting("ours, 4 pairs an image, compiled", "batch_size=16 grad_accum=1 compile_layers=true"),
    Setting(
        "7b, LoRA r 64, 4 images of 4 pairs, checkpointing always",
        "batch_size=16 grad_accum=1 gradient_checkpointing=always",
    ),
    Setting(
        "7b, LoRA r 64, 1 image of 4 pairs, checkpointing always",
        "batch_size=4 grad_accum=4 gradient_checkpointing=always",
    ),
    Setting(
        "7b, LoRA r 16, one pair, checkpointing always",
        "batch_size=1 grad_accum=16 gradient_checkpointing=always "
        "lora_r=16 lora_alpha=32 lora_scope=language_model",
        adapter=67_108_864 / 4 / 76_546_048,
    ),
)
CARDS_A_NODE = 8
BETWEEN_NODES_GB_S = 50.0  # 400 Gbit/s InfiniBand


@dataclass(frozen=True)
class Measured:
    """The committed figures of one card."""

    card: GraphicsCard
    rows: dict[str, dict[str, Any]]  # by name

    @classmethod
    def read(cls, root: Path) -> "Measured":
        """Raises SeedError if the benchmark has not run, or ran on a card that is not listed."""
        result = benchmark(root, TRAINING)
        card = card_named(result["machine"], math.inf)
        if card is None:
            raise SeedError(
                f"{RESULTS}/{TRAINING}.json was measured on {result['machine']}, a card that is not listed"
            )
        rows = [*result["rows"], *benchmark(root, MEMORY)["rows"]]
        return cls(card, {row["name"]: row for row in rows})

    def rate(self, setting: Setting, card: GraphicsCard, shape: ModelShape) -> float:
        """Samples a second of one card."""
        row, fastest = self.rows[setting.measured_as], self.rows[SETTINGS[0].measured_as]
        used = fastest["executed_tflops"] / self.card.peak_tflops
        known = SHAPES["llava-1.5-7b"]
        launched = row["samples_per_s"] * known.n_layers / shape.n_layers
        size = shape.n_parameters / known.n_parameters
        tflop_a_sample = size * row["executed_tflops"] / row["samples_per_s"]
        return float(min(launched, used * card.peak_tflops / tflop_a_sample))

    def peak_gib(self, setting: Setting, shape: ModelShape) -> float:
        """Memory that a step takes."""
        known = SHAPES["llava-1.5-7b"]
        peak = float(self.rows[setting.measured_as]["peak_gib"])
        rest = peak - static_gib(known, setting.adapter)
        scale = shape.n_layers * shape.hidden / (known.n_layers * known.hidden)
        return static_gib(shape, setting.adapter) + rest * scale

    def setting_for(self, card: GraphicsCard, shape: ModelShape) -> Setting | None:
        """The fastest setting that fits; None if none does."""
        fitting = (s for s in SETTINGS if self.peak_gib(s, shape) <= FITS * card.memory_gib)
        return next(fitting, None)

    def floor_s(self, shape: ModelShape) -> float:
        """Seconds of a micro-batch of one image with its four pairs: launching takes that long."""
        depth = shape.n_layers / SHAPES["llava-1.5-7b"].n_layers
        return depth * 4 / float(self.rows[ONE_IMAGE]["samples_per_s"])


def benchmark(root: Path, name: str) -> dict[str, Any]:
    """A committed result: rows, machine, versions, date, command. Raises SeedError if it is absent."""
    from seednb.core.files import read_json  # here, so that the command line starts without pandas

    file = root / RESULTS / f"{name}.json"
    if not file.is_file():
        raise SeedError(
            f"{file} is missing; run: python benchmarks/{name}.py (its first lines say where)"
        )
    result: dict[str, Any] = read_json(file)
    return result


def static_gib(shape: ModelShape, adapter: float = 1.0) -> float:
    """Weights, adapters (a share of the default ones), their gradients and AdamW's moments."""
    return (2 * shape.n_parameters + 16 * adapter * shape.n_trainable) / GIB


def card_named(machine: str, memory_gib: float) -> GraphicsCard | None:
    """The listed card that a driver's name means, of those with at most that memory."""
    name = machine.lower().replace(" ", "")
    fitting = [
        card
        for card in CARDS.values()
        if card.name.split("-")[0] in name and card.memory_gib <= memory_gib + 2
    ]
    return max(fitting, key=lambda card: card.memory_gib, default=None)


def card_rows(measured: Measured, shape: ModelShape) -> list[dict[str, Any]]:
    """One row a card: its memory, the settings that fit, their peak and samples a second."""
    rows = []
    for card in CARDS.values():
        setting = measured.setting_for(card, shape)
        rate = f"{measured.rate(setting, card, shape):.1f}" if setting else ""
        rows.append(
            {
                "card": card.name,
                "memory GiB": card.memory_gib,
                "samples/s": rate,
                "peak GiB": f"{measured.peak_gib(setting or SETTINGS[-1], shape):.1f}",
                "how": "measured" if card is measured.card else "projected",
                "settings": setting.parameters if setting else "does not fit",
            }
        )
    return rows


@dataclass(frozen=True)
class Plan:
    """A full run on N cards."""

    n_cards: int
    examples_a_step: int
    n_steps: int
    step_s: float
    settings: str
    peak_gib: float
    sharing_s: float  # of step_s, spent on adding gradients
    efficiency: float  # samples/s against N times one card's

    @property
    def hours(self) -> float:
        """Wall-clock time of all steps."""
        return self.n_steps * self.step_s / 3600


def plan(
    measured: Measured,
    card: GraphicsCard,
    shape: ModelShape,
    n_cards: int,
    n_samples: int,
    examples_a_step: int | None = None,
) -> Plan:
    """Project a run of `n_samples` (pairs x epochs); a step holds `CARD_STEP` examples a card.

    Raises SeedError if the model does not fit on the card, and for numbers below 1.
    """
    for name, number in (
        ("gpus", n_cards),
        ("samples", n_samples),
        ("examples_a_step", examples_a_step),
    ):
        if number is not None and number < 1:
            raise SeedError(f"{name} {number}: take 1 or more")
    setting = measured.setting_for(card, shape)
    if setting is None:
        raise SeedError(
            f"{shape.name} needs {measured.peak_gib(SETTINGS[-1], shape):.0f} GiB a card, "
            f"{card.name} has {card.memory_gib:.0f}; take a larger card"
        )
    group = examples_a_step or CARD_STEP * n_cards
    rate = measured.rate(setting, card, shape)
    floor = measured.floor_s(shape)
    share = math.ceil(group / n_cards)
    bandwidth = card.in_node_gb_s if n_cards <= CARDS_A_NODE else BETWEEN_NODES_GB_S
    sharing = 2 * (n_cards - 1) / n_cards * 4 * shape.n_trainable / (bandwidth * 1e9)
    step = max(share / rate, floor) + sharing
    n_steps = math.ceil(n_samples / group)
    efficiency = group / step / (n_cards * rate)
    peak = measured.peak_gib(setting, shape)
    return Plan(n_cards, group, n_steps, step, setting.parameters, peak, sharing, efficiency)
