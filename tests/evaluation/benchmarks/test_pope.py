"""POPE: parsers, joining, counting and building."""

import gzip
import json
import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from seednb.core.errors import SeedError
from seednb.data.probes import SPLITS, build_probes, probe_question
from seednb.data.readers import read_json_lines, read_rows
from seednb.evaluation.benchmarks import pope
from seednb.evaluation.parsers import PARSERS, parse_answer
from seednb.evaluation.records import join_answers, pair_by_id

ANSWERS = {  # text: official, vcd, opera, lmms-eval, vlmevalkit, strict
    "Yes": "yes yes yes yes yes yes",
    "no": "no no no no no no",
    "No.": "no no no unclear no no",
    " yes\n": "yes yes yes yes yes yes",
    "NO": "yes no no no no no",
    "No\n": "yes no yes no no no",
    "": "yes unclear yes unclear unclear unclear",
    "No, there is not": "no no no unclear no unclear",
    "Yes. It is not small": "yes unclear no unclear yes unclear",
    "There isn't any": "yes unclear no unclear unclear unclear",
    "I don't know": "yes no no unclear unclear unclear",
    "Yes, no": "no unclear no unclear unclear unclear",
    "Yes,there is": "yes yes yes unclear yes unclear",
    "Yes,there is, ok": "yes yes yes unclear unclear unclear",  # every comma is deleted
    "Yes,there is ,ok": "yes yes yes unclear unclear unclear",
    "No, sir": "no no no unclear no unclear",
    "It is not": "no no no unclear unclear unclear",
    "1,0 yes-ish": "yes yes yes unclear unclear unclear",  # every mark goes: "yesish"
    "1,,0 yes-ish": "yes yes yes unclear yes unclear",  # two commas are no such number
}


@pytest.mark.parametrize("text", ANSWERS)
def test_each_evaluator_reads_an_answer_its_own_way(text):
    read = {parser: parse_answer(text, parser) for parser in PARSERS}
    assert read == dict(zip(PARSERS, ANSWERS[text].split(), strict=True))


@given(st.text())
def test_any_text_gets_a_verdict(text):
    assert {parse_answer(text, p) for p in PARSERS} <= {"yes", "no", "unclear"}


def test_unknown_parser_is_named_with_the_known_ones():
    with pytest.raises(SeedError, match=r"'naive' is unknown.*official, vcd.*strict"):
        parse_answer("yes", "naive")


def records(*rows):
    """(label, answer) pairs, two an image."""
    frame = pd.DataFrame(rows, columns=["label", "answer"])
    return frame.assign(image=[f"{i // 2}.jpg" for i in range(len(rows))])


def outcome(label, answer, parser):
    row = pope.outcomes(records((label, answer)), parser).iloc[0]
    assert row["n"] == 1
    return " ".join(name for name in pope.COUNTS[:-1] if row[name])


def test_an_answer_falls_into_one_of_four_cells():
    cells = [outcome(*case, "official") for case in [("yes", "Yes"), ("no", "Yes")]]
    cells += [outcome(*case, "official") for case in [("no", "No"), ("yes", "No")]]
    assert cells == ["TP", "FP", "TN", "FN"]


def test_unclear_answers_count_as_each_evaluator_counts_them():
    assert outcome("yes", "maybe", "lmms-eval") == "unclear"
    assert outcome("yes", "maybe", "vlmevalkit") == "FN unclear"
    assert outcome("no", "maybe", "vlmevalkit") == "unclear"
    assert outcome("no", "maybe", "strict") == "unclear"


def test_vcd_finds_a_hedge_right_for_both_labels_and_silence_wrong_for_both():
    assert [outcome(label, "yes and no", "vcd").split()[0] for label in ("yes", "no")] == [
        "TP",
        "TN",
    ]
    assert [outcome(label, "maybe", "vcd").split()[0] for label in ("yes", "no")] == ["FN", "FP"]


def test_statistics_of_counts_worked_by_hand():
    sums = pd.Series(dict(zip(pope.COUNTS, (3, 1, 4, 2, 0, 12), strict=True))).to_numpy(float)
    figures = {name: float(f(sums)) for name, f in pope.STATISTICS.items()}
    precision, recall = 3 / 4, 3 / 5
    f1 = 2 * precision * recall / (precision + recall)
    expected = [7 / 12, precision, recall, f1, 4 / 12]
    assert_allclose(list(figures.values()), expected)


