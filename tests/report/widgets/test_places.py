"""Real captions in the explorer: its bars, its decoding and the count of all mentions agree."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from seednb.core.errors import SeedError
from seednb.data.vocabulary import Vocabulary
from seednb.evaluation.stats import Interval
from seednb.experiments.calibration import (
    NONE,
    OTHER,
    PRESENT,
    SAME,
    auc,
    first_tokens,
    purified_mentions,
)
from seednb.experiments.experiment import Experiment
from seednb.method.worked_examples import finite_gradients
from seednb.report.gallery import beta_explorer
from seednb.report.summaries import beside_chance, purification_outcome
from seednb.report.widgets.frames import frames
from seednb.report.widgets.places import LIKELY, N_WORDS, CaptionSource, _candidates, choose

pytestmark = pytest.mark.slow
SMOKE = str(Path(__file__).parents[3] / "params/smoke.yaml")
HISTORY = [-0.3, -0.1, -0.05, -0.02] * 10
COLUMNS = ["number", "start", "word", "hallucinated", "beta", "before", "after", "likeliest"]
COLUMNS += ["becomes", "repeats"]
CHANGES = pd.DataFrame(
    [
        (0, 5, "kite", True, 0.8, 0.7, 0.1, "cup", PRESENT, False),
        (1, 5, "boat", True, 0.8, 0.6, 0.1, "cup", PRESENT, False),
        (2, 5, "cow", True, 0.8, 0.5, 0.1, "cup", PRESENT, True),
        (3, 5, "bus", True, 0.8, 0.4, 0.9, "bus", SAME, False),
        (4, 5, "car", True, 0.8, 0.4, 0.2, "bus", OTHER, False),
        (5, 5, "bowl", False, 0.8, 0.4, 0.2, "bus", OTHER, False),
        (6, 5, "cup", False, 0.8, 0.4, 0.2, "and", NONE, False),
        (7, 5, "cup", False, 0.8, 0.4, 0.8, "cup", SAME, False),
    ],
    columns=COLUMNS,
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    overrides = {"runs_dir": str(tmp_path_factory.mktemp("places")), "n_val_images": 24}
    overrides |= {"n_train_images": 8, "pope_images": 6, "caption_images": 24}
    return Experiment.open(SMOKE, overrides)


@pytest.fixture(scope="module")
def changes(lab):
    return purified_mentions(lab, HISTORY)


@pytest.fixture(scope="module")
def source(lab):
    return CaptionSource(lab, [0.1, 0.3])


def test_the_bars_of_the_explorer_are_the_numbers_of_the_count(lab, changes, source):
    assert len(changes) > 24 and changes["hallucinated"].any()
    for row in changes.itertuples():
        example = source.example(source.n_kept + row.number)
        assert example.title == row.image
        assert example.confidence == pytest.approx(row.confidence, abs=1e-5)
        caption = "".join(text for text, _ in example.caption.segments)
        place = next(p for p in example.places if len(p.so_far) + 1 == row.start)
        assert caption.startswith(f"{place.so_far} {place.word}")
        assert place.is_present is not row.hallucinated
        shown = frames(place, lab.params.train.noise_alpha, 1.0, [row.beta])
        k = place.words.index(place.word)
        assert shown.clean[k] == pytest.approx(1000 * row.before, abs=0.6)
        assert shown.purified[0][k] == pytest.approx(1000 * row.after, abs=0.6)


def test_the_likeliest_word_of_the_clean_view_is_the_one_that_the_caption_has(source):
    for number in range(source.n_kept, source.n_kept + 6):
        for place in source.example(number).places:
            assert place.words[int(place.clean_logits[place.word_ids].argmax())] == place.word


def test_a_caption_decoded_with_beta_zero_is_the_models_own(lab, source):
    for number, record in enumerate(lab.answers("base").captions[:6]):
        (again,) = source.captions(source.n_kept + number, 0.3, [0.0], False)
        assert "".join(text for text, _ in again.segments) == record["caption"]
        assert again == source.example(source.n_kept + number).caption


def test_captions_do_not_depend_on_the_betas_beside_them(source):
    betas = [0.0, 0.6, 1.1, 2.0]
    together = source.captions(2, 0.1, betas, True)
    assert together == [source.captions(2, 0.1, [beta], True)[0] for beta in betas]


def test_the_word_that_changes_first_is_the_one_that_the_bars_prefer(lab, changes, source):
    """Greedy decoding keeps the model's caption up to the first place where the bars disagree."""
    moved = changes[changes["becomes"] != SAME].drop_duplicates("number")
    assert len(moved)
    n_seen = 0
    for row in moved.itertuples():
        (again,) = source.captions(
            source.n_kept + row.number, lab.params.train.noise_alpha, [row.beta], False
        )
        text = "".join(text for text, _ in again.segments)
        before = lab.answers("base").captions[row.number]["caption"][: row.start]
        if text.startswith(before):
            n_seen += 1
            assert text[row.start :].startswith(row.likeliest)
    assert n_seen


