"""Laws of files: written whole or not at all, and read back as they were."""

import json

import pandas as pd
import pytest

from seednb.core import files
from seednb.core.errors import SeedError
from seednb.core.files import read_json, write_frame, write_json, write_lines

WRITERS = {
    "json": lambda path, value: write_json(path, value),
    "lines": lambda path, value: write_lines(path, [value]),
    "frame": lambda path, value: write_frame(path, pd.DataFrame([value])),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_write_that_fails_leaves_the_old_file(tmp_path, write, monkeypatch):
    file = tmp_path / "folder" / "result"
    write(file, {"value": 1})
    before = file.read_bytes()

    def full_disk(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(files.Path, "replace", full_disk)
    with pytest.raises(SeedError, match=r"result cannot be written \(No space left on device\)"):
        write(file, {"value": 2})
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_what_is_written_is_read_back(tmp_path):
    value = {"text": "käse \u2028 “x”", "numbers": [1, 2.5, None]}
    write_json(tmp_path / "a.json", value)
    write_lines(tmp_path / "a.jsonl", [value, value])
    assert read_json(tmp_path / "a.json") == value
    lines = (tmp_path / "a.jsonl").read_text().split("\n")
    assert [json.loads(line) for line in lines if line] == [value, value]
