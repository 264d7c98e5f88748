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
from seednb.model.cost_model import SHAPES, Card, Measured, card_named, card_rows
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
    missing = list(_missing(params))
    lines = [f"profile     {params.run.profile}", *_machine(), "", "needed files"]
    lines += [
        f"  {'missing' if path in dict(missing) else 'found':<9}{path}" for path in _needed(params)
    ]
    lines += ["", *_cards(params)]
    lines += ["", "licences", *(f"  {name}: {text}" for name, text in LICENCES.items()), ""]
    lines += _benchmarks(params)
    if missing:
        lines += ["next, in " + str(params.path(params.data.data_root)) + ":"]
        lines += [f"  {command}" for command in dict.fromkeys(command for _, command in missing)]
    else:
        lines += [f"next: seednb report --params params/{params.run.profile}.yaml"]
    return "\n".join(lines)


def facts(params: Params) -> dict[str, Any]:
    """What `examine` says of files and downloads, for machines."""
    missing = dict(_missing(params))
    return {
        "profile": params.run.profile,
        "versions": versions(),
        "needed": [{"path": p, "command": missing.get(p)} for p in _needed(params)],
        "licences": LICENCES,
        "benchmarks_dir": str(Folders.of(params).benchmarks),
        "benchmarks": [item.as_row() for item in benchmark_items(Folders.of(params))],
        "words": [item.as_row() for item in word_items()],
    }


def _benchmarks(params: Params) -> list[str]:
    """Published benchmarks and word data: what is there, and the commands that bring the rest."""
    folders = Folders.of(params)
    lines = ["published benchmarks (seednb evaluate --benchmarks, seednb score); commands are for"]
    lines += [f"{folders.shown}:"]
    lines += [
        line for item in benchmark_items(folders) for line in item.as_lines(folders.benchmarks)
    ]
    lines += ["", "word data (CHAIR's lemma and pattern, AMBER's descriptions)"]
    return [*lines, *(line for item in word_items() for line in item.as_lines()), ""]


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


def _own_card() -> Card | None:
    """This machine's first GPU, if it is listed."""
    if not torch.cuda.is_available():
        return None
    card = torch.cuda.get_device_properties(0)
    return card_named(card.name, card.total_memory / 2**30)


def _machine() -> list[str]:
    lines = [f"machine     {platform.platform()}"]
    lines += [f"versions    {', '.join(f'{name} {text}' for name, text in versions().items())}"]
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
    data = params.data
    if data.generator == "pocket":
        return [params.model.model]
    files = (data.train_images, data.train_instances, data.train_captions, data.instruct)
    validation = (data.val_images, data.val_instances, data.val_captions)
    return [
        params.model.model,
        *(f"{data.data_root}/{name}" for name in (*files, *validation) if name),
    ]


def _missing(params: Params) -> Iterator[tuple[str, str]]:
    """(path, command) of each needed file that is not there."""
    for needed in _needed(params):
        path = params.path(needed)
        if path.exists() or any(path.parent.glob(path.name)) or _in_hub_cache(needed):
            continue
        if needed == params.model.model:
            yield needed, f"hf download {needed}"
        else:
            name = needed.removeprefix(f"{params.data.data_root}/").split("/")[0]
            yield needed, DOWNLOADS.get(name, f"put {name} here (see README, The road to 7B)")


def _in_hub_cache(name: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    if name.count("/") != 1 or Path(name).suffix:
        return False
    return isinstance(try_to_load_from_cache(name, "config.json"), str)


def inputs(params: Params) -> list[tuple[str, str]]:
    """Each needed file or model, with the command that brings it, or nothing if it is there."""
    commands = dict(_missing(params))
    return [(path, commands.get(path, "")) for path in _needed(params)]