def test_image_sums_add_up_to_the_rows_and_keep_images_apart():
    frame = records(("yes", "Yes"), ("no", "Yes"), ("no", "No"), ("yes", "No"), ("no", "No"))
    sums = pope.per_image_sums(frame)
    assert list(sums.index) == ["0.jpg", "1.jpg", "2.jpg"]
    assert_array_equal(sums["n"], [2, 2, 1])
    assert_array_equal(sums.sum(), pope.outcomes(frame, "official").sum())


def test_odd_label_is_named():
    with pytest.raises(SeedError, match=r"yes or no.*question_id 1"):
        pope.outcomes(records(("yes", "No"), ("maybe", "No")), "official")
    with pytest.raises(SeedError, match="no label"):
        pope.outcomes(records(("yes", "No")).drop(columns="label"), "official")


def questions(*ids):
    return [
        {"question_id": i, "image": "a", "text": f"Is there a {i}?", "label": "no"} for i in ids
    ]


def replies(*ids):
    return [{"question_id": i, "text": f"answer {i}"} for i in ids]


def test_answers_are_joined_by_id_whatever_their_order_and_type():
    joined = join_answers(questions(1, 2, 3), replies("3", 1, 2))
    assert list(joined["question_id"]) == [1, 2, 3]
    assert list(joined["answer"]) == ["answer 1", "answer 2", "answer 3"]
    assert list(joined["text"]) == ["Is there a 1?", "Is there a 2?", "Is there a 3?"]


def test_missing_double_and_foreign_ids_are_listed():
    with pytest.raises(SeedError, match=r"answered twice: 1;.*such question: 9;.*no answer: 2, 3"):
        join_answers(questions(1, 2, 3), replies(1, 1, 9))
    with pytest.raises(SeedError, match="questions given twice: 1"):
        join_answers(questions(1, 1), replies(1))
    with pytest.raises(SeedError, match="no answer: 1, 2, 3, 4, 5 and 4 more"):
        join_answers(questions(*range(10)), replies(0))


def test_partial_answers_are_scored_only_on_request_and_never_when_foreign():
    assert len(join_answers(questions(1, 2), replies(2), allow_partial=True)) == 1
    with pytest.raises(SeedError, match="no such question"):
        join_answers(questions(1, 2), replies(3), allow_partial=True)
    with pytest.raises(SeedError, match="no answer"):
        join_answers(questions(1, 2), [], allow_partial=True)


def test_answers_without_ids_must_repeat_their_questions():
    official = [{"question": f"is there a {i}?", "answer": "no"} for i in (1, 2)]
    assert list(join_answers(questions(1, 2), official)["answer"]) == ["no", "no"]
    with pytest.raises(SeedError, match="answer 1 has no question_id"):
        join_answers(questions(1, 2), official[::-1])
    with pytest.raises(SeedError, match="2 answers without question_id for 3 questions"):
        join_answers(questions(1, 2, 3), official)


def test_answer_without_text_is_named():
    with pytest.raises(SeedError, match="answer 1 has no text"):
        join_answers(questions(1), [{"question_id": 1, "answer": None}])


def test_a_score_names_its_parser_its_counts_and_its_figures_and_wants_every_answer():
    asked = [*questions(1), *({**row, "label": "yes"} for row in questions(2, 3))]
    said = [{"question_id": i, "text": text} for i, text in ((1, "Yes"), (2, "Yes"), (3, "No"))]
    assert pope.score(asked, said, "vcd") == {
        **{"parser": "vcd", "TP": 1, "FP": 1, "TN": 0, "FN": 1, "unclear": 0, "n": 3},
        **{"accuracy": 1 / 3, "precision": 0.5, "recall": 0.5, "f1": 0.5, "yes_ratio": 2 / 3},
    }
    with pytest.raises(SeedError, match="no answer: 3"):
        pope.score(asked, said[:2], "vcd")


