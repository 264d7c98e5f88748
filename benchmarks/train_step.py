"""Training speed on LLaVA-1.5-7B's architecture: the reference step, plain LoRA, and the trainer.

python benchmarks/train_step.py            (one GPU with 80 GB or more; about 8 minutes)
python benchmarks/train_step.py --only "compiled; one a pass"          (these, the reference)
python benchmarks/train_step.py --weights fp8                          (16 bits and 8; 7 minutes)
python benchmarks/train_step.py --weights fp8_teacher,fp8_copy,nf4     (other precisions; 6 minutes)
python benchmarks/train_step.py --tiny     (any machine, seconds; writes nothing)

`--weights` times steps in these precisions beside those in 16 bits, in one process, and writes
`results/train_step-WEIGHTS.json`; nf4 needs bitsandbytes, fp8 a card of compute capability 8.9.

Executed operations are those of matrix products, counted as a step runs, and of attention over the
blocks of query-key pairs that are computed: 4 d operations a pair and head forwards, 10 d backwards.
Quantised layers execute those of 16-bit ones.
"""

import argparse
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from llava_shapes import build_bundle, make_examples
from measure import Training, Work, alternate, matmul_tflops, significant, tflop_a_unit
from peft import PeftModel
from plain_lora import plain_lora_rate
from results import write_result

from seednb.core.params import ModelParams
from seednb.method.reference import Example, seed_step
from seednb.model.compile import CompiledLayers
from seednb.model.loading import Bundle
from seednb.model.lora import add_adapter, n_trainable
from seednb.training.examples import Examples
from seednb.training.teacher_cache import TeacherCache

REFERENCE = "seed loop, 4 pairs an image"  # the name in results that were measured before
PLAIN = "plain LoRA, transformers.Trainer"
PLAIN_BATCHES = (4, 8, 16)
LARGER_BATCHES = (16, 32)  # with --weights


@dataclass(frozen=True)
class Variant:
    """One way to take a step."""

    shape: tuple[int, int] = (4, 4)  # images a step, pairs an image
    compiled: bool = True
    cached: bool = False
    weights: str = "bfloat16"
    changes: Mapping[str, Any] = field(default_factory=dict)


VARIANTS = {
    "ours, 4 pairs an image": Variant(compiled=False),
    "ours, 4 pairs an image, one a pass, checkpointing": Variant(
        compiled=False,
        changes={"gradient_checkpointing": "always", "batch_size": 4, "grad_accum": 4},
    ),
    "ours, 4 pairs an image, compiled": Variant(),
    "ours, 4 pairs an image, compiled, teacher cached": Variant(cached=True),
    "ours, 4 pairs an image, eight images a step, compiled": Variant((8, 4)),
    "ours, 4 pairs an image, eight images a step, compiled, teacher cached": Variant(
        (8, 4), cached=True
    ),
    "ours, 4 pairs an image, dense attention, compiled": Variant(changes={"attention": "dense"}),
    "ours, 1 pair an image, compiled": Variant((12, 1)),
}
COMPARED = tuple(name for name, v in VARIANTS.items() if v.compiled and not v.changes)
QUANTISED = {  # beside those that are compared, in the same process
    "fp8": COMPARED,
    "fp8_teacher": COMPARED[:1],
    "fp8_copy": COMPARED[:1],
    "nf4": ("ours, 4 pairs an image", *COMPARED[:1]),
}
IN_16_BITS = {"fp8": COMPARED}  # variants that are timed beside it, else the first of them


@dataclass(frozen=True)
class Model:
    """A model with an adapter, and what it takes on the card."""

    bundle: Bundle
    adapted: PeftModel
    gib: float


