"""Source code as a hash of what it does: comments, docstrings, annotations and places do not count."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from seednb.artifacts import digest

PACKAGE = Path(__file__).parents[1]
# The last three: typing, and fields that Python versions fill differently.
UNSEEN = ("annotation", "returns", "type_comment", "type_params", "kind", "ctx")


def code_fingerprint(*modules: str) -> str:
    """Hash of modules of this package and of all that they import from it, directly or not.

    Neither a docstring nor the move of a module to another folder changes it.
    """
    waiting, seen = [f"{PACKAGE.name}.{name}" for name in modules], dict[Path, str]()
    while waiting:
        for file in _source_files(waiting.pop()):
            if file not in seen:
                seen[file], imports = _read(file.read_text(encoding="utf-8"))
                waiting += imports
    return digest(sorted(seen.values()))


def code_hash(item: Any) -> str:
    """Hash of a function or class by its syntax tree; of a constant, by its value."""
    if inspect.isroutine(item) or inspect.isclass(item):
        return source_hash(inspect.getsource(inspect.unwrap(item)))
    return digest(repr(item))


def source_hash(source: str) -> str:
    """Hash of the syntax tree of some source: the same under every version of Python."""
    return digest(_outline(ast.parse(textwrap.dedent(source))))


def imported_modules(source: str) -> tuple[str, ...]:
    """Modules of this package that some Python source imports, wherever in it."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(name for name in found if name.startswith(f"{PACKAGE.name}."))


@cache
def _read(source: str) -> tuple[str, tuple[str, ...]]:
    return source_hash(source), imported_modules(source)


def _source_files(module: str) -> list[Path]:
    """The file of a module, or all files of a package."""
    path = PACKAGE.joinpath(*module.split(".")[1:])
    if path.is_dir():
        return sorted(path.rglob("*.py"))
    return [path.with_suffix(".py")] if path.with_suffix(".py").is_file() else []


def _outline(node: Any) -> Any:
    """A syntax tree as nested lists, without what no run depends on."""
    if isinstance(node, list):
        return [_outline(item) for item in node if not _is_docstring(item)]
    if not isinstance(node, ast.AST):
        return repr(node)
    if _is_own_import(node):  # the names count, not where they are found
        return ["import", [[alias.name, alias.asname] for alias in node.names]]  # type: ignore[attr-defined]
    return [type(node).__name__, *_fields(node)]


def _fields(node: ast.AST) -> Iterator[Any]:
    for name, value in ast.iter_fields(node):
        if isinstance(node, ast.JoinedStr):  # some Python 3.12 add empty pieces to an f-string
            value = [part for part in value if getattr(part, "value", None) != ""]
        if name not in UNSEEN and value is not None and value != []:
            yield [name, _outline(value)]


def _is_docstring(node: Any) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _is_own_import(node: ast.AST) -> bool:
    return isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE.name
