"""What the pages tell a reader to do can be done: commands, examples, links."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from accelerate.commands.launch import launch_command_parser
from browsers import start_chromium
from PIL import Image

from seednb.cli import build_parser, main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "README.zh.md", "CONTRIBUTING.md")]
PAGES += sorted((ROOT / "docs").glob("*.md"))
HOW_TO = sorted((ROOT / "docs").glob("how-to-*.md"))
SCRIPTS = [page for page in HOW_TO if page.stem != "how-to-add-a-benchmark"]  # see test_registry.py
MAKEFILE = (ROOT / "Makefile").read_text()
SEEDNB = ("seednb", ".venv/bin/seednb")
DRY = ("report", "train", "evaluate")  # run as a dry run
LIGHT = ("doctor", "params", "plan")  # run as they are


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)


def commands(page):
    """Every command of the shell blocks, `a && b` taken apart, without remarks."""
    lines = "\n".join(blocks(page, "sh")).splitlines()
    parts = (part for line in lines for part in line.split(" && "))
    return [shlex.split(part, comments=True) for part in parts if part.strip()]


EVERY = [
    pytest.param(command, id=f"{page.name}: {' '.join(command)[:60]}")
    for page in PAGES
    for command in commands(page)
    if command
]


def run_verb(arguments, monkeypatch):
    """A verb from the project's folder, as a reader types it; what is long as a dry run."""
    monkeypatch.chdir(ROOT)
    options = build_parser().parse_args(arguments)
    is_comparison = arguments[0] == "report" and options.compare
    if arguments[0] in DRY and not is_comparison:
        assert main([*arguments, "--dry-run"]) in (0, 1)
    elif arguments[0] in LIGHT:
        assert main(arguments) == 0


@pytest.mark.parametrize("command", EVERY)
def test_every_command_of_the_pages_exists(command, monkeypatch, capsys):
    program, *rest = command
    if program in SEEDNB:
        run_verb(rest, monkeypatch)
        failure = capsys.readouterr().err
        assert not failure or "missing" in failure or "holds no adapter" in failure
    elif program == "accelerate":
        options = launch_command_parser().parse_args(rest[1:])
        assert (ROOT / options.config_file).is_file() and options.training_script == "seednb.cli"
        run_verb(options.training_script_args, monkeypatch)
    elif program == "make":
        assert re.search(rf"^{rest[0]}:", MAKEFILE, re.M)
    elif program == "wget":
        main(["doctor", "--params", str(ROOT / "params/llava-1.5-7b.yaml")])
        assert rest[0] in capsys.readouterr().out
    elif program == "hf":
        assert f"model: {rest[-1]} " in (ROOT / "params/llava-1.5-7b.yaml").read_text()
    elif program.startswith(".venv/bin/") or program == "python3":
        arguments = " ".join(rest).replace("seednb", "$(SEEDNB)")
        known = MAKEFILE.replace("$(PYTHON)", "python3").replace('"', "")
        assert f"{program} {arguments}".strip() in known
    else:
        assert program in ("mkdir", "cd", "unzip", "conda")


@pytest.mark.parametrize("page", SCRIPTS, ids=lambda page: page.stem)
def test_the_example_of_a_how_to_runs_as_it_stands(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    (code,) = blocks(page, "python")
    exec(compile(code, page.name, "exec"), {"RUNS": str(tmp_path)})
    assert capsys.readouterr().out.strip()
    assert len(page.read_text().splitlines()) <= 75


def test_the_chinese_page_gives_the_same_commands_and_pictures():
    english, chinese = ROOT / "README.md", ROOT / "README.zh.md"
    without_remarks = [
        [re.sub(r"\s+#.*", "", line) for block in blocks(page, "sh") for line in block.splitlines()]
        for page in (english, chinese)
    ]
    assert without_remarks[0] == without_remarks[1]
    headings = [re.findall(r"^(#+) ", page.read_text(), re.M) for page in (english, chinese)]
    assert headings[0] == headings[1]
    pictures = [
        re.findall(r"\]\((docs/images/[^)]+)\)", page.read_text()) for page in (english, chinese)
    ]
    assert pictures[0] == pictures[1] and len(pictures[0]) == 2


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_links_inside_the_project_lead_somewhere(page):
    for address in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert address.startswith("http") or (page.parent / address).exists(), address


def test_citation_and_licence_say_what_readme_says():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    (paper,) = citation["references"]
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert paper["title"] in readme and paper["doi"] in readme
    assert paper["authors"] == [{"name": "Li et al."}]
    assert citation["license"] == "MIT" and "MIT License" in (ROOT / "LICENSE").read_text()
    assert citation["authors"][0]["name"] in (ROOT / "LICENSE").read_text()


NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_picture_with_words_for_it_stands_in_the_first_three_cells(name):
    cells = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells[:3]
    found = [re.search(r"!\[(.{20,})\]\(attachment:(.+)\)", cell.source) for cell in cells]
    (place,) = [place for place, match in enumerate(found) if match]
    assert "image/png" in cells[place].attachments[found[place][2]]


@pytest.mark.parametrize("name", [n for n in NOTEBOOKS if n != "03_purification"])
def test_an_experiment_names_what_to_change_and_is_followed_by_its_answer(name):
    cells = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells
    (place,) = [n for n, cell in enumerate(cells) if cell.source.startswith("**Change me.**")]
    invitation, code, answer = cells[place : place + 3]
    assert "uess" in invitation.source
    assert code.cell_type == "code" and "# change me" in code.source
    assert answer.source.startswith("*The answer.*")


def test_binder_installs_with_the_same_pins():
    script = ROOT / ".binder" / "postBuild"
    assert script.stat().st_mode & 0o100
    assert 'pip install -c constraints.txt -e ".[notebooks]"' in script.read_text()


@pytest.mark.browser
def test_readmes_pictures_are_taken_from_a_report(tmp_path):
    start_chromium().quit()  # skips where there is none
    page = tmp_path / "index.html"
    page.write_text("<body><p>Report<div id=seednb-explorer-1 style='width:500px;height:300px'>")
    command = [sys.executable, "docs/make_images.py", "--report", str(page)]
    subprocess.run([*command, "--output", str(tmp_path)], cwd=ROOT, check=True, timeout=60)
    sizes = {file.name: Image.open(file).size for file in tmp_path.glob("*.png")}
    assert sizes == {"report-first-screen.png": (1440, 900), "beta-explorer.png": (500, 300)}
    named = re.findall(r"docs/images/([^)]+)", (ROOT / "README.md").read_text())
    assert set(named) == set(sizes)
