"""Laws of keys: what decides a result is in its key; what does not, is not."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path
from sys import _getframe

import pytest
import torch
from experiments.parameter_table import TABLE, marks, others, table

from seednb.core.errors import SeedError
from seednb.core.profiles import SECTIONS, describe, load_params
from seednb.core.stage import MANIFEST
from seednb.experiments.dataset import prepare, self_labelled
from seednb.experiments.experiment import Experiment
from seednb.experiments.metrics import metric_rows
from seednb.experiments.stages import WITHOUT_EFFECT
from seednb.method.perturbation import PERTURBATIONS, View
from seednb.method.recipes import RECIPES

ROOT = Path(__file__).parents[2]
SMOKE = ROOT / "params/smoke.yaml"
SMALL = {"n_train_images": 12, "n_val_images": 8, "n_pairs": 6, "pope_images": 4,
         "caption_images": 2, "max_new_tokens": 4, "resamples": 100}  # fmt: skip
# Read by whoever makes a result, and seen nowhere in it.
ELSEWHERE = {
    *WITHOUT_EFFECT,
    "monitor", "healthy_bands", "stall_after_s",  # they watch a run
    "profile", "runs_dir",
}  # fmt: skip


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    return Experiment.open(str(SMOKE), {"runs_dir": str(runs), **SMALL})


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return marks(tmp_path_factory.mktemp("project"))


def test_the_table_of_parameters_and_stages_is_that_of_the_code(found):
    assert table(found) == TABLE.read_text(), "run: python tests/experiments/parameter_table.py"


# --- what is read is in the key ---------------------------------------------------------------


@contextmanager
def recorded(lab: Experiment) -> Iterator[tuple[Experiment, set[str]]]:
    """An experiment of the same data, and the parameters that are read while it works."""
    read: set[str] = set()

    def recording(section):
        names = {item.name for item in fields(section)}

        class Recording(type(section)):
            def __getattribute__(self, name):
                # copies and keys read every field: they decide nothing
                reader = _getframe(1).f_globals["__name__"]
                if name in names and reader not in NO_READERS:
                    read.add(name)
                return super().__getattribute__(name)

        return Recording(**asdict(section))

    sections = {name: recording(getattr(lab.params, name)) for name in SECTIONS}
    watched = Experiment(replace(lab.params, **sections))
    watched.__dict__["data"] = lab.data
    read.clear()
    yield watched, read


NO_READERS = ("dataclasses", "seednb.core.profiles", "seednb.experiments.stages")


def in_key(found, kind):
    """The parameters that decide the key of a kind, in whatever situation."""
    return {name for name, of_kind in found.items() if of_kind[kind]} | ELSEWHERE


def test_a_training_reads_no_parameter_that_is_not_in_its_key(lab, found, tmp_path):
    with recorded(lab) as (watched, read):
        watched._train(RECIPES["v7"], lab.data.pairs["replay"][:6], tmp_path)
    assert {"learning_rate", "noise_alpha", "lora_r"} <= read <= in_key(found, "train")


@pytest.mark.parametrize("model", ["base", "contrastive"])
def test_answers_read_no_parameter_that_is_not_in_their_key(lab, found, model):
    with recorded(lab) as (watched, read):
        watched.answers(model)
    kind = "contrastive" if model == "contrastive" else "answers"
    allowed = in_key(found, kind) | {"sampling_runs"}  # how many models sample, not what one says
    assert {"caption_prompt", "precision"} <= read <= allowed
    assert ("contrast_beta" in read) == (model == "contrastive")


def test_labels_of_the_model_itself_read_no_parameter_that_is_not_in_their_key(lab, found):
    with recorded(lab) as (watched, read):
        bundle = watched.bundle()
        reader = watched.image_reader("train", bundle)
        self_labelled(bundle, lab.data.pairs["replay"][:2], reader, watched.params.evaluation)
    assert {"max_new_tokens"} <= read <= in_key(found, "labels") | {"sampling_runs"}


def test_metrics_read_no_parameter_that_is_not_in_their_key(lab, found):
    answers = {"base": lab.answers("base")}
    with recorded(lab) as (watched, read):
        metric_rows(answers, lab.data, watched.params.evaluation)
    assert {"resamples"} <= read <= in_key(found, "metrics")


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_a_view_reads_the_parameters_that_it_names(name):
    read = set()

    class Recording(View):
        def __getattribute__(self, name):
            if name in ("noise_alpha", "ddpm_step", "view_cells") and _getframe(1).f_code != INIT:
                read.add(name)
            return super().__getattribute__(name)

    view = Recording(name)
    boxes = torch.zeros(8, 8, dtype=torch.bool)
    view.of(torch.zeros(3, 8, 8), "key", boxes)
    assert read == set(view.reads) - {"fgsm_step"}
    assert ("fgsm_step" in view.reads) == (name == "fgsm")  # the teacher reads that one


INIT = View.__init__.__code__


# --- data: what changes it is in the key --------------------------------------------------------


def test_data_that_differ_have_other_keys(lab, found, tmp_path):
    """Each parameter of data and questions in turn, on a world of its own where it needs one."""

    def parts(params):
        data = prepare(params, tmp_path)
        asked = (data.probes, data.questions, data.to_caption, data.present)
        return {"train": data.pairs, "answers": asked}

    base = {"runs_dir": str(tmp_path), **SMALL}
    before = parts(load_params(SMOKE, base))
    n_changed = 0
    for row in describe():
        if row["section"] not in ("data", "evaluation") or row["name"] in FILES:
            continue
        for value in others(row, base, SMOKE):
            try:
                changed = parts(load_params(SMOKE, base | {row["name"]: value}))
            except SeedError:  # too few images to ask about: no result
                continue
            for kind, part in before.items():
                if changed[kind] != part:
                    assert found[row["name"]][kind], (row["name"], kind)
                    n_changed += 1
    assert n_changed >= 6


FILES = ("generator", "data_root", "train_images", "train_instances", "train_captions", "instruct",
         "val_images", "val_instances", "val_captions", "train_questions", "val_questions",
         "vocabulary")  # fmt: skip


# --- what is found again ----------------------------------------------------------------------


def test_another_rank_or_number_of_pairs_asks_the_base_model_nothing_again(lab):
    answered = lab.answers("base").folder
    other = Experiment(
        replace(
            lab.params,
            model=replace(lab.params.model, lora_r=8),
            data=replace(lab.params.data, n_pairs=3),
        )
    )
    assert other.stages.answers("base").is_finished and other.answers("base").folder == answered
    assert other.stages.teacher(RECIPES["v7"]) == lab.stages.teacher(RECIPES["v7"])
    assert other.stages.train(RECIPES["v7"], "replay").key != lab.train_key("v7")


def test_a_parameter_that_says_what_the_version_says_is_the_same_training(lab):
    same = replace(lab.params, train=replace(lab.params.train, perturbation="gaussian"))
    assert Experiment(same).train_key("v7") == lab.train_key("v7")
    assert Experiment(same).train_key("v5") == lab.train_key("v5")


def test_the_key_says_which_validation_captions_the_truth_is_from(tmp_path):
    """They decide which objects are true, also where the file's name stays."""
    for name in ("instances", "captions", "train_instances", "train_captions"):
        (tmp_path / f"{name}.json").write_text(name)
    files = {f"{name}": f"{name}.json" for name in ("train_instances", "train_captions")}
    values = {"generator": "none", "data_root": str(tmp_path), "val_instances": "instances.json",
              "val_captions": "captions.json", "instruct": "", "train_questions": "",
              "val_questions": "", **files}  # fmt: skip
    before = Experiment.open(str(SMOKE), values).stages.answers("base").key
    (tmp_path / "captions.json").write_text("others")
    assert Experiment.open(str(SMOKE), values).stages.answers("base").key != before


def test_a_world_is_drawn_once(lab):
    _ = lab.data
    manifest = lab.stages.world.folder / MANIFEST
    before = manifest.stat().st_mtime_ns
    _ = Experiment(lab.params).data
    assert manifest.stat().st_mtime_ns == before
