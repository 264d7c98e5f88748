"""Other words and worse images: what changes, and what is counted."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seednb.core.errors import SeedError
from seednb.experiments.experiment import Experiment
from seednb.experiments.robustness import (
    DEGRADATIONS,
    PHRASINGS,
    SPLIT,
    ask_variants,
    compare,
    in_language,
    rephrase,
    spoken,
    table,
)

SMOKE = Path(__file__).parents[2] / "params/smoke.yaml"

PROBES = [
    {"image": f"{n // 2}.jpg", "object": "umbrella", "label": "yes" if n % 2 else "no",
     "text": "Is there an umbrella in the image?", "answer": "Yes"}
    for n in range(20)
]  # fmt: skip


def answered(words):
    return [
        probe | {"answer": word, "question_id": number}
        for number, (probe, word) in enumerate(zip(PROBES, words, strict=True))
    ]


def test_the_first_phrasing_is_popes_own_and_the_others_change_the_text_alone():
    assert rephrase(PROBES, PHRASINGS[0]) == PROBES
    for phrasing in PHRASINGS[1:]:
        for probe, other in zip(PROBES, rephrase(PROBES, phrasing), strict=True):
            assert "an umbrella" in other["text"] and other["text"] != probe["text"]
            assert {**other, "text": ""} == {**probe, "text": ""}


def test_consistency_and_accuracy_are_counted_by_hand():
    before = answered(["Yes"] * 20)
    after = answered(["No", "Yes"] * 5 + ["Yes"] * 10)  # five absent ones are now denied
    found = compare(before, after, "official", 500, 0)
    assert found.same.value == pytest.approx(15 / 20)
    assert found.accuracy.value == pytest.approx(5 / 20)
    assert found.same.low < 15 / 20 < found.same.high and found.same.n == 10


def test_a_model_agrees_with_itself():
    found = compare(answered(["Yes"] * 20), answered(["Yes"] * 20), "official", 200, 0)
    assert (found.same.value, found.same.low, found.accuracy.value) == (1, 1, 0)
    (row,) = table({("base", "blurred"): found}).to_dict("records")
    assert row["same answer, %"] == "100.0 [100.0, 100.0]"


def test_records_of_other_images_are_refused():
    with pytest.raises(ValueError, match="other images"):
        compare(answered(["Yes"] * 20), answered(["Yes"] * 20)[::-1], "official", 200, 0)


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_a_worse_image_keeps_its_size_and_loses_detail(name):
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (96, 96, 3), dtype=np.uint8))
    worse = DEGRADATIONS[name](image)
    assert worse.size == image.size and worse.mode == "RGB"

    def detail(seen):
        return float(np.abs(np.diff(np.asarray(seen, float), axis=0)).mean())

    assert detail(worse) < 0.8 * detail(image)


def test_another_language_changes_the_text_and_is_read_in_that_language():
    asked = in_language(PROBES, "de")
    for probe, other in zip(PROBES, asked, strict=True):
        assert other["text"].startswith("Ist ein Regenschirm auf dem Bild zu sehen?\n")
        assert {**other, "text": ""} == {**probe, "text": "", "language": "de"}
    before = answered(["Yes", "No"] * 10)
    after = [row | {"answer": ("Ja.", "Nein.")[n % 2]} for n, row in enumerate(asked)]
    found = compare(before, after, "official", 200, 0)
    assert (found.same.value, found.accuracy.value) == (1, 0)


def test_languages_are_named_and_checked():
    assert spoken("") == {} and spoken("zh, fr") == {"in Chinese": "zh", "in French": "fr"}
    with pytest.raises(SeedError, match="language 'xx' is unknown"):
        spoken("xx")


def test_a_profile_s_languages_are_asked_of_the_model_once(tmp_path):
    values = {"runs_dir": str(tmp_path), "probe_languages": "es", "pope_images": 4}
    lab = Experiment.open(str(SMOKE), values)
    records = ask_variants(lab, "base")["in Spanish"]
    assert {row["split"] for row in records} == {SPLIT}
    assert all(row["text"].startswith("¿Hay ") and row["answer"] for row in records)
    (file,) = tmp_path.glob("smoke/robust-base-*/variant-2.jsonl")
    before = file.stat().st_mtime_ns
    assert ask_variants(lab, "base")["in Spanish"] == records
    assert file.stat().st_mtime_ns == before
