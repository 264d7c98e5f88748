"""AMBER: nouns against truth and targets, and yes/no answers whose positive class is no."""

import json
import sys

import pytest

from seednb.core.errors import SeedError
from seednb.evaluation import words
from seednb.evaluation.benchmarks import amber
from seednb.evaluation.words import WordLists, count_description, exact_similarity, spacy_similarity

RELATION = {
    "sea": ["water", "lake"],
    "beach": ["sand", "shore"],
    "person": ["man", "woman"],
    "ship": ["boat"],
    "bird": [],
    "dog": [],
    "light": [],
}
ANNOTATIONS = [
    {"id": 1, "type": "generative", "truth": ["sea", "beach", "person"], "hallu": ["ship", "bird"]},
    {"id": 2, "type": "generative", "truth": ["dog"], "hallu": ["bird"]},
    {"id": 3, "type": "discriminative-hallucination", "truth": "no"},
    {"id": 4, "type": "discriminative-hallucination", "truth": "yes"},
    {"id": 5, "type": "discriminative-attribute-state", "truth": "no"},
    {"id": 6, "type": "discriminative-attribute-number", "truth": "no"},
    {"id": 7, "type": "discriminative-attribute-action", "truth": "yes"},
    {"id": 8, "type": "discriminative-relation", "truth": "yes"},
    {"id": 9, "type": "relation", "truth": "no"},  # the published file has both spellings
]
DESCRIPTIONS = [
    {"id": 1, "response": "A man walks on the sand. Two boats and a light are near the water."},
    {"id": 2, "response": "A dog chases a bird. The dog barks at a seagull."},
]
JUDGEMENTS = [
    {"id": 3, "response": "No"},
    {"id": 4, "response": "No"},
    {"id": 5, "response": "Yes"},
    {"id": 6, "response": "No"},
    {"id": 7, "response": "yes"},  # not "Yes" to the letter
    {"id": 8, "response": "Yes"},
    {"id": 9, "response": "No."},
]
LISTS = WordLists(RELATION, frozenset({"light"}))


def score(answers, **options):
    return amber.score(ANNOTATIONS, answers, LISTS, exact_similarity, **options)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "annotations.json").write_text(json.dumps(ANNOTATIONS, indent=4))
    (tmp_path / "relation.json").write_text(json.dumps(RELATION, indent=4))
    (tmp_path / "safe_words.txt").write_text("orange\nlight")
    return tmp_path


@pytest.mark.reference
def test_descriptions_in_the_official_format_score_as_by_hand(nltk_data, folder):
    annotations, lists = amber.read_truth(folder)
    scores = amber.score(annotations, DESCRIPTIONS, lists, exact_similarity, "generative")
    part = scores["generative"]
    # 1: man (person), sand (beach) and water (sea) are there, light is safe, boat is a target's;
    # 2: dog twice, bird a target, seagull no word of the vocabulary
    assert (part["n_nouns"], part["n_unsafe"]) == (5 + 3, 1 + 1)
    assert (part["n_covered"], part["n_truth"]) == (3 + 1, 3 + 1)
    assert (part["n_hit"], part["n_targets"]) == (1 + 1, 2 + 1)
    assert (part["n_clean"], part["n"]) == (0, 2)
    assert part["CHAIR"] == 2 / 8.001
    assert part["Cover"] == 4 / 4.001
    assert part["Hal"] == 1
    assert part["Cog"] == 2 / 3.001
    assert part["printed"] == {"CHAIR": 25.0, "Cover": 100.0, "Hal": 100.0, "Cog": 66.6}


def count(response, similar=(), truth=("sea",), hallu=("ship",)):
    """Counts where the pairs in `similar` are alike and no other words are."""
    return count_description(
        response,
        {"truth": list(truth), "hallu": list(hallu)},
        LISTS,
        lambda one, other: 0.81 if (one, other) in similar else 0.8,
    )


