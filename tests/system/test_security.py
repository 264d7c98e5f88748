"""What this project never does with what it is given: run it, unpickle it, or ask a shell."""

import ast
import json
import re
import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*ROOT.glob("seednb/**/*.py"), *ROOT.glob("benchmarks/*.py")])
NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))
PICKLING = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
RUNNING = {"eval", "exec", "compile", "__import__"}
SHELLS = {
    "os.system",
    "os.popen",
    "os.popen2",
    "subprocess.getoutput",
    "subprocess.getstatusoutput",
}
UNSAFE = {"torch.load", "torch.save", "pd.read_pickle", "torch.jit.load", "yaml.unsafe_load", "yaml.full_load"}  # fmt: skip
# Processes of our own, which are handed nothing but our own tasks; and the number of cores.
OF_JOBLIB = "joblib.externals.loky."
HARMLESS = {"joblib.cpu_count"}
PROCESSES = {"run", "Popen", "call", "check_call", "check_output"}


def code_of(file):
    """Python source; of a notebook, its code cells."""
    if file.suffix == ".py":
        return file.read_text()
    cells = json.loads(file.read_text())["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def dangers(source):
    """Names of what Python source should not do, one for each place where it does."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.split(".")[0] in PICKLING]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PICKLING:
            found += [f"{node.module}.{a.name}" for a in node.names]
        elif isinstance(node, ast.Call):
            found += _dangers_of_call(node)
        elif isinstance(node, ast.keyword) and node.arg in ("trust_remote_code", "allow_pickle"):
            found.append(node.arg)
    return [each for each in found if each not in HARMLESS and not each.startswith(OF_JOBLIB)]


def _dangers_of_call(node):
    name = ast.unparse(node.func)
    keywords = {keyword.arg: keyword.value for keyword in node.keywords}
    if name in RUNNING | SHELLS | UNSAFE:
        yield name
    if name == "yaml.load" and ast.unparse(node.args[1]) not in ("_OneKeyEach", "yaml.SafeLoader"):
        yield name
    if name.startswith(("subprocess.", "asyncio.create_subprocess")):
        is_shell = "shell" in keywords and ast.unparse(keywords["shell"]) != "False"
        if is_shell or name.endswith("_shell"):
            yield f"{name} with a shell"
        if name.removeprefix("subprocess.") in PROCESSES and not _is_list(node.args[0]):
            yield f"{name} of a text"


def _is_list(node):
    return isinstance(node, ast.List) or (isinstance(node, ast.Name) and node.id == "command")


@pytest.mark.parametrize("file", [*SOURCES, *NOTEBOOKS], ids=lambda file: file.stem)
def test_nothing_is_unpickled_run_or_handed_to_a_shell(file):
    source = re.sub(r"^%.*$", "", code_of(file), flags=re.M)  # magics such as %matplotlib
    assert not re.search(r"^\s*!|^%%(bash|sh|script)", code_of(file), flags=re.M)
    assert dangers(source) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "torch.load('x', weights_only=False)",
        "AutoModel.from_pretrained('x', trust_remote_code=True)",
        "numpy.load('x', allow_pickle=True)",
        "subprocess.run(f'rm {name}', shell=True)",
        "subprocess.run('ls')",
        "os.system('ls')",
        "eval(text)",
        "yaml.load(text, yaml.Loader)",
    ],
)
def test_the_search_finds_what_it_looks_for(source):
    assert dangers(source)


def test_no_file_mentions_remote_code():
    files = [*SOURCES, *NOTEBOOKS, *ROOT.glob("params/**/*.yaml"), ROOT / "Makefile"]
    assert [file.name for file in files if "trust_remote_code" in file.read_text()] == []


def test_models_are_read_from_safetensors_only():
    source = (ROOT / "seednb/model/loading.py").read_text()
    assert source.count("AutoModelForImageTextToText.from_pretrained(") == 1
    assert "use_safetensors=True" in source
    shipped = {path.suffix for path in (ROOT / "seednb/assets/pocket-llava").iterdir()}
    assert shipped <= {".safetensors", ".json", ".md", ".jinja"}


def test_the_lab_keeps_its_token_and_stays_on_this_machine():
    makefile = (ROOT / "Makefile").read_text()
    (command,) = re.findall(r"jupyter lab.*", makefile)
    assert not re.search(r"token|password|--ip|allow.root|allow.origin|0\.0\.0\.0", command)


@cache
def pins():
    """Name -> version of constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text().split()
    return {canonicalize_name(n): v for n, v in (line.split("==") for line in lines)}


def wanted():
    """The project's own requirements, extras included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    return [Requirement(text) for group in groups for text in group]


def test_every_pin_is_within_the_project_s_own_range():
    outside = [str(r) for r in wanted() if pins()[canonicalize_name(r.name)] not in r.specifier]
    assert outside == []


def test_what_is_installed_is_what_is_pinned():
    """A local build such as 2.13.0+cpu is the same version."""
    differ = {}
    for name, pinned in pins().items():
        try:
            installed = version(name).split("+")[0]
        except PackageNotFoundError:
            continue  # an extra that this environment leaves out
        if installed != pinned:
            differ[name] = f"{installed} instead of {pinned}"
    assert differ == {}


def test_pins_satisfy_each_other_and_none_is_a_stray():
    """Each pin is wanted by the project or by another pin, in whatever environment."""
    waiting, reached, conflicts = wanted(), set(), []
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        pinned = pins().get(name)
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if applies and pinned and pinned not in requirement.specifier:
            conflicts.append(f"{requirement} but {pinned} is pinned")
        if (name, *requirement.extras) in reached:
            continue
        reached.add((name, *requirement.extras))
        try:
            needs = [Requirement(text) for text in requires(name) or []]
        except PackageNotFoundError:
            continue
        extras = requirement.extras or {""}
        waiting += [n for n in needs if n.marker is None or _may_apply(n.marker, extras)]
    assert conflicts == []
    assert pins().keys() - {name for name, *_ in reached} == set()


def _may_apply(marker, extras):
    """Whether a marker fits some platform: only what it says of extras counts."""
    named = set(re.findall(r'extra == "([^"]+)"', str(marker)))
    return not named or bool(named & {canonicalize_name(extra) for extra in extras})


def test_installed_pins_come_from_an_index_under_their_own_name():
    """No package of the constraints was put here from an address or a folder."""
    elsewhere = []
    for name in pins():
        try:
            if distribution(name).read_text("direct_url.json"):
                elsewhere.append(name)
        except PackageNotFoundError:
            continue
    assert elsewhere == []
