"""MME: two parsers, acc and acc+, and totals that refuse to be incomplete."""

import pytest

from seednb.core.errors import SeedError
from seednb.evaluation.benchmarks import mme
from seednb.evaluation.parsers import MME_PARSERS, parse_prediction

PREDICTIONS = {  # prediction: official, lmms-eval
    "Yes": "yes yes",
    "no\n": "no no",
    "Yes, it is": "yes yes",
    "Not sure": "no no",
    "None": "no no",
    "  yes": "other yes",  # the first four characters are "  ye"
    ".Yes": "yes yes",
    "...no": "other no",
    "y": "other yes",
    "N.": "other no",
    "I know": "other other",
    "": "other other",
}


@pytest.mark.parametrize("text", PREDICTIONS)
def test_each_evaluator_reads_a_prediction_its_own_way(text):
    read = [parse_prediction(text, parser) for parser in MME_PARSERS]
    assert read == PREDICTIONS[text].split()


def lines(*cells):
    """(image, right answer, prediction) of each line."""
    question = "Is there a dog in this image? Please answer yes or no."
    return "".join(f"{image}\t{question}\t{gold}\t{said}\n" for image, gold, said in cells)


COUNT = lines(
    ("1.jpg", "Yes", "Yes"),
    ("1.jpg", "No", "No"),
    ("2.jpg", "Yes", "Yes, two."),
    ("2.jpg", "No", "yes"),
    ("3.jpg", "Yes", "No"),
    ("3.jpg", "No", "I cannot tell"),
    ("4.jpg", "Yes", "yes"),
    ("4.jpg", "No", "Y"),
)


def perfect(task):
    return lines((f"{task}.jpg", "Yes", "Yes"), (f"{task}.jpg", "No", "No"))


def write(folder, **content):
    for task, text in content.items():
        (folder / f"{task}.txt").write_text(text)
    return mme.read_answers(folder)


def test_a_task_in_the_official_format_scores_as_by_hand(tmp_path):
    scores = mme.score(write(tmp_path, count=COUNT), "official")["tasks"]["count"]
    # right: both of 1, the first of 2, none of 3, the first of 4: 4 of 8, and one image of four
    assert (scores["n_questions"], scores["n_right"]) == (8, 4)
    assert (scores["n_images"], scores["n_images_right"]) == (4, 1)
    assert scores["n_other"] == 2
    assert (scores["acc"], scores["acc_plus"], scores["score"]) == (0.5, 0.25, 75.0)


def test_fourteen_perfect_tasks_reach_the_maxima(tmp_path):
    rows = write(tmp_path, **{task: perfect(task) for task in mme.TASKS})
    scores = mme.score(rows, "official")
    totals = [scores[name] for name in ("perception", "cognition", "hallucination")]
    assert totals == [2000, 800, 800]
    assert (scores["n_tasks"], scores["missing_tasks"], scores["note"]) == (14, [], None)
    assert not scores["partial"]


def test_a_total_over_an_incomplete_set_is_null_and_says_so(tmp_path):
    tasks = [task for task in mme.TASKS if task not in ("OCR", "code_reasoning")]
    scores = mme.score(write(tmp_path, **{task: perfect(task) for task in tasks}), "official")
    assert scores["missing_tasks"] == ["OCR", "code_reasoning"]
    assert (scores["perception"], scores["cognition"]) == (None, None)
    assert scores["hallucination"] == 800
    assert scores["note"] == "no perception: OCR missing; no cognition: code_reasoning missing"


PUBLISHED = {  # folders of MME_Benchmark, as its script sums them up
    "perception": "existence count position color posters celebrity scene landmark artwork OCR",
    "cognition": "commonsense_reasoning numerical_calculation text_translation code_reasoning",
    "hallucination": "existence count position color",
}


@pytest.mark.parametrize("total", PUBLISHED)
def test_a_total_needs_the_published_tasks_and_no_others(tmp_path, total):
    rows = write(tmp_path, **{task: perfect(task) for task in PUBLISHED[total].split()})
    assert mme.score(rows, "official")[total] == 200 * len(rows)
    columns = list(mme.per_image_sums(rows, "official").columns)
    assert columns[:2] == [f"{next(iter(rows))} n_questions", f"{next(iter(rows))} n_right"]
    assert ("score", total) in mme.statistics(columns)


def test_a_image_with_one_question_has_no_counts(tmp_path):
    rows = write(tmp_path, count=COUNT + lines(("5.jpg", "Yes", "Yes")))
    with pytest.raises(SeedError, match=r"image 5\.jpg has one question"):
        mme.per_image_sums(rows, "official")


def test_a_image_with_one_question_is_an_error_unless_partial_is_allowed(tmp_path):
    rows = write(tmp_path, count=COUNT + lines(("5.jpg", "Yes", "Yes")))
    with pytest.raises(SeedError, match=r"task count, line 9: image 5\.jpg has one question"):
        mme.score(rows, "official")
    scores = mme.score(rows, "official", allow_partial=True)
    assert (scores["tasks"]["count"]["n_images"], scores["tasks"]["count"]["n_left_out"]) == (4, 1)
    assert scores["partial"] and "count: 1 left out" in scores["note"]


def test_questions_out_of_order_are_not_paired(tmp_path):
    shuffled = lines(("1.jpg", "Yes", "Yes"), ("2.jpg", "Yes", "Yes"), ("1.jpg", "No", "No"))
    rows = write(tmp_path, color=shuffled)
    for allow_partial in (False, True):
        with pytest.raises(SeedError, match=r"line 1: image 1\.jpg"):
            mme.score(rows, "official", allow_partial)


def test_bad_files_are_named(tmp_path):
    with pytest.raises(SeedError, match=r"no \.txt file"):
        mme.read_answers(tmp_path)
    with pytest.raises(SeedError, match="is no folder"):
        mme.read_answers(tmp_path / "absent")
    with pytest.raises(SeedError, match=r"task 'colour' is unknown; use one of existence"):
        mme.score(write(tmp_path, colour=COUNT), "official")
    (tmp_path / "colour.txt").unlink()
    with pytest.raises(SeedError, match=r"task OCR has no line"):
        mme.score(write(tmp_path, OCR="\n"), "official")
    with pytest.raises(SeedError, match=r"OCR\.txt, line 2: 3 columns"):
        write(tmp_path, OCR=perfect("OCR").replace("\tNo\tNo", "\tNo"))
    with pytest.raises(SeedError, match=r"line 1: the right answer 'Maybe' must be Yes or No"):
        mme.score(write(tmp_path, OCR=perfect("OCR").replace("\tYes\t", "\tMaybe\t")), "official")
    with pytest.raises(SeedError, match=r"'strict' is unknown; use one of official, lmms-eval"):
        parse_prediction("yes", "strict")
    with pytest.raises(SeedError, match="no MME task"):
        mme.score({}, "official")
