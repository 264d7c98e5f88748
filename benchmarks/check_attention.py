"""Whether attention that skips blocks agrees with dense attention on this card. Run it first.

python benchmarks/check_attention.py           (one GPU; about a minute)
python benchmarks/check_attention.py --tiny    (any machine: the layout alone, without the kernel)

Ends with an error if a loss or a gradient is further away than rounding.
"""

import sys
import time
import traceback
from dataclasses import replace
from typing import Any

import torch
from llava_shapes import build_bundle, make_examples
from peft import PeftModel
from torch import Tensor

from seednb.core.params import ModelParams
from seednb.model.attention import choose_attention
from seednb.model.compile import CompiledLayers
from seednb.model.forward import AnswerLogits, TeacherMode
from seednb.model.lora import add_adapter
from seednb.training.examples import Examples

SIZES = ((2, 4), (3, 2), (4, 1), (2, 4))  # images, pairs each: the compiled layers must take all
LARGEST = {torch.bfloat16: 5e-2, torch.float32: 5e-3}  # of the dense gradient's norm


def main(tiny: bool = False) -> int:
    """Compare dense and skipping attention, in two precisions, as written and compiled."""
    device = torch.device("cpu" if tiny else "cuda")
    failures = 0
    for dtype in LARGEST:
        bundle = build_bundle(device, "tiny" if tiny else "small")
        model = add_adapter(bundle.model.to(dtype), replace(ModelParams(), lora_dropout=0.0), 0)
        generator = torch.Generator(device).manual_seed(0)
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
            if "lora_B" in name:
                parameter.data.normal_(0, 0.02, generator=generator)
        choose_attention("block_sparse", bundle)
        layers = CompiledLayers(model)
        examples = [make_examples(bundle, *size, seed) for seed, size in enumerate(SIZES)]
        dense = [states_and_gradient(model, each) for each in examples]
        for compiled in (False,) if tiny else (False, True):
            name = f"{dtype}, layers {'compiled' if compiled else 'as written'}"
            layers.use(compiled)
            try:
                failures += compare(name, model, examples, dense, LARGEST[dtype])
            except Exception:  # the other variants are still worth knowing
                failures += 1
                print(name, "FAILS", traceback.format_exc()[-3000:], flush=True)
            layers.use(False)
    print("FAILED" if failures else "all agree")
    return failures


def compare(
    name: str,
    model: PeftModel,
    examples: list[Examples],
    dense: list[dict[str, Tensor]],
    largest: float,
) -> int:
    """Print distances and times of one variant; 1 if it is too far away."""
    seconds, distances = [], []
    for each, expected in zip(examples, dense, strict=True):
        started = time.perf_counter()
        found = states_and_gradient(model, replace(each, packed=True))
        seconds.append(time.perf_counter() - started)
        distances.append({key: distance(found[key], expected[key]) for key in expected})
    worst = {key: max(each[key] for each in distances) for key in distances[0]}
    is_far = max(worst.values()) > largest
    shown = ", ".join(f"{key} {value:.1e}" for key, value in worst.items())
    times = " ".join(f"{s:.2f}" for s in seconds)
    print(f"{name}: {shown}; steps took {times} s{'; TOO FAR' if is_far else ''}", flush=True)
    return int(is_far)


def states_and_gradient(model: PeftModel, examples: Examples) -> dict[str, Tensor]:
    """The teacher's two views, the student's states, and the gradient of a loss of them."""
    batch = examples.batch(range(len(examples.rows))).to(model.device)
    answers = AnswerLogits(model).train()
    with TeacherMode(model):
        teacher = answers.hidden(batch.seen_as([batch.pixel_values, batch.pixel_values.flip(-1)]))
    student = answers.hidden(batch)
    model.zero_grad(set_to_none=True)
    (student.float() - teacher.chunk(2)[1].float()).square().mean().backward()
    gradients: list[Any] = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    found = {"teacher": teacher, "student": student.detach(), "gradient": torch.cat(gradients)}
    return {key: value.float().cpu() for key, value in found.items()}


def distance(found: Tensor, expected: Tensor) -> float:
    """Norm of the difference, as a share of the norm."""
    return float((found - expected).norm() / expected.norm())


if __name__ == "__main__":
    sys.exit(main("--tiny" in sys.argv))
