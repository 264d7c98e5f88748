"""Fixtures that several test files share."""

from pathlib import Path

import pytest


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
