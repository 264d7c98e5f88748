"""Every how-to page works, step by step as a reader follows it, and has no step too many."""

import subprocess

import pytest
from how_to import ROOT, copy_project, edit, read_page, run

PAGES = sorted((ROOT / "docs").glob("how-to-*.md"))
STEPS = [
    pytest.param(page, number, id=f"{page.stem}-{number}")
    for page in PAGES
    for number in range(1, 1 + sum(block.file is not None for block in read_page(page)))
]
pytestmark = pytest.mark.slow


def follow(page, project, without=0):
    """Carry a page out, all steps or all but one; returns what its programs printed, in order."""
    blocks = read_page(page)
    steps = [block for block in blocks if block.file]
    for number, step in enumerate(steps, start=1):
        if number != without:
            edit(step, project)
    return [run(block, project) for block in blocks if not block.file]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_how_to_works_as_it_stands(page, tmp_path):
    printed = follow(page, copy_project(tmp_path))
    assert printed and all(text.strip() for text in printed)
    assert len(page.read_text().splitlines()) <= 75


@pytest.mark.parametrize(("page", "step"), STEPS)
def test_no_step_of_a_how_to_can_be_left_out(page, step, tmp_path):
    with pytest.raises(subprocess.CalledProcessError):
        follow(page, copy_project(tmp_path), without=step)
