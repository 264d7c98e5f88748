"""Every verb from the outside: what it prints, what it writes, how it fails."""

import json
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest
from PIL import Image

from seednb.cli.__main__ import main
from seednb.cli.options import overrides
from seednb.data.readers import read_json_lines
from seednb.method.recipes import LABELS, RECIPES, SELF

ROOT = Path(__file__).parents[2]
SMOKE = str(ROOT / "params/smoke.yaml")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def adapter(runs):
    assert main(["train", "--params", SMOKE, "--version", "v5", "-p", f"runs_dir={runs}"]) == 0
    (folder,) = (runs / "smoke").glob("train-v5-replay-*/adapter")
    return folder


def fails(arguments, capsys):
    """Run a verb that must fail by name; returns its one line."""
    assert main(arguments) == 1
    text = capsys.readouterr().err
    lines = [line for line in text.splitlines() if line.startswith("seednb: ")]
    assert len(lines) == 1 and "Traceback" not in text
    return lines[0]


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_a_trained_version_is_found_again_and_not_trained_twice(runs, adapter):
    before = (adapter / "adapter_model.safetensors").stat().st_mtime_ns
    assert main(["train", "--params", SMOKE, "--version", "v5", "-p", f"runs_dir={runs}"]) == 0
    assert (adapter / "adapter_model.safetensors").stat().st_mtime_ns == before


def test_training_takes_other_pairs_and_epochs(runs, tmp_path, adapter):
    (image, *_) = sorted((runs / "smoke").glob("world-*/train/*.jpg"))
    pairs = tmp_path / "pairs.json"
    pairs.write_text(
        json.dumps([{"image": image.name, "question": "What is it?", "answer": "An image."}] * 3)
    )
    options = ["-p", f"runs_dir={tmp_path}/runs", "-p", "batch_size=1"]
    verb = ["train", "--params", SMOKE, "--version", "v5", "--epochs", "2", "--data", str(pairs)]
    assert main([*verb, *options]) == 0
    (manifest,) = (tmp_path / "runs/smoke").glob("train-v5-*/manifest.json")
    assert json.loads(manifest.read_text())["inputs"]["recipe"]["epochs"] == 2


def test_evaluate_compares_an_adapter_with_the_base(runs, adapter, capsys):
    sizes = ["--pope-n", "4", "--chair-n", "8", "--compare", "-p", f"runs_dir={runs}"]
    assert main(["evaluate", "--params", SMOKE, "--model", str(adapter), *sizes]) == 0
    text = capsys.readouterr().out
    assert {"CHAIRi", "accuracy", "adapter", "base"} <= set(text.split())


def test_evaluate_decodes_an_adapter_from_purified_logits_too(runs, adapter, capsys):
    given = ["evaluate", "--params", SMOKE, "--model", str(adapter), "-p", f"runs_dir={runs}"]

    def margins(*options):
        before = set((runs / "smoke").glob("answers-adapter-*"))
        assert main([*given, "--pope-n", "4", "--chair-n", "6", *options]) == 0
        (folder,) = set((runs / "smoke").glob("answers-adapter-*")) - before
        assert ("adapter + contrast" in capsys.readouterr().out) == bool(options)
        return [line["margin"] for line in read_json_lines(folder / "probes.jsonl")]

    plain = margins()
    assert margins("--contrast", "-p", "contrast_beta=0") == pytest.approx(plain, abs=1e-3)
    assert margins("--contrast") != pytest.approx(plain, abs=1e-3)


def test_benchmarks_are_not_decoded_from_purified_logits(runs, capsys):
    given = ["evaluate", "--params", SMOKE, "--benchmarks", "mme", "--contrast"]
    assert "--contrast goes with POPE and CHAIR" in fails(given, capsys)


def test_prepare_data_keeps_good_pairs_and_counts_the_others(tmp_path, capsys):
    Image.new("RGB", (8, 8)).save(tmp_path / "000000000001.jpg")
    talk = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A square."}]
    source = tmp_path / "talks.json"
    source.write_text(
        json.dumps(
            [
                {"id": "1", "image": "000000000001.jpg", "conversations": talk * 2},
                {"id": "2", "image": "000000000002.jpg", "conversations": talk},
            ]
        )
    )
    output = tmp_path / "pairs.json"
    verb = ["prepare-data", "--input", str(source), "--image-dir", str(tmp_path)]
    assert main([*verb, "--output", str(output)]) == 0
    pairs = json.loads(output.read_text())
    assert pairs[0] == {"image": "000000000001.jpg", "question": "What?", "answer": "A square."}
    assert len(pairs) == 2
    assert main([*verb, "--output", str(output), "--max-samples", "1"]) == 0
    assert len(json.loads(output.read_text())) == 1


