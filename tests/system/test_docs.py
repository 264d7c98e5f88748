"""What the pages tell a reader to do can be done: commands, examples, links."""

import os
import re
import shlex
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import nbformat
import pytest
import yaml
from accelerate.commands.launch import launch_command_parser
from browsers import start_chromium
from how_to import read_page
from papermill.cli import papermill
from PIL import Image, ImageChops, ImageStat

from seednb.cli.__main__ import build_parser, main
from seednb.core.profiles import load_params

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "README.zh.md", "CONTRIBUTING.md")]
PAGES += sorted((ROOT / "docs").glob("*.md"))
CHINESE = [page for page in PAGES if page.name.endswith(".zh.md")]
HOW_TO = sorted((ROOT / "docs").glob("how-to-*.md"))  # carried out by test_how_to.py
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
    if page not in HOW_TO
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
    elif program == "papermill":
        options = papermill.make_context("papermill", rest).params
        assert (ROOT / options["notebook_path"]).is_file()
        injected = dict(options["parameters"])
        for text in options["parameters_yaml"]:
            injected |= yaml.safe_load(text)
        for file in options["parameters_file"]:
            load_params(ROOT / file, injected)
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
        assert program in ("mkdir", "cd", "unzip", "conda", "source")


MADE = re.compile(r"^(?:adapter|report|all reports): (.+)$", re.M)  # as a dry run says it
SUFFIXES = "gz|html|ipynb|jpg|json|jsonl|md|py|svg|toml|txt|yaml|yml|zip"
IS_PATH = re.compile(rf"[\w.…*-]*(/[\w.…*-]*)+|[\w.…*-]+\.({SUFFIXES})")
OF_THE_READER = {  # images, answers and published files that a reader brings
    *(
        "mine.yaml",
        "photo.jpg",
        "images/",
        "instances_*.json",
        "captions_*.json",
        "data/benchmarks",
    ),
    *("answers.json", "answers.jsonl", "base.jsonl", "method.jsonl", "captions.jsonl"),
    *("gt.json.gz", "synonyms.txt", "coco_pope_random.json", "AMBER/data", "SEED-Bench.json"),
    *("v2_mscoco_val2014_annotations.json", "results/llava-1.5-7b", "HallusionBench_result.json"),
}
NO_PATH = re.compile(r"llava-hf/.*|seednb(\.\w+)+")  # a name on the Hugging Face hub; a module


def made_by(program, arguments, folder, monkeypatch, capsys):
    """Paths below the project that a command of a page makes when it is run in a folder of it."""
    if program == "make":
        (recipe,) = re.findall(rf"^{arguments[0]}:(.*\n(?:\t.*\n)+)", MAKEFILE, re.M)
        verb = re.search(r"\$\(SEEDNB\) (.*)", recipe)
        made = made_by("seednb", verb[1].split(), "", monkeypatch, capsys) if verb else []
        return [".venv", *made, *filter(IS_PATH.fullmatch, re.split(r"[\s,;]+", recipe))]
    if program == "accelerate":
        program, arguments = "seednb", arguments[arguments.index("seednb.cli") + 1 :]
    if program in SEEDNB and arguments[0] in ("report", "train"):
        capsys.readouterr()
        run_verb(arguments, monkeypatch)
        made = [Path(p).relative_to(ROOT) for p in MADE.findall(capsys.readouterr().out)]
        beside = ("metrics.json", "../index.html") if arguments[0] == "report" else ()
        return [
            os.path.normpath(path) for p in made for path in (p, *(p.parent / b for b in beside))
        ]
    if program == "wget":
        return [f"{folder}{arguments[0].rsplit('/', 1)[1]}"]
    if program == "unzip":
        return [f"{folder}{arguments[0].removesuffix('.zip')}"]
    written = {"mkdir": arguments[-1:], "python3": arguments[2:3]}.get(program, [])
    if program == "papermill":
        written = [arguments[1], "runs/interactive"]
    if "--output" in arguments:
        written = [arguments[arguments.index("--output") + 1]]
    return [f"{folder}{path}" for path in written]


def lacking(text, folder, made):
    """Paths in a piece of a page that neither exist in the project nor were made before."""
    for word in re.split(r"[\s=,'\"]+", text):
        if not IS_PATH.fullmatch(word) or word in OF_THE_READER or NO_PATH.fullmatch(word):
            continue
        pattern = f"{folder}{word.rstrip('/')}".replace("…", "*")
        known = {str(p) for path in made for p in (Path(path), *Path(path).parents)}
        known |= {Path(path).name for path in made}
        inside = pattern.startswith((".venv/", "data/")) and pattern.split("/")[0] in known
        ships = pattern.split("/")[0] not in ("runs", "data") and any(ROOT.glob(pattern))
        if not (inside or ships or any(fnmatch(path, pattern) for path in known)):
            yield word


