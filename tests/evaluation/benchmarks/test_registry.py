"""Every benchmark is found by its file; question files in their published formats, in miniature."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from seednb.core.errors import SeedError
from seednb.evaluation.benchmarks.base import ONE_WORD, YES_NO
from seednb.evaluation.benchmarks.pope import read_questions_in
from seednb.evaluation.benchmarks.registry import ASKED, BENCHMARKS, OTHERS
from seednb.evaluation.benchmarks.seedbench import ONE_LETTER
from seednb.evaluation.parsers import NAMES, language_named

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "seednb/evaluation/benchmarks"
VQA = {
    "data_subtype": "val2014",
    "questions": [{"image_id": 42, "question": "What colour is it?", "question_id": 42000}],
}
SEED_BENCH = {
    "question_type": {"Instances Counting": 5},
    "questions": [
        {"question_id": "7_1", "question_type_id": 5, "question": "How many cups?", "data_id": "a.jpg",
         "choice_a": "One", "choice_b": "Two", "choice_c": "Three", "choice_d": "Four",
         "answer": "B", "data_type": "image"},
        {"question_id": "v1", "question_type_id": 9, "question": "What happens?", "data_id": "v.mp4",
         "choice_a": "a", "choice_b": "b", "choice_c": "c", "choice_d": "d",
         "answer": "A", "data_type": "video"},
    ],
}  # fmt: skip
AMBER = [{"id": 1, "image": "AMBER_1.jpg", "query": "Describe this image."}]
HALLUSION = [
    {"category": "VD", "subcategory": "figure", "visual_input": "1", "set_id": "0",
     "figure_id": "1", "question_id": "0", "question": "Is it longer?", "gt_answer": "1",
     "filename": "./VD/figure/0_1.png"},
    {"category": "VS", "subcategory": "map", "visual_input": "0", "set_id": "0",
     "figure_id": "0", "question_id": "0", "question": "Is it north?", "gt_answer": "0",
     "filename": None},
]  # fmt: skip


def read(tmp_path, benchmark, content):
    file = tmp_path / "questions.json"
    file.write_text(json.dumps(content))
    return ASKED[benchmark](file)


def test_pope_and_vqa_are_asked_for_one_word(tmp_path):
    (row,) = read(tmp_path, "vqa", VQA)
    assert row["image"] == "COCO_val2014_000000000042.jpg" and row["question_id"] == 42000
    assert row["text"] == "What colour is it?" + ONE_WORD
    probe = {"question_id": 1, "image": "a.jpg", "text": "Is there a cup?", "label": "yes"}
    (row,) = read(tmp_path, "pope", probe)
    assert row["text"] == "Is there a cup?" + ONE_WORD


def test_seedbench_lists_its_choices_and_leaves_videos_out(tmp_path):
    (row,) = read(tmp_path, "seedbench", SEED_BENCH)
    assert row["text"] == "How many cups?\nA. One\nB. Two\nC. Three\nD. Four" + ONE_LETTER


def test_pope_in_chinese_asks_and_answers_in_chinese(tmp_path):
    file = tmp_path / "q.jsonl"
    probe = {
        "question_id": 1,
        "image": "a.jpg",
        "text": "Is there a cup in the image?",
        "label": "yes",
    }
    file.write_text(json.dumps(probe))
    (row,) = read_questions_in(file, language_named("zh"), NAMES)
    assert row["text"] == "图片中有杯子吗？请用“是”或“否”回答。"
    assert row["yes_no"] == (" 是", " 否")
    assert row["entry"] == {"language": "zh"} and row["label"] == "yes"


def test_choices_and_yes_no_questions_are_marked(tmp_path):
    (row,) = read(tmp_path, "seedbench", SEED_BENCH)
    assert row["choices"] == ["One", "Two", "Three", "Four"] and row["question"] == "How many cups?"
    (row,) = read(tmp_path, "amber", AMBER)
    assert row["yes_no"] == ()
    (row,) = read(tmp_path, "amber", [{"id": 2, "image": "a.jpg", "query": "Is there a cup?"}])
    assert row["yes_no"] == YES_NO


def test_amber_s_scorer_gets_its_own_keys(tmp_path):
    (row,) = read(tmp_path, "amber", AMBER)
    assert (row["entry"], row["reply"], row["text"]) == ({"id": 1}, "response", AMBER[0]["query"])


def test_hallusionbench_is_asked_about_its_images_and_named_by_its_whole_place(tmp_path):
    (row,) = read(tmp_path, "hallusionbench", HALLUSION)
    assert row["question_id"] == "VD/figure/0/1/0"
    assert HALLUSION[0].items() <= row["entry"].items() and row["reply"] == "model_prediction"


@pytest.mark.parametrize("place", ["existence", "existence/images"])
def test_mme_finds_each_image_in_either_layout_of_the_release(tmp_path, place):
    texts = tmp_path / ("existence" if place == "existence" else "existence/questions_answers_YN")
    (tmp_path / place).mkdir(parents=True)
    texts.mkdir(exist_ok=True)
    (tmp_path / place / "1.png").write_bytes(b"")
    (texts / "1.txt").write_text(
        "Is there a cup? Please answer yes or no.\tYes\nIs there a bus? Please answer yes or no.\tNo\n"
    )
    first, second = ASKED["mme"](tmp_path)
    assert first["image"] == f"{place}/1.png" and first["text"] == "Is there a cup?" + ONE_WORD
    assert second["entry"]["label"] == "No" and second["entry"]["task"] == "existence"
    assert first["question_id"] != second["question_id"]


@pytest.mark.parametrize("benchmark", ["vqa", "seedbench", "amber", "hallusionbench"])
@pytest.mark.parametrize("content", [3, [], {}, [{}], {"questions": [{}]}, [[1]]])
def test_another_json_is_a_sentence_or_holds_no_question(tmp_path, benchmark, content):
    try:
        assert read(tmp_path, benchmark, content) == []
    except SeedError as problem:
        assert "questions.json" in str(problem)


def test_mme_says_what_its_folder_lacks(tmp_path):
    with pytest.raises(SeedError, match="is no folder"):
        ASKED["mme"](tmp_path / "no")
    with pytest.raises(SeedError, match="holds no TASK"):
        ASKED["mme"](tmp_path)
    (tmp_path / "count").mkdir()
    (tmp_path / "count/1.txt").write_text("Is it?\tYes")
    with pytest.raises(SeedError, match="its image is neither"):
        ASKED["mme"](tmp_path)
    (tmp_path / "count/1.jpg").write_bytes(b"")
    (tmp_path / "count/1.txt").write_text("Is it? Yes")
    with pytest.raises(SeedError, match="line 1: no tab"):
        ASKED["mme"](tmp_path)


USE = """
import sys
from seednb.cli.__main__ import build_parser, main
for verb in (["score"], ["answer"], ["evaluate"]):
    try:
        build_parser().parse_args([*verb, "--help"])
    except SystemExit:
        print("--")
