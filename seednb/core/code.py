"""Hashes of code: equal as long as a run cannot tell the difference.

A hash is that of the syntax tree: without comments, docstrings and annotations, and without the place
that a name of this package is imported from.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from seednb.core.stage import digest

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
                seen[file], imports = _hash_and_imports(file.read_text(encoding="utf-8"))
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
def _hash_and_imports(source: str) -> tuple[str, tuple[str, ...]]:
    return source_hash(source), imported_modules(source)


def _source_files(module: str) -> list[Path]:
    """The file of a module, or all files of a package."""
    path = PACKAGE.joinpath(*module.split(".")[1:])
    if path.is_dir():
        return sorted(path.rglob("*.py"))
    return [path.with_suffix(".py")] if path.with_suffix(".py").is_file() else []


def _outline(node: Any) -> Any:
    """A syntax tree as nested lists, without what no run depends on."""
    match node:
        case list():
            return [_outline(item) for item in node if not _is_docstring(item)]
        case ast.ImportFrom(module=str(module)) if module.split(".")[0] == PACKAGE.name:
            return [
                "import",
                [[alias.name, alias.asname] for alias in node.names],
            ]  # not from where
        case ast.AST():
            return [type(node).__name__, *_fields(node)]
        case _:
            return repr(node)


def _fields(node: ast.AST) -> Iterator[Any]:
    for name, value in ast.iter_fields(node):
        if isinstance(node, ast.JoinedStr):  # some Python 3.12 add empty pieces to an f-string
            value = [part for part in value if getattr(part, "value", None) != ""]
        if name not in UNSEEN and value is not None and value != []:
            yield [name, _outline(value)]


def _is_docstring(node: Any) -> bool:
    match node:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
    return False
