"""How notebooks open: parameters from cells, wherever they were set, and nothing else."""

from pathlib import Path

import nbformat
import pytest
import yaml

from seednb.core.errors import SeedError
from seednb.core.profiles import load_params
from seednb.report.notebook import OF_PROFILE, OPENS, OWN, _assignments, open_lab, open_params

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PROFILES = sorted((ROOT / "params").glob("*.yaml"))
FIRST = 'params_file = "params/pocket.yaml"  # the profile\noutput_dir = "runs/here"\nn_history = 4'
OPENING = "lab = open_params(globals())"
PAPERMILL = "# Parameters\n"


def opened(*cells):
    """(parameters, names) after the cells of a notebook have run."""
    names = {"In": ["", FIRST, *cells, OPENING]}
    return open_params(names), names


def injected(**values):
    return PAPERMILL + "\n".join(f"{name} = {value!r}" for name, value in values.items())


def code_cells(path):
    return [c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]


def opening_of(path, *cells):
    """A notebook's cells up to the one that opens it, with others below the first."""
    first, *others = code_cells(path)
    (place,) = [n for n, source in enumerate(others) if OPENS.search(source)]
    assert place == 0, "the cell after the parameters opens the notebook"
    return {"In": [first, *cells, others[0]]}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_takes_a_whole_profile_and_refuses_what_is_not_one(path):
    smoke = yaml.safe_load((ROOT / "params/smoke.yaml").read_text())
    params = open_params(opening_of(path, injected(**smoke)))
    assert params == load_params(ROOT / "params/smoke.yaml")
    for wrong, said in (
        ({"n_pair": 50}, r"unknown parameter 'n_pair' \(did you mean 'n_pairs'\?\)"),
        ({"noise_alpha": 9}, r"noise_alpha=9.0: must be in \[0, 1\]"),
        ({"n_pairs": 0.5}, "n_pairs=0.5: must be of type int"),
    ):
        with pytest.raises(SeedError, match=said):
            open_params(opening_of(path, injected(**smoke | wrong)))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_only_the_first_cell_of_a_notebook_sets_parameters(path):
    first, *others = code_cells(path)
    own, is_plain = _assignments(first)
    assert is_plain and {"params_file", "output_dir"} <= own.keys() <= OWN
    for source in others:
        found, is_plain = _assignments(source)
        assert not (is_plain and found.keys() & (OWN | OF_PROFILE.keys()))


def test_no_name_is_both_a_notebooks_parameter_and_a_profiles():
    assert not OWN & OF_PROFILE.keys()


@pytest.mark.parametrize("file", PROFILES, ids=lambda file: file.stem)
def test_an_injected_profile_starts_from_the_defaults_as_its_file_does(file):
    values = yaml.safe_load(file.read_text())
    assert opened(injected(**values))[0] == load_params(file)


def test_single_keys_change_the_profile_that_the_notebook_names():
    params, _ = opened(injected(noise_alpha=0.9))
    assert params == load_params(ROOT / "params/pocket.yaml", {"noise_alpha": 0.9})
    params, _ = opened(
        injected(profile="mine", params_file="params/smoke.yaml", generator="pocket")
    )
    assert params == load_params(ROOT / "params/smoke.yaml", {"profile": "mine"})


def test_a_later_cell_wins_whoever_wrote_it():
    assert opened(injected(n_pairs=3), "n_pairs = 5")[0].data.n_pairs == 5
    assert opened("n_pairs = 5", OPENING, "n_pairs = 7")[0].data.n_pairs == 7
    assert opened("n_pairs: int = 5", OPENING, "x = lab.data")[0].data.n_pairs == 5


def test_text_is_read_as_the_type_that_a_parameter_has():
    raw = {"n_pairs": "40", "beta_quantiles": "[0.2, 0.5, 0.7]", "compile_layers": "true"}
    params, names = opened(injected(**raw, n_history="9", notice="12"))
    assert (params.data.n_pairs, params.train.beta_quantiles) == (40, (0.2, 0.5, 0.7))
    assert params.train.compile_layers is True and params.run.notice == "12"
    assert names["n_history"] == 9


def test_imports_and_what_a_reader_tries_out_are_no_parameters():
    analysis = "from seednb.method.confidence import confidence\nseed = 9"
    params, _ = opened(
        "import os\nfolder = os.getcwd()", OPENING, analysis, "mine = 5", "seed = f()"
    )
    assert params == load_params(ROOT / "params/pocket.yaml")


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("n_histori = 50", r"'n_histori' \(did you mean 'n_history'\?\); set in"),
        ("overrides = {}", "unknown parameter 'overrides'"),
        ("n_history = 0", "n_history=0: must be at least 1"),
        ("n_history = 'many'", "n_history='many': must be of type int"),
        (injected(n_shown=3), "unknown parameter 'n_shown', which other notebooks have"),
        ("n_pairs = 2 * half", "n_pairs = 2 \\* half: must be a plain value"),
        ("import os\nseed = os.getpid()", r"seed = os.getpid\(\): must be a plain value"),
        ("params_file = 'params/none.yaml'", "none.yaml: no such parameter file"),
    ],
)
def test_what_is_not_a_parameter_is_refused_until_it_is_corrected(cell, said):
    with pytest.raises(SeedError, match=said):
        opened(cell)
    corrected = f"n_history = 5\nn_pairs = 5\nseed = 5\n{FIRST.splitlines()[0]}"
    assert opened(cell, OPENING, corrected)[0].data.n_pairs == 5


def test_a_slip_is_refused_after_the_notebook_was_opened_too():
    with pytest.raises(SeedError, match="did you mean 'noise_alpha'"):
        opened(OPENING, "x = lab.data", "noise_alph = 0.9")


def test_paths_mean_the_project_from_any_folder_and_leave_nothing_there(tmp_path, monkeypatch):
    expected = load_params(ROOT / "params/pocket.yaml")
    for folder in (ROOT, ROOT / "notebooks", tmp_path):
        monkeypatch.chdir(folder)
        params, names = opened()
        assert params == expected and names["output_dir"] == str(ROOT / "runs/here")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine").mkdir()
    (tmp_path / "my.yaml").write_text("profile: my\nn_pairs: 3\n")
    params, names = opened("params_file = 'my.yaml'\noutput_dir = 'mine'")
    assert names["output_dir"] == str(tmp_path / "mine")
    assert (params.run.profile, params.data.n_pairs, params.root) == ("my", 3, ROOT)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ([], "Profile **pocket** (`pocket.yaml`)."),
        (["noise_alpha = 0.9"], "(`pocket.yaml`), changed: `noise_alpha` = 0.9."),
        (["runs_dir = 'elsewhere'"], "(`pocket.yaml`), changed: `runs_dir`."),
        ([injected(profile="mine", generator="pocket")], "Profile **mine** (as it was injected)."),
        (["params_file = 'params/smoke.yaml'"], "(`smoke.yaml`). A smoke run on a handful"),
    ],
)
def test_a_line_says_which_profile_it_is_and_what_of_it_is_changed(cells, said, monkeypatch):
    lines = []
    monkeypatch.setattr("seednb.report.notebook.display", lambda line: lines.append(line.data))
    lab = open_lab({"In": [FIRST, *cells, OPENING]})
    assert said in lines[0] and lab.params.run.profile in lines[0]
