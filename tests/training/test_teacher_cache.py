"""What the teacher's cache returns is what was put in, to the bit, or nothing."""

import os

import pytest
import torch

from seednb.training.teacher_cache import TeacherCache


@pytest.fixture
def hidden():
    generator = torch.Generator().manual_seed(1)
    return {f"e{n}": torch.randn(n + 1, 6, generator=generator).bfloat16() for n in range(6)}


def filled(folder, hidden, budget=2**30):
    cache = TeacherCache(folder, budget)
    for number, (key, value) in enumerate(hidden.items(), start=1):
        cache.put(key, value)
        if number % 2 == 0:
            cache.write()
    return cache


def test_what_is_read_is_what_was_written(tmp_path, hidden):
    filled(tmp_path / "t", hidden)
    cache = TeacherCache(tmp_path / "t", 2**30)  # another process, later
    keys = ["e4", "e0", "e3"]
    assert torch.equal(cache.get(keys), torch.cat([hidden[key] for key in keys]))
    assert cache.get(["e0", "unknown"]) is None


def test_what_is_read_ahead_is_what_is_read(tmp_path, hidden):
    filled(tmp_path / "t", hidden)
    cache = TeacherCache(tmp_path / "t", 2**30)
    asked = [["e4", "e0"], ["e3"], ["e1", "unknown"]]
    for keys in asked:
        cache.prefetch(keys)
    for keys in asked[:2]:
        assert torch.equal(cache.get(keys), torch.cat([hidden[key] for key in keys]))
    assert cache.get(asked[2]) is None
    cache.put("unknown", hidden["e1"])
    assert torch.equal(cache.get(asked[2]), torch.cat([hidden["e1"], hidden["e1"]]))  # read anew


def test_a_damaged_shard_is_noticed_ahead_too(tmp_path, hidden):
    filled(tmp_path / "t", hidden)
    cache = TeacherCache(tmp_path / "t", 2**30)
    shard = cache.shard_of["e3"]
    shard.write_bytes(shard.read_bytes()[:-9])
    cache.prefetch(["e0", "e3"])
    assert cache.get(["e0", "e3"]) is None and cache.damaged == [shard]
    assert torch.equal(cache.get(["e0"]), hidden["e0"])


@pytest.mark.parametrize("harm", ["flipped bit", "cut short", "deleted", "garbage"])
def test_a_damaged_shard_is_discarded_and_the_others_stay(tmp_path, hidden, harm):
    filled(tmp_path / "t", hidden)
    shard = TeacherCache(tmp_path / "t", 2**30).shard_of["e3"]
    content = bytearray(shard.read_bytes())
    content[-3] ^= 1
    before = TeacherCache(tmp_path / "t", 2**30)
    if harm == "deleted":
        shard.unlink()
    else:
        harmed = {"flipped bit": bytes(content), "cut short": content[:-9], "garbage": b"?" * 90}
        shard.write_bytes(harmed[harm])
    for cache in (before, TeacherCache(tmp_path / "t", 2**30)):
        assert cache.get(["e0", "e3"]) is None
        assert torch.equal(cache.get(["e0"]), hidden["e0"])
        if cache is before:
            assert cache.damaged == [shard]
    assert not shard.exists()


def test_room_is_made_from_other_teachers_oldest_shards_only(tmp_path, hidden):
    filled(tmp_path / "old", hidden)
    shards = sorted((tmp_path / "old").iterdir())
    for age, shard in enumerate(shards):
        os.utime(shard, (1e9 - age, 1e9 - age))  # the last one is the oldest
    used = sum(shard.stat().st_size for shard in shards)
    cache = TeacherCache(tmp_path / "new", used + 1)
    cache.put("mine", hidden["e0"])
    cache.write()
    assert [shard.exists() for shard in shards] == [True, True, False]
    assert torch.equal(cache.get(["mine"]), hidden["e0"])
    full = TeacherCache(tmp_path / "new", 1)
    full.put("more", hidden["e1"])
    full.write()
    assert full.get(["more"]) is None and torch.equal(full.get(["mine"]), hidden["e0"])
