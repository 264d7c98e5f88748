"""Fixtures that several test files share, and how tests are spread over processes."""

import os
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch starts: the processes share the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Slow tests first, so that none is left alone at the end; what a module makes once stays one.

    Tests that share a fixture of their module run in one process: in two it would be made twice.
    """
    group_of = {item: item.nodeid for item in items}
    for item in items:
        if any(f[-1].scope == "module" for f in item._fixtureinfo.name2fixturedefs.values()):
            group_of[item] = item.location[0]
            item.add_marker(pytest.mark.xdist_group(item.location[0]))
    slow = {group_of[item] for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: group_of[item] not in slow)


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder of published answer files and annotations, which lives outside the project."""
    folder = Path(__file__).parents[2] / "shared" / "reference"
    if not folder.is_dir():
        pytest.skip(f"reference material is not on this machine ({folder} is absent)")
    return folder


@pytest.fixture
def nltk_data(reference, monkeypatch):
    """NLTK with the reference folder's data only."""
    nltk = pytest.importorskip("nltk")
    monkeypatch.setattr(nltk.data, "path", [str(reference / "nltk_data")])
