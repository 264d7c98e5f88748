"""`seednb score …` and `build-pope` from the outside: what they print, and how they fail."""

import gzip
import json
import shutil
import sys
from pathlib import Path

import pytest

from seednb.cli.__main__ import build_parser, main
from seednb.data.pocket.files import write_world
from seednb.evaluation.benchmarks import mme

SMOKE = Path(__file__).parents[2] / "params/smoke.yaml"
YES_AND_NO = (("cup", "Yes"), ("bus", "No"))
BENCHMARKS = ("pope", "chair", "vqa", "mme", "seedbench", "amber", "hallusionbench")


def write(path, content):
    """Write JSON, compressed if the name says so; a list of rows as lines if the name does."""
    text = json.dumps(content)
    if ".jsonl" in path.suffixes:
        text = "".join(json.dumps(row) + "\n" for row in content)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return str(path)


def scored(capsys, *arguments):
    """The object that a verb prints with --json."""
    assert main(["score", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out, parse_constant=pytest.fail)


def failed(capsys, *arguments):
    """The one line of a verb that must fail by name."""
    assert main(list(arguments)) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("seednb: ") and printed.err.count("\n") == 1
    assert not printed.out
    return printed.err


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_help_of_a_benchmark_has_an_example_that_the_parser_takes(benchmark, capsys):
    with pytest.raises(SystemExit) as stop:
        build_parser().parse_args(["score", benchmark, "--help"])
    assert stop.value.code == 0
    lines = capsys.readouterr().out.split("examples:")[1].strip().splitlines()
    for line in lines:
        seednb, *arguments = line.split()
        assert seednb == "seednb"
        assert callable(build_parser().parse_args(arguments).verb)


def annotation(question_id, *answers):
    entries = [{"answer": text, "answer_id": n} for n, text in enumerate(answers, start=1)]
    return {"question_id": question_id, "answer_type": "other", "answers": entries}


@pytest.fixture
def vqa(tmp_path):
    annotations = [annotation(1, *["cat"] * 10), annotation(2, *["dog"] * 2, *["wolf"] * 8)]
    questions = [{"question_id": n, "image_id": n, "question": "What?"} for n in (1, 2)]
    return {
        "annotations": write(tmp_path / "annotations.json.gz", {"annotations": annotations}),
        "questions": write(tmp_path / "questions.json", {"questions": questions}),
        "all": write(
            tmp_path / "all.jsonl",
            [{"question_id": 1, "text": "Cat."}, {"question_id": 2, "text": "A dog"}],
        ),
        "one": write(tmp_path / "one.json", [{"question_id": 1, "answer": "fox"}]),
    }


def test_score_vqa_counts_as_by_hand(vqa, capsys):
    common = ["vqa", "--annotations", vqa["annotations"], "--questions", vqa["questions"]]
    scores = scored(capsys, *common, "--answers", vqa["all"])
    assert scores["accuracy"] == 0.8  # 10 of 10 said cat: 1; 2 of 10 said dog: .6
    assert scores["n_by_matches"] == {"0": 0, "1": 0, "2": 1, "3": 0, "4+": 1}
    assert "no answer: 2" in failed(capsys, "score", *common, "--answers", vqa["one"])
    partial = scored(capsys, *common, "--answers", vqa["one"], "--allow-partial")
    assert partial["partial"] and (partial["n_answered"], partial["accuracy"]) == (1, 0)


def test_score_vqa_writes_the_test_servers_file(vqa, tmp_path, capsys):
    target = tmp_path / "sent" / "test-dev.json"
    verb = ["score", "vqa", "--questions", vqa["questions"], "--submission", str(target)]
    assert main([*verb, "--answers", vqa["one"], "--allow-partial"]) == 0
    assert json.loads(target.read_text()) == [
        {"question_id": 1, "answer": "fox"},
        {"question_id": 2, "answer": ""},
    ]
    verb[-1] = str(tmp_path)
    assert "cannot be written" in failed(capsys, *verb, "--answers", vqa["all"])


def test_score_vqa_says_which_files_it_needs(vqa, tmp_path, capsys):
    verb = ["score", "vqa", "--answers", vqa["all"]]
    assert "give --annotations" in failed(capsys, *verb)
    submission = ["--submission", str(tmp_path / "a.json")]
    with_annotations = ["--annotations", vqa["annotations"]]
    assert "needs --questions" in failed(capsys, *verb, *with_annotations, *submission)
    other = write(tmp_path / "other.json", {"questions": [{"question_id": 9}]})
    both = [*with_annotations, "--questions", other]
    assert "not of one split (question_id 1, 2, 9" in failed(capsys, *verb, *both)


def test_score_mme_reports_missing_tasks_and_null_totals(tmp_path, capsys):
    for task in mme.HALLUCINATION:
        lines = [f"1.jpg\tIs it?\t{gold}\t{gold}\n" for gold in ("Yes", "No")]
        (tmp_path / f"{task}.txt").write_text("".join(lines))
    scores = scored(capsys, "mme", "--results", str(tmp_path))
    assert (scores["hallucination"], scores["perception"], scores["cognition"]) == (800, None, None)
    assert scores["n_tasks"] == 4 and "OCR" in scores["missing_tasks"]
    assert main(["score", "mme", "--results", str(tmp_path)]) == 0
    assert "tasks.count.acc_plus1.00000" in capsys.readouterr().out.replace(" ", "")


def test_score_seedbench_counts_as_by_hand(tmp_path, capsys):
    questions = [
        {"question_id": n, "question_type_id": 1, "answer": letter, "data_type": kind}
        for n, letter, kind in [("1", "A", "image"), ("v2", "B", "video")]
    ]
    document = {"questions": questions, "question_type": {"Scene Understanding": 1}}
    common = ["seedbench", "--questions", write(tmp_path / "SEED-Bench.json.gz", document)]
    texts = [{"question_id": "1", "text": "A."}, {"question_id": "v2", "text": "B"}]
    common += ["--answers", write(tmp_path / "texts.jsonl", texts)]
    rules = ("letter", "first-character")
    right = [scored(capsys, *common, "--rule", rule)["seed_all"]["n_right"] for rule in rules]
    assert right == [1, 2]
    assert "likelihoods" in failed(capsys, "score", *common, "--rule", "likelihood")


@pytest.fixture
def amber(tmp_path):
    annotations = [
        {"id": 1, "type": "generative", "truth": ["dog"], "hallu": ["cat"]},
        {"id": 2, "type": "discriminative-relation", "truth": "no"},
    ]
    write(tmp_path / "annotations.json", annotations)
    write(tmp_path / "relation.json", {"dog": [], "cat": []})
    (tmp_path / "safe_words.txt").write_text("light\n")
    responses = [{"id": 1, "response": "A cat."}, {"id": 2, "response": "No"}]
    answers = write(tmp_path / "answers.json", responses)
    return ["amber", "--data", str(tmp_path), "--answers", answers]


def test_score_amber_counts_as_by_hand(amber, capsys):
    scores = scored(capsys, *amber, "--part", "discriminative")
    assert (scores["relation"]["n_right"], scores["relation"]["printed"]["f1"]) == (1, 99.9)
    assert "similarity" not in scores
    assert "'smell' is unknown" in failed(capsys, "score", *amber, "--part", "smell")


@pytest.mark.slow
def test_score_amber_describes_without_spacy_on_request_only(amber, nltk_data, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "spacy", None)
    assert "python -m spacy download en_core_web_lg" in failed(capsys, "score", *amber)
    scores = scored(capsys, *amber, "--similarity", "exact")
    assert (scores["generative"]["n_unsafe"], scores["similarity"]) == (1, "exact")


def test_score_hallusionbench_counts_as_by_hand(tmp_path, capsys):
    place = {"category": "VD", "subcategory": "math", "set_id": "0", "visual_input": "1"}
    place |= {"question_id": "0", "gt_answer": "1"}
    questions = [{**place, "figure_id": str(n)} for n in (0, 1)]
    answers = [{**row, "model_prediction": "Yes, it is."} for row in questions]
    common = ["hallusionbench", "--questions", write(tmp_path / "q.json", questions)]
    common += ["--answers", write(tmp_path / "a.json", answers)]
    scores = scored(capsys, *common)
    assert [scores[name]["n_right"] for name in ("aAcc", "fAcc", "qAcc")] == [2, 2, 1]
    short = ["--answers", write(tmp_path / "b.json", answers[:1])]
    assert "VD/math/0/1/0" in failed(capsys, "score", *common, *short)
    assert scored(capsys, *common, *short, "--allow-partial")["n_answered"] == 1


def test_score_chair_reads_compressed_files_and_drops_unfinished_sentences(tmp_path, capsys):
    captions = [{"image_id": 1, "caption": "A dog sits. Beside it a chair"}]
    common = ["chair", "--variant", "pocket"]
    common += ["--captions", write(tmp_path / "captions.jsonl.gz", captions)]
    instances = {
        "images": [{"id": 1, "file_name": "1.jpg", "width": 9, "height": 9}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5]}],
        "categories": [{"id": 1, "name": "dog"}],
    }
    told = {"annotations": [{"id": 1, "image_id": 1, "caption": "A cat."}]}
    built = ["--instances", write(tmp_path / "instances.json.gz", instances)]
    built += ["--captions-gt", write(tmp_path / "told.json.gz", told)]
    given = ["--ground-truth", write(tmp_path / "gt.json.gz", {"1": ["dog", "cat"]})]
    for source in (built, given):
        whole = scored(capsys, *common, *source)
        assert (whole["n_mentions"], whole["n_hallucinated"], whole["n_present"]) == (2, 1, 2)
        cut = scored(capsys, *common, *source, "--drop-unfinished")
        assert (cut["n_mentions"], cut["n_hallucinated"]) == (1, 0)


