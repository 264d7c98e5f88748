"""What a verb would do: parameters resolved and inputs checked, and nothing run."""

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from seednb.cli.examination import inputs
from seednb.core.console import table
from seednb.core.errors import SeedError
from seednb.core.profiles import Params
from seednb.evaluation.benchmarks.base import Absent, Folders
from seednb.evaluation.benchmarks.registry import benchmark_named
from seednb.method.recipes import RECIPES, SET_BY_PARAMETERS, with_overrides
from seednb.model.lora import check_adapter
from seednb.report.pipeline import Pipeline

NOTHING = "dry run: nothing is run or written"


def show_report(
    pipeline: Pipeline, only: Iterable[str], force: bool, everything: bool
) -> Iterator[str]:
    """The chapters that `seednb report` would run, and those it would take as they are."""
    yield f"{NOTHING}; seednb report would, for profile {pipeline.params.run.profile}:"
    rows = [
        ("keep" if pipeline.is_done(step) and not force else "run", step.notebook)
        for step in pipeline.chosen(only, everything)
    ]
    yield from table(rows)
    report = pipeline.params.path(pipeline.params.run.reports_dir) / pipeline.params.run.profile
    yield f"report: {report / 'index.html'}"
    yield from _inputs(pipeline.params)


def show_train(
    params: Params, version: str, labels: str, epochs: int | None, data: Path | None
) -> Iterator[str]:
    """Recipe, sizes and place of a training run."""
    train = params.train
    recipe = with_overrides(RECIPES[version], train)
    n_epochs = epochs or recipe.epochs
    n_pairs = round(recipe.data_share * params.data.n_pairs)
    step_size = train.batch_size * train.grad_accum
    steps = f"{n_epochs} epoch{'s' if n_epochs > 1 else ''}, {step_size} examples a step"
    if not data:
        steps += f", about {math.ceil(n_epochs * n_pairs / step_size)} steps"
    source = str(data) if data else f"{labels} labels, at most {n_pairs} pairs"
    yield f"{NOTHING}; seednb train would train {version} of profile {params.run.profile}:"
    yield from table(
        [
            ("model", params.model.model),
            ("adapter", f"rank {params.model.lora_r}, scope {params.model.lora_scope}"),
            ("data", source),
            ("steps", steps),
            ("rate", f"{train.learning_rate * recipe.rate_factor:g} at its peak"),
            *((name, str(getattr(recipe, name))) for name in SET_BY_PARAMETERS),
        ]
    )
    folder = params.path(params.run.runs_dir) / params.run.profile
    yield f"adapter: {folder / f'train-{version}-{labels}-…' / 'adapter'}"
    yield from _inputs(params, data)


def show_evaluate(
    params: Params, adapter: Path, with_base: bool, contrasted: bool
) -> Iterator[str]:
    """What `seednb evaluate` would ask of which models."""
    asked = params.evaluation
    models = "the adapter" + (", decoded from purified logits," if contrasted else "")
    models += " and the base model" if with_base else ""
    captions = f"{asked.caption_images} images, at most {asked.max_new_tokens} tokens"
    yield f"{NOTHING}; seednb evaluate would ask {models}:"
    yield from table(
        [
            ("POPE", f"three splits on {asked.pope_images} images"),
            ("CHAIR", f"captions of {captions}"),
        ]
    )
    check_adapter(adapter)
    yield from _inputs(params)


def show_benchmarks(params: Params, names: Sequence[str], adapter: Path | None) -> Iterator[str]:
    """Which published benchmarks `seednb evaluate --benchmarks` would ask, and which lack data."""
    models = "the base model" + (" and the adapter" if adapter else "")
    yield f"{NOTHING}; seednb evaluate would ask {models}:"
    folders = Folders.of(params)
    yield from table([(name, _data_of(name, folders)) for name in names])
    if adapter:
        check_adapter(adapter)


def _data_of(benchmark: str, folders: Folders) -> str:
    try:
        return f"found {', '.join(map(str, folders.locate(benchmark_named(benchmark))))}"
    except Absent as missing:
        return f"missing: {missing}"


def _inputs(params: Params, data: Path | None = None) -> Iterator[str]:
    """Each input, found or missing. Raises SeedError at the end if one is missing."""
    found = inputs(params)
    if data:
        found.append((str(data), "" if data.is_file() else f"write {data}"))
    yield "inputs:"
    yield from table([("missing" if command else "found", path) for path, command in found])
    missing = [path for path, command in found if command]
    if missing:
        raise SeedError(
            f"{len(missing)} of {len(found)} inputs are missing, the first is {missing[0]}; "
            "for the commands that bring them run: seednb doctor"
        )
