"""What a verb would do: parameters resolved and inputs checked, and nothing run."""

from argparse import Namespace
from collections.abc import Iterable, Iterator
from pathlib import Path

from seednb.cli.benchmarks import wanted
from seednb.cli.doctor import inputs
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
    a_step = train.batch_size * train.grad_accum
    n_steps = -(-n_epochs * n_pairs // a_step)
    source = str(data) if data else f"{labels} labels, at most {n_pairs} pairs"
    yield f"{NOTHING}; seednb train would train {version} of profile {params.run.profile}:"
    yield from table(
        [
            ("model", params.model.model),
            ("adapter", f"rank {params.model.lora_r}, scope {params.model.lora_scope}"),
            ("data", source),
            ("steps", f"{n_epochs} epoch{'s' if n_epochs > 1 else ''}, {a_step} examples a step" + (f", about {n_steps} steps" if not data else "")),
            ("rate", f"{train.learning_rate * recipe.rate_factor:g} at its peak"),
            *((name, str(getattr(recipe, name))) for name in SET_BY_PARAMETERS),
        ]
    )  # fmt: skip
    folder = params.path(params.run.runs_dir) / params.run.profile
    yield f"adapter: {folder / f'train-{version}-{labels}-…' / 'adapter'}"
    yield from _inputs(params, data)


def show_evaluate(params: Params, options: Namespace) -> Iterator[str]:
    """What `seednb evaluate` would ask of which models."""
    adapter = "the adapter, decoded from purified logits," if options.contrast else "the adapter"
    models = [adapter, *(["the base model"] if options.compare else [])]
    evaluation = params.evaluation
    yield f"{NOTHING}; seednb evaluate would ask {' and '.join(models)}:"
    yield from table(
        [
            ("POPE", f"three splits on {evaluation.pope_images} images"),
            ("CHAIR", f"captions of {evaluation.caption_images} images, at most {evaluation.max_new_tokens} tokens"),
        ]
    )  # fmt: skip
    check_adapter(options.model)
    yield from _inputs(params)


def show_benchmarks(params: Params, options: Namespace) -> Iterator[str]:
    """Which published benchmarks `seednb evaluate --benchmarks` would ask, and which lack data."""
    models = ["the base model", *(["the adapter"] if options.model else [])]
    yield f"{NOTHING}; seednb evaluate would ask {' and '.join(models)}:"
    folders = Folders.of(params)
    yield from table([(name, _data_of(name, folders)) for name in wanted(options.benchmarks)])
    if options.model:
        check_adapter(options.model)


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
