"""SEED-Bench: three ways to read a choice, and images apart from videos."""

import json

import pytest

from seednb.core.errors import SeedError
from seednb.evaluation.benchmarks import seedbench

TYPES = {"Scene Understanding": 1, "Instance Identity": 2, "Action Recognition": 10}


def question(question_id, answer, number=1, data_type="image"):
    return {
        "answer": answer,
        "choice_a": "One",
        "choice_b": "Two",
        "choice_c": "Three",
        "choice_d": "Four",
        "data_id": "1454426_2591111986",
        "data_type": data_type,
        "question": "How many towels are in the image?",
        "question_id": question_id,
        "question_type_id": number,
    }


QUESTIONS = [
    question("101669", "A"),
    question("75500", "B"),
    question("75501", "C", 2),
    question("v1738", "D", 10, "video"),
    question("v1739", "A", 10, "video"),
]
TEXTS = [
    {"question_id": 101669, "text": "A"},  # an int, as LLaVA converts it
    {"question_id": "75500", "text": "B."},
    {"question_id": "75501", "text": "A"},
    {"question_id": "v1738", "text": " D"},
    {"question_id": "v1739", "text": "Apple"},
]


@pytest.fixture
def benchmark(tmp_path):
    file = tmp_path / "SEED-Bench.json"
    file.write_text(json.dumps({"questions": QUESTIONS, "question_type": TYPES}))
    return seedbench.read_truth(file)


def n_right(scores):
    return [scores[f"seed_{kind}"]["n_right"] for kind in ("all", "image", "video")]


def test_the_letter_rule_wants_the_letter_and_nothing_else(benchmark):
    scores = seedbench.score(benchmark, TEXTS, "letter")
    assert n_right(scores) == [1, 1, 0]
    assert scores["seed_all"] == {"n": 5, "n_right": 1, "accuracy": 0.2}


def test_the_first_character_rule_forgives_what_follows(benchmark):
    scores = seedbench.score(benchmark, TEXTS, "first-character")
    # right: A, "B.", " D" and "Apple"; wrong: A for C
    assert n_right(scores) == [4, 2, 2]
    assert scores["seed_image"] == {"n": 3, "n_right": 2, "accuracy": 2 / 3}
    assert scores["question_type"] == {
        "Scene Understanding": {"n": 2, "n_right": 2, "accuracy": 1.0},
        "Instance Identity": {"n": 1, "n_right": 0, "accuracy": 0.0},
        "Action Recognition": {"n": 2, "n_right": 2, "accuracy": 1.0},
    }


def test_the_highest_likelihood_wins_and_the_first_of_equals(benchmark):
    values = [
        [-1, -2, -3, -4],
        [-2, -1.5, -3, -4],
        [-1, -9, -9, -9],
        [0, 0, 0, 1],
        [-1, -1, -1, -1],
    ]
    answers = [
        {"question_id": row["question_id"], "likelihoods": four}
        for row, four in zip(QUESTIONS, values, strict=True)
    ]
    scores = seedbench.score(benchmark, answers, "likelihood")
    assert n_right(scores) == [4, 2, 2]


def test_partial_answers_are_scored_on_request_and_say_so(benchmark):
    with pytest.raises(SeedError, match="no answer: 75500, 75501, v1738, v1739"):
        seedbench.score(benchmark, TEXTS[:1], "letter")
    scores = seedbench.score(benchmark, TEXTS[:1], "letter", allow_partial=True)
    assert (scores["n_questions"], scores["n_answered"], scores["partial"]) == (5, 1, True)
    assert scores["seed_video"] == {"n": 0, "n_right": 0, "accuracy": None}


@pytest.mark.parametrize(
    "values", [None, [1, 2, 3], [1, 2, 3, "4"], [1, 2, 3, float("nan")], [1, 2, 3, True]]
)
def test_what_is_not_four_numbers_is_named(values):
    answer = {"question_id": 7, "likelihoods": values}
    with pytest.raises(SeedError, match="answer 7 has no list 'likelihoods' of four"):
        seedbench.chosen_letter(answer, "likelihood")


def scoring(**changed):
    row = {**QUESTIONS[0], **changed}
    benchmark = {"questions": [row], "question_type": TYPES}
    return seedbench.score(benchmark, TEXTS[:1], "letter")


def test_bad_questions_are_named():
    with pytest.raises(SeedError, match="question 101669: answer 'E' is unknown"):
        scoring(answer="E")
    with pytest.raises(SeedError, match="question 101669: data_type 'audio' is unknown"):
        scoring(data_type="audio")
    with pytest.raises(SeedError, match="question 101669: question_type_id '99' is unknown"):
        scoring(question_type_id=99)
    with pytest.raises(SeedError, match="no such question: 101669; no answer: 5"):
        scoring(question_id="5")


def test_bad_answers_and_files_are_named(benchmark, tmp_path):
    with pytest.raises(SeedError, match="answered twice: 101669"):
        seedbench.score(benchmark, [*TEXTS, TEXTS[0]], "letter")
    with pytest.raises(SeedError, match="answer 101669 has no text"):
        seedbench.chosen_letter({"question_id": 101669, "text": None}, "letter")
    with pytest.raises(SeedError, match=r"'ppl' is unknown; use one of letter, first-character"):
        seedbench.chosen_letter(TEXTS[0], "ppl")
    file = tmp_path / "other.json"
    file.write_text(json.dumps({"questions": QUESTIONS}))
    with pytest.raises(SeedError, match=r"other\.json has no object 'question_type'"):
        seedbench.read_truth(file)
    file.write_text(json.dumps({"questions": {}, "question_type": TYPES}))
    with pytest.raises(SeedError, match=r"other\.json has no list of objects under 'questions'"):
        seedbench.read_truth(file)
