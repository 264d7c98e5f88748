"""Questions by kind, on answers small enough to count by hand."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from seednb.core.errors import SeedError
from seednb.core.profiles import load_params
from seednb.data.vocabulary import Vocabulary
from seednb.evaluation.records import Answers
from seednb.evaluation.significance import kinds_table
from seednb.experiments.dataset import prepare, read_questions
from seednb.experiments.metrics import metric_rows, select
from seednb.report import tables

ROOT = Path(__file__).parents[2]
# By kind: label, typical answer and the answers of both models, one image each.
ASKED = {
    "attribute": [("yes", "no", "No", "Yes"), ("no", "yes", "Yes", "No"), ("yes", "yes", "Yes", "Yes"), ("no", "no", "No", "Yes")],
    "relation": [("yes", "yes", "No", "No"), ("no", "yes", "Yes", "Yes"), ("yes", "no", "Yes", "Yes"), ("no", "no", "No", "No")],
}  # fmt: skip


def answers_of(model):
    column = {"base": 2, "v7": 3}[model]
    questions = [
        {
            "kind": kind, "image": f"{n}.jpg", "image_id": n, "text": f"Is it {kind}?",
            "label": row[0], "typical": row[1], "answer": row[column],
            "margin": 1.0 if row[column] == "Yes" else -1.0,
        }
        for kind, rows in ASKED.items()
        for n, row in enumerate(rows)
    ]  # fmt: skip
    probes = [
        {"split": split, "image": f"{n}.jpg", "image_id": n, "text": f"Is there {label}?",
         "object": "cup", "label": label, "answer": label.capitalize(),
         "margin": 0.5 if label == "yes" else -0.5}
        for split in ("random", "popular", "adversarial")
        for n in (0, 1)
        for label in ("yes", "no")
    ]  # fmt: skip
    captions = [{"image_id": 0, "caption": "A cup.", "finished": True}]
    return Answers(model, probes, captions, Path(model), questions)


@pytest.fixture(scope="module")
def answers():
    return {model: answers_of(model) for model in ("base", "v7")}


@pytest.fixture(scope="module")
def rows(answers):
    data = SimpleNamespace(present={0: {"cup"}}, vocabulary=Vocabulary.coco())
    params = load_params(ROOT / "params/smoke.yaml", {"resamples": 200})
    return metric_rows(answers, data, params.evaluation)


def value(rows, **wanted):
    (row,) = select(rows, benchmark="kinds", **wanted).to_dict("records")
    return row["value"]


def test_each_kind_has_its_levels_and_differences(rows):
    assert value(rows, split="attribute", metric="accuracy", model="base", versus=None) == 0.5
    assert value(rows, split="attribute", metric="accuracy", model="v7", versus=None) == 0.75
    assert value(rows, split="attribute", metric="accuracy", model="v7", versus="base") == 0.25
    assert value(rows, split="relation", metric="accuracy", model="v7", versus="base") == 0.0
    assert value(rows, split="attribute", metric="yes_ratio", model="v7", versus=None) == 0.75
    assert value(rows, split="attribute", metric="auc", model="v7", versus=None) == 0.75
    assert tables.columns(rows, "f1") == {kind: ("kinds", kind, "f1") for kind in ASKED}


def test_data_without_such_questions_have_no_such_rows(answers):
    data = SimpleNamespace(present={0: {"cup"}}, vocabulary=Vocabulary.coco())
    params = load_params(ROOT / "params/smoke.yaml", {"resamples": 200})
    silent = {
        name: Answers(name, each.probes, each.captions, each.folder)
        for name, each in answers.items()
    }
    rows = metric_rows(silent, data, params.evaluation)
    assert {row["benchmark"] for row in rows} == {"chair", "pope"}
    assert tables.columns(rows, "accuracy") == {}
    assert tables.telling_image(silent, "base", "official") is None
    for frame in (
        tables.questions_about(silent, None),
        tables.typical_errors(silent, ["base"], "official"),
        kinds_table(silent, ["v7"], "base", "official"),
    ):
        assert frame.empty


def test_mcnemar_counts_the_questions_that_one_model_alone_has_right(answers):
    table = kinds_table(answers, ["v7"], "base", "official").set_index("kind")
    assert table.loc["attribute", ["only base right", "only model right"]].tolist() == [1, 2]
    assert table.loc["relation", ["only base right", "only model right"]].tolist() == [0, 0]
    assert (table["p (Holm)"] >= table["p"]).all()


def test_the_telling_image_is_asked_about_in_every_kind_and_answered_worst(answers):
    image = tables.telling_image(answers, "base", "official")
    assert image == "0.jpg" or image == "1.jpg"  # both kinds wrong
    shown = tables.questions_about(answers, image)
    assert list(shown["kind"]) == list(ASKED) and {"truth", "typical", "base", "v7"} <= set(shown)


def test_errors_are_split_into_typical_and_other(answers):
    table = tables.typical_errors(answers, ["base"], "official").set_index("kind")
    assert table.loc["attribute", ["wrong", "typical, % of wrong"]].tolist() == [2, 100.0]
    assert table.loc["relation", ["wrong", "typical, % of wrong"]].tolist() == [2, 50.0]


def test_a_question_without_a_label_is_named(tmp_path):
    file = tmp_path / "questions.jsonl"
    whole = {"image": "a.jpg", "text": "Is it red?", "label": "yes", "kind": "attribute"}
    file.write_text(f"{json.dumps(whole)}\n{json.dumps(whole | {'label': 'maybe'})}\n")
    with pytest.raises(SeedError, match="question 2: 'label' is missing or wrong"):
        read_questions(file)


def test_the_pocket_profile_asks_its_questions_and_tells_the_truth_about_them(tmp_path):
    changes = {"runs_dir": str(tmp_path), "question_images": 7}
    params = load_params(ROOT / "params/smoke.yaml", changes)
    data = prepare(params, tmp_path)
    assert len({row["image"] for row in data.questions}) == 7
    assert {row["image"] for row in data.questions} <= set(data.val.images["file_name"])
    file = next(tmp_path.glob("world*/annotations/questions_train.jsonl"))
    label_of = {(row["image"], row["text"]): row["label"] for row in read_questions(file)}
    asked = [p for p in data.pairs["truthful"] if (p.image, p.question) in label_of]
    about = [p for p in asked if "Is there a" not in p.question]
    assert len(about) > 10
    assert all(label_of[p.image, p.question] == p.answer.lower() for p in asked)
