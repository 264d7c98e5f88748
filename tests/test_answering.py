"""Answer files: every question once, whatever was killed; and left padding changes no answer."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from seednb.answering import answer_file, read_questions
from seednb.config import load_params
from seednb.data.pocket.files import write_world
from seednb.data.prompts import PLAIN
from seednb.errors import SeedError
from seednb.model import load_bundle

ROOT = Path(__file__).parents[1]
TEXTS = ("Is there a cup in the image?", "Describe this image.", "Is there a traffic light in the image?")  # fmt: skip


@pytest.fixture(scope="module")
def params():
    return load_params(ROOT / "params/smoke.yaml", {"eval_batch_size": 5, "max_new_tokens": 32})


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    write_world(folder, seed=0, n_train=1, n_val=4)
    return folder / "val"


@pytest.fixture(scope="module")
def bundle(params):
    return load_bundle(str(ROOT / params.model.model), params.model)


@pytest.fixture
def questions(world, tmp_path):
    names = sorted(path.name for path in world.glob("*.jpg"))
    rows = [
        {"question_id": n, "image": names[n % len(names)], "text": TEXTS[n % len(TEXTS)]}
        for n in range(12)
    ]
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def run(bundle, questions, world, output, params, **changes):
    settings = replace(params.evaluation, **changes)
    rows = read_questions(questions, world)
    pictures = bundle.pictures(world, "pad")
    return answer_file(bundle, rows, pictures, output, settings, PLAIN)


def test_questions_of_several_lengths_in_a_batch_are_answered_as_one_at_a_time(
    bundle, questions, world, tmp_path, params
):
    together, alone = tmp_path / "together.jsonl", tmp_path / "alone.jsonl"
    assert run(bundle, questions, world, together, params) == 12
    run(bundle, questions, world, alone, params, eval_batch_size=1)
    assert together.read_text() == alone.read_text()
    texts = [json.loads(line)["text"] for line in together.read_text().splitlines()]
    assert {texts[0], texts[2]} <= {"Yes", "No"} and texts[1].startswith("The image shows")


def test_a_killed_run_goes_on_and_repeats_nothing(bundle, questions, world, tmp_path, params):
    whole, killed = tmp_path / "whole.jsonl", tmp_path / "killed.jsonl"
    run(bundle, questions, world, whole, params)
    killed.write_bytes(whole.read_bytes()[:-40])  # the last line is torn
    assert run(bundle, questions, world, killed, params) == 1
    assert killed.read_bytes() == whole.read_bytes()
    assert run(bundle, questions, world, killed, params) == 0


def test_an_answer_file_of_other_questions_is_refused(bundle, questions, world, tmp_path, params):
    output = tmp_path / "answers.jsonl"
    output.write_text('{"question_id": 99, "text": "Yes"}\n')
    with pytest.raises(SeedError, match="answers other questions: 99"):
        run(bundle, questions, world, output, params)
    assert output.read_text().count("\n") == 1


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ([], "holds no question"),
        ([{"question_id": 1, "image": "a.jpg"}], "question 1 has no text"),
        ([{"question_id": 1, "image": "no.jpg", "text": "?"}], r"1 pictures are not in .*no\.jpg"),
        ([{"question_id": 1, "image": "../../x.jpg", "text": "?"}], "no file inside"),
    ],
)
def test_bad_questions_are_named(world, tmp_path, rows, named):
    file = tmp_path / "bad.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(SeedError, match=named):
        read_questions(file, world)


def test_an_id_given_twice_is_named(world, questions, tmp_path):
    first = questions.read_text().splitlines()[0]
    questions.write_text(f"{first}\n{first}\n")
    with pytest.raises(SeedError, match="given twice: 0"):
        read_questions(questions, world)
