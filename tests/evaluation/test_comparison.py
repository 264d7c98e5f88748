"""A method beside its base: paired intervals, and the controls that say what a gain is made of."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from seednb.cli.__main__ import main
from seednb.data.vocabulary import Vocabulary
from seednb.evaluation.benchmarks.chair import compare_captions
from seednb.evaluation.benchmarks.pope import compare_probes
from seednb.evaluation.comparison import BASE, METHOD, figure_rows, method_and_base, paired
from seednb.evaluation.stats import Resampled

RNG = np.random.default_rng(11)
LABEL = method_and_base("pope", "official", "method.jsonl", "base.jsonl")
N = 80  # images


def probes(shift, noise=1.0, seed=0):
    """Answers of a model that sees as well as any other of its noise, and likes Yes by `shift`."""
    labels = np.tile(["yes", "no"] * 3, N)
    margins = (
        np.random.default_rng(seed).normal(np.where(labels == "yes", 1.0, -1.0), noise) + shift
    )
    return pd.DataFrame(
        {
            "question_id": np.arange(len(labels)),
            "image": np.repeat([f"{n}.jpg" for n in range(N)], 6),
            "label": labels,
            "answer": np.where(margins > 0, "Yes", "No"),
            "margin": margins,
        }
    )


def figures(rows):
    return {(row["model"], row["versus"], row["metric"]): row for row in rows}


def test_a_moved_threshold_gains_accuracy_but_no_area_and_nothing_over_the_control():
    found = figures(compare_probes({METHOD: probes(0.0), BASE: probes(1.5)}, "official", LABEL))
    assert found[METHOD, BASE, "accuracy"]["low"] > 0.03
    assert found[METHOD, BASE, "auc"]["value"] == pytest.approx(0, abs=1e-12)
    against = found[METHOD, "threshold_control", "accuracy"]
    assert against["low"] < 0 < against["high"] and against["n"] == N / 2
    assert found["threshold_control", BASE, "accuracy"]["low"] > 0
    assert found["threshold_control", None, "f1"]["records"] == "base.jsonl"


def test_seeing_better_gains_area_and_beats_the_control():
    better = {METHOD: probes(0.0, noise=0.4, seed=1), BASE: probes(1.5)}
    found = figures(compare_probes(better, "official", LABEL))
    assert found[METHOD, BASE, "auc"]["low"] > 0
    assert found[METHOD, "threshold_control", "accuracy"]["low"] > 0
    level = found[METHOD, None, "auc"]["value"]
    assert level == pytest.approx(
        roc_auc_score(better[METHOD]["label"] == "yes", better[METHOD]["margin"])
    )


def test_without_margins_there_are_counts_only():
    records = {METHOD: probes(0.0), BASE: probes(1.5).drop(columns="margin")}
    rows = list(compare_probes(records, "official", LABEL))
    assert {row["model"] for row in rows} == {METHOD, BASE}
    assert {row["versus"] for row in rows if row["metric"] == "auc"} == {None}


OBJECTS = ("cup", "dog", "bus", "fork", "bed", "tie", "cat", "car")


def captions(n_mentions):
    """The last of every four mentions is not there."""
    rows, truth = [], {}
    for image in range(30):
        order = list(RNG.permutation(OBJECTS))
        truth[image] = set(order) - set(order[3::4])
        text = " and ".join(f"a {name}" for name in order[: n_mentions - image % 2])
        rows.append({"image_id": image, "caption": f"There is {text}."})
    return rows, truth


def test_saying_less_of_the_same_gains_nothing_over_a_base_cut_as_short():
    base, truth = captions(8)
    cut = [row | {"caption": " and ".join(row["caption"].split(" and ")[:3])} for row in base]
    rows = compare_captions(
        {METHOD: cut, BASE: base},
        truth,
        Vocabulary.coco(),
        "pocket",
        method_and_base("chair", "pocket", "m", "b"),
    )
    found = figures(rows)
    assert found[METHOD, BASE, "CHAIRi"]["high"] < 0
    assert (
        found["mention_control", None, "mentions"]["value"]
        == found[METHOD, None, "mentions"]["value"]
    )
    assert found[METHOD, "mention_control", "CHAIRi"]["value"] == 0
    assert found[METHOD, "mention_control", "recall"]["value"] == 0


def test_a_method_that_says_more_has_no_mention_control():
    base, truth = captions(4)
    rows = compare_captions(
        {METHOD: captions(8)[0], BASE: base},
        truth,
        Vocabulary.coco(),
        "pocket",
        method_and_base("chair", "pocket", "m", "b"),
    )
    assert {row["model"] for row in rows} == {METHOD, BASE}


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def files(tmp_path):
    """Questions, a method's answers and a base's, as files."""
    method, base = probes(0.0).to_dict("records"), probes(1.5).to_dict("records")
    questions = [{key: row[key] for key in ("question_id", "image", "label")} for row in method]
    kept = ("question_id", "answer", "margin")
    answers = [[{key: row[key] for key in kept} for row in rows] for rows in (method, base)]
    names = ("q.jsonl", "method.jsonl", "base.jsonl")
    return [write(tmp_path / n, rows) for n, rows in zip(names, (questions, *answers), strict=True)]


def score(files, *more):
    return main(
        [
            "score",
            "pope",
            "--questions",
            files[0],
            "--answers",
            files[1],
            "--baseline",
            files[2],
            *more,
        ]
    )


def test_score_pope_prints_the_comparison_and_its_rows(files, capsys):
    assert score(files, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    found = figures(printed["comparison"])
    assert found[METHOD, None, "accuracy"]["value"] == pytest.approx(printed["accuracy"])
    assert found[METHOD, BASE, "accuracy"]["records"] == files[1]
    assert score(files) == 0
    text = capsys.readouterr().out
    assert "minus base, in points" in text and "minus threshold_control" in text and "auc" in text


def test_bad_baselines_are_a_sentence(files, tmp_path, capsys):
    rows = [json.loads(line) for line in Path(files[2]).read_text().splitlines()]
    files[2] = write(tmp_path / "half.jsonl", rows[: len(rows) // 2])
    assert score(files) == 1 and "no answer: 240" in capsys.readouterr().err
    assert score(files, "--parser", "all") == 1 and "under one rule" in capsys.readouterr().err
    assert score(files, "--allow-partial") == 0 and "minus base" in capsys.readouterr().out
    files[2] = write(tmp_path / "odd.jsonl", [row | {"margin": "high"} for row in rows])
    assert score(files) == 1 and "margin 'high' must be a finite number" in capsys.readouterr().err
    files[2] = write(
        tmp_path / "none.jsonl", [{k: v for k, v in row.items() if k != "margin"} for row in rows]
    )
    assert score(files) == 0 and "the answers have no margins" not in capsys.readouterr().out
    files[1] = write(
        tmp_path / "none2.jsonl", [{k: v for k, v in row.items() if k != "margin"} for row in rows]
    )
    assert score(files) == 0 and "the answers have no margins" in capsys.readouterr().out


def test_score_chair_compares_captions_of_the_same_images(tmp_path, capsys):
    base, truth = captions(8)
    (tmp_path / "gt.json").write_text(
        json.dumps({str(key): sorted(names) for key, names in truth.items()})
    )
    short = [row | {"caption": row["caption"][:20]} for row in base]
    names = [
        write(tmp_path / f"{n}.jsonl", rows)
        for n, rows in enumerate((short, base, base[:9], [{"caption": "x"}]))
    ]
    common = [
        "score",
        "chair",
        "--variant",
        "pocket",
        "--ground-truth",
        str(tmp_path / "gt.json"),
        "--captions",
        names[0],
        "--baseline",
    ]
    assert main([*common, names[1], "--json"]) == 0
    found = figures(json.loads(capsys.readouterr().out)["comparison"])
    assert found[METHOD, "mention_control", "mentions"]["value"] == 0
    assert main([*common, names[2]]) == 1
    assert "do not answer the same (image_id 10, 11" in capsys.readouterr().err
    assert main([*common, names[3]]) == 1
    assert "the baseline has no image_id" in capsys.readouterr().err


def test_seeds_are_paired_and_an_untrained_model_meets_every_seed():
    def figure(value):
        return Resampled(value, np.full(4, value), pd.RangeIndex(2))

    figures = {seed: figure(float(seed)) for seed in (1, 2, 3)}
    assert [each.value for each in paired(figures, figures)] == [0, 0, 0]
    assert [each.value for each in paired(figures, {None: figure(1.0)})] == [0, 1, 2]
    assert [each.value for each in paired({2: figure(5.0), 7: figure(0.0)}, figures)] == [3]


@pytest.mark.parametrize("seeds", [(1,), (1, 2)])
@pytest.mark.parametrize("images", ["ab", "abcd", "acb", "abd"])
def test_a_base_that_was_asked_about_other_images_is_refused(seeds, images):
    def figure(names):
        return Resampled(0.5, np.full(4, 0.5), pd.Index(list(names)))

    method = {seed: figure("abc") for seed in seeds}
    models = {METHOD: method, BASE: {None: figure(images)}}
    with pytest.raises(ValueError, match=r"images and of|different images"):
        list(figure_rows(models, [(METHOD, BASE)], "accuracy", LABEL))
    models[BASE] = {None: figure("abc")}
    assert len(list(figure_rows(models, [(METHOD, BASE)], "accuracy", LABEL))) == 3
