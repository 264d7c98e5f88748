"""Published benchmarks through the model: each question once, whatever is killed; images never trained on."""

import json
import shutil
from pathlib import Path

import pytest
from benchmark_samples import write_benchmarks

from seednb.cli.__main__ import main
from seednb.core.errors import SeedError
from seednb.evaluation import answer_files
from seednb.evaluation.benchmarks.registry import BENCHMARKS
from seednb.experiments.experiment import Experiment
from seednb.experiments.published import Benchmarks, Contestant, scored_rows
from seednb.model.lora import add_adapter
from seednb.report.tables import compact, difference_table, headlines, level_table

ROOT = Path(__file__).parents[2]
SMOKE = str(ROOT / "params/smoke.yaml")
NUMBERS = ("value", "low", "high")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_benchmarks(folder / "benchmarks", folder / "world")
    return folder / "benchmarks"


def laboratory(data, runs):
    values = {"benchmarks_dir": str(data), "runs_dir": str(runs), "eval_batch_size": 3}
    return Experiment.open(SMOKE, values | {"max_new_tokens": 24, "resamples": 100})


@pytest.fixture(scope="module")
def adapter(data, tmp_path_factory):
    """A saved adapter that changes answers: its weights are random, not zero."""
    folder = tmp_path_factory.mktemp("made") / "train-v7-replay-0123456789ab" / "adapter"
    lab = laboratory(data, folder)
    model = add_adapter(lab.bundle().model, lab.params.model, seed=1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.02)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    file = tmp_path_factory.mktemp("pairs") / "pairs.json"
    file.write_text(
        json.dumps([{"image": "000000000042.jpg", "question": "?", "answer": "A cup."}])
    )
    return str(file)


@pytest.fixture
def words(reference, monkeypatch):
    """NLTK finds its data; spaCy's vectors are missing, as on most machines."""
    nltk = pytest.importorskip("nltk")
    monkeypatch.setattr(nltk.data, "path", [str(reference / "nltk_data")])


def asked(monkeypatch):
    """The questions that reach a model from now on."""
    seen = []
    for name in ("generate", "choice_likelihoods"):
        original = getattr(answer_files, name)

        def counted(bundle, questions, *rest, original=original, **named):
            seen.extend(questions)
            return original(bundle, questions, *rest, **named)

        monkeypatch.setattr(answer_files, name, counted)
    return seen


@pytest.mark.slow
def test_every_benchmark_is_answered_scored_and_found_again(
    data, adapter, pairs, tmp_path, words, monkeypatch
):
    lab = laboratory(data, tmp_path)
    seen = asked(monkeypatch)
    outcomes = {one.benchmark: one for one in Benchmarks(lab).run(BENCHMARKS, adapter, pairs)}
    assert list(outcomes) == list(BENCHMARKS)
    n_asked = len(seen)
    for name, outcome in outcomes.items():
        models = {(row["model"], row["versus"]) for row in outcome.rows}
        assert {("base", None), ("v7", None), ("v7", "base")} <= models, name
        for row in outcome.rows:
            assert row["benchmark"] == name and row["n"] >= 1
            assert (lab.runs / row["records"]).is_file()
            numbers = [row[key] for key in NUMBERS]
            assert None in numbers or numbers[1] <= numbers[0] <= numbers[2]
    again = list(Benchmarks(laboratory(data, tmp_path)).run(BENCHMARKS, adapter, pairs))
    assert len(seen) == n_asked and again == list(outcomes.values())


