"""Laws of what is made before the chapters: it is what they ask for, and it changes no number."""

from pathlib import Path

import pytest

from seednb.core.profiles import load_params
from seednb.experiments.experiment import Experiment
from seednb.experiments.fault_injection import FAULTS
from seednb.experiments.stages import ANSWERING
from seednb.experiments.sweep import ahead

ROOT = Path(__file__).parents[2]
SMOKE = ROOT / "params/smoke.yaml"


def names(lab, chapters):
    return [work.stage.name for work in ahead.wanted(lab, chapters)]


def test_only_what_the_chosen_chapters_ask_for_is_wanted_each_once(tmp_path):
    lab = Experiment.open(str(SMOKE), {"runs_dir": str(tmp_path)})
    assert names(lab, ["01", "12"]) == []
    assert names(lab, ["02", "05", "06"]) == [f"answers-{m}" for m in ("v6", "v5", "v4", "base")]
    everything = names(lab, ["04", "08", "13"])
    assert {f"answers-{model}" for model in (*ANSWERING, *lab.sampled)} < {*everything}
    assert len(everything) == len({*everything}) == len(ANSWERING) + 3 + 2 + len(FAULTS)


def test_a_model_that_waits_for_another_begins_first(tmp_path):
    lab = Experiment.open(str(SMOKE), {"runs_dir": str(tmp_path)})
    first, *_ = names(lab, ["08"])
    assert first == "answers-mention_control"


def test_a_missing_input_and_a_large_model_are_left_to_the_chapters(capsys):
    ahead.make_ahead(load_params(ROOT / "params/llava-1.5-7b.yaml"), ["01", "08"])
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_what_is_made_side_by_side_is_what_one_process_makes(tmp_path, capsys):
    sizes = {"n_train_images": 10, "n_val_images": 8, "caption_images": 8, "n_pairs": 8}
    labs = []
    for place in ("ahead", "alone"):
        params = load_params(SMOKE, sizes | {"runs_dir": str(tmp_path / place)})
        labs.append(Experiment(params))
    ahead.make_ahead(labs[0].params, ["04"])
    assert "2 trainings and answers" in capsys.readouterr().out
    for model in ("base", "v4"):
        assert labs[0].stages.answers(model).is_finished
        made, alone = (lab.answers(model) for lab in labs)
        assert (made.probes, made.captions) == (alone.probes, alone.captions)
