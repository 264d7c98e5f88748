"""Says what this machine and this profile have, what is missing, and which command comes next."""

import platform
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from seednb.core.errors import SeedError
from seednb.core.profiles import Params
from seednb.core.stage import versions
from seednb.evaluation.benchmarks.base import COCO, HUB, Folders
from seednb.evaluation.benchmarks.inventory import benchmark_items, word_items
from seednb.evaluation.benchmarks.registry import BENCHMARKS
from seednb.experiments.published import scored_rows
from seednb.model.cost_model import SHAPES, GraphicsCard, Measured, card_named, card_rows
from seednb.report.tables import as_text

DOWNLOADS = {  # file or folder below data_root -> the command that brings it
    "train2014": f"wget {COCO}/zips/train2014.zip && unzip train2014.zip",
    "val2014": f"wget {COCO}/zips/val2014.zip && unzip val2014.zip",
    "annotations": (
        f"wget {COCO}/annotations/annotations_trainval2014.zip && unzip annotations_trainval2014.zip"
    ),
    "llava_instruct_150k.json": (
        f"wget {HUB}/datasets/liuhaotian/LLaVA-Instruct-150K/resolve/main/llava_instruct_150k.json"
    ),
}
LICENCES = {
    "COCO annotations": "CC BY 4.0; each photograph under its own Flickr licence",
    "LLaVA-Instruct-150K": "CC BY 4.0; made with GPT-4, so OpenAI's terms of use apply",
    "LLaVA-1.5 weights": "Llama 2 Community License",
    "pocket world and checkpoint": "this project's licence",
}
MODEL_GIB = 14  # LLaVA-1.5-7B in bfloat16


def examine(params: Params) -> str:
    """The whole examination as text."""
    needed = inputs(params)
    lines = [f"profile     {params.run.profile}", *_machine(), "", "needed files"]
    lines += [f"  {'missing' if command else 'found':<9}{path}" for path, command in needed]
    lines += ["", *_cards(params)]
    lines += ["", "licences", *(f"  {name}: {text}" for name, text in LICENCES.items())]
    lines += ["", *_benchmarks(params), ""]
    commands = dict.fromkeys(command for _, command in needed if command)
    if commands:
        lines.append(f"next, in {params.path(params.data.data_root)}:")
        lines += [f"  {command}" for command in commands]
    else:
        lines.append(f"next: seednb report --params params/{params.run.profile}.yaml")
    return "\n".join(lines)


def facts(params: Params) -> dict[str, Any]:
    """What `examine` says of files and downloads, for machines."""
    folders = Folders.of(params)
    return {
        "profile": params.run.profile,
        "versions": versions(),
        "needed": [{"path": path, "command": command or None} for path, command in inputs(params)],
        "licences": LICENCES,
        "benchmarks_dir": str(folders.benchmarks),
        "benchmarks": [item.as_row() for item in benchmark_items(folders)],
        "words": [item.as_row() for item in word_items()],
    }


def inputs(params: Params) -> list[tuple[str, str]]:
    """(path or model, the command that brings it, or "" if it is there) of all that is needed."""
    return [(needed, _command(needed, params)) for needed in _needed(params)]


def _benchmarks(params: Params) -> Iterator[str]:
    """Published benchmarks and word data: what is there, and the commands that bring the rest."""
    folders, run = Folders.of(params), params.run
    yield "published benchmarks (seednb evaluate --benchmarks, seednb score); commands are for"
    yield f"{folders.shown}:"
    for item in benchmark_items(folders):
        yield from item.as_lines(folders.benchmarks)
    scored = {row["benchmark"] for row in scored_rows(params.path(run.runs_dir) / run.profile)}
    left = ",".join(name for name in BENCHMARKS if name not in scored)
    if scored:
        yield f"scored for this profile: {', '.join(filter(scored.__contains__, BENCHMARKS))}"
    if left:
        yield f"not scored: seednb evaluate --params params/{run.profile}.yaml --benchmarks {left}"
    yield ""
    yield "word data (CHAIR's lemma and pattern, AMBER's descriptions)"
    for item in word_items():
        yield from item.as_lines()


def _cards(params: Params) -> list[str]:
    """Which card trains LLaVA-1.5-7B with which settings, and how fast."""
    try:
        measured = Measured.read(params.root)
    except SeedError as problem:
        return [f"cards       {problem}"]
    shape = SHAPES["llava-1.5-7b"]
    lines = ["LLaVA-1.5-7B by card (seednb plan: hours)"]
    lines += [f"  {line}" for line in as_text(pd.DataFrame(card_rows(measured, shape))).split("\n")]
    if own := _own_card():
        setting = measured.setting_for(own, shape)
        options = setting.parameters.replace(" ", " -p ") if setting else None
        lines += [f"  this machine: {own.name}" + (f", so: -p {options}" if options else "")]
    return lines


def _own_card() -> GraphicsCard | None:
    """This machine's first GPU, if it is listed."""
    if not torch.cuda.is_available():
        return None
    card = torch.cuda.get_device_properties(0)
    return card_named(card.name, card.total_memory / 2**30)


def _machine() -> list[str]:
    named = ", ".join(f"{name} {text}" for name, text in versions().items())
    lines = [f"machine     {platform.platform()}", f"versions    {named}"]
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            card = torch.cuda.get_device_properties(number)
            lines.append(f"GPU {number}       {card.name}, {card.total_memory / 2**30:.0f} GiB")
    else:
        lines.append(
            f"GPU         none: enough for pocket, not for 7B ({MODEL_GIB} GiB of weights)"
        )
    lines.append(f"free disk   {shutil.disk_usage(Path.cwd()).free / 2**30:.0f} GiB")
    return lines


def _needed(params: Params) -> list[str]:
    data, model = params.data, params.model.model
    if data.generator == "pocket":
        return [model]
    training = (data.train_images, data.train_instances, data.train_captions, data.instruct)
    validation = (data.val_images, data.val_instances, data.val_captions)
    return [model, *(f"{data.data_root}/{name}" for name in (*training, *validation) if name)]


def _command(needed: str, params: Params) -> str:
    path = params.path(needed)
    if path.exists() or any(path.parent.glob(path.name)) or _in_hub_cache(needed):
        return ""
    if needed == params.model.model:
        return f"hf download {needed}"
    name = needed.removeprefix(f"{params.data.data_root}/").split("/")[0]
    return DOWNLOADS.get(name, f"put {name} here (see docs/tutorial.md, Data and licences)")


def _in_hub_cache(name: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    if name.count("/") != 1 or Path(name).suffix:
        return False
    return isinstance(try_to_load_from_cache(name, "config.json"), str)
