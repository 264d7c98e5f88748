"""Pairs are left out for a reason that is counted; without a filter nothing changes."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from seednb.cli.__main__ import main
from seednb.core.errors import SeedError
from seednb.core.params import CurationParams
from seednb.core.profiles import load_params
from seednb.data import curation
from seednb.data.curation import Curator, curate, is_trivial, overlap, quality_against_quantity
from seednb.data.instruct import Pair, read_pairs, summarise, to_pairs
from seednb.experiments.dataset import prepare

ROOT = Path(__file__).parents[2]
TALK = (  # as in LLaVA-Instruct: a conversation and a detailed description of one image
    ("What are the colors of the bus in the image?", "The bus in the image is white and red."),
    ("What are the colours of the bus in the image?", "It is white with a red stripe."),
    ("What feature can be seen on the back of the bus?", "The bus in the image is white and red, too."),
    ("Is the bus driving down the street?", "Yes."),
    ("Is the bus parked?", "No, it is not."),
    ("How many people are near it?", "Two."),
    ("Write a detailed description.", "A white and red bus drives down a busy street lined with shops."),
)  # fmt: skip


def pairs(image="a.jpg"):
    return [Pair(image, question, answer) for question, answer in TALK]


def record(image, talk=TALK):
    messages = [
        {"from": speaker, "value": text}
        for turn in talk
        for speaker, text in zip(("human", "gpt"), turn, strict=True)
    ]
    return {"id": image, "image": image, "conversations": messages}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("images")
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", (8, 8)).save(path / name)
    return path


def test_without_a_filter_every_pair_is_kept_in_order():
    assert curate(pairs() + pairs(), CurationParams()) == (pairs() + pairs(), Counter())


@pytest.mark.parametrize(
    ("values", "left_out", "reason"),
    [
        ({"max_question_overlap": 0.4}, [1], "near-duplicate question"),
        ({"max_answer_overlap": 0.5}, [2], "near-duplicate answer"),
        ({"drop_trivial_answers": True}, [3, 4, 5], "trivial answer"),
        ({"min_answer_words": 4}, [3, 5], "answer is too short"),
        ({"max_answer_words": 9}, [2, 6], "answer is too long"),
    ],
)
def test_each_filter_leaves_out_its_pairs_for_its_reason(values, left_out, reason):
    kept, reasons = curate(pairs(), CurationParams(**values))
    assert kept == [pair for n, pair in enumerate(pairs()) if n not in left_out]
    assert reasons == {reason: len(left_out)}
    assert reason in curation.REASONS


def test_the_same_talk_about_another_image_is_no_duplicate():
    strict = CurationParams(max_question_overlap=0, max_answer_overlap=0)
    one, _ = curate(pairs("a.jpg"), strict)
    both, _ = curate(pairs("a.jpg") + pairs("b.jpg"), strict)
    assert len(both) == 2 * len(one) < 2 * len(pairs())


def test_what_was_left_out_is_no_reason_to_leave_out_more():
    chain = [Pair("a", f"{n}?", a) for n, a in enumerate(("a b c d e", "b c d e f", "c d e f g"))]
    kept, _ = curate(chain, CurationParams(max_answer_overlap=0.4))
    assert kept == [chain[0], chain[2]]  # the third is like the second only, which is gone


def test_repeated_short_answers_are_trivial_but_no_duplicates():
    same = [Pair("a", "Is there a cat?", "Yes"), Pair("a", "Can you see a bus?", "Yes")]
    assert curate(same, CurationParams(max_answer_overlap=0))[0] == same


@pytest.mark.parametrize(
    "answer", ["Yes", "no.", "Two.", "Yes, it is.", "No, there aren't.", "..."]
)
def test_an_answer_without_content_is_trivial(answer):
    assert is_trivial(answer)


@pytest.mark.parametrize("answer", ["Yes, a cat.", "It is red.", "No dogs here", "Not that I see"])
def test_an_answer_with_content_is_not_trivial(answer):
    assert not is_trivial(answer)


@given(st.text(max_size=60), st.text(max_size=60))
def test_overlap_is_symmetric_and_one_for_the_same_words(one, other):
    assert overlap(one, one) == overlap(one, f"... {one}!") == 1
    assert 0 <= overlap(one, other) == overlap(other, one) <= 1


def test_overlap_counts_runs_of_three_words():
    # runs: a b c, b c d, c d e | b c d, c d e, d e f
    assert overlap("A b, c d e.", "b c d e f") == 2 / 4
    assert overlap("cat", "Cat!") == 1 and overlap("cat", "dog") == 0


def test_left_out_pairs_are_counted_and_do_not_use_up_the_number_asked_for(folder):
    talks = [record("a.jpg"), {"id": "t", "conversations": []}, record("b.jpg")]
    refuse = Curator(CurationParams(drop_trivial_answers=True))
    kept, skipped = to_pairs(talks, folder, 6, refuse)
    assert len(kept) == 6 and {pair.image for pair in kept} == {"a.jpg", "b.jpg"}
    counts = dict(summarise(skipped).itertuples(index=False, name=None))
    assert counts == {"trivial answer": 3, "text-only record, no image": 1}
    assert skipped[0].item == "record 0 (id a.jpg), turn 7"


def test_the_verb_leaves_out_what_it_is_asked_to(folder, tmp_path, capsys):
    source, output = tmp_path / "talks.json", tmp_path / "pairs.json"
    source.write_text(json.dumps([record("a.jpg")]))
    verb = ["prepare-data", "--input", str(source), "--image-dir", str(folder), "--output", str(output)]  # fmt: skip
    assert main(verb) == 0
    assert read_pairs(output) == pairs()
    assert main([*verb, "-p", "drop_trivial_answers=true", "-p", "max_answer_overlap=0.5"]) == 0
    assert len(read_pairs(output)) == 3
    printed = capsys.readouterr().out
    assert (
        "skipped, trivial answer: 3" in printed and "skipped, near-duplicate answer: 1" in printed
    )
    assert main([*verb, "-p", "min_answer_word=2"]) == 1
    assert "did you mean 'min_answer_words'" in capsys.readouterr().err
    assert main([*verb, "-p", "min_answer_words=99"]) == 1
    assert "no usable pair (answer is too short: 7)" in capsys.readouterr().err


def test_a_profile_curates_both_kinds_of_labels_and_lists_what_it_left_out(tmp_path):
    def prepared(**values):
        return prepare(load_params(ROOT / "params/smoke.yaml", values), tmp_path)

    usual, curated = prepared(), prepared(drop_trivial_answers=True)
    assert usual.skipped == []
    for labels in ("replay", "truthful"):
        wordy = [pair for pair in usual.pairs[labels] if not is_trivial(pair.answer)]
        assert 0 < len(wordy) < len(usual.pairs[labels])
        assert curated.pairs[labels][: len(wordy)] == wordy
    reasons = Counter((s.item.startswith("truthful"), s.reason) for s in curated.skipped)
    assert set(reasons) == {(False, "trivial answer"), (True, "trivial answer")}
    with pytest.raises(SeedError, match=r"replay labels is left \(answer is too short"):
        prepared(min_answer_words=500)


def test_the_curve_trades_pairs_for_quality():
    off = CurationParams()
    settings = {
        "strict": CurationParams(drop_trivial_answers=True, max_answer_overlap=0.3),
        "off": off,
        "content": CurationParams(drop_trivial_answers=True),
    }
    curve = quality_against_quantity(pairs() + pairs("b.jpg"), settings)
    assert list(curve.index) == ["off", "content", "strict"]  # the most pairs first
    assert curve["pairs"].to_list() == [14, 8, 6]
    assert curve.loc["off", "trivial"] == 3 / 7 and curve.loc["content", "trivial"] == 0
    assert curve.loc["off", "words"] < curve.loc["content", "words"]
    assert curve.loc["strict", "like another"] < curve.loc["content", "like another"]
    assert curve.loc["off", "kept"] == 1 and set(curve["images"]) == {2}
    nothing = quality_against_quantity([], {"off": off})
    assert nothing.loc["off", "pairs"] == 0 and nothing["distinct"].isna().all()
