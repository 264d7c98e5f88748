"""CHAIR: the vocabulary, the three ways to read a caption, and the counts."""

import gzip
import json
import re
from collections import defaultdict
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from seednb.core.errors import SeedError
from seednb.data.readers import read_json_lines
from seednb.data.vocabulary import Vocabulary, find_mentions, plural
from seednb.evaluation import parsers, words
from seednb.evaluation.benchmarks import chair
from seednb.evaluation.parsers import drop_unfinished_sentence, extract_objects

NLTK_VARIANTS = ("lemma", "pattern")


@pytest.fixture(scope="module")
def ours():
    return Vocabulary.coco()


@pytest.fixture
def published(reference):
    return Vocabulary.read(reference / "chair" / "synonyms.txt")


def write(tmp_path, text):
    file = tmp_path / "words.txt"
    file.write_text(text)
    return file


def test_our_vocabulary_has_80_objects_and_every_word_reaches_its_object(ours):
    assert len(ours.objects) == len(set(ours.objects)) == 80
    for word, name in ours.object_of.items():
        assert extract_objects(f"I see {word} there", ours, "pocket") == [name], word
        assert extract_objects(f"I see {plural(word)}.", ours, "pocket") == [name], word


@pytest.mark.reference
def test_our_objects_are_cocos_categories(reference, ours):
    coco = json.loads((reference / "coco50" / "instances_train2017.json").read_text())
    assert set(ours.objects) == {category["name"] for category in coco["categories"]}


def test_a_word_of_two_objects_and_an_empty_or_absent_file_are_refused(tmp_path):
    with pytest.raises(SeedError, match="'seat' names both 'chair' and 'couch'"):
        Vocabulary.read(write(tmp_path, "chair, seat\ncouch, seat\n"))
    with pytest.raises(SeedError, match="holds no object"):
        Vocabulary.read(write(tmp_path, "\n"))
    with pytest.raises(SeedError, match="is missing"):
        Vocabulary.read(tmp_path / "absent.txt")


@pytest.mark.parametrize(
    ("caption", "objects"),
    [
        ("Two Dogs, a BUS and some knives.", ["dog", "bus", "knife"]),
        ("Three hot dogs beside a dog", ["hot dog", "dog"]),
        ("a traffic-light and two\nstop  signs", ["traffic light", "stop sign"]),
        ("benches, couches, toothbrushes, ponies", ["bench", "couch", "toothbrush", "horse"]),
        ("a baby elephant on a train track", ["elephant"]),
        ("a passenger train, a toilet seat and a teddy bear", ["train", "toilet", "teddy bear"]),
        ("cart, category, scarcely, busy", []),
        ("", []),
    ],
)
def test_pocket_variant_finds_the_longest_vocabulary_words(ours, caption, objects):
    assert extract_objects(caption, ours, "pocket") == objects


@given(st.lists(st.sampled_from(["dog", "HOT DOGS", "tv", "x", "ſofas", "—", "\n", "sofa's"])))
def test_mentions_mark_their_own_words_in_order(parts):
    caption = " ".join(parts)
    mentions = find_mentions(caption, Vocabulary.coco())
    assert all(caption[m.start : m.end] == m.word for m in mentions)
    assert all(a.end <= b.start for a, b in pairwise(mentions))
    assert len(mentions) == len(re.findall(r"dog|DOGS|tv|sofa", caption))


def test_plurals_follow_the_three_rules():
    assert [plural(w) for w in ("cup", "bus", "bench", "pony", "toy")] == [
        "cups",
        "buses",
        "benches",
        "ponies",
        "toys",
    ]


def test_unknown_variant_is_named_with_the_known_ones(ours):
    with pytest.raises(SeedError, match=r"'spacy' is unknown.*lemma, pattern, pocket"):
        extract_objects("a dog", ours, "spacy")


def test_ground_truth_unites_annotations_and_captions(ours):
    truth = chair.ground_truth(
        {1: ["dog", "dog"], 2: []}, {1: ["A man and his puppy."], 3: ["a sofa"]}, ours, "pocket"
    )
    assert truth == {1: {"dog", "person"}, 2: set(), 3: {"couch"}}
    with pytest.raises(SeedError, match="image 7: category 'unicorn' is not in the vocabulary"):
        chair.ground_truth({7: ["unicorn"]}, {}, ours, "pocket")


