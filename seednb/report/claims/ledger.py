"""The ledger file: YAML in, validated claims out."""

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from seednb.core.errors import SeedError
from seednb.method.recipes import CONTROLS, REPORTED
from seednb.report.claims.registry import CHECKS

SOURCE_VERDICTS = ("wrong", "right", "ambiguous")
# expected side of 0 -> verdict if the interval lies below 0, holds 0, lies above 0
EXPECTATIONS = {
    "lower": ("supported", "not supported", "opposite"),
    "higher": ("opposite", "not supported", "supported"),
    "zero": ("not supported", "not contradicted", "not supported"),
    "not_lower": ("opposite", "not contradicted", "supported"),
    "not_higher": ("supported", "not contradicted", "opposite"),
}
UNTRAINED = ("base", "contrastive", "mention_control", "threshold_control")
TRAINED = tuple(recipe.name for recipe in (*REPORTED, *CONTROLS))
MODELS = (*UNTRAINED, *TRAINED, "sft_truthful", "v7_truthful")
VERSUS = tuple(name for name in MODELS if name not in ("v7", "v7_truthful"))
REPEAT_AT_7B = "seednb report --params params/llava-1.5-7b.yaml"
ABLATION = "ablation/"  # models of chapter 10, which runs on request
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
FIELDS_OF_KIND = {
    "arithmetic": {"check"},
    "tried_here": {"query"},
    "needs_7b": {"command"},
    "source": {"verdict", "reason"},
}


@dataclass(frozen=True)
class Query:
    """Which row of the metrics settles a claim, and on which side of 0 the claim puts it."""

    model: str
    benchmark: str
    metric: str
    expected: str
    versus: str = "base"
    split: str | None = None
    variant: str | None = None  # None: every variant that the rows hold

    def __post_init__(self) -> None:
        """Raise ValueError for a name that no run can hold."""
        for name, allowed in (("model", MODELS), ("versus", VERSUS), ("expected", EXPECTATIONS)):
            value = getattr(self, name)
            if value not in allowed and (name == "expected" or not value.startswith(ABLATION)):
                raise ValueError(f"{name} {value!r} is not one of {', '.join(allowed)}")


@dataclass(frozen=True)
class Claim:
    """One statement of the reproduction, and the means to settle it.

    By kind: `arithmetic` has `check` and `arguments`; `tried_here` a `query`; `needs_7b` the
    `command` that would settle it; `source` a `verdict` with its `reason`.
    """

    id: str
    section: str
    statement: str
    kind: str
    check: str = ""
    arguments: Mapping[str, Any] | None = None
    query: Query | None = None
    command: str = ""
    verdict: str = ""
    reason: str = ""
    note: str = ""


def load_claims(file: Path | None = None) -> list[Claim]:
    """Read and validate the ledger (default: the one in the package).

    Raises SeedError that names the file, the claim's id and what is wrong with it.
    """
    source = file or files("seednb") / "assets" / "claims.yaml"
    try:
        entries = yaml.safe_load(source.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise SeedError(f"{source}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(entries, list):
        raise SeedError(f"{source}: expected a list of claims, each starting with `- id:`")
    claims: list[Claim] = []
    seen: set[str] = set()
    for position, entry in enumerate(entries, start=1):
        where = f"{source}: claim {_name(entry, position)}"
        try:
            claim = _read_claim(entry)
        except (TypeError, ValueError) as error:
            raise SeedError(f"{where}: {error}") from None
        if claim.id in seen:
            raise SeedError(f"{where}: the id is used twice; give this one another")
        seen.add(claim.id)
        claims.append(claim)
    return claims


def _name(entry: Any, position: int) -> str:
    return repr(entry["id"]) if isinstance(entry, dict) and "id" in entry else f"number {position}"


def _read_claim(entry: Any) -> Claim:
    if not isinstance(entry, dict):
        raise ValueError("expected `key: value` lines")
    kind = entry.get("kind")
    if kind not in FIELDS_OF_KIND:
        raise ValueError(f"unknown kind {kind!r}; use one of {', '.join(FIELDS_OF_KIND)}")
    required = {"id", "section", "statement", "kind"} | FIELDS_OF_KIND[kind]
    missing = sorted(required - {key for key, value in entry.items() if value})
    if missing:
        raise ValueError(f"a {kind} claim needs {', '.join(missing)}")
    unknown = sorted(entry.keys() - required - {"note"})
    if unknown:
        raise ValueError(f"a {kind} claim has no field {', '.join(unknown)}")
    if not SLUG.fullmatch(entry["id"]):
        raise ValueError("the id must be lower-case words and digits joined by hyphens")
    fields = dict(entry)
    if kind == "arithmetic":
        fields["check"], fields["arguments"] = _read_check(entry["check"])
    elif kind == "tried_here":
        fields["query"] = Query(**entry["query"])
        is_ablation = fields["query"].model.startswith(ABLATION)
        fields["command"] = REPEAT_AT_7B + (" --only 10,09" if is_ablation else "")
    elif kind == "needs_7b" and not entry["command"].startswith("seednb "):
        raise ValueError(f"command {entry['command']!r} must start with 'seednb '")
    elif kind == "source" and entry["verdict"] not in SOURCE_VERDICTS:
        raise ValueError(f"verdict {entry['verdict']!r} is not one of {', '.join(SOURCE_VERDICTS)}")
    return Claim(**fields)


def _read_check(spec: Any) -> tuple[str, dict[str, Any]]:
    if not isinstance(spec, dict) or len(spec) != 1:
        raise ValueError("check must be one `name: {argument: value}`")
    [(name, arguments)] = spec.items()
    if name not in CHECKS:
        raise ValueError(f"unknown check {name!r}; there are {', '.join(sorted(CHECKS))}")
    if not isinstance(arguments, dict):
        raise ValueError(f"check {name} needs its arguments as `argument: value`")
    try:
        inspect.signature(CHECKS[name]).bind(**arguments)
    except TypeError as error:
        raise ValueError(f"check {name}: {error}") from None
    return name, arguments
