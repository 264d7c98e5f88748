"""Damaged question files, as `seednb answer` reads them before it loads a model."""

import json

from seednb.evaluation.benchmarks.registry import read_questions

from .case import ERROR, WORKS, Case
from .images import encoded, photo

GOOD = {"question_id": 1, "image": "a.jpg", "text": "What is it?"}


def asked(name, content, expected=ERROR, says="", benchmark="lines"):
    """A question file beside one image."""

    def make(folder):
        (folder / "a.jpg").write_bytes(encoded(photo()))
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / "questions.json").write_text(text)
        return folder

    def read(folder):
        assert read_questions(folder / "questions.json", folder, benchmark)

    return Case(f"questions: {name}", make, read, expected, says)


def line(name, change, expected=ERROR, says=""):
    """One question with something changed."""
    return asked(name, GOOD | change, expected, says)


def mme(name, content, says):
    """A folder in MME's layout with one text file."""

    def make(folder):
        (folder / "color").mkdir()
        (folder / "color" / "a.jpg").write_bytes(encoded(photo()))
        (folder / "color" / "a.txt").write_bytes(content)
        return folder

    return Case(f"questions: MME, {name}", make, lambda folder: read_questions(folder, folder, "mme"), ERROR, says)  # fmt: skip


VQA = {
    "data_subtype": "val2014",
    "questions": [{"question_id": 1, "image_id": "x", "question": "?"}],
}
SEEDBENCH = {"questions": [{"question_id": 1, "data_type": "image", "data_id": 7, "question": "?"}]}
CHOICES = {f"choice_{letter}": letter for letter in "abcd"}
CASES = [
    line("as they should be", {}, WORKS),
    line("emoji, right-to-left text and control characters", {"text": "🦄 מה \u202e\x00\x1b"}, WORKS),
    line("image is a number", {"image": 7}, says="question 1: 'image' is 7"),
    line("image is a list", {"image": ["a.jpg"]}, says="question 1: 'image' is"),
    line("text is null", {"text": None}, says="question 1: 'text' is None"),
    line("empty text", {"text": " "}, says="question 1: 'text' is ' '"),
    line("text with <image>", {"text": "<image>\nWhat?"}, says="question 1 contains <image>"),
    line("image name ../../x.jpg", {"image": "../../x.jpg"}, says="is no file inside"),
    line("image that is not there", {"image": "b.jpg"}, says="1 images are not in"),
    asked("one id twice", "\n".join([json.dumps(GOOD)] * 2), says="given twice: 1"),
    asked("no line", "", says="holds no question"),
    asked("unknown benchmark", GOOD, says="benchmark 'x' is unknown", benchmark="x"),
    asked("POPE, text is a number", GOOD | {"text": 3}, says="text", benchmark="pope"),
    asked("VQA, a list", [], says="no list of objects under 'questions'", benchmark="vqa"),
    asked("VQA, image id is a text", VQA, says="image_id", benchmark="vqa"),
    asked("VQA, questions is a number", VQA | {"questions": 3}, says="questions", benchmark="vqa"),
    asked("VQA, question is null", VQA | {"questions": [{"question_id": 1, "image_id": 1, "question": None}]}, says="question", benchmark="vqa"),
    asked("SEED-Bench, entries are numbers", {"questions": [1]}, says="no list of objects under 'questions'", benchmark="seedbench"),
    asked("SEED-Bench, no choices", SEEDBENCH, says="no 'choice_a'", benchmark="seedbench"),
    asked("SEED-Bench, image is a number", {"questions": [SEEDBENCH["questions"][0] | CHOICES]}, says="'image' is 7", benchmark="seedbench"),
    asked("AMBER, entries are numbers", [1], says="entry 1: a int", benchmark="amber"),
    asked("HallusionBench, an object", {}, says="no 'category'", benchmark="hallusionbench"),
    asked("HallusionBench, question is null", [dict.fromkeys(("category", "subcategory", "set_id", "figure_id", "question_id", "visual_input"), "1") | {"filename": "a.jpg", "question": None}], says="question", benchmark="hallusionbench"),
    mme("Latin-1", b"Ist da ein K\xe4fer?\tYes\n", "a.txt"),
    mme("no tab", b"Is there a cup? Yes\n", "no tab between question and answer"),
]  # fmt: skip