CAPTIONS = [
    {"image_id": 1, "caption": "A dog, two cats and a cat.", "n_tokens": 11},
    {"image_id": 2, "caption": "A dog on a sofa. The dog sleeps. A cup and"},
    {"image_id": 3, "caption": "Nothing."},
]
TRUTH = {"1": {"dog", "cup"}, 2: ["couch", "dog", "bed"], 3: {"car"}, 4: {"bus"}}


def test_counts_of_three_captions_worked_by_hand(ours):
    counts = chair.count(CAPTIONS, TRUTH, ours, "pocket")
    assert list(counts["hallucinated"]) == [["cat", "cat"], ["cup"], []]
    assert_array_equal(
        counts[["n_mentions", "n_hallucinated", "n_found", "n_present", "n_tokens"]],
        [[3, 2, 1, 2, 11], [4, 1, 2, 3, 11], [0, 0, 0, 1, 1]],
    )
    result = chair.score(CAPTIONS, TRUTH, ours, "pocket")
    figures = [result[name] for name in chair.STATISTICS]
    assert_allclose(figures, [3 / 7, 2 / 3, 3 / 6, 7 / 3])
    assert (result["n_hallucinated"], result["n_captions"]) == (3, 3)


PAIRS = """\
chair, seat
couch, love seat
toilet
tie
wine glass
dining table, table
linen, table cloth
person, adult
elephant
cake,  cheesecake
"""
MERGED = {  # singular words: the objects that CHAIR's rules make of them
    "a love seat and a seat": ["couch", "chair"],  # the pair's second word alone is another thing
    "the wine glas": ["wine glass"],  # the pattern variant's own singular
    "the seat of the toilet": ["toilet"],
    "a toilet seat and a seat": ["toilet"],
    "a bow tie": ["tie"],
    "an adult elephant": ["elephant"],
    "a dining table cloth": ["linen"],  # a table is a table without its dining, so the pair waits
    "a wine glass elephant": ["wine glass", "elephant"],
    "a cheesecake": [],  # written after two spaces, and so never found
    "elephant": ["elephant"],
    "a vase": [],
}


@pytest.mark.parametrize("words_of", ["lemmas", "singulars"])
@pytest.mark.parametrize("caption", MERGED)
def test_pairs_of_words_are_merged_from_left_to_right(tmp_path, monkeypatch, words_of, caption):
    monkeypatch.setattr(parsers, words_of, str.split)  # the captions are singular already
    vocabulary = Vocabulary.read(write(tmp_path, PAIRS))
    variant = {"lemmas": "lemma", "singulars": "pattern"}[words_of]
    assert extract_objects(caption, vocabulary, variant) == MERGED[caption]


def test_a_toilet_seat_is_no_chair_and_a_bow_tie_is_a_tie_in_the_pocket_variant_too(tmp_path):
    vocabulary = Vocabulary.read(write(tmp_path, PAIRS))
    assert extract_objects("Toilet seats, a bow tie", vocabulary, "pocket") == ["toilet", "tie"]


def test_only_the_first_mentions_are_counted_on_request(ours):
    counts = chair.count(CAPTIONS, TRUTH, ours, "pocket", first={"1": 2, "2": 4, "3": 0})
    assert list(counts["hallucinated"]) == [["cat"], ["cup"], []]


def test_unfinished_sentence_is_dropped_only_on_request(ours):
    whole = chair.score(CAPTIONS, TRUTH, ours, "pocket")
    cut = chair.score(CAPTIONS, TRUTH, ours, "pocket", drop_unfinished=True)
    assert (whole["n_mentions"], cut["n_mentions"]) == (7, 6)
    assert drop_unfinished_sentence({"caption": "A dog", "finished": True}) == "A dog"
    assert drop_unfinished_sentence({"caption": "A dog", "finished": False}) == ""
    assert drop_unfinished_sentence({"caption": "A dog. A c"}) == "A dog."


def test_captions_without_any_object_have_no_chair_i(ours):
    result = chair.score([{"image_id": 3, "caption": "Nothing."}], TRUTH, ours, "pocket")
    assert result["CHAIRi"] != result["CHAIRi"]
    assert result["CHAIRs"] == 0


