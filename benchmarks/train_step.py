"""Training speed on LLaVA-1.5-7B's architecture: the reference step, plain LoRA, and the trainer.

python benchmarks/train_step.py            (one GPU with 80 GB or more; about 8 minutes)
python benchmarks/train_step.py --only "image, compiled; one a pass"   (these, the reference)
python benchmarks/train_step.py --tiny     (any machine, seconds; writes nothing)

Executed operations are those of matrix products, counted as a step runs, and of attention over the
blocks of query-key pairs that are computed: 4 d operations a pair and head forwards, 10 d backwards.
"""

import argparse
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import torch
from llava_shapes import build_bundle, make_examples
from measure import Training, Work, alternate, matmul_tflops, significant, tflop_a_unit
from peft import PeftModel
from plain_lora import plain_lora_rate
from results import write_result

from seednb.core.params import ModelParams
from seednb.method.reference import Example, seed_step
from seednb.model.compile import CompiledLayers
from seednb.model.lora import add_adapter, n_trainable
from seednb.training.examples import Examples
from seednb.training.teacher_cache import TeacherCache

REFERENCE = "seed loop, 4 pairs an image"  # the name in results that were measured before
PLAIN = "plain LoRA, transformers.Trainer"
PLAIN_BATCHES = (4, 8, 16)


def main(tiny: bool = False, only: str = "") -> None:
    """Time variants in turn and write `results/train_step.json`.

    `only`: parts of the names of those to time, between semicolons; the reference always is. A
    variant that fails is printed and left out: the others are still worth knowing.
    """
    wanted = [part.strip() for part in only.split(";")]
    device = torch.device("cpu" if tiny else "cuda")
    bundle = build_bundle(device, "tiny" if tiny else "7b")
    model = add_adapter(bundle.model, ModelParams(), seed=0)
    print("trainable parameters", n_trainable(model))
    four, one = make_examples(bundle, 4, 4), make_examples(bundle, 12, 1)
    eight = make_examples(bundle, 8, 4)
    ceiling = matmul_tflops(device)
    print(f"matmul {ceiling:.0f} TFLOP/s", flush=True)
    eager = CompiledLayers(model)
    fast = {"compile_layers": not tiny}
    kept = fast | {"noise": "per_image_seed"}
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 2e-6)
    ours = partial(Training, model, bundle)

    def cache() -> TeacherCache:
        return TeacherCache(Path(tempfile.mkdtemp()), 2**34)

    def baseline(examples: Examples) -> Work:
        history: list[float] = []

        def step() -> int:
            eager.use(False)
            model.train()
            model.gradient_checkpointing_enable({"use_reentrant": False})
            model.enable_input_require_grads()
            group = [reference_example(examples, n, device) for n in range(4)]
            seed_step(model, teacher_of(model), optimiser, group, history)
            model.disable_input_require_grads()
            return 4

        return step

    def forget() -> None:
        """Drop the moments of the other variants: a run has one optimiser."""
        optimiser.state.clear()
        for variant in variants.values():
            if isinstance(variant, Training):
                variant.forget()

    variants: dict[str, Work] = {
        REFERENCE: baseline(four),
        "ours, 4 pairs an image": ours(four),
        "ours, 4 pairs an image, one a pass, checkpointing": ours(
            four, gradient_checkpointing="always", batch_size=4, grad_accum=4
        ),
        "ours, 4 pairs an image, compiled": ours(four, **fast),
        "ours, 4 pairs an image, compiled, teacher cached": ours(four, cache(), **kept),
        "ours, 4 pairs an image, eight images a step, compiled": ours(eight, **fast),
        "ours, 4 pairs an image, eight images a step, compiled, teacher cached": ours(
            eight, cache(), **kept
        ),
        "ours, 4 pairs an image, dense attention, compiled": ours(four, **fast, attention="dense"),
        "ours, 1 pair an image, compiled": ours(one, **fast),
    }
    chosen = {name for name in variants if any(part in name for part in wanted)} | {REFERENCE}
    variants = {name: step for name, step in variants.items() if name in chosen}
    tflop, first_steps = {}, {}
    for name, step in list(variants.items()):
        forget()
        started = time.perf_counter()
        try:
            step()
            step()
            first_steps[name] = round(time.perf_counter() - started, 1)
            with torch.compiler.set_stance("force_eager"):  # compiled operations are not counted
                tflop[name] = tflop_a_unit(step)
        except Exception:
            print(name, "FAILS", traceback.format_exc()[-3000:], flush=True)
            del variants[name]
            continue
        print(name, first_steps[name], "s for the first two steps", flush=True)
    # Two steps take what memory a run takes: the second asks the teacher while the first is counted.
    rows = alternate(variants, "samples", device, n_timed=3, n_untimed=2, before=forget)
    rate = {row["name"]: row["samples_per_s"] for row in rows if "samples_per_s" in row}
    rows = [row for row in rows if row["name"] in rate]
    for row in rows:
        name = row["name"]
        row["executed_tflops"] = significant(rate[name] * tflop[name])
        row["share_of_matmul"] = round(rate[name] * tflop[name] / ceiling, 3)
        row["first_two_steps_s"] = first_steps[name]
    forget()
    eager.use(False)
    model.gradient_checkpointing_disable()
    plain: dict[int, float] = {}
    for n in PLAIN_BATCHES[:1] if tiny else reversed(PLAIN_BATCHES):
        plain[n] = plain_lora_rate(model, four, n)
        if only and plain[n]:  # the largest that fits is the fastest
            break
    best = max(plain, key=plain.__getitem__)
    rows.append({"name": f"{PLAIN}, batch {best}", "samples_per_s": significant(plain[best])})
    for row in rows:
        row["times_seed_loop"] = round(row["samples_per_s"] / rate[REFERENCE], 2)
        row["times_plain_lora"] = round(row["samples_per_s"] / plain[best], 2)
        print(row, flush=True)
    if not tiny:
        headline = {"matmul_tflops": round(ceiling)} | {
            f"{row['name']}: times the seed's loop": row["times_seed_loop"] for row in rows
        }
        print(write_result("train_step", rows, headline))


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
    main(**vars(parser.parse_args()))
