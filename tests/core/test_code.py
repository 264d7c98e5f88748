"""Laws of the hash of code: what a run depends on changes it, and nothing else does."""

import ast
import shutil

import pytest

from seednb.core import code
from seednb.core.code import code_fingerprint, code_hash, imported_modules, source_hash

SOURCE = '''
import math
from seednb.losses import reverse_kl as kl

def loss(x: float, scale: float = 2.0) -> float:
    """Scaled."""
    # twice
    halves: list[str] = [f"{x!r:>{4}} {'b'}"]
    return scale * kl(x, math.pi) + len(halves)
'''
# What no run depends on: text, types, and where a function of this package lies.
SAME = {
    "docstring": ('"""Scaled."""', '"""The loss, scaled."""'),
    "no docstring": ('    """Scaled."""\n', ""),
    "comment": ("# twice", "# two times"),
    "annotation": ("x: float", "x"),
    "variable's type": ("list[str] =", "object ="),
    "result's type": (") -> float", ")"),
    "layout": ("\n\ndef", "\n\n\n\ndef"),
    "a module that moved": ("seednb.losses", "seednb.method.losses"),
}
OTHER = {
    "number": ("2.0", "2.5"),
    "type of a number": ("2.0", "2"),
    "operator": ("+ len", "- len"),
    "name": ("kl(x", "kl(scale"),
    "another function": ("reverse_kl as", "forward_kl as"),
    "another library": ("import math", "import cmath as math"),
    "text": ("'b'", "'c'"),
    "an empty argument": ("kl(x, math.pi)", "kl(x, math.pi, '')"),
    "default": ("scale: float = 2.0", "scale"),
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_what_no_run_depends_on_does_not_count(change):
    assert change[0] in SOURCE
    assert source_hash(SOURCE.replace(*change)) == source_hash(SOURCE)


@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER)
def test_what_a_run_depends_on_counts(change):
    assert change[0] in SOURCE
    assert source_hash(SOURCE.replace(*change)) != source_hash(SOURCE)


def test_the_hash_is_the_same_under_every_python():
    """The number was taken under Python 3.11; 3.12 must find it, too."""
    assert source_hash(SOURCE) == "ba1fbec195f3"


def test_functions_count_by_their_code_and_constants_by_their_value():
    def one():
        return 1

    def two():
        return 2

    assert code_hash(one) == code_hash(one) != code_hash(two)
    assert code_hash(0.1) == code_hash(0.1) != code_hash(0.2)


def test_code_counts_with_all_that_it_imports(tmp_path, monkeypatch):
    """Editing a module changes the hash of those that import it, and of no other."""
    package = tmp_path / "seednb"
    package.mkdir()
    files = {"top": "from seednb.middle import f", "middle": "import seednb.base", "base": "x = 1"}
    for name, text in (files | {"report": "y = 1"}).items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.setattr(code, "PACKAGE", package)
    before = code_fingerprint("top")
    (package / "report.py").write_text("y = 2")
    assert code_fingerprint("top") == before
    (package / "base.py").write_text("x = 2")
    assert code_fingerprint("top") != before


def test_imports_inside_functions_count_too():
    source = "def f():\n    from seednb.data import coco\nimport seednb.model, os\n"
    assert set(imported_modules(source)) == {
        "seednb.data",
        "seednb.data.coco",
        "seednb.model",
    }


def test_a_docstring_changed_in_any_file_changes_no_hash_of_code(tmp_path, monkeypatch):
    copy = tmp_path / "seednb"
    unwanted = shutil.ignore_patterns("assets", "__pycache__")
    shutil.copytree(code.PACKAGE, copy, ignore=unwanted)
    monkeypatch.setattr(code, "PACKAGE", copy)
    modules = ("experiments.experiment", "pipeline", "core")
    before = code_fingerprint(*modules)
    n_changed = 0
    for file in sorted(copy.rglob("*.py")):
        text = file.read_text()
        if docstring := ast.get_docstring(ast.parse(text), clean=False):
            file.write_text(text.replace(docstring, f"{docstring} And more.", 1))
            n_changed += 1
    assert n_changed > 50
    assert code_fingerprint(*modules) == before