def test_image_sums_add_up_and_are_sorted(ours):
    counts = chair.count(CAPTIONS[::-1], TRUTH, ours, "pocket")
    sums = chair.per_image_sums(counts)
    assert list(sums.index) == [1, 2, 3]
    assert list(sums.columns) == list(chair.COUNTS)
    assert_array_equal(sums.sum(), counts[list(chair.COUNTS)].sum())


def test_bad_caption_files_are_named(ours):
    def counting(*rows):
        return chair.count(rows, TRUTH, ours, "pocket")

    with pytest.raises(SeedError, match="image_id 8, 9"):
        counting({"image_id": 8, "caption": "a"}, {"image_id": 9, "caption": "b"})
    with pytest.raises(SeedError, match="captioned twice: 1"):
        counting(CAPTIONS[0], CAPTIONS[0])
    with pytest.raises(SeedError, match="caption 2 needs"):
        counting(CAPTIONS[0], {"image_id": 2})
    with pytest.raises(SeedError, match="caption 1: n_tokens is 'eleven', expected a whole number"):
        counting(CAPTIONS[0] | {"n_tokens": "eleven"})
    with pytest.raises(SeedError, match="no caption"):
        counting()


def test_missing_nltk_data_is_named_with_the_command_that_gets_it(monkeypatch, ours):
    nltk = pytest.importorskip("nltk")
    monkeypatch.setattr(nltk.data, "path", [])
    # NLTK keeps a tokenizer that another test has loaded, so look the resource up each time
    monkeypatch.setattr(nltk, "word_tokenize", lambda _: nltk.data.find("tokenizers/punkt_tab"))
    for variant in NLTK_VARIANTS:
        with pytest.raises(SeedError, match=r"python -m nltk\.downloader punkt_tab"):
            extract_objects("a dog", ours, variant)


def test_pattern_singulars_keep_the_slips_that_published_figures_contain():
    found = [words._singular(w) for w in ("men", "bus", "collies", "airbuses", "ties", "glass")]
    assert found == ["man", "bu", "collies", "airbus", "ty", "glas"]


@pytest.mark.reference
def test_variants_differ_where_they_are_known_to(nltk_data, published):
    def read(caption, variant):
        return extract_objects(caption, published, variant)

    assert (read("two men", "lemma"), read("two men", "pattern")) == ([], ["person"])
    assert (read("a bus", "lemma"), read("a bus", "pattern")) == (["bus"], [])
    for variant in NLTK_VARIANTS:
        assert read("A wine glass on the home plate, a baby bear", variant) == [
            "wine glass",
            "bear",
        ]
        assert read("the seat of the toilet", variant) == ["toilet"]
        assert read("a cheesecake", variant) == []  # written after two spaces in the file


def load_truth(reference, variant):
    with gzip.open(reference / "chair" / f"gt_{variant}.json.gz") as file:
        return json.load(file)


@pytest.mark.reference
@pytest.mark.parametrize(
    ("variant", "counts"),
    [("lemma", (500, 224, 3787, 481, 1226, 1533)), ("pattern", (500, 225, 3739, 478, 1216, 1524))],
)
def test_published_captions_give_the_published_counts(
    reference, nltk_data, published, variant, counts
):
    captions = read_json_lines(reference / "chair" / "opera_llava15_greedy.jsonl")
    result = chair.score(captions, load_truth(reference, variant), published, variant)
    assert tuple(result[name] for name in chair.COUNTS[:-1]) == counts


@pytest.mark.reference
@pytest.mark.parametrize("variant", NLTK_VARIANTS)
def test_ground_truth_of_fifty_photographs_equals_the_published_one(
    reference, nltk_data, published, variant
):
    folder = reference / "coco50"
    instances = json.loads((folder / "instances_train2017.json").read_text())
    names = {category["id"]: category["name"] for category in instances["categories"]}
    objects = {image["id"]: [] for image in instances["images"]}
    for annotation in instances["annotations"]:
        objects[annotation["image_id"]].append(names[annotation["category_id"]])
    captions = defaultdict(list)
    for annotation in json.loads((folder / "captions_train2017.json").read_text())["annotations"]:
        captions[annotation["image_id"]].append(annotation["caption"])
    truth = chair.ground_truth(objects, captions, published, variant)
    expected = load_truth(reference, variant)
    assert len(truth) == 50
    assert {i: sorted(found) for i, found in truth.items()} == {i: expected[str(i)] for i in truth}