def test_the_explorer_opens_and_its_notes_name_every_chosen_example(lab, changes):
    explorer = beta_explorer(lab, HISTORY, changes)
    assert explorer.notes.count("\n- ") + 1 == explorer._source.n_kept
    assert explorer.alpha.value == lab.params.train.noise_alpha
    assert explorer.history.betas == lab.params.train.beta_values
    explorer.wait()
    assert "sw-spinner" not in explorer.caption.value


def test_the_history_is_the_only_thing_that_chooses_beta(lab, changes):
    other = purified_mentions(lab, [-1.0] * 40)
    assert set(other["beta"]) == {min(lab.params.train.beta_values)}
    pd.testing.assert_series_equal(other["before"], changes["before"])
    assert not other["after"].equals(changes["after"])


def test_examples_are_chosen_where_the_whole_caption_gets_better_and_worse_ones_are_named():
    class Outcomes:
        def outcomes(self, numbers, alpha, betas):
            assert numbers == [0, 1]  # the object that the caption has named before does not count
            return [(-1, 0), (-1, 1)]

    chosen = choose(Outcomes(), CHANGES, 0.3)
    assert [(each.number, each.title.split(":")[0]) for each in chosen] == [
        (1, "Works"),
        (3, "Makes it worse"),
        (5, "Makes it worse"),
        (4, "No help"),
    ]
    assert "“boat”, which is not in the image, falls from 60% to 10%" in chosen[0].note
    assert "rises from 40% to 90%; it stays the likeliest word" in chosen[1].note
    assert "which is in the image, falls" in chosen[2].note


def test_the_outcome_in_words_counts_every_mention_once():
    first, second, third = purification_outcome(CHANGES)
    assert first == "Of 5 invented words, 4 (80%) fall."
    assert second.startswith("3 give way to an object of the image (1 of them")
    assert "1 to another invention and 0 to a word that names no object; 1 stay" in second
    assert third == "Of 3 true words, 2 give way, 1 of them to an invention."
    assert "no object" in purification_outcome(CHANGES[~CHANGES["hallucinated"]])[0]


def test_an_area_is_beside_chance_only_if_its_whole_interval_is():
    assert beside_chance(Interval(0.6, 0.51, 0.7, 9)) == "above chance"
    assert beside_chance(Interval(0.4, 0.3, 0.49, 9)) == "below chance"
    assert beside_chance(Interval(0.6, 0.5, 0.7, 9)) == "not resolved from chance"
    sure = pd.DataFrame(
        {"image": range(8), "hallucinated": [True] * 4 + [False] * 4, "before": range(8)}
    )
    assert auc(sure, "before").value == 1


def test_a_model_without_captions_is_refused(lab, monkeypatch):
    answers = lab.answers("base")
    monkeypatch.setattr(type(lab), "answers", lambda *_: type(answers)("base", [], [], Path()))
    with pytest.raises(SeedError, match="no caption"):
        CaptionSource(lab, [0.3])
    with pytest.raises(SeedError, match="name no object"):
        purified_mentions(lab, HISTORY)


def test_a_word_begins_an_object_only_if_it_is_the_start_of_one_alone():
    vocabulary = Vocabulary.coco()
    assert vocabulary.begun_by("cup") == "cup"
    assert vocabulary.begun_by("traffic") == "traffic light"
    assert vocabulary.begun_by("baseball") is None  # bat or glove
    assert vocabulary.begun_by("and") is None


def test_first_tokens_are_those_whose_text_begins_the_word(lab):
    bundle, caption = lab.bundle(), "The image shows a street with a traffic light and a cup."
    starts = [caption.index(word) for word in ("The", "traffic", "light", "cup")]
    ids = bundle.tokenizer(f" {caption}", add_special_tokens=False).input_ids
    words = [
        bundle.tokenizer.decode([ids[n]]).strip() for n in first_tokens(bundle, caption, starts)
    ]
    assert words == ["The", "traffic", "light", "cup"]


def test_candidates_without_a_bar_are_left_out():
    logits = np.log(np.array([0.6, 0.39, 0.009, *[LIKELY / 100] * 50], np.float32))
    assert _candidates(logits, logits) == [0, 1, 2]
    assert len(_candidates(np.zeros(50, np.float32), np.zeros(50, np.float32))) == N_WORDS


def test_the_gradient_of_log_space_is_finite_where_kl_div_loses_it_first_in_half_precision():
    reached, all_losses_finite = finite_gradients((20, 100, 300))
    assert all_losses_finite
    assert (reached.filter(like="log space") == 300).all()
    by_precision = [reached[f"F.kl_div, {name}"] for name in ("float16", "bfloat16", "float32")]
    assert by_precision == sorted(by_precision) and by_precision[0] < by_precision[-1] < 300