def test_the_figures_are_those_of_the_scorers_on_the_same_answers(data, tmp_path, words, capsys):
    """`evaluate --benchmarks` and `score` agree, from the files that the first one left."""
    lab = laboratory(data, tmp_path)
    rows = [row for one in Benchmarks(lab).run(BENCHMARKS) for row in one.rows]
    found = {
        (row["benchmark"], row["split"], row["variant"].split(",")[0], row["metric"]): row["value"]
        for row in rows
        if row["model"] == "base"
    }

    def answers(name, file="answers"):
        (path,) = lab.runs.glob(f"benchmark-{name}-base-*/{file}.jsonl")
        return str(path)

    def score(*arguments):
        assert main(["score", *map(str, arguments), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    vqa = score(
        "vqa",
        "--annotations",
        data / "VQAv2/v2_mscoco_val2014_annotations.json",
        "--answers",
        answers("vqav2"),
    )
    assert found["vqav2", "val2014", "llava", "accuracy"] == pytest.approx(vqa["accuracy"])
    mme = score("mme", "--results", answers("mme"))
    assert found["mme", "count", "official", "score"] == mme["tasks"]["count"]["score"]
    seedbench = (
        "seedbench",
        "--questions",
        data / "SEED-Bench/SEED-Bench.json",
        "--allow-partial",
        "--answers",
    )
    for rule, file in (("letter", "letters"), ("likelihood", "likelihoods")):
        scores = score(*seedbench, answers("seedbench", file), "--rule", rule)
        assert (
            found["seedbench", "seed_image", rule, "accuracy"] == scores["seed_image"]["accuracy"]
        )
    amber = score(
        "amber",
        "--data",
        data / "AMBER/data",
        "--answers",
        answers("amber"),
        "--similarity",
        "exact",
    )
    for metric in ("accuracy", "precision", "recall", "f1"):
        assert found["amber", "discriminative", "official", metric] == pytest.approx(
            amber["discriminative"][metric]
        )
    for metric in ("CHAIR", "Cover", "Hal", "Cog"):
        assert found["amber", "generative", "exact words", metric] == pytest.approx(
            amber["generative"][metric]
        )
    hallusion = score("hallusionbench", "--answers", answers("hallusionbench"))
    assert found["hallusionbench", "all", "vlmevalkit", "fAcc"] == hallusion["fAcc"]["accuracy"]
    annotations = [data / f"annotations/{kind}_val2014.json" for kind in ("instances", "captions")]
    truth = ("--instances", annotations[0], "--captions-gt", annotations[1])
    for variant in ("lemma", "pattern"):
        chair = score(
            "chair", "--captions", answers("chair", "captions"), "--variant", variant, *truth
        )
        assert found["chair", "4 drawn by seed 0", variant, "mentions"] == chair["mentions"]
        assert found["chair", "4 drawn by seed 0", variant, "recall"] == chair["recall"]


def test_pope_asks_a_repeated_question_once_and_scores_every_split(data, tmp_path, monkeypatch):
    lab = laboratory(data, tmp_path)
    probes = {
        (row["image"], row["text"])
        for file in (data / "POPE/output/coco").iterdir()
        for row in map(json.loads, file.read_text().splitlines())
    }
    seen = asked(monkeypatch)
    (outcome,) = Benchmarks(lab).run(["pope"])
    assert len(seen) == len(probes)
    levels = {
        (r["split"], r["metric"]): r
        for r in outcome.rows
        if (r["model"], r["versus"]) == ("base", None)
    }
    assert {split for split, _ in levels} == {"random", "popular", "adversarial"}
    assert all(levels[split, "auc"]["n"] > 1 for split, _ in levels)
    assert {r["model"] for r in outcome.rows} == {"base", "threshold_control"}


class Killed(BaseException):
    """What a killed process looks like from inside."""


@pytest.mark.parametrize("benchmark", ["mme", "seedbench"])
def test_a_run_that_is_killed_anywhere_repeats_and_loses_nothing(
    benchmark, data, tmp_path, monkeypatch
):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    (expected,) = Benchmarks(laboratory(data, whole)).run([benchmark])
    seen = asked(monkeypatch)
    n_alive = 2
    for name in ("generate", "choice_likelihoods"):
        original = getattr(answer_files, name)

        def dying(*arguments, original=original, **named):
            nonlocal n_alive
            n_alive -= 1
            if n_alive < 0:
                raise Killed
            return original(*arguments, **named)

        monkeypatch.setattr(answer_files, name, dying)
    n_kills = 0
    while n_kills < 20:
        n_alive = 2
        try:
            (found,) = Benchmarks(laboratory(data, killed)).run([benchmark])
            break
        except Killed:
            n_kills += 1
            assert not list((killed / "smoke").glob("scores-*"))
    assert n_kills >= 1 and len(seen) == len({json.dumps([q, n]) for n, q in enumerate(seen)})
    files = [sorted(folder.glob("smoke/benchmark-*/*.jsonl")) for folder in (whole, killed)]
    assert [a.read_bytes() for a in files[0]] == [b.read_bytes() for b in files[1]]
    n_lines = sum(len(file.read_text().splitlines()) for file in files[1])
    assert len(seen) == n_lines and found == expected


@pytest.mark.parametrize(
    "name", ["COCO_train2014_{:012d}.jpg", "COCO_val2014_{:012d}.jpg", "{:012d}.jpg"]
)
@pytest.mark.parametrize("benchmark", ["pope", "chair", "vqav2"])
def test_a_benchmark_about_a_training_image_is_refused_before_anything_is_asked(
    name, benchmark, data, adapter, tmp_path, monkeypatch
):
    image = next((data / "val2014").iterdir()).name
    row = {"image": name.format(int(image[-16:-4])), "question": "?", "answer": "A cup."}
    (tmp_path / "pairs.json").write_text(json.dumps([row]))
    seen = asked(monkeypatch)
    run = Benchmarks(laboratory(data, tmp_path)).run(
        [benchmark], adapter, str(tmp_path / "pairs.json")
    )
    with pytest.raises(SeedError, match=f"{benchmark}: 1 of its images were trained on .*{image}"):
        list(run)
    assert not seen


def test_an_adapter_of_unknown_training_images_is_refused_unless_that_is_said(
    data, adapter, tmp_path
):
    lab = Experiment.open(
        str(ROOT / "params/photos.yaml"),
        {
            "benchmarks_dir": str(data),
            "runs_dir": str(tmp_path),
            "data_root": str(tmp_path / "none"),
        },
    )
    with pytest.raises(SeedError, match=r"cannot be told .*--trained-on unknown"):
        list(Benchmarks(lab).run(["mme"], adapter))


def test_a_benchmark_without_data_is_a_sentence_with_the_download(tmp_path, data):
    (outcome,) = Benchmarks(laboratory(tmp_path / "none", tmp_path)).run(["seedbench"])
    assert outcome.rows == [] and len(outcome.notes) == 1
    assert "hf download AILab-CVC/SEED-Bench" in outcome.notes[0]
    with pytest.raises(SeedError, match="benchmark 'popes' is unknown; there are pope, chair"):
        list(Benchmarks(laboratory(data, tmp_path)).run(["popes"]))


def test_the_newest_score_of_a_figure_is_shown(data, tmp_path):
    lab = laboratory(data, tmp_path)
    list(Benchmarks(lab).run(["mme"]))
    rows = scored_rows(lab.runs)
    (file,) = lab.runs.glob("scores-mme-*/scores.json")
    later = lab.runs / "scores-mme-base-later"
    later.mkdir()
    changed = json.loads(file.read_text())
    changed["rows"] = [changed["rows"][0] | {"value": 0.123}]
    (later / "scores.json").write_text(json.dumps(changed))
    newest = scored_rows(lab.runs)
    assert len(newest) == len(rows) and newest[0]["value"] == 0.123 and newest[1:] == rows[1:]


def test_tables_put_models_side_by_side(data, adapter, pairs, tmp_path):
    lab = laboratory(data, tmp_path)
    rows = [r for one in Benchmarks(lab).run(["pope", "mme"], adapter, pairs) for r in one.rows]
    shown = headlines(rows)
    assert {row["metric"] for row in shown} == set(BENCHMARKS["pope"].headline.metrics) | {"score"}
    levels, differences = level_table(shown), difference_table(shown)
    assert list(levels.columns)[:6] == ["benchmark", "split", "rule", "metric", "base", "v7"]
    assert "base" not in differences and "threshold_control" in differences
    assert level_table([]).empty and difference_table([]).empty
    page = compact(shown)
    assert list(page.columns) == ["benchmark", "metric", "base", "v7", "control"]
    assert page["benchmark"][0] == "pope random (official)" and len(page) == len(levels)
    assert list(compact(shown, "base").columns) == ["benchmark", "metric", "v7", "control"]
    assert compact([]).empty


def test_a_contestant_is_named_after_its_training_or_its_folder(adapter, tmp_path):
    assert Contestant.of(adapter).name == "v7"
    other = tmp_path / "my best-model" / "adapter"
    other.mkdir(parents=True)
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        (other / name).write_bytes(b"")
    assert Contestant.of(other).name == "my_best_model"
    with pytest.raises(SeedError, match="not an adapter folder"):
        Contestant.of(tmp_path)


def test_the_command_prints_rows_and_names_what_is_missing(data, tmp_path, capsys):
    common = ["evaluate", "--params", SMOKE, "-p", f"runs_dir={tmp_path}", "-p"]
    here = [*common, f"benchmarks_dir={data}", "--benchmarks"]
    assert main([*here, "mme", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["benchmark"] for row in rows} == {"mme"}
    assert main([*here, "mme"]) == 0
    assert "existence" in capsys.readouterr().out
    assert main([*common, "benchmarks_dir=nowhere", "--benchmarks", "mme,amber"]) == 1
    printed = capsys.readouterr().err
    assert "unzip MME_Benchmark_release_version.zip" in printed and "gdown" in printed
    assert main(["evaluate", "--params", SMOKE]) == 1
    assert "give --model FOLDER, or --benchmarks" in capsys.readouterr().err


def test_an_adapter_trained_anew_under_the_same_name_is_asked_anew(data, adapter, tmp_path):
    bench = Benchmarks(laboratory(data, tmp_path))
    other = shutil.copytree(adapter, tmp_path / adapter.parent.name / "adapter")
    config = json.loads((other / "adapter_config.json").read_text())
    (other / "adapter_config.json").write_text(json.dumps(config | {"lora_alpha": 1}))
    material = bench.material("vqav2")
    stages = [bench._answered(material, Contestant.of(folder)) for folder in (adapter, other)]
    assert stages[0].name == stages[1].name and stages[0].key != stages[1].key


def test_every_setting_that_changes_answers_changes_the_stage(data, tmp_path):
    base = Contestant("base", None)
    stages = set()
    for changed in (
        {},
        {"max_new_tokens": 8},
        {"image_fit": "crop"},
        {"prompt_template": "vicuna_v1"},
    ):
        values = {"benchmarks_dir": str(data), "runs_dir": str(tmp_path)} | changed
        bench = Benchmarks(Experiment.open(SMOKE, values))
        stages.add(bench._answered(bench.material("vqav2"), base).key)
    assert len(stages) == 4
