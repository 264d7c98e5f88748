"""Damaged answer files, ground truths and benchmark releases, as `seednb score` reads them."""

import io
import json
import re
from contextlib import redirect_stdout

from seednb.cli.__main__ import main

from .case import ERROR, WORKS, Case

LONG = "cup " * 25_000
PROBES = [
    {"question_id": 1, "image": "a.jpg", "text": "Is there a cup in the image?", "label": "yes"},
    {"question_id": 2, "image": "a.jpg", "text": "Is there a dog in the image?", "label": "no"},
]
SAID = [{"question_id": 1, "text": "Yes"}, {"question_id": 2, "text": "No"}]
CAPTIONS = [{"image_id": 1, "caption": "A cup."}]
TRUTH = {"1": ["cup"], "2": ["dog", "cup", "car"]}
VQA = {
    "annotations": [{"question_id": 1, "answer_type": "other", "answers": [{"answer": "cup"}] * 10}]
}
SEEDBENCH = {
    "question_type": {"Scene": 1},
    "questions": [
        {"question_id": "1", "answer": "A", "data_type": "image", "question_type_id": 1}
        | {f"choice_{letter}": letter for letter in "abcd"}
    ],
}
AMBER = {
    "annotations.json": [{"id": 1, "type": "generative", "truth": ["cup"], "hallu": ["dog"]}],
    "relation.json": {"cup": ["mug"], "dog": []},
    "safe_words.txt": "image\n",
}
HALLUSION = {
    "category": "VD", "subcategory": "chart", "set_id": "0", "figure_id": "0", "question_id": "0",
    "gt_answer": "1", "model_prediction": "Yes",
}  # fmt: skip


def text_of(content):
    """Other than text is written as JSON; a list becomes JSON lines."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(json.dumps(row) + "\n" for row in content)
    return json.dumps(content)


def score(name, verb, files, expected, says=""):
    """`seednb score`: FILE stands for the path of a file, its content is in `files`."""

    def make(folder):
        for file, content in files.items():
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_text(text_of(content))
        return [str(folder / part) if part in (*files, "data") else part for part in verb.split()]

    return Case(name, make, run, expected, says)


def run(arguments):
    """One verb; its failure is raised, not printed."""
    with redirect_stdout(io.StringIO()) as printed:
        main(["--debug", *arguments])
    assert not re.search(r"[:,\[] -?(NaN|Infinity)", printed.getvalue()), "not JSON"


def pope(name, answers, expected, says="", probes=PROBES, more=""):
    """Yes/no answers."""
    verb = f"score pope --questions q.jsonl --answers a.jsonl --json {more}"
    return score(f"POPE: {name}", verb, {"q.jsonl": probes, "a.jsonl": answers}, expected, says)


def chair(name, captions, expected, says="", truth=TRUTH):
    """Captions."""
    verb = "score chair --captions c.jsonl --ground-truth g.json --variant pocket --json"
    return score(f"CHAIR: {name}", verb, {"c.jsonl": captions, "g.json": truth}, expected, says)


def vqa(name, answers, expected, says="", annotations=VQA):
    """Short answers."""
    verb = "score vqa --annotations n.json --answers a.jsonl --json"
    return score(f"VQA: {name}", verb, {"n.json": annotations, "a.jsonl": answers}, expected, says)


def mme(name, content, expected, says="", file="data/color.txt"):
    """A task's text file."""
    where = "data" if file.startswith("data") else file
    return score(
        f"MME: {name}", f"score mme --results {where} --json", {file: content}, expected, says
    )


def seedbench(name, answers, expected, says="", questions=SEEDBENCH, more=""):
    """Choices."""
    verb = f"score seedbench --questions q.json --answers a.jsonl --json {more}"
    return score(
        f"SEED-Bench: {name}", verb, {"q.json": questions, "a.jsonl": answers}, expected, says
    )


def amber(name, expected, says="", answers=({"id": 1, "response": "A cup."},), **changed):
    """Responses, with files of the release changed."""
    release = AMBER | {key.replace("_json", ".json"): value for key, value in changed.items()}
    files = {f"data/{key}": value for key, value in release.items()} | {"a.json": list(answers)}
    verb = "score amber --data data --answers a.json --part discriminative --json"
    return score(f"AMBER: {name}", verb, files, expected, says)


