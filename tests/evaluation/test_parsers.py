"""POPE's question and its answers in other languages."""

import re

import pytest

from seednb.core.errors import SeedError
from seednb.data.vocabulary import Vocabulary
from seednb.evaluation.parsers import LANGUAGES, language_named, parse_answer, read_names, translate

PROBE = {"question_id": 1, "image": "a.jpg", "text": "Is there an umbrella in the image?", "label": "yes"}  # fmt: skip


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_object_of_coco_has_a_name_in_every_language(code):
    names = read_names(code)
    assert set(names) == set(Vocabulary.coco().objects)
    assert len(set(names.values())) == len(names)  # no two objects are asked for in the same words


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("zh", "图片中有雨伞吗？"),
        ("de", "Ist ein Regenschirm auf dem Bild zu sehen?"),
        ("es", "¿Hay un paraguas en la imagen?"),
        ("fr", "Y a-t-il un parapluie sur l'image ?"),
    ],
)
def test_a_probe_changes_its_words_and_nothing_else(code, text):
    (probe,) = translate([PROBE], code)
    assert probe == PROBE | {"text": text}


def test_plurals_and_published_misprints_are_understood():
    texts = ["Is there a skis in the image?", "Is there an apple in the imange?", "Is there an traffic light in the image?"]  # fmt: skip
    asked = translate([PROBE | {"text": text} for text in texts], "fr")
    assert [re.split("sur l'image", row["text"])[0].split("il ")[1].strip() for row in asked] == [
        "une paire de skis",
        "une pomme",
        "un feu de circulation",
    ]


@pytest.mark.parametrize(
    ("code", "yes", "no"),
    [
        ("zh", ["是", "是的，有一把雨伞。", "有。", "图中有雨伞", "Yes"], ["否", "不是。", "没有", "图中没有雨伞", "不，没有。", "No"]),
        ("de", ["Ja", "ja, ein Regenschirm.", "Yes."], ["Nein.", "NEIN", "Es ist kein Regenschirm zu sehen."]),
        ("es", ["Sí", "si", "Sí, hay uno."], ["No", "No, no hay.", "NO."]),
        ("fr", ["Oui.", "oui, il y en a un"], ["Non", "Il n'y a pas de parapluie.", "Aucun."]),
    ],
)  # fmt: skip
def test_yes_and_no_are_read_in_each_language(code, yes, no):
    assert {parse_answer(text, code) for text in yes} == {"yes"}
    assert {parse_answer(text, code) for text in no} == {"no"}
    assert parse_answer("", code) == parse_answer("雨 umbrella", code) == "unclear"


def test_bad_input_is_a_sentence(tmp_path):
    with pytest.raises(SeedError, match=r"language 'xx' is unknown; there are zh \(Chinese\)"):
        language_named("xx")
    with pytest.raises(SeedError, match="question 1 is not POPE's"):
        translate([PROBE | {"text": "How many cups are there?"}], "de")
    with pytest.raises(SeedError, match="has no line for 'unicorn'"):
        translate([PROBE | {"text": "Is there a unicorn in the image?"}], "de")
    with pytest.raises(SeedError, match=r"answer parser 'xx' is unknown.*zh"):
        parse_answer("Yes", "xx")


def test_a_table_of_one_s_own_is_checked(tmp_path):
    table = tmp_path / "names.csv"
    table.write_text("en,it\numbrella,\n")
    with pytest.raises(SeedError, match="needs a first line with the columns en and fr"):
        read_names("fr", table)
    table.write_text("en,fr\numbrella,\n")
    with pytest.raises(SeedError, match=r"names\.csv, line 2: a name in en or fr is empty"):
        read_names("fr", table)
    with pytest.raises(SeedError, match="no readable table"):
        read_names("fr", tmp_path / "none.csv")
    table.write_text("en,fr\numbrella,un pépin\n", encoding="utf-8")
    assert "pépin" in translate([PROBE], "fr", table)[0]["text"]
