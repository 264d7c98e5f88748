"""HallusionBench: questions, figures and pairs, read by rule or judged."""

import json

import pytest

from seednb.core.errors import SeedError
from seednb.data.readers import read_rows
from seednb.evaluation.benchmarks import hallusionbench


def entry(category, figure_id, question_id, gold, said, **more):
    return {
        "category": category,
        "subcategory": "illusion" if category == "VD" else "chart",
        "visual_input": "0" if category == "VS" and figure_id == 0 else "1",
        "set_id": "0",
        "figure_id": str(figure_id),
        "sample_note": "circle",
        "question_id": str(question_id),
        "question": "Is the right orange circle the same size as the left orange circle?",
        "gt_answer_details": "The right orange circle is the same size.",
        "gt_answer": str(gold),
        "model_prediction": said,
        **more,
    }


ENTRIES = [
    entry("VD", 0, 0, 1, "Yes, it is."),  # right
    entry("VD", 0, 1, 0, "No."),  # right: figure 0 is all right
    entry("VD", 1, 0, 0, "Yes"),  # wrong
    entry("VD", 1, 1, 1, "Yes!"),  # right: question 1 is right on both figures
    entry("VS", 0, 0, 1, "I cannot tell"),  # uncertain without an image: right, and no figure
    entry("VS", 1, 0, 1, "yes and no"),  # uncertain with one: wrong
    entry("VS", 0, 1, 0, "Yes"),  # wrong
    entry("VS", 2, 1, 0, "no"),  # right: the only question of figure 2
]


def counts(scores):
    return {name: (scores[name]["n_right"], scores[name]["n"]) for name in FIGURES}


FIGURES = ("aAcc", "fAcc", "qAcc", "easy", "hard")


@pytest.fixture
def entries(tmp_path):
    file = tmp_path / "HallusionBench_result.json"
    file.write_text(json.dumps(ENTRIES))
    return read_rows(file)


def test_entries_in_the_official_format_score_as_by_hand(entries):
    scores = hallusionbench.score(entries)
    # figures VD/0, VD/1, VS/1, VS/2; pairs VD q0, q1, VS q0, q1; easy are the four of figure 0
    assert counts(scores) == {
        "aAcc": (5, 8),
        "fAcc": (2, 4),
        "qAcc": (1, 4),
        "easy": (3, 4),
        "hard": (2, 4),
    }
    assert counts(scores["VD"])["easy"] == (2, 2)
    assert counts(scores["VS"])["fAcc"] == (1, 2)
    assert scores["aAcc"]["accuracy"] == 5 / 8
    assert scores["judge"] == "vlmevalkit"


def test_a_hard_question_is_right_only_on_all_its_edited_figures():
    rows = [entry("VD", figure, 0, 1, said) for figure, said in enumerate(["no", "yes", "yes"])]
    assert counts(hallusionbench.score(rows))["hard"] == (1, 1)
    rows[2]["model_prediction"] = "no"
    assert counts(hallusionbench.score(rows))["hard"] == (0, 1)


def test_questions_without_a_image_can_be_left_out_as_vlmevalkit_does(entries):
    scores = hallusionbench.score(entries, images_only=True)
    assert counts(scores)["aAcc"] == (4, 6)
    assert counts(scores)["qAcc"] == (2, 4)
    assert scores["n_questions"] == 6


def test_a_judges_verdict_replaces_the_parser():
    judged = [{**row, "correct": verdict} for row, verdict in zip(ENTRIES, "01120212", strict=True)]
    scores = hallusionbench.score(judged)
    # three are judged right; uncertain (2) is wrong wherever there is an image
    assert scores["judge"] == "field correct"
    assert counts(scores)["aAcc"] == (3, 8)
    renamed = [{**row, "gpt_check": int(row["correct"])} for row in judged]
    by_name = hallusionbench.score(renamed, field="gpt_check")
    assert counts(by_name) == counts(scores)
    assert by_name["judge"] == "field gpt_check"


def test_an_uncertain_verdict_is_right_only_without_a_image():
    rows = [entry("VS", 0, 0, 1, "", correct="2"), entry("VS", 1, 0, 1, "", correct="2")]
    assert counts(hallusionbench.score(rows)) == {
        "aAcc": (1, 2),
        "fAcc": (0, 1),
        "qAcc": (0, 1),
        "easy": (1, 1),
        "hard": (0, 1),
    }


def test_the_published_questions_tell_what_is_missing_double_or_foreign(entries):
    questions = [{k: v for k, v in row.items() if k != "model_prediction"} for row in ENTRIES]
    assert counts(hallusionbench.score(entries, questions)) == counts(hallusionbench.score(entries))
    with pytest.raises(SeedError, match=r"no answer: VS/chart/0/0/1, VS/chart/0/2/1"):
        hallusionbench.score(entries[:6], questions)
    with pytest.raises(SeedError, match=r"answered twice: VD/illusion/0/0/0"):
        hallusionbench.score([*entries, entries[0]], questions)
    with pytest.raises(SeedError, match=r"no such question: VD/illusion/0/9/0"):
        hallusionbench.score([*entries, entry("VD", 9, 0, 1, "yes")], questions)
    scores = hallusionbench.score(entries[:6], questions, allow_partial=True)
    assert (scores["n_questions"], scores["n_answered"], scores["partial"]) == (8, 6, True)


def test_bad_entries_are_named():
    with pytest.raises(SeedError, match=r"has no category, subcategory, set_id, figure_id"):
        hallusionbench.score([{"question_id": "0", "model_prediction": "yes"}])
    with pytest.raises(SeedError, match="category 'VX' is unknown"):
        hallusionbench.score([{**ENTRIES[0], "category": "VX"}])
    with pytest.raises(SeedError, match=r"VD/illusion/0/0/0 needs a text 'model_prediction'"):
        hallusionbench.score([{**ENTRIES[0], "model_prediction": None}])
    with pytest.raises(SeedError, match=r"'gt_answer' of 0 or 1"):
        hallusionbench.score([{**ENTRIES[0], "gt_answer": "yes"}])
    with pytest.raises(SeedError, match=r"VD/illusion/0/0/0: correct='3' must be 0 \(wrong\)"):
        hallusionbench.score([{**ENTRIES[0], "correct": "3"}])
    with pytest.raises(SeedError, match=r"VD/illusion/0/0/1: correct=None must be"):
        hallusionbench.score([{**ENTRIES[0], "correct": "1"}, ENTRIES[1]])