@pytest.mark.reference
def test_a_near_synonym_of_the_truth_is_safe_and_covers_it(nltk_data):
    counts = count("There is a shore.", {("shore", "water")})
    assert (counts["n_unsafe"], counts["n_covered"], counts["n_clean"]) == (0, 1, 1)
    assert count("There is a shore.")["n_unsafe"] == 1


@pytest.mark.reference
def test_a_target_is_hit_even_if_likeness_to_the_truth_saves_the_noun(nltk_data):
    counts = count("There is a boat.", {("boat", "sea")})
    assert (counts["n_unsafe"], counts["n_hit"]) == (0, 1)
    counts = count("There is a bird.", {("bird", "boat")})
    assert (counts["n_unsafe"], counts["n_hit"]) == (1, 1)


@pytest.mark.reference
def test_only_nouns_in_the_vocabularys_own_case_count(nltk_data):
    assert count("They will ship it to Dogs.")["n_nouns"] == 0
    assert count("The ship is near the dogs.")["n_nouns"] == 2


@pytest.mark.reference
def test_an_object_listed_twice_is_covered_once(nltk_data):
    counts = count("A ship and a ship.", truth=("ship", "ship"), hallu=())
    assert (counts["n_covered"], counts["n_truth"], counts["n_nouns"]) == (1, 2, 2)


def test_answers_in_the_official_format_score_as_by_hand():
    scores = score(JUDGEMENTS, part="discriminative")
    # right: 3, 6 and 8; said no: 3, 4, 6 ("No." is no answer); gold no: 3, 5, 6, 9
    whole = scores["discriminative"]
    names = ("n", "n_right", "n_said_no", "n_gold_no", "n_right_no", "n_unclear")
    assert tuple(whole[name] for name in names) == (7, 3, 3, 4, 2, 2)
    precision, recall = 2 / 3.001, 2 / 4.001
    assert (whole["accuracy"], whole["precision"]) == (3 / 7.001, precision)
    assert whole["f1"] == pytest.approx(2 * precision * recall / (precision + recall + 1e-4))
    assert [scores[name]["n"] for name in ("existence", "attribute", "relation")] == [2, 3, 2]
    assert [scores[name]["n_right"] for name in ("state", "number", "action")] == [0, 1, 0]


def test_descriptions_score_as_by_hand_whoever_finds_the_nouns(monkeypatch):
    nouns = ["man", "sand", "boat", "light", "water"], ["dog", "bird", "dog", "seagull"]
    found = {row["response"]: words for row, words in zip(DESCRIPTIONS, nouns, strict=True)}
    monkeypatch.setattr(words, "nouns", found.__getitem__)
    part = score(DESCRIPTIONS, part="generative")["generative"]
    by_hand = {"CHAIR": 2 / 8.001, "Cover": 4 / 4.001, "Hal": 1.0, "Cog": 2 / 3.001}
    assert {name: part[name] for name in by_hand} == pytest.approx(by_hand)
    found[DESCRIPTIONS[0]["response"]] = ["man"]  # a description without an unsafe noun
    part = score(DESCRIPTIONS, part="generative")["generative"]
    assert part["Hal"] == pytest.approx(1 - 1 / 2.001)
    images = {"1": "a.jpg", "2": "b.jpg"}
    describe = amber.description_counter(LISTS, exact_similarity)
    sums = amber.image_sums(
        ANNOTATIONS, [*JUDGEMENTS, *DESCRIPTIONS], ("generative",), describe, images
    )
    figures = amber.statistics("generative")
    for name, statistic in figures.items():
        assert float(statistic(sums.sum().to_numpy(float))) == pytest.approx(part[name])
    assert set(figures) == set(by_hand) and list(sums.index) == ["a.jpg", "b.jpg"]