def follow_paths(text, monkeypatch, capsys):
    """Every path of a page, in its shell blocks and its code words, that a reader will not find.

    A page without a command is read after README's first one.
    """
    folder, lost = "", []
    made = [] if "```sh" in text else made_by("make", ["report"], "", monkeypatch, capsys)
    for block, code in re.findall(r"^```sh\n(.*?)^```$|(?<!`)`([^`\n]+)`(?!`)", text, re.M | re.S):
        lost += lacking(code, "", made)
        for line in block.splitlines():
            for part in line.split(" && "):
                program, *rest = shlex.split(part, comments=True) or [""]
                if program == "cd":
                    folder = "" if rest == [".."] else f"{rest[0]}/"
                    continue
                new = made_by(program, rest, folder, monkeypatch, capsys)
                made += new
                if program not in ("wget", "hf", "accelerate", "make"):
                    lost += lacking(" ".join(rest), folder, made)
    return lost


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_path_of_a_page_exists_or_was_made_by_a_command_above_it(page, monkeypatch, capsys):
    written = {block.file for block in read_page(page)} if page in HOW_TO else set()
    lost = follow_paths(page.read_text(encoding="utf-8"), monkeypatch, capsys)
    assert set(lost) <= written


def test_a_path_that_nothing_makes_is_found(monkeypatch, capsys):
    train = "```sh\nseednb train --params params/smoke.yaml --version v7\n```\n"
    for path, lost in (
        ("runs/smoke/train-v7/adapter", True),
        ("runs/smoke/train-v7-replay-*/adapter", False),
        ("runs/smoke/train-v6-replay-*/adapter", True),
        ("runs/…/adapter", False),
        ("params/nothing.yaml", True),
        ("params/smoke.yaml", False),
    ):
        assert follow_paths(f"{train}See `{path}`.", monkeypatch, capsys) == [path] * lost
        command = f"```sh\nseednb evaluate --model {path}\n```\n"
        assert follow_paths(train + command, monkeypatch, capsys) == [path] * lost
    assert follow_paths("See `runs/…/adapter`.\n" + train, monkeypatch, capsys)  # made too late


def test_every_file_that_a_reader_brings_is_named_by_a_page():
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [name for name in OF_THE_READER if name not in text] == []


@pytest.mark.parametrize("chinese", CHINESE, ids=lambda page: page.name)
def test_a_chinese_page_gives_the_same_commands_and_images(chinese):
    english = chinese.with_name(chinese.name.replace(".zh.md", ".md"))
    without_remarks = [
        [re.sub(r"\s+#.*", "", line) for block in blocks(page, "sh") for line in block.splitlines()]
        for page in (english, chinese)
    ]
    assert without_remarks[0] == without_remarks[1]
    headings = [re.findall(r"^(#+) ", page.read_text(), re.M) for page in (english, chinese)]
    assert headings[0] == headings[1]
    images = [re.findall(r"\]\(([^)]*images/[^)]+)\)", p.read_text()) for p in (english, chinese)]
    assert images[0] == images[1]


def test_readme_fits_on_a_few_screens_and_shows_every_notebook():
    for page in (ROOT / "README.md", ROOT / "README.zh.md"):
        text = page.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 120
        shown = re.findall(
            r"\(docs/images/notebooks/(\w+)\.png\)\]\(notebooks/(\w+)\.ipynb\)", text
        )
        assert shown == [(name, name) for name in NOTEBOOKS]


def test_readmes_results_and_drawings_are_those_of_the_example_and_the_notebooks(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import make_readme

    for name in make_readme.HEADINGS:
        assert make_readme.filled(ROOT / name) == (ROOT / name).read_text(encoding="utf-8")
    for file, drawing in make_readme.drawings():
        difference = ImageChops.difference(Image.open(file).convert("RGB"), drawing)
        assert max(ImageStat.Stat(difference).mean) < 2  # of 255: the palette's


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
def test_an_image_with_words_for_it_stands_in_the_first_three_cells(name):
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
def test_readmes_images_are_taken_from_a_report(tmp_path):
    start_chromium().quit()  # skips where there is none
    page = tmp_path / "index.html"
    page.write_text("<body><p>Report<div id=seednb-explorer-1 style='width:500px;height:300px'>")
    command = [sys.executable, "docs/make_images.py", "--report", str(page)]
    subprocess.run([*command, "--output", str(tmp_path)], cwd=ROOT, check=True, timeout=60)
    sizes = {file.name: Image.open(file).size for file in tmp_path.glob("*.png")}
    assert sizes == {"report-first-screen.png": (1440, 900), "beta-explorer.png": (500, 300)}
    pages = [(ROOT / name).read_text() for name in ("README.md", "docs/tutorial.md")]
    named = {name for page in pages for name in re.findall(r"images/([\w-]+\.png)", page)}
    assert named == set(sizes)
