"""A result's meaning does not change under its old version: mathematics.py lists what decides it."""

from experiments.mathematics import FUNCTIONS, accepted, changed_unversioned, current

from seednb.core.stage import VERSIONS
from seednb.method import losses

HINT = "see tests/experiments/mathematics.py"


def test_no_kind_of_result_changed_its_mathematics_under_its_old_version():
    changed = changed_unversioned(current(), accepted())
    assert not changed, f"{', '.join(changed)}; raise the kinds' numbers in VERSIONS, or {HINT}"


def test_all_that_is_there_was_accepted():
    assert current() == accepted(), f"run the script: {HINT}"


def test_every_kind_names_what_decides_it():
    assert set(FUNCTIONS) == set(VERSIONS) and all(FUNCTIONS.values())


def test_another_formula_is_noticed_until_the_version_is_raised(monkeypatch):
    def seed_loss(distillation, supervision, distill_weight, temperature):
        return distill_weight * temperature * distillation + (1 - distill_weight) * supervision

    seed_loss.__qualname__ = "seed_loss"
    others = tuple(item for item in FUNCTIONS["train"] if item is not losses.seed_loss)
    monkeypatch.setitem(FUNCTIONS, "train", (*others, seed_loss))
    now = current()
    assert changed_unversioned(now, accepted()) == ["train: seed_loss"]
    now["train"]["version"] += 1
    assert changed_unversioned(now, accepted()) == []
