"""Probes a second on LLaVA-1.5-7B's architecture: one forward pass a probe, or one an image.

python benchmarks/score_pope.py            (one GPU with 40 GB or more; about 2 minutes)
python benchmarks/score_pope.py --tiny     (any machine, seconds; writes nothing)

Of the model as it is, and of a student, which is the model with an adapter. One forward a probe is
what transformers and PEFT do unasked: the logits of every token, the adapter in float32. CompiledLayers is
`compile_probes`; what compiling takes is said, and not in the rates.
"""

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from llava_shapes import N_SYSTEM, RandomImages, build_bundle, random_tokens
from measure import alternate
from peft import PeftModel
from results import write_result
from torch import Tensor, nn

from seednb.core.params import ModelParams
from seednb.model.attention import choose_attention
from seednb.model.compile import CompiledLayers
from seednb.model.forward import AnswerLogits
from seednb.model.inputs.collate import collate
from seednb.model.inputs.packing import make_batch
from seednb.model.inputs.prompts import Encoded
from seednb.model.loading import Bundle
from seednb.model.lora import add_adapter, load_adapter

N_PROBES = 18  # an image: three splits of six
N_IMAGES = 16  # of one batch
N_ALONE = 36  # probes that have a forward each
SOME = slice(8)  # logits that are read, Yes and No among them
ALONE, PACKED = "one forward a probe", "images read once"
COMPILED = f"{PACKED}, compiled"


@torch.inference_mode()
def main(tiny: bool = False) -> None:
    """Measure the model, then the student; write the figures."""
    device, size = torch.device("cpu" if tiny else "cuda"), "tiny" if tiny else "7b"
    plain, ours = build_bundle(device, size), build_bundle(device, size)
    rows, headline = compare("", plain.model, ours)
    folder = Path(tempfile.mkdtemp())
    save_adapter(build_bundle(device, size), folder)
    student = PeftModel.from_pretrained(plain.model, str(folder)).eval()
    ours = replace(ours, model=load_adapter(ours.model, folder))  # type: ignore[arg-type]
    of_student, headline_of_student = compare("student, ", student, ours)
    rows += of_student
    headline |= headline_of_student
    print(rows, headline)
    if not tiny:
        print(write_result("score_pope", rows, headline))


def compare(
    name: str, plain: nn.Module, ours: Bundle
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Alternate the ways on the same probes: (rates, how they compare and how far they agree)."""
    generator = torch.Generator().manual_seed(1)
    start = [*random_tokens(N_SYSTEM, generator), *ours.image_tokens.ids]
    rows = [image for image in range(N_IMAGES) for _ in range(N_PROBES)]
    lengths = torch.randint(12, 18, (len(rows),), generator=generator).tolist()
    prompts = [(*start, *random_tokens(n, generator)) for n in lengths]
    probes = [Encoded(prompt, len(prompt)) for prompt in prompts]
    pixels = RandomImages(ours).batch([str(n) for n in range(N_IMAGES)])
    answers = AnswerLogits(ours.model)
    on_gpu = ours.device.type == "cuda"
    in_sequence, _ = choose_attention("auto", ours)
    layers = CompiledLayers(ours.model, backend="inductor" if on_gpu else "eager")
    found: dict[str, Tensor] = {}

    def packed() -> int:
        batch = collate(probes, rows, pixels, ours.layout)
        found[PACKED] = answers(batch.to(ours.device))[:, SOME].float().cpu()
        return len(probes)

    def compiled() -> int:
        with layers.used():
            batch = make_batch(in_sequence, probes, rows, pixels, ours.layout)
            found[COMPILED] = answers(batch.to(ours.device))[:, SOME].float().cpu()
        return len(probes)

    def alone() -> int:
        one_by_one = []
        for prompt, row in zip(prompts[:N_ALONE], rows, strict=False):
            ids = torch.tensor([prompt], device=ours.device)
            image = pixels[row : row + 1].to(ours.device, torch.bfloat16)
            seen = {"pixel_values": image, "attention_mask": torch.ones_like(ids)}
            one_by_one.append(plain(input_ids=ids, **seen).logits[0, -1, SOME].float().cpu())
        found[ALONE] = torch.stack(one_by_one)
        return N_ALONE

    started = time.perf_counter()
    compiled()
    headline = {f"{name}first compiled pass, s": round(time.perf_counter() - started, 1)}
    ways = {ALONE: alone, PACKED: packed, COMPILED: compiled}
    figures = alternate({name + way: work for way, work in ways.items()}, "probes", ours.device)
    rate = dict(zip(ways, (row["probes_per_s"] for row in figures), strict=True))
    for row in figures:
        row.pop("peak_gib", None)  # two models are on the card
    for way in (PACKED, COMPILED):
        difference = (found[way][:N_ALONE] - found[ALONE]).abs().max().item()
        headline[f"{name}{way}: times one forward"] = round(rate[way] / rate[ALONE], 1)
        headline[f"{name}{way}: largest logit difference, bf16"] = round(difference, 4)
    return figures, headline


def save_adapter(bundle: Bundle, folder: Path) -> None:
    """An adapter that changes something: a fresh one's second factors are 0."""
    model = add_adapter(bundle.model, ModelParams(), seed=0)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.01)
    model.save_pretrained(str(folder))


if __name__ == "__main__":
    main("--tiny" in sys.argv)