def test_build_pope_reads_compressed_objects_and_names_unknown_images(tmp_path, capsys):
    objects = {f"{n}.jpg": [f"a{n}", f"b{n}", f"c{n}"] for n in range(3)}
    verb = ["build-pope", "--split", "random", "--objects", write(tmp_path / "o.json.gz", objects)]
    assert main(verb) == 0
    assert len(capsys.readouterr().out.splitlines()) == 18
    names = tmp_path / "names.txt"
    names.write_text("2.jpg\n0.jpg\n")
    assert main([*verb, "--images", str(names)]) == 0
    probes = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [probes[n]["image"] for n in (0, 11)] == ["2.jpg", "0.jpg"]
    names.write_text("9.jpg\n")
    assert "no objects are known of 9.jpg" in failed(capsys, *verb, "--images", str(names))
    assert "cannot be read" in failed(capsys, *verb, "--images", str(tmp_path / "none.txt"))


def test_a_ground_truth_of_another_shape_is_named(tmp_path, capsys):
    file = write(tmp_path / "gt.json", [["dog"]])
    verb = ["build-pope", "--split", "random", "--objects", file]
    assert "image -> list of its objects" in failed(capsys, *verb)


@pytest.mark.parametrize("benchmark", ["pope", "seedbench", "hallusionbench"])
def test_an_empty_answer_file_is_named(benchmark, tmp_path, capsys):
    empty = write(tmp_path / "empty.jsonl", [])
    document = {"questions": [{"question_id": 1}], "question_type": {}}
    questions = write(tmp_path / "q.json", document if benchmark == "seedbench" else [{}])
    verb = ["score", benchmark, "--questions", questions, "--answers", empty]
    assert "empty.jsonl is empty" in failed(capsys, *verb)


