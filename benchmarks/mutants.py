"""Small wrong changes to Python source, one at a time: what a test suite ought to notice.

Left alone: docstrings, annotations, decorators, messages of exceptions, `__all__` and long tables of
words, because no law depends on a letter of those.
"""

import ast
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass

SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.And: ast.Or, ast.Or: ast.And,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd,
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "amax": "amin", "sum": "max"}
SHAPES = ("Float", "Int", "Bool")  # jaxtyping's, outside annotations
TABLE = 40  # characters from which on a text is a table or a pattern's source, not a key


@dataclass(frozen=True)
class Mutant:
    """One change: where it is, what it says, and the module with it."""

    line: int
    change: str
    source: str


def mutants(source: str) -> Iterator[Mutant]:
    """Every mutant of a module, in the order of its lines."""
    tree = ast.parse(source)
    for path, node in sorted(_places(tree, ()), key=lambda place: _line(place[1])):
        for field, value in _changes(node):
            changed = deepcopy(tree)
            target = _at(changed, path)
            before = ast.unparse(target)
            _replace(changed, path, target, field, value)
            after = ast.unparse(_at(changed, path))
            if before != after:
                yield Mutant(_line(node), f"{before} -> {after}", ast.unparse(changed))


def _places(node: ast.AST, path: tuple[tuple[str, int | None], ...]) -> Iterator[tuple[tuple, ast.AST]]:  # fmt: skip
    if isinstance(node, ast.expr | ast.If | ast.While | ast.comprehension | ast.Return):
        yield path, node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for number, child in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(child, ast.AST) and not _is_left_alone(child):
                step = (name, number if isinstance(value, list) else None)
                yield from _places(child, (*path, step))


def _is_left_alone(node: ast.AST) -> bool:
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    is_all = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    imports = ast.Raise | ast.Import | ast.ImportFrom | ast.JoinedStr
    is_shape = isinstance(node, ast.Subscript) and ast.unparse(node.value) in SHAPES
    return is_text or is_all or is_shape or isinstance(node, imports)


def _changes(node: ast.AST) -> Iterator[tuple[str, object]]:
    """(field, new value) of a node; the field "" stands for the node itself."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPPED:
        yield "ops", [SWAPPED[type(node.ops[0])](), *node.ops[1:]]
    elif isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in SWAPPED:
        yield "op", SWAPPED[type(node.op)]()
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub | ast.Invert):
        yield "", node.operand
    elif isinstance(node, ast.Constant):
        yield from ((("value", new)) for new in _constants(node.value))
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in NAMES:
        yield "id", NAMES[node.id]
    elif isinstance(node, ast.Attribute) and node.attr in NAMES:
        yield "attr", NAMES[node.attr]
    elif isinstance(node, ast.If | ast.While | ast.IfExp):
        yield "test", ast.UnaryOp(ast.Not(), node.test)
    elif isinstance(node, ast.comprehension) and node.ifs:
        yield "ifs", []
    elif isinstance(node, ast.Return) and node.value is not None:
        yield "value", ast.Constant(None)


def _constants(value: object) -> Iterator[object]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield value + 1
    elif isinstance(value, str) and len(value) < TABLE:
        yield f"{value}X"


def _line(node: ast.AST) -> int:
    place = node.target if isinstance(node, ast.comprehension) else node
    line: int = place.lineno  # type: ignore[attr-defined]
    return line


def _at(tree: ast.AST, path: tuple) -> ast.AST:
    node: ast.AST = tree
    for name, number in path:
        value = getattr(node, name)
        node = value if number is None else value[number]
    return node


def _replace(tree: ast.AST, path: tuple, target: ast.AST, field: str, value: object) -> None:
    if field:
        setattr(target, field, value)
        return
    parent, (name, number) = _at(tree, path[:-1]), path[-1]
    if number is None:
        setattr(parent, name, value)
    else:
        getattr(parent, name)[number] = value
