"""A profile: flat YAML or `key=value` in, validated frozen dataclasses out."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import Field, asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from seednb.core import params
from seednb.core.errors import SeedError
from seednb.core.schema import Section, allowed, shown, suggestion

PACKAGE = Path(__file__).resolve().parents[1]
HELD = ("params", "notebooks")  # folders that the project's root holds


@dataclass(frozen=True)
class Params:
    """All parameters of one profile."""

    run: params.RunParams
    data: params.DataParams
    model: params.ModelParams
    train: params.TrainParams
    monitor: params.MonitorParams
    evaluation: params.EvaluationParams
    ablation: params.AblationParams
    root: Path  # relative paths start here: the folder that holds params/

    def path(self, value: str) -> Path:
        """A parameter that is a path, made absolute; `seednb/…` is the package's, wherever it lies."""
        path = (self.root / Path(value).expanduser()).resolve()
        is_shipped = value.startswith(f"{PACKAGE.name}/") and not path.exists()
        return PACKAGE.parent / value if is_shipped else path

    def changed(self, changes: Mapping[str, Any]) -> "Params":
        """The same profile with other values. Raises SeedError as `load_params` does."""
        return from_values(self.values() | dict(changes), self.root)

    def values(self, *sections: str) -> dict[str, Any]:
        """The parameters of some sections (default: all) as one flat dictionary."""
        return {
            key: value
            for section in sections or tuple(SECTIONS)
            for key, value in asdict(getattr(self, section)).items()
        }


SECTIONS: dict[str, type[Section]] = {
    name: section for name, section in get_type_hints(Params).items() if name != "root"
}


def load_params(file: Path | str, overrides: Mapping[str, Any] | None = None) -> Params:
    """Read a profile; `overrides` win over the file, the file over the defaults.

    Raises SeedError that names the key, the value and what is allowed.
    """
    file = Path(file).resolve()
    values = read_profile(file) | dict(overrides or {})
    try:
        return from_values(values, root_of(file))
    except SeedError as problem:
        where = f"{file.name} with -p" if overrides else file.name
        raise SeedError(f"{where}: {problem}") from None


def from_values(values: Mapping[str, Any], root: Path) -> Params:
    """The defaults with some values changed. Raises SeedError that names the key and the value."""
    owner = {item.name: section for section, item in declared()}
    check_names(values, owner)
    sections = {
        name: section(**{key: value for key, value in values.items() if owner[key] == name})
        for name, section in SECTIONS.items()
    }
    return Params(**sections, root=root)  # type: ignore[arg-type]


def project_root(*starts: Path) -> Path | None:
    """The folder with params/ and notebooks/ that is above one of `starts` or here, else the package's.

    None where there is no such folder: an installed package without the project.
    """
    below = [*starts, Path.cwd(), PACKAGE]
    candidates = (folder for start in below for folder in (start, *start.parents))
    return next((f for f in candidates if all((f / n).is_dir() for n in HELD)), None)


def root_of(file: Path) -> Path:
    """Where a profile's relative paths start: a file in params/ may lie in any folder of its own."""
    beside = file.parent.parent
    return beside if file.parent.name == HELD[0] else project_root(file.parent) or beside


def declared() -> Iterator[tuple[str, Field[Any]]]:
    """(section, field) of every parameter."""
    for name, section in SECTIONS.items():
        for item in fields(section):  # type: ignore[arg-type]
            yield name, item


def check_names(names: Iterable[str], known: Iterable[str]) -> None:
    """Raise SeedError for a parameter that is not known, with the name that may be meant."""
    known = list(known)
    for name in names:
        if name not in known:
            hint = suggestion(str(name), known)
            raise SeedError(f"unknown parameter {shown(name)}{hint}; list: seednb params")


def parse_override(text: str) -> tuple[str, Any]:
    """`key=value` from the command line; the value is read as YAML reads it."""
    key, equals, value = text.partition("=")
    if not equals:
        raise SeedError(f"-p {text}: expected key=value, for example -p n_pairs=400")
    return key.strip(), _parse_yaml(value, f"-p {text:.80}")


def describe() -> Iterator[dict[str, str]]:
    """Each parameter with default, range, unit and meaning (the rows of `seednb params`)."""
    for section, item in declared():
        yield {
            "section": section,
            "name": item.name,
            "default": "unset" if item.default is None else str(item.default),
            "allowed": allowed(item),
            "unit": item.metadata["unit"],
            "meaning": item.metadata["meaning"],
        }


def read_profile(file: Path) -> dict[str, Any]:
    """The keys and values that a profile's file holds. Raises SeedError for one that cannot be read."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        known = ", ".join(sorted(f"params/{p.name}" for p in file.parent.glob("*.yaml")))
        raise SeedError(f"{file}: no such parameter file; there are: {known or 'none'}") from None
    except (OSError, UnicodeDecodeError) as problem:
        raise SeedError(f"{file} cannot be read as UTF-8 text ({problem}); check it") from None
    values = _parse_yaml(text, str(file))
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise SeedError(f"{file}: expected `key: value` lines")
    return values


class _OneKeyEach(yaml.SafeLoader):
    """YAML's own rule, that the last of two equal keys counts, would hide a slip."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        twice = [key for key in keys if keys.count(key) > 1]
        if twice:
            place = node.start_mark
            raise yaml.constructor.ConstructorError(None, None, f"{twice[0]!r} is set twice", place)
        return super().construct_mapping(node, deep)


def _parse_yaml(text: str, where: str) -> Any:
    try:
        return yaml.load(text, _OneKeyEach)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SeedError(f"{where}: not valid YAML: {' '.join(str(error).split())}") from None
