"""Answer files: every question once, whatever was killed; and left padding changes no answer."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from seednb.core.errors import SeedError
from seednb.core.profiles import load_params
from seednb.data.pocket.files import write_world
from seednb.evaluation.answer_files import _gather, answer_file, choice_likelihoods, rank_file
from seednb.evaluation.benchmarks.registry import read_questions
from seednb.model.inputs.prompts import PLAIN, encode
from seednb.model.loading import load_bundle

ROOT = Path(__file__).parents[2]
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
    reader = bundle.image_reader(world, "pad")
    return answer_file(bundle, rows, reader, output, settings)


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
        ([{"question_id": 1, "image": "no.jpg", "text": "?"}], r"1 images are not in .*no\.jpg"),
        ([{"question_id": 1, "image": "../../x.jpg", "text": "?"}], "no file inside"),
        (
            [{"question_id": 1, "image": 3, "text": "?"}],
            "question 1: 'image' is 3, expected a text",
        ),
        ([{"question_id": 1, "image": "a.jpg", "text": "<image>?"}], "question 1 contains <image>"),
    ],
)
def test_bad_questions_are_named(world, tmp_path, rows, named):
    file = tmp_path / "bad.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(SeedError, match=named):
        read_questions(file, world)


def test_an_output_that_cannot_hold_answers_is_named(bundle, questions, world, tmp_path, params):
    (tmp_path / "notes.txt").write_text("Buy milk.\n")
    with pytest.raises(SeedError, match=r"notes\.txt holds something else than answers"):
        run(bundle, questions, world, tmp_path / "notes.txt", params)
    with pytest.raises(SeedError, match="cannot be written"):
        run(bundle, questions, world, tmp_path / "notes.txt" / "a.jsonl", params)


def test_an_id_given_twice_is_named(world, questions, tmp_path):
    first = questions.read_text().splitlines()[0]
    questions.write_text(f"{first}\n{first}\n")
    with pytest.raises(SeedError, match="given twice: 0"):
        read_questions(questions, world)


def test_the_margin_s_sign_is_the_answer(bundle, questions, world, tmp_path, params):
    rows = [row | {"yes_no": (" Yes", " No")} for row in read_questions(questions, world)]
    rows[1].pop("yes_no")
    output, reader = tmp_path / "answers.jsonl", bundle.image_reader(world, "pad")
    answer_file(bundle, rows, reader, output, params.evaluation)
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    assert "margin" not in lines[1]
    told = [line for line in lines if line["text"] in ("Yes", "No")]
    assert len(told) > 4
    for line in told:
        assert (line["margin"] > 0) == (line["text"] == "Yes")
        assert line["finished"] and line["n_tokens"] == 1


def test_two_words_that_begin_alike_give_no_margin(bundle, questions, world, tmp_path, params):
    rows = [row | {"yes_no": (" Yes", " Yes")} for row in read_questions(questions, world)]
    output, reader = tmp_path / "answers.jsonl", bundle.image_reader(world, "pad")
    answer_file(bundle, rows[:2], reader, output, params.evaluation)
    assert "margin" not in output.read_text()


CHOICES = ["Yes", "No", "a red cup", "The image shows a cup."]


@pytest.fixture
def multiple_choice(world, questions):
    asked = read_questions(questions, world)
    return [row | {"choices": CHOICES[: 2 + n % 3]} for n, row in enumerate(asked)]


def test_choices_packed_beside_others_weigh_what_they_weigh_alone(bundle, world, multiple_choice):
    reader = bundle.image_reader(world, "pad")
    together = choice_likelihoods(bundle, multiple_choice, reader)
    for row, values in zip(multiple_choice, together, strict=True):
        assert len(values) == len(row["choices"]) and max(values) < 0
        for choice, value in zip(row["choices"], values, strict=True):
            alone = choice_likelihoods(bundle, [row | {"choices": [choice]}], reader)
            assert alone[0][0] == pytest.approx(value, abs=1e-3)


def test_a_choice_weighs_the_sum_of_its_tokens_and_of_the_end(bundle, world, multiple_choice):
    row, reader = multiple_choice[0], bundle.image_reader(world, "pad")
    ((value,),) = choice_likelihoods(bundle, [row | {"choices": ["a red cup"]}], reader)
    encoded = encode(row["text"], "a red cup", bundle.tokenizer, bundle.image_tokens, PLAIN)
    ids = torch.tensor([encoded.input_ids])
    with torch.inference_mode():
        logits = bundle.model(input_ids=ids, pixel_values=reader.batch([row["image"]])).logits
    logprobs = logits[0].log_softmax(-1)
    by_hand = sum(
        logprobs[place - 1, token].item()
        for place, token in enumerate(encoded.input_ids)
        if place >= encoded.n_prompt
    )
    assert encoded.input_ids[-1] == bundle.tokenizer.eos_token_id
    assert value == pytest.approx(by_hand, abs=1e-3)


def test_a_ranking_that_was_killed_goes_on(bundle, world, tmp_path, params, multiple_choice):
    settings = (bundle.image_reader(world, "pad"), tmp_path / "l.jsonl", params.evaluation)
    assert rank_file(bundle, multiple_choice, *settings) == 12
    whole = settings[1].read_bytes()
    settings[1].write_bytes(whole[: len(whole) // 2])
    assert 5 < rank_file(bundle, multiple_choice, *settings) < 8
    assert settings[1].read_bytes() == whole
    with pytest.raises(SeedError, match="question 0 has no list of choices"):
        rank_file(bundle, [multiple_choice[0] | {"choices": []}], *settings)


def test_parts_of_several_processes_are_joined_once_and_in_order(tmp_path):
    questions = [{"question_id": n} for n in range(6)]
    output = tmp_path / "a.jsonl"
    lines = [json.dumps({"question_id": n, "text": "Yes"}) + "\n" for n in range(6)]
    output.write_text(lines[0])
    (tmp_path / "a.jsonl.part0").write_text(lines[4] + lines[2] + lines[0])
    (tmp_path / "a.jsonl.part1").write_text(lines[1] + lines[3][:9])  # killed in its last line
    _gather(output, questions)
    assert output.read_text() == lines[0] + lines[1] + lines[2] + lines[4]
    assert list(tmp_path.iterdir()) == [output]