def test_judgements_by_image_add_up_to_the_scores():
    images = {str(row["id"]): f"{row['id'] % 2}.jpg" for row in ANNOTATIONS}
    for group in ("attribute", "relation"):
        everything = [*DESCRIPTIONS, *JUDGEMENTS]
        parts = amber.GROUPS[group]
        sums = amber.image_sums(ANNOTATIONS, everything, parts, amber.count_judgement, images)
        figures = amber.statistics(group)
        expected = score(JUDGEMENTS, part="discriminative")[group]
        assert set(figures) == {"accuracy", "precision", "recall", "f1"}
        for name, statistic in figures.items():
            assert float(statistic(sums.sum().to_numpy(float))) == pytest.approx(expected[name])


def test_printed_percentages_follow_the_scripts_rounding():
    scores = score(JUDGEMENTS, part="discriminative")
    # existence: 1 right no of 2 said and 1 gold; 1 / 2.001 and 1 / 1.001; F1 starts at .001 there
    assert scores["existence"]["printed"] == {
        "accuracy": 50.0,
        "precision": 50.0,
        "recall": 99.9,
        "f1": round(2 * 0.5 * 0.999 / (0.5 + 0.999 + 0.001) * 100, 1),
    }
    existence = scores["existence"]
    precision, recall = 1 / 2.001, 1 / 1.001
    assert existence["f1"] == pytest.approx(2 * precision * recall / (precision + recall + 0.001))
    # attribute: the three denominators are added, and with them their starts
    assert scores["attribute"]["accuracy"] == 1 / 3.003


def test_one_part_is_scored_from_a_file_of_all_and_all_need_all():
    everything = [*DESCRIPTIONS, *JUDGEMENTS]
    assert set(score(everything, part="relation")) >= {"relation", "n_questions"}
    assert "existence" not in score(everything, part="relation")
    with pytest.raises(SeedError, match="no answer: 1, 2"):
        score(JUDGEMENTS)
    partial = score(JUDGEMENTS[:1], allow_partial=True)
    assert (partial["n_questions"], partial["n_answered"], partial["partial"]) == (9, 1, True)
    assert "generative" not in partial and "relation" not in partial


def test_bad_answers_and_annotations_are_named():
    with pytest.raises(SeedError, match=r"answered twice: 3; no such question: 77"):
        score([*JUDGEMENTS, JUDGEMENTS[0], {"id": 77, "response": "No"}], part="discriminative")
    with pytest.raises(SeedError, match=r"no such question: 77"):
        score([*JUDGEMENTS, {"id": 77, "response": "No"}], part="relation")
    with pytest.raises(SeedError, match=r"answer .* has no id"):
        score([{"response": "No"}], part="relation")
    with pytest.raises(SeedError, match="answer 8 has no text 'response'"):
        score([{"id": 8, "response": True}, JUDGEMENTS[-1]], part="relation")
    with pytest.raises(SeedError, match=r"part 'colour' is unknown; use one of all, generative"):
        score(JUDGEMENTS, part="colour")
    odd = [{"id": 1, "type": "discriminative-smell", "truth": "no"}]
    with pytest.raises(SeedError, match="annotation 1: type 'discriminative-smell' is unknown"):
        amber.score(odd, JUDGEMENTS, LISTS, exact_similarity)
    odd = [{"id": 1, "type": "relation", "truth": "maybe"}]
    with pytest.raises(
        SeedError, match="annotation 1: truth 'maybe' is unknown, it must be one of yes, no"
    ):
        amber.score(odd, [{"id": 1, "response": "No"}], LISTS, exact_similarity)
    with pytest.raises(SeedError, match=r"no entry 'unicorn'"):
        LISTS.expanded(["sea", "unicorn"])


def test_missing_or_wrong_files_of_the_repository_are_named(folder):
    (folder / "relation.json").write_text("[]")
    with pytest.raises(SeedError, match=r"relation\.json: not an object of words"):
        amber.read_truth(folder)
    (folder / "safe_words.txt").unlink()
    with pytest.raises(SeedError, match=r"safe_words\.txt is missing; give the folder data/"):
        amber.read_truth(folder)


def test_missing_spacy_is_named_with_the_command_that_gets_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(SeedError, match=r"pip install spacy && python -m spacy download en_core"):
        spacy_similarity()
