"""LLaVA-Instruct to pairs: nothing is lost silently, and labels made here are true."""

import gzip
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from seednb.core.errors import SeedError
from seednb.data.coco import CocoSplit, load_split
from seednb.data.instruct import (
    Pair,
    build_conversations,
    prepare_data,
    read_pairs,
    summarise,
    to_pairs,
    write_pairs,
)
from seednb.data.readers import Skipped

PROBE = re.compile(r"Is there an? (.+) in the image\?")
EMPTY = ("empty question", "empty answer")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two whole images and a cut one."""
    path = tmp_path_factory.mktemp("images")
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", (16, 16), "red").save(path / name)
    (path / "cut.jpg").write_bytes((path / "a.jpg").read_bytes()[:-9])
    return path


def record(image: object, *turns: object) -> dict[str, Any]:
    """A record whose turns are (speaker, text) or anything at all."""
    messages = [
        {"from": turn[0], "value": turn[1]} if isinstance(turn, tuple) else turn for turn in turns
    ]
    return {"id": "r", "image": image, "conversations": messages}


ASKED = (("human", "<image>\nWhat?"), ("gpt", "A cat."))


def reasons(skipped: list[Skipped]) -> list[str]:
    return [entry.reason for entry in skipped]


def coco_split(
    objects: dict[int, list[str]], captions: dict[int, list[str]], categories: list[str]
) -> CocoSplit:
    ids = sorted(objects)
    images = pd.DataFrame({"image_id": ids, "file_name": [f"{i}.jpg" for i in ids]})
    return CocoSplit("train", Path(), images, objects, pd.DataFrame(), captions, categories)


def test_every_question_with_its_answer_is_a_pair_in_order(folder: Path) -> None:
    talk = [
        record("b.jpg", *ASKED, ("human", "Where?"), ("gpt", " There. ")),
        record("a.jpg", *ASKED),
    ]
    pairs, skipped = to_pairs(talk, folder)
    assert pairs == [
        Pair("b.jpg", "What?", "A cat."),
        Pair("b.jpg", "Where?", "There."),
        Pair("a.jpg", "What?", "A cat."),
    ]
    assert not skipped


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<image>\nWhat?", "What?"),
        ("What?\n<image>", "What?"),
        ("What <image> is it?", "What is it?"),
        ("<image><image>What?", "What?"),
        ("<ima<image>ge>What?", "<ima ge>What?"),
        ("Line 1\nline 2", "Line 1\nline 2"),
    ],
)
def test_the_image_tag_goes_wherever_it_stands(folder: Path, text: str, expected: str) -> None:
    pairs, _ = to_pairs([record("a.jpg", ("human", text), ("gpt", "Yes<image>"))], folder)
    assert pairs == [Pair("a.jpg", expected, "Yes")]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"id": "r", "conversations": [*ASKED]}, "text-only record, no image"),
        (record(None, *ASKED), "text-only record, no image"),
        (record(["a.jpg"], *ASKED), "image is not a file name"),
        (record("gone.jpg", *ASKED), "image is missing"),
        (record("cut.jpg", *ASKED), "image is damaged"),
        (record("../a.jpg", *ASKED), "image name leaves its folder"),
        (record("/etc/passwd", *ASKED), "image name leaves its folder"),
        (record("a.jpg"), "no conversation"),
        ({"image": "a.jpg"}, "no conversation"),
        ("text", "not a record"),
        (record("a.jpg", ("human", "<image>"), ("gpt", "Yes")), "empty question"),
        (record("a.jpg", ("human", "What?"), ("gpt", " \n")), "empty answer"),
        (record("a.jpg", ("gpt", "Yes")), "answer without a question"),
        (record("a.jpg", ("human", "What?")), "question without an answer"),
        (record("a.jpg", ("system", "Be kind.")), "neither a human nor a gpt turn"),
        (record("a.jpg", {"from": "human", "value": 5}), "neither a human nor a gpt turn"),
        (record("a.jpg", "What?"), "neither a human nor a gpt turn"),
    ],
)
def test_what_cannot_be_used_is_skipped_with_its_reason(
    folder: Path, entry: Any, reason: str
) -> None:
    pairs, skipped = to_pairs([record("a.jpg", *ASKED), entry, record("b.jpg", *ASKED)], folder)
    assert [pair.image for pair in pairs] == ["a.jpg", "b.jpg"]
    assert reasons(skipped) == [reason]
    assert skipped[0].item.startswith("record 1")


def test_a_skipped_turn_is_named_by_record_id_and_position(folder: Path) -> None:
    talk = [record("a.jpg", *ASKED, ("human", "Where?"), ("gpt", ""))]
    assert to_pairs(talk, folder)[1] == [Skipped("record 0 (id r), turn 3", "empty answer")]


def test_an_answer_belongs_to_the_question_right_before_it(folder: Path) -> None:
    turns = (("human", "1?"), ("human", "2?"), ("gpt", "two"), ("gpt", "three"))
    pairs, skipped = to_pairs([record("a.jpg", *turns)], folder)
    assert pairs == [Pair("a.jpg", "2?", "two")]
    assert reasons(skipped) == ["question without an answer", "answer without a question"]


TURN = st.one_of(
    st.tuples(
        st.sampled_from(["human", "gpt", "system"]),
        st.sampled_from(["", " ", "<image>", "<image>\nWhat?", "a <image> b", "Yes"]),
    ),
    st.none(),
)


@given(st.lists(TURN, min_size=1, max_size=8))
def test_every_turn_is_in_a_pair_or_skipped(folder: Path, turns: list[Any]) -> None:
    pairs, skipped = to_pairs([record("a.jpg", *turns)], folder)
    n_empty = sum(reason in EMPTY for reason in reasons(skipped))  # these take two turns each
    assert 2 * len(pairs) + len(skipped) + n_empty == len(turns)
    for pair in pairs:
        assert "<image>" not in pair.question + pair.answer
        assert pair.question == pair.question.strip() != ""
        assert pair.answer == pair.answer.strip() != ""


@pytest.mark.parametrize("max_samples", [1, 2, 3, 4, 9])
def test_max_samples_counts_pairs_and_keeps_the_first(folder: Path, max_samples: int) -> None:
    talk = [record(name, *ASKED, *ASKED) for name in ("a.jpg", "b.jpg")]
    everything, _ = to_pairs(talk, folder)
    assert to_pairs(talk, folder, max_samples)[0] == everything[:max_samples]


@pytest.mark.parametrize("max_samples", [0, -1])
def test_max_samples_below_one_is_an_error(folder: Path, max_samples: int) -> None:
    with pytest.raises(SeedError, match=f"max_samples={max_samples}"):
        to_pairs([record("a.jpg", *ASKED)], folder, max_samples)


def test_an_image_may_lie_under_cocos_older_name(tmp_path: Path) -> None:
    lies_as = "COCO_train2014_000000033471.jpg"
    Image.new("RGB", (4, 4)).save(tmp_path / lies_as)
    pairs, skipped = to_pairs([record("000000033471.jpg", *ASKED)], tmp_path)
    assert [pair.image for pair in pairs] == [lies_as]
    assert not skipped


def test_reasons_are_counted(folder: Path) -> None:
    talk = [record("x.jpg", *ASKED), record("cut.jpg", *ASKED), record("y.jpg", *ASKED)]
    table = summarise(to_pairs(talk, folder)[1])
    assert table.to_dict("records") == [
        {"reason": "image is missing", "count": 2},
        {"reason": "image is damaged", "count": 1},
    ]
    assert summarise([]).columns.tolist() == ["reason", "count"]


CATEGORIES = ["apple", "cat", "dog", "dining table", "zebra"]


@given(
    st.dictionaries(
        st.integers(1, 999),
        st.lists(st.sampled_from(CATEGORIES), unique=True),
        min_size=1,
        max_size=5,
    ),
    st.integers(0, 4),
)
def test_made_labels_are_true_and_balanced(objects: dict[int, list[str]], k: int) -> None:
    captions = {image_id: ["A dog.", "Two dogs at a big table. "] for image_id in objects}
    talk = build_conversations(coco_split(objects, captions, CATEGORIES), seed=0, k=k)
    assert [entry["image"] for entry in talk] == [f"{i}.jpg" for i in sorted(objects)]
    for entry, (_, present) in zip(talk, sorted(objects.items()), strict=True):
        texts = [message["value"] for message in entry["conversations"]]
        questions, answers = texts[::2], texts[1::2]
        assert questions[0].startswith("<image>\n")
        assert answers[0] == "Two dogs at a big table."
        asked = [PROBE.fullmatch(question)[1] for question in questions[1:]]  # type: ignore[index]
        assert len(asked) == len(set(asked))
        for name, answer in zip(asked, answers[1:], strict=True):
            assert answer == ("Yes" if name in present else "No")
            assert answer == "Yes" or name not in ("dog", "dining table")  # captions tell of them
        absent = set(CATEGORIES) - {*present, "dog", "dining table"}
        n_each = min(k, len(present), len(absent))
        assert Counter(answers[1:]) == Counter(Yes=n_each, No=n_each)


def test_a_record_depends_on_its_own_image_and_the_seed() -> None:
    objects = {i: ["cat", "zebra"] for i in range(1, 30)}
    captions = {i: ["A cat."] for i in objects}
    some = {i: objects[i] for i in range(1, 9)}
    talk = build_conversations(coco_split(objects, captions, CATEGORIES), seed=0)
    assert build_conversations(coco_split(some, captions, CATEGORIES), seed=0) == talk[:8]
    assert build_conversations(coco_split(objects, captions, CATEGORIES), seed=1) != talk
    first_probes = {entry["conversations"][3]["value"] for entry in talk}
    assert first_probes == {"Yes", "No"}


def test_an_image_without_captions_and_objects_is_skipped_with_a_reason(folder: Path) -> None:
    split = coco_split({1: []}, {1: []}, CATEGORIES)
    split.images["file_name"] = "a.jpg"
    assert reasons(to_pairs(build_conversations(split, 0), folder)[1]) == ["no conversation"]


TEXT = st.text(min_size=1).filter(str.strip)


@given(st.lists(st.builds(Pair, TEXT, TEXT, TEXT), min_size=1, max_size=4))
def test_pairs_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[Pair]
) -> None:
    path = tmp_path_factory.mktemp("pairs") / "pairs.json"
    write_pairs(path, pairs)
    assert read_pairs(path) == pairs
    assert set(json.loads(path.read_text())[0]) == {"image", "question", "answer"}


GOOD = {"image": "a.jpg", "question": "What?", "answer": "A cat."}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({}, "expected a JSON list"),
        ([], "expected a JSON list with at least one pair"),
        ([GOOD, "x"], "pair 1: a str, not an object"),
        ([GOOD, {"image": "a.jpg", "question": "What?"}], "pair 1: 'answer' is missing"),
        ([GOOD | {"question": 5}], "pair 0: 'question' is 5, expected a text"),
        ([GOOD | {"image": None}], "pair 0: 'image' is None, expected a text"),
        ([GOOD | {"answer": " "}], "pair 0: 'answer' is ' ', expected a text"),
        ([record("a.jpg", *ASKED)], "pair 0: this is a LLaVA-Instruct file"),
    ],
)
def test_a_bad_pair_is_named_by_its_index(tmp_path: Path, entries: Any, message: str) -> None:
    (tmp_path / "pairs.json").write_text(json.dumps(entries))
    with pytest.raises(SeedError, match=rf"pairs\.json.*{message}.*; make pairs with: seednb prep"):
        read_pairs(tmp_path / "pairs.json")


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([Pair("a.jpg", "What?", "A cat."), Pair("a.jpg", "", "Yes")], "pair 1: 'question' is ''"),
        ([], "there is no pair to write"),
    ],
)
def test_bad_pairs_are_not_written(tmp_path: Path, pairs: list[Pair], message: str) -> None:
    with pytest.raises(SeedError, match=message):
        write_pairs(tmp_path / "pairs.json", pairs)
    assert not list(tmp_path.iterdir())


def test_preparing_writes_pairs_and_counts_the_rest(folder: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "instruct.json", tmp_path / "new" / "pairs.json"
    source.write_text(json.dumps([record("a.jpg", *ASKED, *ASKED), record("gone.jpg", *ASKED)]))
    assert prepare_data(source, folder, output) == {
        "records": 2,
        "pairs": 2,
        "images": 1,
        "skipped": 1,
        "skipped, image is missing": 1,
        "output": str(output),
    }
    assert read_pairs(output) == [Pair("a.jpg", "What?", "A cat.")] * 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "has no usable pair .it is empty"),
        (json.dumps([record("gone.jpg", *ASKED)]), "no usable pair .image is missing: 1"),
        ('{"a": 1}', "expected LLaVA-Instruct's JSON list of records, not a dict"),
        ("[\n{,}]", "line 2, column 2: not JSON"),
    ],
)
def test_nothing_is_written_if_there_is_no_pair(
    folder: Path, tmp_path: Path, content: str, message: str
) -> None:
    (tmp_path / "instruct.json").write_text(content)
    with pytest.raises(SeedError, match=rf"instruct\.json.*{message}"):
        prepare_data(tmp_path / "instruct.json", folder, tmp_path / "pairs.json")
    assert not (tmp_path / "pairs.json").exists()


def test_preparing_names_a_missing_folder_of_images(tmp_path: Path) -> None:
    (tmp_path / "instruct.json").write_text("[]")
    with pytest.raises(SeedError, match=r"no folder of images .*train2014; run: seednb doctor"):
        prepare_data(tmp_path / "instruct.json", tmp_path / "train2014", tmp_path / "pairs.json")


@pytest.mark.reference
def test_genuine_images_round_trip_through_conversations_to_pairs(
    reference: Path, tmp_path: Path
) -> None:
    coco50 = reference / "coco50"
    split = load_split(
        "train",
        coco50 / "images",
        coco50 / "instances_train2017.json",
        coco50 / "captions_train2017.json",
    )
    (tmp_path / "instruct.json").write_text(json.dumps(build_conversations(split, seed=0, k=1)))
    summary = prepare_data(tmp_path / "instruct.json", split.image_dir, tmp_path / "pairs.json")
    pairs = read_pairs(tmp_path / "pairs.json")
    # 50 descriptions, and a yes and a no for the 49 images that have an annotated object
    assert (summary["pairs"], summary["images"], summary["skipped"]) == (148, 50, 0)
    answers = Counter(pair.answer for pair in pairs)
    assert (answers["Yes"], answers["No"]) == (49, 49)


@pytest.mark.reference
def test_genuine_no_labels_agree_with_published_ground_truth(reference: Path) -> None:
    coco50 = reference / "coco50"
    split = load_split(
        "train",
        coco50 / "images",
        coco50 / "instances_train2017.json",
        coco50 / "captions_train2017.json",
    )
    with gzip.open(reference / "chair/gt_lemma.json.gz", "rt") as stream:
        truth = json.load(stream)
    wrong = total = 0
    for entry in build_conversations(split, seed=0, k=80):
        said = [message["value"] for message in entry["conversations"][2:]]
        for question, answer in zip(said[::2], said[1::2], strict=True):
            name = PROBE.fullmatch(question)[1]  # type: ignore[index]
            present = name in truth[str(int(entry["id"]))]
            wrong += present != (answer == "Yes")
            total += 1
    assert total > 250
    assert wrong / total < 0.01  # synonyms in captions that share no word with the category
