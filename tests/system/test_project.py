"""The project's own files agree with each other."""

import ast
import json
import re
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml
from accelerate.commands.config.config_args import load_config_from_file

from seednb.cli.__main__ import build_parser, main
from seednb.report.pipeline import STEPS

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = SETTINGS["project"]


def test_every_dependency_is_pinned_and_nothing_but_names_and_versions_is():
    lines = (ROOT / "constraints.txt").read_text().split()
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.]+", line) for line in lines)
    pinned = {re.sub(r"[_.]", "-", line.split("==")[0]).lower() for line in lines}
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    names = {re.split(r"[<>=]", item)[0].replace("_", "-").lower() for g in groups for item in g}
    assert names <= pinned


def test_the_conda_environment_installs_the_same_package_with_the_same_pins():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, _, pip = environment["dependencies"]
    assert python == "python=3.11"
    assert pip["pip"] == ["-c constraints.txt", '-e ".[notebooks,test]"']
    assert set(PROJECT["optional-dependencies"]) == {"notebooks", "test", "mutation", "quantised"}


def test_every_path_of_the_mutation_tests_leads_somewhere():
    tool = SETTINGS["tool"]["mutmut"]
    patterns = [*tool["only_mutate"], *tool["pytest_add_cli_args_test_selection"]]
    assert [pattern for pattern in patterns if not list(ROOT.glob(pattern))] == []


def test_no_two_classes_of_the_package_have_one_name():
    names = [
        node.name
        for file in (ROOT / "seednb").rglob("*.py")
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    ]
    assert sorted(names) == sorted(set(names))


def test_no_test_module_imports_another_which_would_run_it_twice():
    line = re.compile(r"^\s*(?:from|import) (?:\w+\.)*test_\w+", re.M)
    files = (ROOT / "tests").rglob("*.py")
    assert [path.name for path in files if line.search(path.read_text(encoding="utf-8"))] == []


def test_there_is_one_step_a_notebook():
    assert [step.notebook for step in STEPS] == [path.stem for path in NOTEBOOKS]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stripped_and_in_the_house_style(path):
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert notebook.cells[0].source.startswith("# ")
    assert "**Shows:**" in notebook.cells[0].source
    assert notebook.cells[1].metadata.get("tags") == ["parameters"]
    assert all(len(cell.source.splitlines()) <= 15 for cell in code)
    assert len(notebook.cells) - len(code) >= len(code) - 1
    assert "## What we learnt" in "\n".join(cell.source for cell in notebook.cells)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_uses_all_that_it_imports_and_overwrites_none_of_it(path):
    cells = nbformat.read(path, as_version=4).cells
    tree = ast.parse("\n".join(cell.source for cell in cells if cell.cell_type == "code"))
    nodes = list(ast.walk(tree))
    imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    imported = {name.asname or name.name for node in imports for name in node.names}
    names = [node for node in nodes if isinstance(node, ast.Name)]
    assert imported.isdisjoint(node.id for node in names if isinstance(node.ctx, ast.Store))
    assert imported <= {node.id for node in names if isinstance(node.ctx, ast.Load)}


@pytest.mark.parametrize(
    "verb", ["report", "train", "evaluate", "demo", "doctor", "pocket-base", "sweep", "check"]
)
def test_help_of_a_verb_has_an_example(verb, capsys):
    with pytest.raises(SystemExit) as stop:
        build_parser().parse_args([verb, "--help"])
    assert stop.value.code == 0
    assert f"seednb {verb}" in capsys.readouterr().out.split("examples:")[1]


def test_wrong_usage_exits_with_two_and_a_named_failure_with_one(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["nonsense"])
    assert stop.value.code == 2
    assert main(["report", "-p", "n_pair=3"]) == 1
    assert "did you mean 'n_pairs'" in capsys.readouterr().err


def test_doctor_names_the_next_command(capsys):
    assert main(["doctor", "--params", str(ROOT / "params/llava-1.5-7b.yaml")]) == 0
    assert "wget" in capsys.readouterr().out
    assert main(["params"]) == 0
    assert "noise_alpha" in capsys.readouterr().out


def test_the_profiles_are_json_safe():
    from seednb.core.profiles import load_params

    for path in (ROOT / "params").glob("*.yaml"):
        json.dumps(load_params(path).values())


@pytest.mark.parametrize(
    "file", sorted((ROOT / "params/accelerate").glob("*.yaml")), ids=lambda f: f.stem
)
def test_accelerate_reads_its_files(file):
    config = load_config_from_file(str(file))
    content = yaml.safe_load(file.read_text())
    assert config.num_processes == content["num_processes"]
    assert f"--config_file params/accelerate/{file.name}" in file.read_text()


HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
CHECKS = re.search(r"^\t(\.venv/bin/ruff .*)$", (ROOT / "Makefile").read_text(), re.M)[1]


def test_the_hosted_checks_run_make_test_on_every_python_that_is_allowed():
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())
    (job,) = workflow["jobs"].values()
    pythons = job["strategy"]["matrix"]["python-version"]
    low, high = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECT["requires-python"]).groups()
    assert pythons == [f"3.{minor}" for minor in range(int(low), int(high))]
    assert [step["run"] for step in job["steps"] if "run" in step] == ["make test PYTHON=python"]
    (setup,) = [step["with"] for step in job["steps"] if "setup-python" in step.get("uses", "")]
    assert setup["cache"] == "pip" and "constraints.txt" in setup["cache-dependency-path"]


def test_a_commit_is_checked_with_the_programs_and_pins_of_make_test():
    """Every hook is local: it runs what the project's own environment holds."""
    assert [repository["repo"] for repository in HOOKS] == ["local"]
    hooks = {hook["id"]: hook for hook in HOOKS[0]["hooks"]}
    for hook in hooks.values():
        program, *rest = hook["entry"].split()
        assert program.startswith(".venv/bin/") and hook["language"] == "system"
        assert all((ROOT / word).is_file() for word in rest if word.endswith(".py"))
    for check in CHECKS.split(" && ")[:-1]:  # the tests themselves run before a push
        wanted = check.removesuffix(" .")
        assert any(hook["entry"].startswith(wanted) for hook in hooks.values()), check


def test_the_hook_on_notebooks_runs_the_test_that_they_are_stripped():
    (entry,) = [hook["entry"] for hook in HOOKS[0]["hooks"] if "notebooks" in hook["id"]]
    file, _, word = entry.split()[-3:]
    assert ROOT / file == Path(__file__)
    assert any(word in name and name.startswith("test_a_notebook") for name in globals())
