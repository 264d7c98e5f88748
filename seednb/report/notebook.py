"""How a notebook opens: with the parameters that its first cells set, whoever wrote them there.

papermill adds what is injected (-f, -p, -y) as a cell of assignments; in Jupyter cells are edited. Both
are read from the history of cells that ran, so no import and no later variable is taken for a parameter.
"""

import ast
import re
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

import psutil
from IPython.display import Markdown, display

from seednb.core.errors import SeedError
from seednb.core.profiles import (
    SECTIONS,
    Params,
    declared,
    from_values,
    parse_override,
    project_root,
    read_profile,
    root_of,
)
from seednb.core.schema import Section, knob, shown, suggestion
from seednb.experiments.experiment import Experiment
from seednb.method.recipes import RECIPES

Values = dict[str, Any]
OPENS = re.compile(r"\bopen_(lab|params)\(")
INJECTED = "# Parameters\n"  # how papermill's cell begins
SOURCES = {"generator", "data_root"}  # with `profile`, one of them makes a profile of its own
FROM_PAPERMILL = {"PAPERMILL_INPUT_PATH", "PAPERMILL_OUTPUT_PATH"}  # its --inject-paths
N_NAMED = 6  # changed parameters that the line about the profile names


@dataclass(frozen=True)
class NotebookParams(Section):
    """What notebooks take beside the profile; each has only some of them."""

    params_file: str = knob("params/pocket.yaml", "the profile")
    output_dir: str = knob("runs/interactive", "where the notebook writes")
    n_shown: int = knob(1, "images or steps that are drawn", low=1)
    n_history: int = knob(1, "training pairs whose confidence is measured", low=1)
    n_overlap: int = knob(1, "captions over which two views are compared", low=1)
    n_calibration: int = knob(1, "captions whose mentions are compared with confidences", low=1)
    version: str = knob("v7", "the recipe that is trained", choices=tuple(RECIPES))
    labels: str = knob("replay", "what it is trained on", choices=("replay", "truthful", "self"))


OWN = {item.name for item in fields(NotebookParams)}
OF_PROFILE = {item.name: item for _, item in declared()}
TEXTS = {
    name
    for section in (NotebookParams, *SECTIONS.values())
    for name, hint in get_type_hints(section).items()
    if hint in (str, str | None)
}


def open_lab(names: MutableMapping[str, Any]) -> Experiment:
    """Open the experiment that the notebook's parameters ask for, and show a line that names it.

    `names`: the notebook's globals(). Its own parameters get their types there; output_dir becomes
    the folder that is meant. Raises SeedError for a parameter that neither the notebook nor a profile
    has, and for a value that is not allowed.
    """
    params, origin = _settle(names)
    display(Markdown(origin))
    return Experiment(params)


def open_params(names: MutableMapping[str, Any]) -> Params:
    """As `open_lab`, for a notebook that needs neither data nor model."""
    return _settle(names)[0]


def _settle(names: MutableMapping[str, Any]) -> tuple[Params, str]:
    """The parameters, and the sentence that says where they are from."""
    root = project_root()
    if root is None:
        raise SeedError(f"{Path.cwd()} is not in the project; go there, or papermill --cwd FOLDER")
    values, injected = _given(names.get("In", ()))
    own = {name: values.pop(name) for name in OWN & values.keys()}
    is_whole = "profile" in injected and SOURCES & injected and "params_file" not in injected
    try:
        settings = NotebookParams(**own)
        file = _located(settings.params_file, root)
        if is_whole:
            params = from_values(values, root)
            file = root / "params" / f"{params.run.profile}.yaml"
        else:
            params = from_values(read_profile(file) | values, root_of(file))
    except SeedError as problem:
        said = str(problem)
        named = [key for key in (*own, *values) if re.search(rf"\b{key}\b", said)]
        place = f"; set in {_place(min(named, key=said.find))}" if named else ""
        raise SeedError(said + place) from None
    names.update({name: getattr(settings, name) for name in own})
    names["output_dir"] = str(_located(settings.output_dir, root))
    return params, _described(params, file)


