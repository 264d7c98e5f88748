"""A handful of rounds of the fuzzer, and a proof that it would notice."""

from random import Random

import fuzz_readers
import pytest
from damaged import WORKS, Case
from fuzz_readers import change_bytes, change_json, fuzz


@pytest.mark.filterwarnings("ignore")
def test_nothing_but_a_seed_error_escapes_the_readers(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    counts, n_bad = fuzz(60, seed=2026, rounds=150)
    assert n_bad == 0, capfd.readouterr().out
    assert counts["error"] > 30 and counts["works"] > 5


def test_a_reader_that_fails_by_accident_is_found(monkeypatch, capsys):
    def make(folder):
        (folder / "a.json").write_text('{"a": [1, 2]}')
        return folder / "a.json"

    monkeypatch.setattr(
        fuzz_readers, "CASES", [Case("x", make, lambda f: f.read_text()[20], WORKS)]
    )
    counts, n_bad = fuzz(60, seed=0, rounds=5)
    assert counts["crash"] >= 1 and n_bad == counts["crash"]
    assert "IndexError" in capsys.readouterr().out


def test_changes_are_repeatable_and_change_something():
    content, value = b'{"a": [1, 2, {"b": "c"}]}', {"a": [1, 2, {"b": "c"}]}
    changed = [change_bytes(content, Random(n)) for n in range(50)]
    assert changed == [change_bytes(content, Random(n)) for n in range(50)]
    assert sum(text != content for text in changed) > 25
    assert sum(change_json(value, Random(n)) != value for n in range(50)) > 40
    assert value == {"a": [1, 2, {"b": "c"}]}
