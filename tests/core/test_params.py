"""Parameters are checked where they enter, and the message says what is allowed."""

from pathlib import Path

import pytest

from seednb.core.errors import SeedError
from seednb.core.profiles import describe, load_params, parse_override

PARAMS = Path(__file__).parents[2] / "params"


@pytest.mark.parametrize("file", sorted(PARAMS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_profile_loads_and_is_named_after_its_file(file):
    assert load_params(file).run.profile == file.stem


@pytest.mark.parametrize("file", sorted(PARAMS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_profile_starts_with_its_command(file):
    assert file.read_text().startswith(f"# seednb report --params params/{file.name}")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"n_pair": 3}, "unknown parameter 'n_pair' \\(did you mean 'n_pairs'\\?\\)"),
        ({"n_pairs": "many"}, "n_pairs='many': must be of type int"),
        ({"n_pairs": True}, "n_pairs=True: must be of type int"),
        ({"n_pairs": 0}, "n_pairs=0: must be at least 1"),
        ({"noise_alpha": 1.5}, "noise_alpha=1.5: must be in \\[0, 1\\]"),
        ({"noise_alpha": float("nan")}, "noise_alpha=nan: must be in"),
        ({"beta_values": [1, -0.5]}, "beta_values=.*must be in \\[0, 4\\]"),
        ({"image_fit": "squash"}, "image_fit='squash': must be one of pad, crop"),
    ],
)
def test_a_bad_parameter_is_named_with_its_value_and_what_is_allowed(overrides, message):
    with pytest.raises(SeedError, match=message):
        load_params(PARAMS / "pocket.yaml", overrides)


def test_overrides_win_over_the_file_and_are_read_as_yaml():
    overrides = dict(parse_override(text) for text in ("n_pairs=7", "learning_rate=2e-6"))
    params = load_params(PARAMS / "pocket.yaml", overrides)
    assert params.data.n_pairs == 7
    assert params.train.learning_rate == 2e-6


def test_an_override_without_a_value_is_refused():
    with pytest.raises(SeedError, match="expected key=value"):
        parse_override("n_pairs")


def test_a_missing_file_lists_the_profiles_there_are():
    with pytest.raises(SeedError, match=r"pocket\.yaml"):
        load_params(PARAMS / "none.yaml")


def test_broken_yaml_is_named_with_its_line(tmp_path):
    file = tmp_path / "broken.yaml"
    file.write_text("profile: x\n n_pairs: [1\n")
    with pytest.raises(SeedError, match=r"broken\.yaml: not valid YAML.*line 2"):
        load_params(file)


def test_every_parameter_has_a_meaning_and_a_unique_name():
    rows = list(describe())
    assert all(row["meaning"] for row in rows)
    assert len({row["name"] for row in rows}) == len(rows)
