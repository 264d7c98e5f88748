"""A damaged input works, is skipped and counted, or is refused in one sentence; nothing else."""

import re

import pytest
from damaged import CASES, CRASH, ERROR, outcome

LONGEST = 700  # characters that an error may have, without the folder's own


@pytest.mark.timeout(120)  # nothing hangs: the slowest case takes seconds
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_damaged_input_ends_well(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    happened = outcome(case, tmp_path)
    assert happened.kind == case.expected, happened.detail
    assert re.search(case.says, happened.detail), happened.detail
    assert not (tmp_path / "unpickled").exists()
    if happened.kind == ERROR:
        sentence = happened.detail.replace(str(tmp_path), "")
        assert "\n" not in sentence and len(sentence) < LONGEST


def test_names_are_unique_and_every_kind_of_outcome_occurs():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names) >= 60
    assert {case.expected for case in CASES} == {"works", "skipped", "error"}


def test_a_reader_that_fails_by_accident_is_a_crash(tmp_path):
    from damaged import WORKS, Case

    def fail(_):
        raise KeyError("x")

    happened = outcome(Case("", lambda folder: None, fail, WORKS), tmp_path)
    assert happened.kind == CRASH and "KeyError" in happened.detail