def hallusion(name, changes, expected, says=""):
    """Entries with answers."""
    verb = "score hallusionbench --answers a.json --json"
    return score(f"HallusionBench: {name}", verb, {"a.json": [HALLUSION | changes]}, expected, says)


def objects(name, content, expected, says=""):
    """Objects by image, of which probes are made."""
    verb = "build-pope --objects o.json --split popular"
    return score(f"objects: {name}", verb, {"o.json": content}, expected, says)


def said(text):
    """The first answer changed."""
    return [SAID[0] | {"text": text}, SAID[1]]


RELATION = {"id": 1, "type": "relation", "truth": "yes", "hallu": []}
CASES = [
    pope("empty answers", said(""), WORKS),
    pope("answer of 1e5 characters", said(LONG), WORKS),
    pope("emoji, right-to-left text and control characters", said("🦄 כן \u202e\x00\x1b[2J"), WORKS),
    pope("empty answers, all parsers", said(""), WORKS, more="--parser all"),
    pope("answer is a number", said(3), ERROR, "answer 1 has no text"),
    pope("answer is NaN", said(float("nan")), ERROR, "answer 1 has no text"),
    pope("answered twice", [*SAID, SAID[0]], ERROR, "answered twice: 1"),
    pope("answers to other questions", [{"question_id": 9, "text": "No"}], ERROR, "no such question: 9"),
    pope("an answer is missing", SAID[:1], ERROR, "no answer: 2"),
    pope("question id is a list", [{"question_id": [1], "text": "Yes"}], ERROR, "no such question"),
    pope("a line cut in the middle", text_of(SAID)[:-9], ERROR, "line 2, column .*not JSON"),
    pope("no line", "", ERROR, "is empty"),
    pope("label is a number", SAID, ERROR, "labels must be yes or no", [PROBES[0] | {"label": 7}, PROBES[1]]),
    pope("no labels", SAID, ERROR, "no label", [{"question_id": 1}, {"question_id": 2}]),
    chair("empty caption", [{"image_id": 1, "caption": ""}], WORKS),
    chair("caption of 1e5 characters", [{"image_id": 1, "caption": LONG}], WORKS),
    chair("caption is null", [{"image_id": 1, "caption": None}], ERROR, "caption 1 needs"),
    chair("image captioned twice", CAPTIONS * 2, ERROR, "captioned twice: 1"),
    chair("image without ground truth", [{"image_id": 9, "caption": "A cup."}], ERROR, "no ground truth for image_id 9"),
    chair("image id is a list", [{"image_id": [1], "caption": "A cup."}], ERROR, "image_id"),
    chair("number of tokens is a text", [CAPTIONS[0] | {"n_tokens": "many"}], ERROR, "n_tokens"),
    chair("number of tokens is NaN", [CAPTIONS[0] | {"n_tokens": float("nan")}], ERROR, "n_tokens"),
    chair("objects are numbers", CAPTIONS, ERROR, "list of its objects' names", {"1": [1, 2]}),
    chair("objects are lists", CAPTIONS, ERROR, "list of its objects' names", {"1": [["cup"]]}),
    chair("image named twice", CAPTIONS, ERROR, "'1' is named twice", '{"1": ["cup"], "1": ["dog"]}'),
    vqa("empty answer", [{"question_id": 1, "text": ""}], WORKS),
    vqa("answer of 1e5 characters", [{"question_id": 1, "text": LONG}], WORKS),
    vqa("references are numbers", [{"question_id": 1, "text": "cup"}], ERROR, "annotation 1 has no list 'answers'", {"annotations": [VQA["annotations"][0] | {"answers": [3]}]}),
    vqa("references are one number", [{"question_id": 1, "text": "cup"}], ERROR, "annotation 1 has no list 'answers'", {"annotations": [VQA["annotations"][0] | {"answers": 3}]}),
    vqa("unknown answer type", [{"question_id": 1, "text": "cup"}], ERROR, "answer_type \\['x'\\] is unknown", {"annotations": [VQA["annotations"][0] | {"answer_type": ["x"]}]}),
    mme("empty predictions", "a.jpg\tQ1\tYes\t\na.jpg\tQ2\tNo\t\n", WORKS),
    mme("three columns", "a.jpg\tQ1\tYes\n", ERROR, "color.txt, line 1: 3 columns"),
    mme("an image with one question", "a.jpg\tQ1\tYes\tYes\n", ERROR, "line 1: image a.jpg has one question"),
    mme("label maybe", "a.jpg\tQ1\tmaybe\tYes\na.jpg\tQ2\tNo\tNo\n", ERROR, "must be Yes or No"),
    mme("unknown task", "a.jpg\tQ1\tYes\tYes\n", ERROR, "MME task 'x' is unknown", "data/x.txt"),
    mme("answers are numbers", [{"task": "color", "image": "a", "question": "q", "label": "Yes", "answer": 3}] * 2, ERROR, "entry 1: 'answer'", "r.jsonl"),
    mme("task is a list", [{"task": ["color"], "image": "a", "question": "q", "label": "Yes", "answer": "Yes"}] * 2, ERROR, "entry 1: 'task'", "r.jsonl"),
    seedbench("empty answer", [{"question_id": "1", "text": ""}], WORKS),
    seedbench("likelihoods with NaN", [{"question_id": "1", "likelihoods": [1, float("nan"), 2, 3]}], ERROR, "four finite numbers", more="--rule likelihood"),
    seedbench("right answer E", [{"question_id": "1", "text": "A"}], ERROR, "answer 'E' is unknown", SEEDBENCH | {"questions": [SEEDBENCH["questions"][0] | {"answer": "E"}]}),
    seedbench("types are a list", [{"question_id": "1", "text": "A"}], ERROR, "no object 'question_type'", SEEDBENCH | {"question_type": [1]}),
    seedbench("questions are numbers", [{"question_id": "1", "text": "A"}], ERROR, "no list of objects under 'questions'", SEEDBENCH | {"questions": [1]}),
    amber("yes and no", WORKS, answers=[{"id": 1, "response": "Yes"}], annotations_json=[RELATION]),
    amber("response is a number", ERROR, "no text 'response'", [{"id": 1, "response": 3}], annotations_json=[RELATION]),
    amber("unknown type", ERROR, "type 'x' is unknown", annotations_json=[RELATION | {"type": "x"}]),
    amber("type is a list", ERROR, "is unknown", annotations_json=[RELATION | {"type": ["relation"]}]),
    amber("truth maybe", ERROR, "truth 'maybe' is unknown, it must be one of yes, no", annotations_json=[RELATION | {"truth": "maybe"}]),
    amber("truth is a list", ERROR, "must be one of yes, no", annotations_json=[RELATION | {"truth": ["yes"]}]),
    amber("relations are a list", ERROR, "not an object of words", relation_json=[[]]),
    amber("associations are numbers", ERROR, "relation.json", relation_json={"cup": 3}),
    hallusion("empty prediction", {"model_prediction": ""}, WORKS),
    hallusion("prediction is null", {"model_prediction": None}, ERROR, "needs a text 'model_prediction'"),
    hallusion("right answer maybe", {"gt_answer": "maybe"}, ERROR, "'gt_answer' of 0 or 1"),
    hallusion("unknown category", {"category": "XX"}, ERROR, "XX"),
    hallusion("subcategory is a list", {"subcategory": ["chart"]}, WORKS),
    objects("a name that is empty", {"1": ["", "cup", "dog"], "2": ["car", "bus", "tie"]}, ERROR, "list of its objects' names"),
    objects("no image with three objects", {"1": ["cup"]}, ERROR, "0 of 1 images have 3 objects"),
    objects("one image holds every object", {"1": ["cup", "dog", "car"]}, ERROR, "no object is left to deny"),
    objects("names with markup", {"1": ["<b>", "a&b", "\"'"], "2": ["car", "bus", "tie"]}, WORKS),
]  # fmt: skip
