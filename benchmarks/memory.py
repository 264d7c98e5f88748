"""Peak memory and speed of training by size of a micro-batch, checkpointing and model.

python benchmarks/memory.py                (one GPU; about 4 minutes; what does not fit is a row, too)
python benchmarks/memory.py --nf4          (4-bit weights on cards of 8, 12 and 24 GB; 3 minutes)
python benchmarks/memory.py --tiny         (any machine, seconds; writes nothing)

With --nf4 (which needs bitsandbytes) the allocator is capped at a card's size, so that a row without
failure ran in that memory; and a 16-bit checkpoint of 7B is loaded under the cap. It writes
`results/memory-nf4.json`.
"""

import argparse
import gc
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch
from llava_shapes import build_bundle, make_examples
from measure import Training, alternate, significant, tflop_a_unit
from results import write_result
from transformers import AutoModelForImageTextToText

from seednb.core.errors import SeedError
from seednb.core.params import ModelParams
from seednb.model.lora import add_adapter
from seednb.model.weights.nf4 import nf4_options

CARDS_GIB = (16, 24, 40, 80, 141)
USABLE = 0.92  # the rest goes to the driver and to fragments
IMAGES = {"7b": (1, 2, 4), "13b": (1, 4), "34b": (1,)}  # of one micro-batch


CAPPED = (  # model, images of a micro-batch (0: one pair), size of the card, rank
    ("7b", (1, 0), 8, 64),
    ("13b", (1, 0), 12, 64),
    ("34b", (0,), 24, 16),
)


def main(tiny: bool = False, nf4: bool = False) -> None:
    """Measure settings of three models; name the smallest card that holds each."""
    device = torch.device("cpu" if tiny else "cuda")
    if nf4:
        return capped_cards(tiny, device)
    rows: list[dict[str, Any]] = []
    for size, images in {"tiny": (1, 2)}.items() if tiny else IMAGES.items():
        rows += measure_model(size, images, ModelParams(), device)
        gc.collect()  # the next model needs the memory
    rows += measure_model("tiny" if tiny else "7b", (0,), adapter_of(16), device)
    for row in rows:
        fitting = [card for card in CARDS_GIB if row.get("peak_gib", math.inf) <= USABLE * card]
        row["fits_gib"] = min(fitting, default=None)
        print(row, flush=True)
    if not tiny:
        headline = {row["name"]: row["peak_gib"] for row in rows if "peak_gib" in row}
        print(write_result("memory", rows, headline))


def capped_cards(tiny: bool, device: torch.device) -> None:
    """4-bit weights in the memory of small cards, and loading them there from 16 bits."""
    rows = [loaded_shard_by_shard("tiny" if tiny else "7b", device) | {"card_gib": CAPPED[0][2]}]
    for size, images, card_gib, rank in CAPPED[:1] if tiny else CAPPED:
        cap(card_gib, device)
        found = measure_model(
            "tiny" if tiny else size, images, adapter_of(rank), device, "nf4", ("always",)
        )
        rows += [row | {"card_gib": card_gib} for row in found]
        gc.collect()
    for row in rows:
        print(row, flush=True)
    if not tiny:
        headline = {row["name"]: row["peak_gib"] for row in rows if "peak_gib" in row}
        print(write_result("memory-nf4", rows, headline))


def cap(card_gib: float, device: torch.device) -> None:
    """Leave this process the usable memory of a smaller card."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        whole = torch.cuda.get_device_properties(device).total_memory / 2**30
        torch.cuda.set_per_process_memory_fraction(USABLE * card_gib / whole, device)


def loaded_shard_by_shard(size: str, device: torch.device) -> dict[str, Any]:
    """Time, and peak memory of card and host, of loading a 16-bit checkpoint into 4 bits."""
    with tempfile.TemporaryDirectory() as folder:
        build_bundle(device, size).model.save_pretrained(folder, max_shard_size="2GB")
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
        command = [sys.executable, __file__, "--load", folder, "--cap", str(CAPPED[0][2])]
        run = subprocess.run(command, check=True, capture_output=True, text=True)
    row: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return {"name": f"{size} in 4 bits, loaded from 16 bits"} | row


def load(folder: str, card_gib: float) -> None:
    """Load a checkpoint in a process of its own, whose host memory is then its own."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    cap(card_gib, device)
    started, before = time.perf_counter(), peak_host_gib()
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    model = AutoModelForImageTextToText.from_pretrained(
        folder, dtype=dtype, use_safetensors=True, **nf4_options(folder, True, dtype, device)
    )
    row = {
        "load_s": round(time.perf_counter() - started, 1),
        "host_peak_gib": round(peak_host_gib(), 1),
        "host_before_gib": round(before, 1),
        "weights_gib": round(model.get_memory_footprint() / 2**30, 1),
    }
    if device.type == "cuda":
        row["peak_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 1)
    print(json.dumps(row))


def peak_host_gib() -> float:
    """The most host memory that this process held at a time."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def adapter_of(rank: int) -> ModelParams:
    """The default adapter of a rank; below 64 of the language model alone."""
    scope = "all" if rank == 64 else "language_model"
    return replace(ModelParams(), lora_r=rank, lora_alpha=2 * rank, lora_scope=scope)


def measure_model(
    size: str,
    images: Sequence[int],
    adapter: ModelParams,
    device: torch.device,
    weights: str = "bfloat16",
    modes: Sequence[str] = ("never", "always"),
) -> list[dict[str, Any]]:
    """Micro-batches of some numbers of images with 4 pairs each; 0 stands for a single pair."""
    torch.compiler.reset()  # kernels of other sizes count towards the most that torch compiles
    bundle = build_bundle(device, size, weights)
    model = add_adapter(bundle.model, adapter, seed=0)
    size += " in 4 bits" if weights == "nf4" else ""
    variants = {}
    for n in images:
        examples = make_examples(bundle, max(1, n), 4 if n else 1)
        for mode in modes:
            name = f"{size}, LoRA r {adapter.lora_r}, {_texts(n)}, checkpointing {mode}"
            variants[name] = Training(model, bundle, examples, gradient_checkpointing=mode)

    def forget() -> None:
        for variant in variants.values():
            variant.forget()

    rows = alternate(variants, "samples", device, n_rounds=3, n_timed=1, before=forget)
    for row in rows:
        if "failure" not in row and weights == "bfloat16":
            with suppress(SeedError):  # counting takes memory of its own
                tflop = tflop_a_unit(variants[row["name"]])
                row["executed_tflops"] = significant(row["samples_per_s"] * tflop)
    return rows


def _texts(n_images: int) -> str:
    if n_images == 0:
        return "one pair"
    return f"{n_images} {'image' if n_images == 1 else 'images'} of 4 pairs"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--nf4", action="store_true")
    parser.add_argument("--load", metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument("--cap", type=float, help=argparse.SUPPRESS)
    options = vars(parser.parse_args())
    folder, card = options.pop("load"), options.pop("cap")
    if folder:
        load(folder, card)
    else:
        main(**options)
