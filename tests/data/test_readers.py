"""Reading what benchmarks publish: lists or lines, plain or compressed, and what an error names."""

import gzip
import json

import pytest

from seednb.core.errors import SeedError
from seednb.data.readers import read_json, read_json_lines, read_rows
from seednb.evaluation.benchmarks.vqav2 import read_official

ROWS = [{"question_id": 1, "text": "Yes\u2028no"}, {"question_id": 2, "text": "No"}]


def test_rows_are_the_same_from_a_list_and_from_lines(tmp_path):
    file = tmp_path / "answers.json"
    texts = [json.dumps(ROWS), json.dumps(ROWS, indent=4), f"\n {json.dumps(ROWS)}"]
    texts += ["".join(json.dumps(row, ensure_ascii=False) + "\r\n\n" for row in ROWS)]
    for text in texts:
        file.write_text(text, encoding="utf-8-sig")
        assert read_rows(file) == ROWS


def test_compressed_files_read_as_plain_ones(tmp_path):
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    for name, text in {"a.json.gz": json.dumps(ROWS), "a.jsonl.gz": lines}.items():
        (tmp_path / name).write_bytes(gzip.compress(text.encode("utf-8-sig")))
        assert read_rows(tmp_path / name) == ROWS
    assert read_json(tmp_path / "a.json.gz") == ROWS
    assert read_json_lines(tmp_path / "a.jsonl.gz") == ROWS


def test_damaged_compression_is_named(tmp_path):
    whole = gzip.compress(json.dumps(ROWS * 50).encode())
    damages = {
        whole[:-9]: "damaged gzip",
        whole[:20] + b"\xff" * 9 + whole[29:]: "damaged gzip",
        b"[]": "damaged gzip",
        gzip.compress(b'[\n "\xff"]'): "line 2: not UTF-8",
        gzip.compress(b"[\n1"): "line 2, column 2: not JSON",
    }
    file = tmp_path / "a.json.gz"
    for content, message in damages.items():
        file.write_bytes(content)
        with pytest.raises(SeedError, match=rf"a\.json\.gz.*{message}"):
            read_rows(file)


@pytest.mark.parametrize("text", ["", "\n\n", "[]", " [ ]\n"])
def test_a_file_without_rows_is_called_empty(tmp_path, text):
    file = tmp_path / "a.jsonl"
    file.write_text(text)
    with pytest.raises(SeedError, match=r"a\.jsonl is empty"):
        read_rows(file)


def test_an_entry_that_is_no_object_is_named_by_its_place(tmp_path):
    file = tmp_path / "a.json"
    file.write_text('[{"question_id": 1}, "Yes"]')
    with pytest.raises(SeedError, match=r"a\.json, entry 2: a str; write a list of JSON objects"):
        read_rows(file)
    file.write_text('{"question_id": 1}\n[2]')
    with pytest.raises(SeedError, match=r"a\.json, line 2: a list; write one JSON object a line"):
        read_rows(file)


def test_vqa_questions_may_be_the_official_object_or_llavas_lines(tmp_path):
    official, lines = tmp_path / "questions.json.gz", tmp_path / "questions.jsonl"
    official.write_bytes(gzip.compress(json.dumps({"questions": ROWS}).encode()))
    lines.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    assert read_official(official, "questions") == read_official(lines, "questions") == ROWS