main(["doctor", "--params", "params/smoke.yaml", "--json"])
print("--")
sys.exit(main(["score", "laptops", "--questions", "q.jsonl", "--answers", "a.jsonl", "--json"]))
"""


def test_one_file_is_all_that_a_benchmark_takes(tmp_path):
    """The page's file in a copy of the package: listed everywhere, and scored."""
    page = (ROOT / "docs/how-to-add-a-benchmark.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
    shutil.copytree(ROOT / "seednb", tmp_path / "seednb", copy_function=os.link, ignore=shutil.ignore_patterns("__pycache__"))  # fmt: skip
    shutil.copytree(ROOT / "params", tmp_path / "params")
    (tmp_path / "seednb/evaluation/benchmarks/laptops.py").write_text(code, encoding="utf-8")
    labels = {1: "yes", 2: "no", 3: "no"}
    rows = [{"question_id": n, "image": f"{n % 2}.jpg", "text": "A laptop?", "label": label} for n, label in labels.items()]  # fmt: skip
    said = [{"question_id": n, "text": text} for n, text in enumerate(("Yes.", "no", "Hm"), 1)]
    for name, lines in (("q", rows), ("a", said)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", USE], cwd=tmp_path, env=environment, capture_output=True, text=True)  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    *helps, doctor, scores = run.stdout.rsplit("--\n", 4)
    assert all("laptops" in text for text in helps)
    assert "laptops" in [row["name"] for row in json.loads(doctor)["benchmarks"]]
    assert json.loads(scores) == {"n_right": 2, "n": 3, "accuracy": 2 / 3}


def test_every_file_of_the_package_is_in_the_registry_and_none_imports_another():
    names = {file.stem for file in PACKAGE.glob("*.py")} - {"__init__", *OTHERS}
    assert names == set(BENCHMARKS)
    for name in names:
        code = (PACKAGE / f"{name}.py").read_text()
        imported = re.findall(r"evaluation\.benchmarks(?:\.| import )(\w+)", code)
        assert imported == ["base"], name
