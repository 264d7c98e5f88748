"""VQAv2: normalisation, accuracy against ten annotators, and the file for the test server."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seednb.core.errors import SeedError
from seednb.data.readers import read_rows
from seednb.evaluation.benchmarks import vqav2
from seednb.evaluation.benchmarks.vqav2 import read_official
from seednb.evaluation.words import CONTRACTIONS, VQA_RULES, normalise

ANSWERS = {  # written: as llava compares it, as lmms-eval does
    "Yes.": ("yes", "yes"),
    " the Red\tbus\n": ("red bus", "red bus"),
    "two": ("2", "2"),
    "None": ("0", "0"),
    "1,000": ("1000", "1000"),
    "3.5 m.": ("3.5 m", "3.5 m"),
    "black,white": ("blackwhite", "black white"),  # only the tokenise step drops commas itself
    "cat?dog": ("catdog", "cat dog"),
    "man's": ("man 's", "man's"),
    "dont": ("don't", "don't"),
    "she'd": ("she'd", "she'd"),
    "black/white": ("black white", "black white"),
    "black/ white": ("black white", "black white"),
    "an Xbox": ("xbox", "xbox"),
    "e-mail-\nbox": ("email box", "email box"),  # a line's end and a tab are spaces
    "e-mail-\tbox": ("email box", "email box"),
    "T-shirt, a -b": ("tshirt b", "tshirt b"),  # a mark that touches a space goes everywhere
}


@pytest.mark.parametrize("written", ANSWERS)
def test_an_answer_is_normalised_as_each_evaluator_does(written):
    assert tuple(normalise(written, rule) for rule in VQA_RULES) == ANSWERS[written]


@given(st.text("aA 1,.?'\n-s", max_size=20), st.sampled_from(VQA_RULES))
def test_normalised_text_has_single_spaces_and_no_capitals(text, rule):
    words = normalise(text, rule)
    assert words == " ".join(words.split()) == words.lower()


def test_at_most_32_full_stops_are_removed_as_in_the_published_pass():
    assert normalise("x" + "." * 40, "lmms-eval") == "x" + "." * 8


def test_contractions_are_the_114_that_a_lower_cased_word_can_be():
    assert len(CONTRACTIONS) == 114
    assert CONTRACTIONS["couldnt've"] == CONTRACTIONS["couldn'tve"] == "couldn't've"
    assert CONTRACTIONS["somebody'd"] == "somebodyd"


def test_accuracy_by_number_of_matches_worked_by_hand():
    # m of 10 gave the answer: m annotators see m - 1 others, 10 - m see m; each min(1, others / 3)
    by_hand = [0, 9 * 1 / 3, 2 * 1 / 3 + 8 * 2 / 3, 3 * 2 / 3 + 7, 10, 10]
    for n_matches, total in enumerate(by_hand):
        references = ["cat"] * n_matches + ["dog"] * (10 - n_matches)
        assert float(vqav2.accuracy("cat", references)) == pytest.approx(total / 10, abs=1e-15)


def annotation(question_id, answer_type, *answers):
    entries = [
        {"answer": text, "answer_confidence": "yes", "answer_id": n}
        for n, text in enumerate(answers, start=1)
    ]
    return {
        "question_id": question_id,
        "image_id": question_id // 1000,
        "question_type": "what is",
        "answer_type": answer_type,
        "multiple_choice_answer": answers[0],
        "answers": entries,
    }


ANNOTATIONS = [
    annotation(262148000, "other", *["down"] * 3, *["at table"] * 7),
    annotation(262148001, "yes/no", *["yes"] * 10),
    annotation(262148002, "number", "2", *["3"] * 9),
    annotation(262148003, "other", *["Black, white"] * 2, *["grey"] * 8),
]
LLAVA = [  # in another order, with ids as text
    {"question_id": "262148001", "text": "Yes."},
    {"question_id": 262148000, "text": "Down"},
    {"question_id": 262148003, "text": "black white"},
    {"question_id": 262148002, "text": "two"},
]


def test_an_answer_file_in_the_official_formats_scores_as_by_hand(tmp_path):
    official, lines = tmp_path / "v2_mscoco_val2014_annotations.json", tmp_path / "answers.jsonl"
    official.write_text(json.dumps({"info": {}, "annotations": ANNOTATIONS}))
    lines.write_text("".join(json.dumps(row) + "\n" for row in LLAVA))
    annotations = read_official(official, "annotations")
    scores = vqav2.score(annotations, read_rows(lines), "llava")
    # 3 of 10 said down: .9; all said yes: 1; 1 said 2: .3; 2 said black white: .6
    assert scores["n_by_matches"] == {"0": 0, "1": 1, "2": 1, "3": 1, "4+": 1}
    assert scores["accuracy"] == pytest.approx((0.9 + 1 + 0.3 + 0.6) / 4, abs=1e-15)
    assert scores["answer_type"] == {
        "yes/no": {"n": 1, "accuracy": 1.0},
        "number": {"n": 1, "accuracy": 0.3},
        "other": {"n": 2, "accuracy": 0.75},
    }
    assert (scores["n_questions"], scores["n_answered"], scores["partial"]) == (4, 4, False)
    results = [{"question_id": row["question_id"], "answer": row["text"]} for row in LLAVA]
    lines.write_text(json.dumps(results))
    assert vqav2.score(annotations, read_rows(lines), "llava") == scores


def test_the_two_normalisations_differ_where_a_comma_has_no_space():
    annotations = [annotation(1, "other", *["black white"] * 10)]
    answers = [{"question_id": 1, "text": "black,white"}]
    by_rule = {rule: vqav2.score(annotations, answers, rule)["accuracy"] for rule in VQA_RULES}
    assert by_rule == {"llava": 0.0, "lmms-eval": 1.0}


def test_partial_answers_are_scored_on_request_and_say_so():
    with pytest.raises(SeedError, match="no answer: 262148000, 262148002, 262148003"):
        vqav2.score(ANNOTATIONS, LLAVA[:1], "llava")
    scores = vqav2.score(ANNOTATIONS, LLAVA[:1], "llava", allow_partial=True)
    assert (scores["n_questions"], scores["n_answered"], scores["partial"]) == (4, 1, True)
    assert scores["accuracy"] == 1.0
    assert scores["answer_type"]["number"] == {"n": 0, "accuracy": None}


def test_a_submission_holds_every_question_once_in_order_and_normalised():
    questions = [{"question_id": n, "image_id": 1, "question": "?"} for n in (3, 1, 2)]
    answers = [{"question_id": 1, "text": "The cat."}, {"question_id": 3, "text": "Two"}]
    assert vqav2.submission(questions, answers, "llava", allow_partial=True) == [
        {"question_id": 3, "answer": "2"},
        {"question_id": 1, "answer": "cat"},
        {"question_id": 2, "answer": ""},
    ]
    with pytest.raises(SeedError, match="no answer: 2"):
        vqav2.submission(questions, answers, "llava")


def test_bad_input_is_named():
    with pytest.raises(SeedError, match=r"answered twice: 262148001;.*no such question: 5"):
        vqav2.score(ANNOTATIONS, [*LLAVA, LLAVA[0], {"question_id": 5, "text": "a"}], "llava")
    with pytest.raises(SeedError, match=r"annotation 1: answer_type 'colour'.*yes/no"):
        vqav2.score([annotation(1, "colour", "a")], [{"question_id": 1, "text": "a"}], "llava")
    with pytest.raises(SeedError, match=r"annotation 1 has no list 'answers'"):
        vqav2.score([{"question_id": 1}], [{"question_id": 1, "text": "a"}], "llava")
    mixed = annotation(1, "other", "a", "b") | {"answers": [{"answer": "a"}, {"answer": 3}]}
    with pytest.raises(SeedError, match=r"annotation 1 has no list 'answers'"):
        vqav2.score([mixed], [{"question_id": 1, "text": "a"}], "llava")
    with pytest.raises(SeedError, match="no answer: 262148000, 262148002, 262148003"):
        vqav2.per_image_sums(ANNOTATIONS, LLAVA[:1], "llava")
    with pytest.raises(SeedError, match="answer 1 has no text"):
        vqav2.score([annotation(1, "other", "a")], [{"question_id": 1, "text": 7}], "llava")
    with pytest.raises(SeedError, match=r"'official' is unknown; use one of llava, lmms-eval"):
        normalise("yes", "official")
    with pytest.raises(SeedError, match=r"not of one split \(question_id 2, 3 in one file only"):
        vqav2.check_same_questions(
            [{"question_id": 1}, {"question_id": 2}], [{"question_id": 1}, {"question_id": 3}]
        )


def test_a_file_of_another_kind_is_named(tmp_path):
    file = tmp_path / "questions.json"
    for content in ({"questions": []}, {"annotations": [{}]}, [1]):
        file.write_text(json.dumps(content))
        with pytest.raises(SeedError, match=r"questions\.json has no list of objects under 'que"):
            read_official(file, "questions")
