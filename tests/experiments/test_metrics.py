"""From records to the report's numbers, on answers small enough to count by hand."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from seednb.core.profiles import load_params
from seednb.data.probes import SPLITS
from seednb.data.vocabulary import Vocabulary
from seednb.evaluation.records import Answers
from seednb.experiments.metrics import metric_rows, select

ROOT = Path(__file__).parents[2]
PRESENT = {1: {"dog", "cat"}, 2: {"bus"}, 3: {"cup"}, 4: {"fork", "knife"}}
CAPTIONS = {
    "base": ["A dog and a bus.", "A bus and a car.", "A cup.", "A fork."],
    "v7": ["A dog and a cat.", "A bus.", "A cup.", "A fork and a knife."],
}
ANSWERS = {"base": ["Yes", "Yes"], "v7": ["Yes", "No"]}  # to a present and to an absent object


@pytest.fixture(scope="module")
def params():
    return load_params(ROOT / "params/smoke.yaml", {"resamples": 200})


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary.coco()


def answers_of(model):
    probes = [
        {
            "split": split, "image": f"{image}.jpg", "image_id": image, "text": f"Is there {name}?",
            "object": name, "label": label, "answer": answer,
            "margin": (1.0 if label == "yes" else -1.0) + 0.1 * image,
        }
        for split in SPLITS
        for image in PRESENT
        for name, label, answer in zip(("x", "y"), ("yes", "no"), ANSWERS[model], strict=True)
    ]  # fmt: skip
    captions = [
        {"image_id": image, "caption": text, "finished": True}
        for image, text in zip(PRESENT, CAPTIONS[model], strict=True)
    ]
    return Answers(model, probes, captions, Path(f"answers-{model}"))


@pytest.fixture(scope="module")
def rows(params, vocabulary):
    data = SimpleNamespace(present=PRESENT, vocabulary=vocabulary)
    answers = {model: answers_of(model) for model in CAPTIONS}
    return metric_rows(answers, data, params.evaluation)


def value(rows, **wanted):
    (row,) = select(rows, **wanted).to_dict("records")
    return row


def test_captions_are_counted_as_by_hand(rows):
    for model, chair_i, chair_s, recall in (("base", 2 / 6, 2 / 4, 4 / 6), ("v7", 0, 0, 1)):
        level = {"model": model, "versus": None, "benchmark": "chair"}
        assert value(rows, **level, metric="CHAIRi")["value"] == pytest.approx(chair_i)
        assert value(rows, **level, metric="CHAIRs")["value"] == pytest.approx(chair_s)
        assert value(rows, **level, metric="recall")["value"] == pytest.approx(recall)


def test_probes_are_counted_as_by_hand(rows):
    for split in SPLITS:
        level = {"versus": None, "benchmark": "pope", "split": split}
        for model, accuracy, f1, yes_ratio in (("base", 0.5, 2 / 3, 1), ("v7", 1, 1, 0.5)):
            found = {
                metric: value(rows, model=model, **level, metric=metric)["value"]
                for metric in ("accuracy", "f1", "yes_ratio", "auc")
            }
            assert found == pytest.approx(
                {"accuracy": accuracy, "f1": f1, "yes_ratio": yes_ratio, "auc": 1.0}
            )


def test_a_difference_is_second_minus_first_and_lies_in_its_interval(rows):
    change = value(rows, model="v7", versus="base", benchmark="chair", metric="CHAIRi")
    assert change["value"] == pytest.approx(-2 / 6)
    assert change["low"] <= change["value"] <= change["high"] <= 0
    assert change["n"] == len(PRESENT)


def test_every_number_has_an_interval_n_and_records(rows):
    for row in rows:
        assert row["n"] > 0 and row["records"]
        if row["value"] is not None:
            assert row["low"] <= row["value"] <= row["high"]


def test_the_threshold_control_is_scored_on_the_other_half(rows):
    control = value(
        rows, model="threshold_control", versus=None, split="adversarial", metric="accuracy"
    )
    assert control["n"] == len(PRESENT) // 2
    assert control["value"] == 1  # margins separate; only the base's threshold was wrong