def main(tiny: bool = False, only: str = "", weights: str = "") -> None:
    """Time variants in turn and write `results/train_step.json`.

    `only`: parts of the names of those to time, between semicolons; the reference always is.
    `weights`: precisions to time beside 16 bits, between commas. A variant that fails is printed and
    left out: the others are still worth knowing.
    """
    device = torch.device("cpu" if tiny else "cuda")
    torch._dynamo.config.recompile_limit = 64  # layers of several precisions share their code
    chosen = chosen_variants(only, [name for name in weights.split(",") if name])
    ceiling = matmul_tflops(device)
    print(f"matmul {ceiling:.0f} TFLOP/s", flush=True)
    models = {
        name: build(device, "tiny" if tiny else "7b", name)
        for name in dict.fromkeys(["bfloat16", *(v.weights for v in chosen.values())])
    }
    plain = models["bfloat16"]
    print("trainable parameters", n_trainable(plain.adapted), flush=True)
    eager = CompiledLayers(plain.adapted)
    optimiser = torch.optim.AdamW([p for p in plain.adapted.parameters() if p.requires_grad], 2e-6)
    examples = {shape: make_examples(plain.bundle, *shape) for shape in ((4, 4), (8, 4), (12, 1))}
    four = examples[4, 4]

    history: list[float] = []

    def baseline() -> int:
        eager.use(False)
        model = plain.adapted
        model.train()
        model.gradient_checkpointing_enable({"use_reentrant": False})
        model.enable_input_require_grads()
        group = [reference_example(four, n, device) for n in range(4)]
        seed_step(model, teacher_of(model), optimiser, group, history)
        model.disable_input_require_grads()
        return 4

    def training(variant: Variant) -> Training:
        cache = TeacherCache(Path(tempfile.mkdtemp()), 2**34) if variant.cached else None
        changes = {"compile_layers": variant.compiled and not tiny, **variant.changes}
        if variant.cached:
            changes["noise"] = "per_image_seed"
        model = models[variant.weights]
        return Training(model.adapted, model.bundle, examples[variant.shape], cache, **changes)

    def forget() -> None:
        """Drop the moments of the other variants: a run has one optimiser."""
        optimiser.state.clear()
        for variant in variants.values():
            if isinstance(variant, Training):
                variant.forget()

    variants: dict[str, Work] = {REFERENCE: baseline}
    variants |= {name: training(variant) for name, variant in chosen.items()}
    tflop, first_steps = {}, {}
    for name, step in list(variants.items()):
        forget()
        started = time.perf_counter()
        try:
            step()
            step()
            first_steps[name] = round(time.perf_counter() - started, 1)
            known = chosen.get(name, Variant())
            if known.weights == "bfloat16":
                with torch.compiler.set_stance(
                    "force_eager"
                ):  # compiled operations are not counted
                    tflop[name] = tflop_a_unit(step)
            else:
                tflop[name] = tflop[name.replace(suffix(known.weights), "")]
        except Exception:
            print(name, "FAILS", traceback.format_exc()[-3000:], flush=True)
            del variants[name]
            continue
        print(name, first_steps[name], "s for the first two steps", flush=True)
    in_all = sum(model.gib for model in models.values())
    others = {name: in_all - models[chosen.get(name, Variant()).weights].gib for name in variants}
    # Two steps take what memory a run takes: the second asks the teacher while the first is counted.
    rows = alternate(
        variants, "samples", device, n_timed=3, n_untimed=2, before=forget, beside=others
    )
    rate = {row["name"]: row["samples_per_s"] for row in rows if "samples_per_s" in row}
    rows = [row for row in rows if row["name"] in rate]
    for row in rows:
        name = row["name"]
        row["executed_tflops"] = significant(rate[name] * tflop[name])
        row["share_of_matmul"] = round(rate[name] * tflop[name] / ceiling, 3)
        row["first_two_steps_s"] = first_steps[name]
    forget()
    eager.use(False)
    plain.adapted.gradient_checkpointing_disable()
    batches = LARGER_BATCHES if weights else PLAIN_BATCHES
    plain_rates: dict[int, float] = {}
    for n in batches[:1] if tiny else reversed(batches):
        plain_rates[n] = plain_lora_rate(plain.adapted, four, n)
        if only and plain_rates[n]:  # the largest that fits is the fastest
            break
    best = max(plain_rates, key=plain_rates.__getitem__)
    for n in sorted(plain_rates) if weights else [best]:
        if plain_rates[n]:
            rows.append(
                {"name": f"{PLAIN}, batch {n}", "samples_per_s": significant(plain_rates[n])}
            )
    for row in rows:
        row["times_seed_loop"] = round(row["samples_per_s"] / rate[REFERENCE], 2)
        row["times_plain_lora"] = round(row["samples_per_s"] / plain_rates[best], 2)
        print(row, flush=True)
    if not tiny:
        headline = {"matmul_tflops": round(ceiling)} | {
            f"{row['name']}: times the seed's loop": row["times_seed_loop"] for row in rows
        }
        file = "train_step" + (f"-{weights.replace(',', '-')}" if weights else "")
        print(write_result(file, rows, headline))


def chosen_variants(only: str, weights: list[str]) -> dict[str, Variant]:
    """Variants by name: those whose names hold a part of `only`, and the quantised ones."""
    wanted = [part.strip() for part in only.split(";")]
    beside = {name for each in weights for name in IN_16_BITS.get(each, QUANTISED[each])}
    chosen = {
        name: variant
        for name, variant in VARIANTS.items()
        if (name in beside if weights else any(part in name for part in wanted))
    }
    for each in weights:
        for name in QUANTISED[each]:
            place = name.find(", teacher cached")
            start, end = (name, "") if place < 0 else (name[:place], name[place:])
            chosen[start + suffix(each) + end] = replace(VARIANTS[name], weights=each)
    return chosen


def suffix(weights: str) -> str:
    """A precision in a variant's name."""
    return {
        "fp8": ", fp8",
        "fp8_teacher": ", fp8 for the teacher only",
        "fp8_copy": ", fp8 with a second copy",
        "nf4": ", nf4",
    }[weights]


def build(device: torch.device, size: str, weights: str) -> Model:
    """The model in a precision, with a fresh adapter."""
    before = torch.cuda.memory_allocated() if device.type == "cuda" else 0
    bundle = build_bundle(device, size, weights)
    adapted = add_adapter(bundle.model, ModelParams(), seed=0)
    after = torch.cuda.memory_allocated() if device.type == "cuda" else 0
    return Model(bundle, adapted, (after - before) / 2**30)


def reference_example(examples: Examples, number: int, device: torch.device) -> Example:
    """A training example as the reference takes it, with fresh noise."""
    row = examples.rows[number]
    pixels = examples.reader.batch([examples.images[number]]).to(device)
    ids = torch.tensor([row.input_ids], device=device)
    return Example(ids, row.n_prompt, pixels, torch.randn_like(pixels))


def teacher_of(model: PeftModel) -> Callable[[], AbstractContextManager[None]]:
    """The reproduction's teacher: the adapter off, and the allocator's memory given back after."""

    @contextmanager
    def teacher_mode() -> Iterator[None]:
        with model.disable_adapter():
            yield
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    return teacher_mode


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--only", default="", metavar="NAMES")
    parser.add_argument("--weights", default="", metavar="PRECISIONS")
    main(**vars(parser.parse_args()))
