"""The step that notebook 05 writes in its cells is the library's; without the marked lines it is v4's."""

import re
from pathlib import Path

import nbformat
import pandas as pd
import pytest
import torch
from nbformat.v4 import new_code_cell, new_notebook

from seednb.core.errors import SeedError
from seednb.experiments.experiment import Experiment
from seednb.report.widgets.written_step import (
    LACKED,
    TAG,
    WRITTEN,
    Start,
    WrittenStep,
    adapter_of,
)

ROOT = Path(__file__).parents[3]
NUMBERS = ["loss", "distillation", "supervision", "beta"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    return Experiment.open(str(ROOT / "params/smoke.yaml"), {"runs_dir": str(runs)})


@pytest.fixture
def project(tmp_path):
    """A folder whose notebook 05 has the given cells."""

    def write(*cells):
        (tmp_path / WRITTEN).parent.mkdir(exist_ok=True)
        nbformat.write(new_notebook(cells=list(cells)), tmp_path / WRITTEN)
        return tmp_path

    return write


def of_v4(step):
    """What is left without the marked lines; a line that opens a block leaves the block behind."""
    kept = []
    for line in step.lines:
        if not LACKED.search(line):
            kept.append(line)
        elif LACKED.sub("", line).endswith(":"):
            kept.append(re.sub(r"\S.*", "if True:", line))
    return kept


def run_cells(start, version):
    """Run the cells, which changes the start's model; what they write down, a row an example."""
    step, names = WrittenStep.read(ROOT), {"torch": torch, "start": start}
    exec("\n".join(step.lines if version == "v5" else of_v4(step)), names)
    return pd.DataFrame(names["figures"])


@pytest.mark.slow
@pytest.mark.parametrize("version", ["v4", "v5"])
def test_the_written_step_ends_at_the_weights_of_the_library(version, lab):
    by_cells, by_library = Start.of(lab, exact=True), Start.of(lab, exact=True)
    before = adapter_of(by_cells.model)
    figures = run_cells(by_cells, version).groupby("step").mean()
    curve = by_library.by_library(version)
    after = adapter_of(by_cells.model)
    assert (after - before).abs().max() > 1e-3
    torch.testing.assert_close(after, adapter_of(by_library.model), atol=1e-9, rtol=0)
    assert (figures[NUMBERS] - curve[NUMBERS]).abs().max().max() < 1e-9
    assert (figures["distillation"].max() < 1e-9) == (version == "v4")


def test_what_version_4_lacked_is_the_teacher_the_noise_beta_and_the_target():
    lacking = WrittenStep.read(ROOT).lacking
    words = ("disable_adapter", "beta_of", "add_noise", "purify")
    assert len(lacking) == len(words)
    assert all(sum(word in line for line in lacking) == 1 for word in words)


def test_struck_lines_are_struck_and_no_code_becomes_markup(project):
    code = "if a < b:\n    with c():  # v5\n        d()  # v5\n        e()"
    step = WrittenStep.read(project(new_code_cell(code, metadata={"tags": [TAG]})))
    html = step.struck().data
    assert html.count("<del") == 2 and "if a &lt; b:" in html
    assert of_v4(step) == ["if a < b:", "    if True:", "        e()"]


def test_a_notebook_without_the_step_is_named(project, tmp_path):
    with pytest.raises(SeedError, match="has no cell with the tag 'step'"):
        WrittenStep.read(project(new_code_cell("print()")))
    with pytest.raises(SeedError, match="cannot be read"):
        WrittenStep.read(tmp_path / "elsewhere")
