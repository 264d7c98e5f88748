"""Laws of stages: found by what decides them, made once, blind to what does not matter."""

import shutil
import threading
import time

import pytest

from seednb.core import stage as stage_module
from seednb.core.errors import SeedError
from seednb.core.files import UNTIL_DONE_S, write_json
from seednb.core.stage import VERSIONS, Stage, fingerprint, making, version_of


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
    key = Stage(tmp_path, "train", {"a": 1, "b": {"c": [1, 2]}}).key
    assert Stage(tmp_path, "train", {"b": {"c": [1, 2]}, "a": 1}).key == key
    for other in ({"a": 2, "b": {"c": [1, 2]}}, {"a": 1, "b": {"c": [2, 1]}}, {"a": 1}):
        assert Stage(tmp_path, "train", other).key != key


def test_a_raised_version_makes_new_keys_of_its_kind_and_of_no_other(tmp_path, monkeypatch):
    def keys():
        return {name: Stage(tmp_path, name, {"seed": 1}).key for name in ("train-v7", "answers-v7")}

    before = keys()
    monkeypatch.setitem(stage_module.VERSIONS, "train", VERSIONS["train"] + 1)
    assert keys()["train-v7"] != before["train-v7"]
    assert keys()["answers-v7"] == before["answers-v7"]


def test_a_kind_without_a_version_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match="results of kind 'trian' have no version; there are world"
    ):
        Stage(tmp_path, "trian-v7", {})
    assert version_of("train") == VERSIONS["train"]


def test_a_stage_is_made_once(tmp_path):
    made = []
    for _ in range(2):
        with making(Stage(tmp_path, "train", {"seed": 1})) as is_left:
            if is_left:
                made.append("made")
    assert made == ["made"] and Stage(tmp_path, "train", {"seed": 1}).is_finished


def test_a_stage_whose_making_fails_is_left_to_make(tmp_path):
    stage = Stage(tmp_path, "train", {"seed": 1})
    with pytest.raises(RuntimeError), making(stage):
        raise RuntimeError
    with making(stage) as is_left:
        assert is_left


def test_a_stage_that_stays_open_is_made_again(tmp_path):
    for _ in range(2):
        stage = Stage(tmp_path, "scores-chair-base", {"seed": 1})
        with making(stage) as is_left:
            assert is_left
            stage.stays_open = True
    assert not stage.is_finished


def test_a_run_that_is_patient_waits_for_the_stage_that_another_makes(tmp_path):
    """Two threads of one process: the lock is the file's, as between processes."""
    order = []

    def first():
        with making(Stage(tmp_path, "train", {}), together=False):
            begun.set()
            time.sleep(0.3)
            order.append("made")

    begun = threading.Event()
    maker = threading.Thread(target=first)
    maker.start()
    begun.wait()
    with making(Stage(tmp_path, "train", {}), UNTIL_DONE_S, together=False) as is_left:
        order.append("found")
        assert not is_left
    maker.join()
    assert order == ["made", "found"]


def test_a_kill_right_after_the_manifest_leaves_nothing_behind(tmp_path):
    stage = Stage(tmp_path, "train", {})
    stage.finish(1)
    room = stage.folder / "manifest.json.partial"
    room.mkdir()
    with making(stage) as is_left:
        assert not is_left and not room.exists()
    shutil.rmtree(stage.folder)


def test_large_files_are_told_apart_by_size_and_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(stage_module, "WHOLE_FILE", 64)
    monkeypatch.setattr(stage_module, "END", 8)
    file = tmp_path / "weights"
    prints = set()
    for content in (b"a" * 100, b"a" * 101, b"b" + b"a" * 99, b"a" * 99 + b"b"):
        file.write_bytes(content)
        prints.add(fingerprint(file))
    assert len(prints) == 4
