"""Which results get a new key when a parameter changes: found by changing each in turn.

Writes the table that test_stages.py compares with:

    python tests/experiments/parameter_table.py
"""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from seednb.core.errors import SeedError
from seednb.core.profiles import SECTIONS, describe, load_params
from seednb.core.stage import VERSIONS
from seednb.evaluation.benchmarks.base import Asked, Material
from seednb.experiments.ablation.plans import V7
from seednb.experiments.ablation.rows import cells_of, rows_stage
from seednb.experiments.experiment import Experiment
from seednb.experiments.fault_injection import FAULTS, fault_stage
from seednb.experiments.published import Benchmarks, Contestant
from seednb.experiments.robustness import variants_stage
from seednb.method.recipes import RECIPES

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs/parameters-and-stages.md"
KINDS = (
    "world", "teacher", "labels", "train", "answers", "contrastive", "metrics", "robust",
    "ablation", "rows", "fault", "benchmark", "scores",
)  # fmt: skip
COCO = ("train_instances", "train_captions", "val_instances", "val_captions", "instruct",
        "train_questions", "val_questions")  # fmt: skip
SPLIT_OFF = {"val_instances": "", "val_captions": ""}
FIXED = {"noise": "per_image_seed"}
VIEWS = ("ddpm", "mask", "blur", "fgsm")
# Where a parameter matters only beside others: what the table calls that, those others, and the
# sections whose parameters are then changed.
SITUATIONS: tuple[tuple[str, dict[str, Any], tuple[str, ...]], ...] = (
    ("", {}, tuple(SECTIONS)),
    ("own data", {"generator": "none"}, ("data",)),
    ("split off", {"generator": "none", **SPLIT_OFF}, ("data",)),
    ("fixed noise", FIXED, ("train",)),
    *((name, {"perturbation": name, **FIXED}, ("train",)) for name in VIEWS),
)
NUMBERS = (0.5, 0.45, 1, 2, 300)
SPECIAL: dict[str, tuple[Any, ...]] = {
    "beta_values": ([1.2, 0.8, 0.6, 0.4],),
    "beta_quantiles": ([0.2, 0.5, 0.75],),
    "probe_languages": ("de",),
    "drop_trivial_answers": (True,),
    "beta_per_token": (True,),
}
TEXT = """# Which parameter decides which result

Every finished result lies in a folder that is named by a key. This table says which parameters are
part of which keys: a parameter that is not in a row's key can be changed, and the result is found
again. It is made by changing each parameter in turn, and a test compares it with the code:

    python tests/experiments/parameter_table.py

`yes`: the key changes. Words: it changes only in that situation, which is *own data* (files instead of
the generated world), *split off* (own data without validation annotations), *fixed noise*
(`noise=per_image_seed`, where the teacher's noisy view is remembered) or a perturbation. `teacher`: the
frozen teacher's states on disk. `answers` and what follows are the base model's, `train` is v7's;
`contrastive`: answers decoded from purified logits. The questions of a published `benchmark` are
themselves part of its key, and `caption_prompt`, `caption_images`, `world_seed` and `benchmarks_dir`
count through them. A parameter without a word changes no result: a run's time, memory, log or place.

"""


def table(cells: Mapping[str, Mapping[str, str]]) -> str:
    """The page: one row a parameter, one column a kind of result."""
    width = max(map(len, cells)) + 2
    lines = [
        "| " + " | ".join(["parameter".ljust(width), *KINDS]) + " |",
        "| " + " | ".join(["-" * width, *("-" * len(kind) for kind in KINDS)]) + " |",
    ]
    for name, of_kind in cells.items():
        row = [f"`{name}`".ljust(width), *(of_kind[kind].ljust(len(kind)) for kind in KINDS)]
        lines.append("| " + " | ".join(row) + " |")
    return TEXT + "\n".join(lines) + "\n"


def marks(folder: Path) -> dict[str, dict[str, str]]:
    """Parameter -> kind of result -> "yes", the situations in which its key changes, or ""."""
    base = write_project(folder)
    rows = [row for row in describe() if row["name"] not in ("runs_dir", "reports_dir", "profile")]
    found: dict[str, dict[str, list[str]]] = {
        row["name"]: {kind: [] for kind in KINDS} for row in rows
    }
    for situation, values, sections in SITUATIONS:
        before = keys(folder, base | values)
        for row in (row for row in rows if row["section"] in sections):
            for value in others(row, base | values, folder / "params/small.yaml"):
                after = keys(folder, base | values | {row["name"]: value})
                for kind in KINDS:
                    if after[kind] != before[kind]:
                        found[row["name"]][kind].append(situation)
    return {
        name: {kind: _said(situations) for kind, situations in of_kind.items()}
        for name, of_kind in found.items()
    }


