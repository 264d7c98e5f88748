"""Carries out a how-to page: its edits on a copy of the project, then its commands and programs there.

Above each block stands a text. Of a `diff` block it names the file to edit, in backquotes; each hunk,
from one `@@` to the next, has to fit in exactly one place. A `python` block below a text that ends with a
file's name and a colon is that file; any other is a program, as an `sh` block is commands. Both run from
the copy's root, where the folder `RUNS` may be written to.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPIED = ("seednb", "params", "tests", "pyproject.toml")
BLOCK = re.compile(r"^```(diff|python|sh)\n(.*?)^```$", re.M | re.S)
FILE = re.compile(r"`((?:[\w.-]+/)+[\w.-]+\.\w+)`")


@dataclass(frozen=True)
class Block:
    """One block of a page; `file` is what it edits or writes, and None for what is run."""

    language: str
    text: str
    file: str | None


def read_page(page: Path) -> list[Block]:
    """A page's blocks in order."""
    text, blocks, start = page.read_text(encoding="utf-8"), [], 0
    for match in BLOCK.finditer(text):
        above = text[start : match.start()].strip().split("\n\n")[-1]
        language, content = match.groups()
        named = FILE.findall(above)
        written = language == "python" and re.search(FILE.pattern + r"[^`]*:$", above)
        edited = language == "diff"
        assert named or not edited, f"{page.name}: no file is named above\n{content}"
        blocks.append(Block(language, content, named[-1] if edited or written else None))
        start = match.end()
    return blocks


def copy_project(folder: Path) -> Path:
    """A copy of what the pages edit and run."""
    for name in COPIED:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return folder


def edit(block: Block, project: Path) -> None:
    """Do what a block asks a reader to do to a file."""
    assert block.file
    file = project / block.file
    if block.language == "python":
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.text)
        return
    text = file.read_text()
    for hunk in re.split(r"^@@.*\n", block.text, flags=re.M)[1:]:
        lines = hunk.splitlines(keepends=True)
        old, new = ("".join(x[1:] or "\n" for x in lines if x[0] != s) for s in "+-")
        assert text.count(old) == 1, f"{block.file} has {text.count(old)} places like\n{old}"
        text = text.replace(old, new)
    file.write_text(text)


def run(block: Block, project: Path) -> str:
    """What a program or commands print. Raises CalledProcessError if one fails."""
    if block.language == "python":
        commands = [["-c", f"RUNS = 'runs'\n{block.text}"]]
    else:
        commands = [_arguments(line) for line in block.text.splitlines() if line.strip()]
    environment = os.environ | {"PYTHONPATH": str(project), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("PYTEST_ADDOPTS", None)
    (project / "runs").mkdir(exist_ok=True)
    printed = ""
    for command in commands:
        printed += subprocess.run(
            [sys.executable, *command],
            cwd=project,
            env=environment,
            check=True,
            timeout=300,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ).stdout
    return printed


def _arguments(line: str) -> list[str]:
    program, *rest = shlex.split(line, comments=True)
    if program == "seednb":
        return ["-m", "seednb.cli.__main__", *rest]
    assert program == "python", line
    return [*rest, "-n", "0"] if rest[:2] == ["-m", "pytest"] else rest