def test_every_question_needs_an_id_an_answer_and_an_answer_its_question():
    with pytest.raises(SeedError, match="no answer: 2"):
        pair_by_id(questions(1, 2), replies(1))
    with pytest.raises(SeedError, match=r"^question \{'label': 'no'\} has no question_id"):
        pair_by_id([{"label": "no"}], replies(1))


def test_recorded_margins_come_along_as_numbers():
    joined = join_answers(questions(1, 2), [row | {"margin": 2} for row in replies(1, 2)])
    assert joined["margin"].tolist() == [2.0, 2.0] and joined["margin"].dtype == float
    assert "margin" not in join_answers(questions(1), replies(1))


@pytest.mark.parametrize("margin", ["2", True, float("nan"), float("inf"), [1.0]])
def test_a_margin_that_is_no_finite_number_is_named(margin):
    with pytest.raises(SeedError, match=r"answer 1: margin .* must be a finite number"):
        join_answers(questions(1), [replies(1)[0] | {"margin": margin}])


WORLD = {
    "a": ["cup", "fork", "dog", "car"],
    "b": ["cup", "fork", "cat"],
    "c": ["cup", "dog", "bus"],
    "d": ["car", "bus", "apple"],
    "e": ["cup"],
}


def test_parsers_move_the_score_and_the_answers_they_differ_on_are_shown():
    texts = ["Yes", "No", "NO", "Yes, it is not blurred", "I know it", "yes."]
    frame = pd.DataFrame({"question_id": range(6), "label": ["yes", "no"] * 3, "answer": texts})
    table = pope.parser_table(frame).set_index("parser")
    for parser in table.index:
        expected = pope.outcomes(frame, parser).sum()
        right = expected["TP"] + expected["TN"]
        assert table.loc[parser, "accuracy"] == pytest.approx(right / 6)
        assert table.loc[parser, "unclear"] == expected["unclear"]
    differ = pope.disagreements(frame)
    assert list(differ["question_id"]) == [2, 3, 4, 5]
    assert list(differ.columns) == ["question_id", "label", "answer", *PARSERS]
    assert differ.loc[2, ["official", "opera", "strict"]].tolist() == ["yes", "no", "no"]


def test_a_probe_has_what_popes_files_have_and_says_its_split_and_object():
    (first, *_) = build_probes(WORLD, "popular", seed=0)
    assert first == {
        "question_id": 1,
        "image": "a",
        "text": "Is there a cup in the image?",
        "label": "yes",
        "split": "popular",
        "object": "cup",
    }


@pytest.mark.parametrize("split", SPLITS)
def test_probes_alternate_and_deny_only_what_is_absent_and_new(split):
    probes = build_probes(WORLD, split, seed=0)
    assert [p["question_id"] for p in probes] == list(range(1, 25))
    assert [p["label"] for p in probes] == ["yes", "no"] * 12
    for image, names in WORLD.items():
        asked = [p["object"] for p in probes if p["image"] == image]
        assert len(set(asked)) == len(asked)
        assert asked[::2] == (names[:3] if len(names) >= 3 else [])
        assert not set(asked[1::2]) & set(names)


def test_negatives_of_a_small_world_worked_by_hand():
    def negatives(split):
        probes = build_probes(WORLD, split, seed=0)
        return [p["object"] for p in probes if p["image"] == "d"][1::2]

    # image d holds car, bus, apple; popular: cup 3, fork, dog, car and bus 2, cat and apple 1
    assert negatives("popular") == ["cup", "fork", "dog"]
    # partners of car: cup, fork, dog, ...; of bus: cup, dog, ...; of apple: car and bus alone, so
    # that the third is drawn from what is left
    *ranked, drawn = negatives("adversarial")
    assert ranked == ["cup", "dog"]
    assert drawn in {"fork", "cat"}


def test_splits_share_their_images_and_positives():
    def positives(split):
        probes = build_probes(WORLD, split, seed=5, n_images=3)
        return [(p["image"], p["object"]) for p in probes if p["label"] == "yes"]

    assert positives("random") == positives("popular") == positives("adversarial")


def test_same_seed_same_probes_and_another_seed_other_negatives():
    world = {str(i): [f"w{i}", f"w{i + 1}", f"w{i + 2}"] for i in range(40)}
    first = build_probes(world, "random", seed=1)
    assert first == build_probes(world, "random", seed=1)
    assert first != build_probes(world, "random", seed=2)