def _said(situations: list[str]) -> str:
    if "" in situations:
        return "yes"
    covered: set[str] = set()  # by a situation that holds others
    if {"fixed noise", *VIEWS} <= set(situations):
        covered = set(VIEWS)
    elif "own data" in situations:
        covered = {"split off"}
    return ", ".join(name for name in dict.fromkeys(situations) if name not in covered)


def keys(folder: Path, values: Mapping[str, Any]) -> dict[str, str]:
    """The key of one result of each kind."""
    params = folder / "params/small.yaml"
    lab = Experiment.open(str(params), values)
    stages, v7 = lab.stages, RECIPES["v7"]
    base = stages.answers("base")
    cell, *_ = cells_of(lab, [V7])
    benchmarks = Benchmarks(lab)
    question = {"image": "a.jpg", "text": "Is there a cup?"}
    asked = Asked("probes", [question], folder)
    material = Material("pope", (asked,), {}, (params,))
    answered = benchmarks.answers_stage(material, Contestant("base", None))
    return {
        "world": stages.world.key,
        "teacher": stages.teacher(v7).name,
        "labels": stages.self_labels(32).key,
        "train": stages.train(v7, "replay").key,
        "answers": base.key,
        "contrastive": stages.answers("contrastive").key,
        "metrics": stages.metrics([base.folder.relative_to(lab.runs)]).key,
        "robust": variants_stage(lab, "base").key,
        "ablation": cell.needs(cell.open())[0].key,
        "rows": rows_stage(lab, "hyper", [V7]).key,
        "fault": fault_stage(lab, FAULTS[0]).key,
        "benchmark": answered.key,
        "scores": benchmarks.scores_stage(material, {"base": answered}).key,
    }


def others(row: Mapping[str, str], values: Mapping[str, Any], file: Path) -> Iterator[Any]:
    """Other values of a parameter that are allowed: all choices, or one."""
    name = row["name"]
    now = load_params(file, values).values()[name]
    if name in (*COCO, "vocabulary", "healthy_bands", "model", "data_root"):
        yield from [f"{now}-other"] if now else []
    elif " | " in row["allowed"]:
        yield from (each for each in row["allowed"].split(" | ") if each not in (now, "objects"))
    else:
        tried = (
            *SPECIAL.get(name, ()),
            *((not now,) if isinstance(now, bool) else NUMBERS),
            "other",
        )
        yield next(
            value for value in tried if value != now and _is_allowed(file, values, name, value)
        )


def _is_allowed(file: Path, values: Mapping[str, Any], name: str, value: Any) -> bool:
    try:
        load_params(file, {**values, name: value})
    except SeedError:
        return False
    return True


def write_project(folder: Path) -> dict[str, Any]:
    """A project of small files, each with a second one beside it; returns its parameters."""
    files = {"vocabulary": "words.txt", "healthy_bands": "bands.yaml"}
    sources = {"words.txt": "assets/vocabulary.txt", "bands.yaml": "assets/bands/pocket.yaml"}
    for file in files.values():
        text = (ROOT / "seednb" / sources[file]).read_text()
        (folder / file).write_text(text)
        more = "# another\n" if file.endswith("txt") else ""
        (folder / f"{file}-other").write_text(more + text.replace("0.", "0.1", 1))
    for end in ("", "-other"):
        (folder / f"model{end}").mkdir()
        (folder / f"model{end}/config.json").write_text(f'{{"model": "{end}"}}')
        for root in ("data", "data-other"):
            (folder / root).mkdir(exist_ok=True)
            for name in COCO:
                (folder / root / f"{name}.json{end}").write_text(f"{name}{end}")
    (folder / "params").mkdir(exist_ok=True)
    text = (ROOT / "params/smoke.yaml").read_text()
    (folder / "params/small.yaml").write_text(text)
    return {
        "model": "model",
        "data_root": "data",
        "val_images": "val",
        **files,
        **{name: f"{name}.json" for name in COCO},
    }


if __name__ == "__main__":
    assert set(VERSIONS) - {"pairs", "questions"} == set(KINDS) - {"contrastive"}
    with tempfile.TemporaryDirectory() as project:
        TABLE.write_text(table(marks(Path(project))))
