"""The glossary and the architecture page speak of the code as it is."""

import importlib.util
import re
import sys
from operator import attrgetter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GLOSSARY = ROOT / "docs/glossary.md"
ARCHITECTURE = ROOT / "docs/architecture.md"
ENTRY = re.compile(r"^\*\*(.+?)\*\*: .+ `(seednb[\w.]+)`$", re.M)

sys.path.append(str(ROOT / "docs"))


def entries():
    return ENTRY.findall(GLOSSARY.read_text(encoding="utf-8"))


def test_every_entry_of_the_glossary_has_a_meaning_and_a_place():
    lines = [line for line in GLOSSARY.read_text(encoding="utf-8").splitlines() if "**" in line]
    assert len(entries()) == len(lines) >= 40


def test_terms_are_defined_once_and_in_alphabetical_order():
    terms = [term.casefold() for term, _ in entries()]
    assert terms == sorted(set(terms))


MODULES = {module for _, module in entries()}
MODULES |= set(re.findall(r"`(seednb\.[\w.]+)`", ARCHITECTURE.read_text(encoding="utf-8")))


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_that_is_named_exists(module):
    assert importlib.util.find_spec(module)


STEPS = re.findall(r"`(seednb/[\w/]+)\.py`\s→ `([\w.]+)`", ARCHITECTURE.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("file", "name"), STEPS, ids=lambda part: part)
def test_a_step_of_a_path_names_a_function_of_its_file(file, name):
    module = importlib.import_module(file.replace("/", "."))
    found = attrgetter(name)(module)
    assert found.__module__ == module.__name__


def test_every_path_of_the_architecture_names_its_steps():
    text = ARCHITECTURE.read_text(encoding="utf-8")
    assert len(STEPS) == text.count(".py` →") + text.count(".py`\n   →") >= 20


def test_the_drawing_of_the_rooms_is_what_todays_code_gives():
    from make_architecture import DRAWING, draw

    assert DRAWING.read_text(encoding="utf-8") == draw(), "run: python docs/make_architecture.py"


def test_a_number_counts_pairs_of_modules_and_a_room_without_code_is_left_out(tmp_path):
    from make_architecture import count_imports, draw

    files = {
        "core/errors.py": "import os\n",
        "core/files.py": "from seednb.core.errors import SeedError\n",
        "model/__init__.py": "",
        "data/coco.py": "import seednb.core.errors\nfrom seednb import core\n",
        "method/beta.py": "def late():\n    from seednb.core import errors, files\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert count_imports(tmp_path) == {("data", "core"): 2, ("method", "core"): 1}
    assert ">core<" in draw(tmp_path) and ">model<" not in draw(tmp_path)
