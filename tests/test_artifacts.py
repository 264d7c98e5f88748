"""Laws of finished stages: found by what made them, written whole, blind to what does not matter."""

import json

import pandas as pd
import pytest

from seednb import artifacts
from seednb.artifacts import (
    Stage,
    code_fingerprint,
    fingerprint,
    imported_modules,
    read_json,
    write_frame,
    write_json,
    write_lines,
)
from seednb.errors import SeedError

WRITERS = {
    "json": lambda path, value: write_json(path, value),
    "lines": lambda path, value: write_lines(path, [value]),
    "frame": lambda path, value: write_frame(path, pd.DataFrame([value])),
}


def test_a_stage_counts_only_once_it_is_finished(tmp_path):
    stage = Stage(tmp_path, "train", {"seed": 1})
    write_json(stage.path("result.json"), {"loss": 1.5})
    assert not stage.is_finished
    with pytest.raises(SeedError, match="train is not finished"):
        stage.manifest()
    stage.finish(3.21)
    again = Stage(tmp_path, "train", {"seed": 1})
    assert again.is_finished and again.manifest()["seconds"] == 3.2
    assert again.manifest()["files"]["result.json"] == fingerprint(stage.path("result.json"))


def test_the_key_follows_the_inputs_and_not_their_order(tmp_path):
    key = Stage(tmp_path, "s", {"a": 1, "b": {"c": [1, 2]}}).key
    assert Stage(tmp_path, "s", {"b": {"c": [1, 2]}, "a": 1}).key == key
    for other in ({"a": 2, "b": {"c": [1, 2]}}, {"a": 1, "b": {"c": [2, 1]}}, {"a": 1}):
        assert Stage(tmp_path, "s", other).key != key


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_write_that_fails_leaves_the_old_file(tmp_path, write, monkeypatch):
    file = tmp_path / "folder" / "result"
    write(file, {"value": 1})
    before = file.read_bytes()

    def full_disk(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(artifacts.Path, "replace", full_disk)
    with pytest.raises(SeedError, match=r"cannot be written \(No space"):
        write(file, {"value": 2})
    assert file.read_bytes() == before


def test_large_files_are_told_apart_by_size_and_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(artifacts, "WHOLE_FILE", 64)
    monkeypatch.setattr(artifacts, "END", 8)
    file = tmp_path / "weights"
    prints = set()
    for content in (b"a" * 100, b"a" * 101, b"b" + b"a" * 99, b"a" * 99 + b"b"):
        file.write_bytes(content)
        prints.add(fingerprint(file))
    assert len(prints) == 4


def test_code_counts_with_all_that_it_imports(tmp_path, monkeypatch):
    """Editing a module changes the key of those that import it, and of no other."""
    files = {"top": "from seednb.middle import f", "middle": "import seednb.base", "base": "x = 1"}
    for name, text in (files | {"report": "y = 1"}).items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setattr(artifacts, "PACKAGE", tmp_path)
    artifacts._imports.cache_clear()
    before = code_fingerprint("top")
    (tmp_path / "report.py").write_text("y = 2")
    assert code_fingerprint("top") == before
    (tmp_path / "base.py").write_text("x = 2")
    assert code_fingerprint("top") != before


def test_imports_inside_functions_count_too():
    source = "def f():\n    from seednb.data import coco\nimport seednb.model, os\n"
    assert set(imported_modules(source)) == {"seednb.data", "seednb.data.coco", "seednb.model"}


def test_what_is_written_is_read_back(tmp_path):
    value = {"text": "käse \u2028 “x”", "numbers": [1, 2.5, None]}
    write_json(tmp_path / "a.json", value)
    write_lines(tmp_path / "a.jsonl", [value, value])
    assert read_json(tmp_path / "a.json") == value
    lines = (tmp_path / "a.jsonl").read_text().split("\n")
    assert [json.loads(line) for line in lines if line] == [value, value]