def test_score_pope_counts_as_by_hand(tmp_path, capsys):
    labels = ["yes", "no", "yes", "no"]
    questions = [
        {"question_id": n, "image": "a.jpg", "text": "Is there a cup in the image?", "label": label}
        for n, label in enumerate(labels)
    ]
    answers = [
        {"question_id": n, "text": text} for n, text in enumerate(["Yes", "Yes", "No", "No, none"])
    ]
    q = write_lines(tmp_path / "q.jsonl", questions)
    verb = ["score", "pope", "--questions", q, "--json", "--answers"]
    assert main([*verb, write_lines(tmp_path / "a.jsonl", answers)]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["accuracy"] == 0.5 and scores["yes_ratio"] == 0.5 and scores["f1"] == 0.5
    assert "2" in fails([*verb, write_lines(tmp_path / "b.jsonl", answers[:2])], capsys)
    assert fails([*verb, write_lines(tmp_path / "c.jsonl", answers + answers[:1])], capsys)
    foreign = [*answers, {"question_id": 77, "text": "Yes"}]
    assert "77" in fails([*verb, write_lines(tmp_path / "d.jsonl", foreign)], capsys)
    partial = [*verb, write_lines(tmp_path / "e.jsonl", answers[:2]), "--allow-partial"]
    assert main(partial) == 0


def test_score_chair_counts_as_by_hand(nltk_data, tmp_path, capsys):
    captions = write_lines(
        tmp_path / "c.jsonl", [{"image_id": 1, "caption": "A dog sits beside a chair."}]
    )
    truth = tmp_path / "gt.json"
    truth.write_text(json.dumps({"1": ["dog", "cat"]}))
    verb = ["score", "chair", "--variant", "pattern", "--json", "--captions", captions]
    assert main([*verb, "--ground-truth", str(truth)]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert (scores["CHAIRi"], scores["CHAIRs"], scores["recall"]) == (0.5, 1.0, 0.5)
    assert "--ground-truth" in fails(["score", "chair", "--captions", captions], capsys)


def test_build_pope_prints_probes(tmp_path, capsys):
    objects = {
        "a.jpg": ["dog", "cat", "cup"],
        "b.jpg": ["bus", "car", "dog"],
        "c.jpg": ["fork", "cat", "bus"],
    }
    file = tmp_path / "objects.json"
    file.write_text(json.dumps(objects))
    assert main(["build-pope", "--objects", str(file), "--split", "popular"]) == 0
    probes = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(probes) == 18
    for probe in probes:
        assert (probe["object"] in objects[probe["image"]]) == (probe["label"] == "yes")


def test_doctor_and_params_describe_what_is_there(capsys):
    assert main(["doctor", "--params", SMOKE]) == 0
    assert "next: seednb report" in capsys.readouterr().out
    assert main(["doctor", "--params", str(ROOT / "params/llava-1.5-7b.yaml")]) == 0
    assert "llava_instruct_150k.json" in capsys.readouterr().out
    assert main(["params"]) == 0
    assert "noise_alpha" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["report", "--params", SMOKE, "-p", "nosie_alpha=1"], "noise_alpha"),
        (["report", "--params", SMOKE, "-p", "n_pairs=many"], "n_pairs"),
        (["report", "--params", SMOKE, "-p", "noise_alpha=2"], "noise_alpha"),
        (["report", "--params", SMOKE, "--only", "77"], "77"),
        (["train", "--params", "nowhere.yaml"], "nowhere.yaml"),
        (["demo", "--params", SMOKE, "--model", "nowhere"], "adapter_model.safetensors"),
        (["demo", "--params", SMOKE, "--port", "1"], "seednb train"),
        (["score", "pope", "--questions", "none.jsonl", "--answers", "none.jsonl"], "none.jsonl"),
    ],
)
def test_a_named_failure_is_one_sentence(arguments, expected, capsys, runs, monkeypatch):
    monkeypatch.chdir(ROOT)
    if "-p" not in arguments and arguments[0] in ("train", "demo"):
        arguments = [*arguments, "-p", f"runs_dir={runs}"]
    assert expected in fails(arguments, capsys)


def test_an_unknown_version_is_wrong_usage_and_the_known_ones_are_listed(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["train", "--version", "v9"])
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert "'v9'" in said and all(name in said for name in RECIPES)


HELP = """
import sys
from seednb.cli.__main__ import build_parser
for verb in [[], ["report"], ["train"], ["evaluate"], ["answer"], ["demo"], ["score"], ["doctor"]]:
    try:
        build_parser().parse_args([*verb, "--help"])
    except SystemExit:
        assert "torch" not in sys.modules, verb
"""


def test_help_does_not_wait_for_torch():
    subprocess.run([sys.executable, "-c", HELP], check=True, capture_output=True)


def test_labels_are_those_that_an_experiment_has(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--labels", "none"])
    said = capsys.readouterr().err
    assert all(name in said for name in (*LABELS, SELF))


def test_a_path_on_the_command_line_starts_where_it_was_typed(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    typed = [f"{name}=here" for name in ("data_root", "model", "runs_dir", "train_images")]
    given = overrides(Namespace(overrides=[*typed, "reports_dir=elsewhere"]))
    here = str(tmp_path / "here")
    assert [given[name] for name in ("data_root", "model", "runs_dir")] == [here] * 3
    assert given["train_images"] == "here"  # lies below data_root
    assert given["reports_dir"] == "elsewhere"  # is not there


def test_malformed_json_is_named_with_its_line(tmp_path, capsys):
    file = tmp_path / "objects.json"
    file.write_text('{"a.jpg": ["dog",\n "cat"')
    message = fails(["build-pope", "--objects", str(file), "--split", "random"], capsys)
    assert "objects.json" in message and "line 2" in message


def test_debug_shows_the_failure_itself():
    from seednb.core.errors import SeedError

    with pytest.raises(SeedError):
        main(["--debug", "train", "--params", "nowhere.yaml"])


@pytest.mark.parametrize("arguments", [[], ["fly"], ["score"], ["build-pope", "--split", "wrong"]])
def test_wrong_usage_exits_with_two(arguments):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
