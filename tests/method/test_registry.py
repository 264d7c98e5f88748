"""Every choice that a parameter offers is in its registry, and the registries describe themselves."""

from pathlib import Path

import pytest

from seednb.core.errors import SeedError
from seednb.core.profiles import SECTIONS, load_params
from seednb.method.recipes import RECIPES
from seednb.method.registry import REGISTRIES, catalogue

SMOKE = Path(__file__).parents[2] / "params/smoke.yaml"


@pytest.mark.parametrize(("name", "registry"), REGISTRIES.items(), ids=REGISTRIES)
def test_a_parameter_offers_what_its_registry_holds_and_defaults_to_the_reproductions(
    name, registry
):
    field = SECTIONS["train"].__dataclass_fields__[name]
    assert sorted(field.metadata["choices"]) == sorted(registry)
    assert getattr(RECIPES["v7"], name) == next(iter(registry))


def test_the_catalogue_describes_every_choice():
    frame = catalogue()
    assert len(frame) == sum(map(len, REGISTRIES.values()))
    assert (frame["what it does"].str.len() > 20).all()


def test_an_unknown_extension_is_refused_with_the_list():
    with pytest.raises(SeedError, match="perturbation='fog': must be one of gaussian, ddpm"):
        load_params(SMOKE, {"perturbation": "fog"})