def test_score_pope_tells_six_rules_apart(tmp_path, capsys):
    probe = {"image": "a.jpg", "text": "Is there a cup in the image?", "label": "no"}
    texts = ["No", "NO", "No, it is not"]
    questions = write(tmp_path / "questions.jsonl", [{"question_id": n} | probe for n in range(3)])
    answers = [{"question_id": n, "text": text} for n, text in enumerate(texts)]
    files = ["--questions", questions, "--answers", write(tmp_path / "answers.jsonl", answers)]
    printed = scored(capsys, "pope", *files, "--parser", "all")
    accuracy = {row["parser"]: row["accuracy"] for row in printed["parsers"]}
    assert accuracy["official"] == pytest.approx(2 / 3) and accuracy["opera"] == 1
    assert [row["question_id"] for row in printed["disagreements"]] == [1, 2]
    assert main(["score", "pope", *files, "--parser", "all"]) == 0
    assert "the rules differ on 2 of 3 answers" in capsys.readouterr().out


def test_what_answer_writes_is_what_score_mme_reads(tmp_path, capsys):
    """A model's whole way through a benchmark: its release folder, answers, score; then once more."""
    release = tmp_path / "MME"
    write_world(tmp_path / "world", seed=0, n_train=1, n_val=2)
    for number, image in enumerate(sorted((tmp_path / "world/val").glob("*.jpg"))):
        folder = release / ("existence" if number else "count")
        folder.mkdir(parents=True)
        shutil.copy(image, folder)
        lines = [f"Is there a {name} in the image?\t{gold}" for name, gold in YES_AND_NO]
        (folder / f"{image.stem}.txt").write_text("\n".join(lines))
    output = str(tmp_path / "mme.jsonl")
    answer = ["answer", "--params", str(SMOKE), "--benchmark", "mme", "--questions", str(release),
              "--images", str(release), "--output", output]  # fmt: skip
    assert main(answer) == 0
    assert "4 new, 4 in all" in capsys.readouterr().out
    assert main(answer) == 0
    assert "0 new, 4 in all" in capsys.readouterr().out
    printed = scored(capsys, "mme", "--results", output)
    assert set(printed["tasks"]) == {"count", "existence"} and printed["perception"] is None
    broken = write(tmp_path / "broken.jsonl", [{"task": "count"}])
    assert "entry 1 has no image" in failed(capsys, "score", "mme", "--results", broken)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"--benchmark": "riddles"}, "'riddles' is unknown; there are lines, pope"),
        ({"--questions": "absent.jsonl"}, "absent.jsonl is missing"),
        ({"--model": "nowhere"}, "nowhere holds no adapter_model"),
    ],
)
def test_answer_names_what_it_cannot_use(change, named, tmp_path, capsys):
    (tmp_path / "a.jpg").write_bytes(b"")
    row = {"question_id": 1, "image": "a.jpg", "text": "?"}
    options = {"--params": str(SMOKE), "--questions": write(tmp_path / "q.jsonl", [row]),
               "--images": str(tmp_path), "--output": str(tmp_path / "a.jsonl")}  # fmt: skip
    words = [word for pair in (options | change).items() for word in pair]
    assert named in failed(capsys, "answer", *words)


def test_a_ratio_of_nothing_is_null(tmp_path, capsys):
    probe = {"question_id": 1, "image": "a.jpg", "text": "Is there a cup?", "label": "no"}
    questions = write(tmp_path / "questions.jsonl", [probe])
    answers = write(tmp_path / "answers.jsonl", [{"question_id": 1, "text": "No"}])
    printed = scored(capsys, "pope", "--questions", questions, "--answers", answers)
    assert printed["precision"] is None and printed["accuracy"] == 1