def test_min_objects_lets_poorer_images_in():
    probes = build_probes(WORLD, "popular", seed=0, min_objects=1)
    assert [p["object"] for p in probes if p["image"] == "e"] == ["cup", "fork"]


def test_frequencies_can_come_from_other_images():
    elsewhere = {"x": ["kite", "cup"], "y": ["kite"]}
    for split in ("popular", "adversarial"):
        probes = build_probes(WORLD, split, seed=0, positives=1, co_occurrence_source=elsewhere)
        assert {p["object"] for p in probes if p["label"] == "no"} <= {"kite", "cup"}
        assert probes[1]["object"] == "kite"


def test_impossible_builds_say_what_to_change():
    with pytest.raises(SeedError, match="4 of 5 images have 3 objects or more, 9 are needed"):
        build_probes(WORLD, "random", seed=0, n_images=9)
    with pytest.raises(SeedError, match="image a: no object is left"):
        build_probes({"a": ["cup", "fork", "dog"]}, "popular", seed=0)
    with pytest.raises(SeedError, match="'hard' is unknown"):
        build_probes(WORLD, "hard", seed=0)


def test_article_follows_the_first_letter():
    assert probe_question("umbrella") == "Is there an umbrella in the image?"
    assert probe_question("skis") == "Is there a skis in the image?"


@pytest.mark.parametrize("as_list", [True, False])
def test_vcds_files_on_other_images_are_read_as_list_and_as_lines(tmp_path, as_list):
    # A-OKVQA's images are COCO's, GQA's have bare numbers; VCD has three positives, then three
    # negatives, an image, and stores some files as an indented list
    asked = [("COCO_val2014_000000461751.jpg", "building", "yes"), ("2405722.jpg", "grass", "yes")]
    asked += [("COCO_val2014_000000461751.jpg", "microwave", "no"), ("2405722.jpg", "cat", "no")]
    probes = [
        {"question_id": n, "image": image, "text": probe_question(name), "label": label}
        for n, (image, name, label) in enumerate(asked, start=1)
    ]
    answers = [
        {"question_id": n, "prompt": probes[n - 1]["text"], "text": text}
        for n, text in enumerate(["Yes", "No", "No", "Yes, a cat."], start=1)
    ]
    files = tmp_path / "gqa_pope_seem_random.json", tmp_path / "answers.jsonl"
    for file, rows in zip(files, (probes, answers), strict=True):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        file.write_text(json.dumps(rows, indent=4) if as_list else lines)
    result = pope.score(read_rows(files[0]), read_rows(files[1]), "vcd")
    assert [result[name] for name in pope.COUNTS] == [1, 1, 1, 1, 0, 4]


@pytest.mark.reference
@pytest.mark.parametrize(
    ("split", "counts"),
    [("random", (1182, 31, 1379, 318, 0, 2910)), ("popular", (1182, 59, 1441, 318, 0, 3000))],
)
def test_authors_answers_give_the_published_counts(reference, split, counts):
    folder = reference / "pope" / "llava_13b"
    asked = read_json_lines(folder / f"questions_{split}.jsonl")
    answered = read_json_lines(folder / f"answers_{split}.jsonl")
    result = pope.score(asked, answered, "official")
    assert tuple(result[name] for name in pope.COUNTS) == counts


@pytest.mark.reference
def test_builder_reproduces_the_official_popular_probes(reference):
    official = read_json_lines(reference / "pope" / "coco_pope_popular.json")
    with gzip.open(reference / "chair" / "gt_pattern.json.gz") as file:
        present = json.load(file)
    world: dict[str, list[str]] = {}
    for probe in official:
        if probe["label"] == "yes":
            name = re.fullmatch(r"Is there an? (.+) in the image\?", probe["text"])[1]
            world.setdefault(probe["image"], []).append(name)
    for image, names in world.items():
        names += [n for n in present[str(int(image[-16:-4]))] if n not in names]
    built = build_probes(world, "popular", seed=0)
    assert len(built) == 3000
    assert [{key: probe[key] for key in official[0]} for probe in built] == official
