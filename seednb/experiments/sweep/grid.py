"""A sweep file: a grid over parameters, versions and seeds, as a list of cells."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from seednb.core.errors import SeedError
from seednb.core.params import RunParams
from seednb.core.profiles import SECTIONS, Params, load_params
from seednb.core.schema import suggestion
from seednb.evaluation.records import KINDS
from seednb.experiments.stages import ANSWERING
from seednb.experiments.sweep.variants import Cell, Variant

BENCHMARKS = ("chair", "pope", KINDS)
KEYS = ("params", "version", "grid", "seeds", "benchmarks")
Overrides = dict[str, Any]


@dataclass(frozen=True)
class Sweep:
    """A sweep file, checked."""

    file: Path
    params_file: Path
    versions: tuple[str, ...]
    grid: dict[str, tuple[Any, ...]]
    seeds: tuple[int | None, ...]
    benchmarks: tuple[str, ...]
    overrides: Overrides

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.file.stem

    @cached_property
    def params(self) -> Params:
        """The profile with the overrides."""
        return load_params(self.params_file, self.overrides)

    @property
    def folder(self) -> Path:
        """Where the tables and the logs go."""
        params = self.params
        return params.path(params.run.reports_dir) / params.run.profile / "sweeps" / self.name

    def cells(self) -> list[Cell]:
        """Every combination, seeds innermost; the order is that of the file."""
        made = enumerate(
            (variant, seed)
            for variant in self._variants()
            for seed in (self.seeds if variant.is_trained else (None,))
        )
        return [Cell(n, self.params, *each) for n, each in made]

    def _variants(self) -> Iterator[Variant]:
        for version in self.versions:
            for values in product(*self.grid.values()):
                changes = dict(zip(self.grid, values, strict=True))
                name = ", ".join([version, *(f"{key}={value}" for key, value in changes.items())])
                yield Variant(name, version=version, changes=changes)


def load_sweep(file: Path | str, overrides: Mapping[str, Any] | None = None) -> Sweep:
    """Read a sweep file; `overrides` are parameters that differ from the profile in every cell.

    Raises SeedError that names the file and the key, for anything that is unknown, empty, given
    twice or out of its range, in any cell.
    """
    file = Path(file)
    asked = _read(file)
    versions = _several(asked, "version", "v7", file)
    for version in versions:
        _known(version, ANSWERING, "version", file)
    benchmarks = _several(asked, "benchmarks", list(BENCHMARKS), file)
    for benchmark in benchmarks:
        _known(benchmark, BENCHMARKS, "benchmark", file)
    seeds = _several(asked, "seeds", [None], file)
    if "seeds" in asked and "seed" in (overrides or {}):
        raise SeedError(f"{file}: seeds are in the file and on the command line; take one out")
    grid = asked.get("grid") or {}
    if not isinstance(grid, dict):
        raise SeedError(f"{file}: grid={grid!r}: expected `parameter: [value, …]` lines")
    sweep = Sweep(
        file=file,
        params_file=_find(str(asked.get("params", "params/pocket.yaml")), file),
        versions=tuple(map(str, versions)),
        grid={name: tuple(_values(grid, name, file, overrides or {})) for name in grid},
        seeds=tuple(seeds),
        benchmarks=tuple(map(str, benchmarks)),
        overrides=dict(overrides or {}),
    )
    for cell in sweep.cells():
        try:
            cell.open()
        except SeedError as error:
            raise SeedError(f"{file}, cell {cell.number} ({cell.title}): {error}") from None
    return sweep


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        there = ", ".join(str(path) for path in sorted(file.parent.glob("*.yaml")))
        raise SeedError(f"{file}: no such sweep file; there are: {there or 'none'}")
    try:
        asked = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise SeedError(f"{file}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(asked, dict):
        raise SeedError(f"{file}: expected `key: value` lines; keys are {', '.join(KEYS)}")
    for key in asked:
        _known(str(key), KEYS, "key", file)
    return asked


def _values(
    grid: Mapping[str, Any], name: str, file: Path, overrides: Mapping[str, Any]
) -> list[Any]:
    """The values of one parameter of the grid."""
    owner = {item.name: cls for cls in SECTIONS.values() for item in fields(cls)}  # type: ignore[arg-type]
    _known(name, owner, "parameter", file, "list: seednb params")
    if name == "seed":
        raise SeedError(f"{file}: grid.seed: write the seeds as `seeds: [0, 1, 2]`")
    if owner[name] is RunParams:
        raise SeedError(f"{file}: grid.{name}: decides where results go, so it cannot be varied")
    if name in overrides:
        raise SeedError(f"{file}: {name} is in the grid and on the command line; take one out")
    return _several(grid, name, None, file)


def _several(asked: Mapping[str, Any], key: str, default: Any, file: Path) -> list[Any]:
    """The list under a key; one value alone counts as a list, an empty or repeating one is wrong."""
    found = asked.get(key, default)
    values = found if isinstance(found, list) else [found]
    if not values or len({json.dumps(value, default=str) for value in values}) < len(values):
        raise SeedError(f"{file}: {key}={found!r}: expected at least one value, each once")
    return values


def _known(name: Any, names: Any, kind: str, file: Path, where: str = "") -> None:
    if name not in names:
        known = where or f"there are {', '.join(names)}"
        raise SeedError(f"{file}: unknown {kind} {name!r}{suggestion(str(name), names)}; {known}")


def _find(name: str, file: Path) -> Path:
    """The profile, named from where you are or from a folder above the sweep file."""
    for folder in (Path.cwd(), *file.resolve().parents):
        if (folder / name).is_file():
            return (folder / name).resolve()
    raise SeedError(f"{file}: params: {name} is not below here or above the sweep file; mend it")