def _given(cells: Iterable[str]) -> tuple[Values, set[str]]:
    """(parameters by name, those that papermill injected) of a history of cells.

    Before the notebook is opened first, every cell of assignments sets parameters; afterwards, one that
    names a known parameter or nearly does. A later cell wins. Raises SeedError for an unknown name since
    the notebook was opened last, as an earlier one was refused then.
    """
    history, opened = list(cells), False
    if history and OPENS.search(history[-1]):
        history.pop()  # the cell that is at work
    nodes = dict[str, ast.expr]()
    own, injected, unknown = set[str](), set[str](), set[str]()
    for cell in history:
        if OPENS.search(cell):
            opened, unknown = True, set()
            continue
        found, is_plain = _assignments(cell)
        if opened:  # analysis by now, unless it sets plain values only
            is_plain &= all(map(_is_literal, found.values()))
            found = found if is_plain else {}
        own |= set() if cell.startswith(INJECTED) else OWN & found.keys()
        known = {name for name in found if name in OF_PROFILE or name in own}
        injected |= known if cell.startswith(INJECTED) else set()
        nodes |= {name: found[name] for name in known}
        others = found.keys() - known - FROM_PAPERMILL if is_plain else set()
        unknown |= {n for n in others if not opened or known or suggestion(n, (*own, *OF_PROFILE))}
    for name in sorted(unknown):
        near = suggestion(name, (*own, *OF_PROFILE))
        hint = ", which other notebooks have" if name in OWN else near
        raise SeedError(f"unknown parameter {shown(name)}{hint}; set in {_place(name)}")
    return {name: _typed(name, node) for name, node in nodes.items()}, injected


def _assignments(cell: str) -> tuple[dict[str, ast.expr], bool]:
    """(what a cell assigns to names, whether it does nothing else)."""
    try:
        body = ast.parse(cell).body
    except SyntaxError:
        return {}, False
    found = dict[str, ast.expr]()
    for node in body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if value and len(targets) == 1 and isinstance(targets[0], ast.Name):
            found[targets[0].id] = value
    return found, len(found) == len(body)


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except ValueError:
        return False
    return True


def _typed(name: str, node: ast.expr) -> Any:
    """A parameter's value; text that stands for something else (-r, -p "[1, 2]") is read as YAML."""
    if not _is_literal(node):
        said = ast.unparse(node)
        raise SeedError(f"{name} = {said:.80}: must be a plain value, not to be computed")
    value = ast.literal_eval(node)
    is_text = isinstance(value, str) and name not in TEXTS
    return parse_override(f"{name}={value}")[1] if is_text else value


def _located(value: str, root: Path) -> Path:
    """A path from the working folder if it is there, else from the project's root."""
    here = Path(value).expanduser()
    return here.resolve() if here.exists() else root / here


def _place(name: str) -> str:
    """Where a parameter is from, by what papermill was called with: its file, -p, or this notebook."""
    try:
        caller = psutil.Process().parent()
        words, folder = (caller.cmdline(), caller.cwd()) if caller else ([], "")
    except psutil.Error:
        words, folder = [], ""
    if name in words:
        return f"-p {name}"
    for word in words:
        file = Path(folder, word.rpartition("=")[2])
        if file.suffix in (".yaml", ".yml") and file.is_file() and name in read_profile(file):
            return word.rpartition("=")[2]
    return "what was injected (-y) or a cell above"


def _described(params: Params, file: Path) -> str:
    """ "Profile **smoke** (smoke.yaml), changed: `n_pairs` = 16." """
    usual = from_values(read_profile(file), params.root).values() if file.is_file() else {}
    values, notice = params.values(), params.run.notice
    changed = [name for name, value in values.items() if usual and value != usual[name]]
    shown_values = [
        f"`{name}`" if OF_PROFILE[name].metadata["is_path"] else f"`{name}` = {shown(values[name])}"
        for name in changed[:N_NAMED]
    ]
    more = [f"{len(changed) - N_NAMED} more"] if len(changed) > N_NAMED else []
    origin = f"`{file.name}`" if usual else "as it was injected"
    change = f", changed: {', '.join([*shown_values, *more])}" if changed else ""
    return f"Profile **{params.run.profile}** ({origin}){change}. {notice}".rstrip()
