"""The beta explorer: its frames are the formula, its rule is the selector's."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from widget_samples import (
    ALPHAS,
    HISTORY,
    TEMPERATURES,
    WORDS,
    Examples,
    explorer_of,
    make_example,
    make_explorer,
    make_place,
    static_data,
)

import seednb.report.widgets.explorer as explorer_module
from seednb.core.errors import SeedError
from seednb.method.beta import BetaSelector
from seednb.method.purification import PLAUSIBILITY
from seednb.report.widgets import BetaExplorer
from seednb.report.widgets.explorer import BY_CONFIDENCE, BY_HAND
from seednb.report.widgets.explorer_face import slider_betas
from seednb.report.widgets.frames import BETAS, Caption, frames
from seednb.report.widgets.history import History


def softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("alpha", ALPHAS)
def test_frames_equal_the_formula_over_the_whole_vocabulary(
    alpha: float, temperature: float
) -> None:
    place = make_place()
    clean, noisy = (
        logits.astype(float) for logits in (place.clean_logits, place.noisy_logits[alpha])
    )
    is_kept = softmax(clean) >= PLAUSIBILITY * softmax(clean).max()
    shown = frames(place, alpha, temperature, BETAS)
    for beta, purified, plausible in zip(BETAS, shown.purified, shown.plausible, strict=True):
        logits = ((1 + beta) * clean - beta * noisy) / temperature
        expected = softmax(logits)[place.word_ids]
        np.testing.assert_allclose(np.array(purified[:-1]) / 1000, expected, atol=0.000501)
        expected = softmax(np.where(is_kept, logits, -np.inf))[place.word_ids]
        np.testing.assert_allclose(np.array(plausible[:-1]) / 1000, expected, atol=0.000501)
    expected_noisy = softmax(noisy / temperature)[place.word_ids]
    np.testing.assert_allclose(np.array(shown.noisy[:-1]) / 1000, expected_noisy, atol=0.000501)
    assert shown.kept == np.flatnonzero(is_kept[place.word_ids]).tolist()


def test_the_bars_of_every_frame_with_all_other_words_add_up_to_one() -> None:
    shown = frames(make_place(), 0.3, 2.0, BETAS)
    for bars in (shown.clean, shown.noisy, *shown.purified, *shown.plausible):
        assert sum(bars) == pytest.approx(1000, abs=len(bars) / 2)


def test_beta_zero_gives_the_clean_probabilities_and_beta_one_does_not() -> None:
    shown = frames(make_place(), 0.3, 1.0, BETAS)
    assert shown.purified[0] == shown.clean
    assert shown.purified[10] != shown.clean


def test_no_bar_is_longer_than_the_axis_and_all_betas_share_it() -> None:
    shown = frames(make_place(3), 0.1, 4.0, BETAS)
    assert max(map(max, [shown.clean, *shown.purified, *shown.plausible])) <= shown.scale


def test_static_face_has_the_frames_and_captions_of_every_object_alpha_temperature_and_beta() -> (
    None
):
    images = static_data(make_explorer(3).static_html())["images"]
    assert [[place["word"] for place in image["places"]] for image in images] == [
        ["knife", "cup"]
    ] * 3
    frames = [image["places"][0]["frames"] for image in images]
    table = np.array([[[frame[3] for frame in row] for row in rows] for rows in frames])
    assert table.shape == (3, len(ALPHAS), len(TEMPERATURES), len(BETAS), len(WORDS) + 1)
    captions = np.array([image["captions"] for image in images])
    assert captions.shape == (3, len(ALPHAS), 2, len(BETAS))


def test_static_frames_and_captions_are_those_that_the_live_face_draws() -> None:
    explorer = make_explorer()
    image = static_data(explorer.static_html())["images"][1]
    place = make_example(1).places[0]
    shown = frames(place, ALPHAS[2], TEMPERATURES[1], BETAS)
    found = image["places"][0]
    assert found["frames"][2][1][:4] == [shown.scale, shown.clean, shown.noisy, shown.purified]
    kept = [[bars[k] for k in found["kept"]] for bars in shown.plausible]
    assert found["frames"][2][1][4] == kept
    assert all(
        sum(bars) == sum(all_bars) for bars, all_bars in zip(kept, shown.plausible, strict=True)
    )
    segments, summary = image["texts"][image["captions"][2][1][BETAS.index(1.9)]]
    assert segments == [["image 1 alpha 0.5 ", ""], ["beta 2", "wrong"]]
    assert summary == "plausible True"


def test_the_static_face_holds_the_first_images_and_says_how_many_the_live_one_takes() -> None:
    examples = [make_example(seed) for seed in range(3)]
    explorer = BetaExplorer(Examples(examples, 1), History(()), ALPHAS, TEMPERATURES)
    html = explorer.static_html()
    assert len(static_data(html)["images"]) == 1
    assert "holds 1 images" in html
    assert "any of 2 images" in html
    assert [title for title, _ in explorer.image.options] == ["dining 0", "dining 1", "dining 2"]


@pytest.mark.parametrize("history", [HISTORY, HISTORY[:19], []], ids=["long", "short", "none"])
@pytest.mark.parametrize("seed", [0, 1, 2, 6])
def test_shown_beta_is_the_one_that_the_selector_gives(seed: int, history: list[float]) -> None:
    example = make_example(seed)
    selector = BetaSelector()
    selector.history.extend(history)
    expected = selector.select(torch.tensor([example.confidence], dtype=torch.float64)).item()
    explorer = explorer_of([example], history)
    assert explorer.beta.value == pytest.approx(expected)
    assert f"the rule gives beta {expected:g}." in explorer.side.value
    data = static_data(explorer.static_html())
    assert float(data["betas"][data["images"][0]["beta"]]) == pytest.approx(expected)


def test_strip_puts_the_marker_among_the_selectors_thresholds() -> None:
    history = History(tuple(HISTORY))
    thresholds = history.selector().thresholds()
    strip = history.strip(thresholds[1])
    assert strip.marker == strip.thresholds[1] == strip.chosen[0]
    assert [beta for _, beta in strip.zones] == list(BetaSelector().values)
    width = 100 / len(strip.bars)
    left = sum(bar for k, bar in enumerate(strip.bars) if (k + 1) * width <= strip.thresholds[0])
    assert left / sum(strip.bars) == pytest.approx(0.25, abs=0.06)  # one bin holds up to 6%


@pytest.mark.parametrize("betas", [BetaSelector().values, (3.0, 0.55)])
def test_slider_can_stand_on_every_beta_of_the_rule(betas: tuple[float, ...]) -> None:
    quantiles = tuple((n + 1) / len(betas) for n in range(len(betas) - 1))
    history = History((), betas, quantiles)
    stands = slider_betas(history)
    assert {*betas, history.selector().start_value, *BETAS} == set(stands)
    assert stands == sorted(stands)


@pytest.mark.parametrize(
    ("control", "value"),
    [
        ("beta", 2.0),
        ("alpha", 0.7),
        ("temperature", 4.0),
        ("image", 1),
        ("word", 1),
        ("plausible", True),
    ],
)
def test_changing_a_live_control_changes_the_drawing(control: str, value: float) -> None:
    explorer = make_explorer()
    before = explorer.chart.value
    getattr(explorer, control).value = value
    assert explorer.chart.value != before


def test_moving_the_slider_leaves_the_rule_and_choosing_the_rule_moves_the_slider_back() -> None:
    explorer = make_explorer()
    ruled = explorer.beta.value
    assert explorer.rule.value == BY_CONFIDENCE
    explorer.beta.value = 2.0
    assert explorer.rule.value == BY_HAND
    explorer.rule.value = BY_CONFIDENCE
    assert explorer.beta.value == ruled


def test_changing_the_alpha_shows_that_noisy_image() -> None:
    explorer = make_explorer(1)
    seen = {}
    for alpha in ALPHAS:
        explorer.alpha.value = alpha
        assert f"with noise, alpha {alpha}" in explorer.side.value
        seen[alpha] = explorer.side.value
    assert len(set(seen.values())) == len(ALPHAS)


def test_edited_settings_change_the_rule_and_bad_ones_are_refused_in_a_sentence() -> None:
    explorer = make_explorer(1)  # its confidence is above the median of the history
    explorer.betas.value = "1.5, 0.25"
    assert "2 beta values need 1 quantiles" in explorer.message.value
    assert explorer.beta.value in BetaSelector().values
    explorer.betas.value = "1.5, 0.6, 0.4, 0.25"
    explorer.quantiles.value = "0.1, 0.2, 0.3"
    assert explorer.message.value == ""
    assert explorer.rule.value == BY_CONFIDENCE
    assert explorer.beta.value == 0.25
    assert "surer than 30% of 1000 earlier answers" in explorer.side.value
    for box, text, reason in (
        (explorer.betas, "1.5, x, 0.4, 0.25", "&#39;x&#39; is no number"),
        (explorer.betas, "9, 0.6, 0.4, 0.25", "betas: 9 must be in [0, 4]"),
        (explorer.quantiles, "0.3, 0.2, 0.1", "quantiles must rise"),
    ):
        before, kept = explorer.history, box.value
        box.value = text
        assert reason in explorer.message.value
        assert explorer.history is before
        box.value = kept


def test_the_whole_caption_is_that_of_the_controls_however_fast_they_move() -> None:
    class Slow(Examples):
        """Decodes nothing until it is told to."""

        may_go = threading.Event()

        def captions(
            self, number: int, alpha: float, betas: Sequence[float], plausible: bool
        ) -> list[Caption]:
            assert self.may_go.wait(10)
            return super().captions(number, alpha, betas, plausible)

    source = Slow([make_example()])
    explorer = BetaExplorer(source, History(tuple(HISTORY)), ALPHAS, TEMPERATURES)
    for beta in (0.2, 1.3, 2.0):
        explorer.beta.value = beta
        assert "sw-spinner" in explorer.caption.value
    source.may_go.set()
    explorer.wait()
    assert "beta 2</mark>" in explorer.caption.value.replace(
        '<span class="sw-hidden"> (hallucinated)</span>', ""
    )
    assert "sw-spinner" not in explorer.caption.value
    assert [betas for _, _, betas, _ in source.asked if betas != [2.0]] in (
        [],
        [[explorer.history.beta(-0.1)]],
    )
    n_asked = len(source.asked)
    explorer.alpha.value, explorer.alpha.value = 0.7, ALPHAS[0]
    explorer.wait()
    assert len(source.asked) <= n_asked + 1  # what is known is not decoded again


def test_a_caption_that_cannot_be_decoded_is_reported_in_its_place() -> None:
    class Broken(Examples):
        def captions(self, *_: Any) -> list[Caption]:
            raise RuntimeError("out of memory")

    explorer = BetaExplorer(Broken([make_example()]), History(()), ALPHAS, TEMPERATURES)
    explorer.wait()
    assert "could not be decoded: out of memory" in explorer.caption.value


def test_reading_names_the_likeliest_absent_and_present_word_and_all_others() -> None:
    clean = np.log([0.1, 0.41, 0.3, 0.1, 0.09]).astype(np.float32)
    noisy = np.log([0.05, 0.57, 0.2, 0.1, 0.08]).astype(np.float32)
    place = replace(
        make_place(),
        clean_logits=clean,
        noisy_logits=dict.fromkeys(ALPHAS, noisy),
        words=["cat", "cup", "dog"],
        word_ids=[1, 2, 3],
        present=[False, True, False],
    )
    explorer = explorer_of([replace(make_example(), places=[place])], temperatures=[1.0])
    explorer.beta.value = 1.0
    purified = softmax(2 * clean.astype(float) - noisy)
    for k, word, where in ((1, "cat", "not in the image"), (2, "cup", "in the image")):
        change = f"from {np.exp(clean[k]):.0%} to {purified[k]:.0%}."
        assert f"Beta 1 moves “{word}” ({where}) {change}" in explorer.reading.value
    rest = purified[0] + purified[4]
    assert f"It moves all other words from 19% to {rest:.0%}." in explorer.reading.value
    assert "dog" not in explorer.reading.value
    explorer.beta.value = 0.0
    assert "Beta 0 changes nothing" in explorer.reading.value
    explorer.plausible.value = True
    assert "changes nothing" not in explorer.reading.value
    assert "Among plausible words alone" in explorer.reading.value


def test_slider_moves_need_no_new_forward_mathematics(
    monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    calls = []

    def counted(*arguments: Any) -> Any:
        calls.append(arguments[1:])
        return frames(*arguments)

    monkeypatch.setattr(explorer_module, "frames", counted)
    explorer = explorer_of([make_example(n_vocabulary=32000)])
    started = time.perf_counter()
    for beta in BETAS:
        explorer.beta.value = beta
    seconds = (time.perf_counter() - started) / len(BETAS)
    record_property("slider_ms", 1000 * seconds)
    assert seconds < 0.1
    assert [call[:2] for call in calls] == [(0.1, 1.0)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clean_logits": np.full(60, np.nan)}, "view clean: must be 60 finite numbers"),
        ({"noisy_logits": {0.3: np.zeros(59)}}, "view 0.3: must be 60 finite numbers"),
        ({"words": ["knife"]}, "must be of one length"),
        ({"word_ids": [60] * 8}, r"word_ids: must be in \[0, 59\]"),
        ({"present": [1] * 8}, "must hold True, False or None"),
    ],
)
def test_a_bad_place_is_refused_by_word_and_reason(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SeedError, match=f"'knife'.*{message}"):
        replace(make_place(), **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": b"GIF89a"}, "neither WebP nor PNG"),
        ({"noisy_images": {0.3: b"GIF89a"}}, "neither WebP nor PNG"),
        ({"confidence": 0.2}, r"confidence=0.2: must be finite and at most 0"),
        ({"places": []}, "start=0: there are 0 places"),
    ],
)
def test_a_bad_example_is_refused_by_title_and_reason(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SeedError, match=f"'dining 0'.*{message}"):
        replace(make_example(), **change)


def test_explorer_refuses_what_it_cannot_show() -> None:
    example = make_example()
    with pytest.raises(SeedError, match=r"'dining 0' has no noisy logits for alpha=0\.9"):
        explorer_of([example], alphas=[0.9])
    with pytest.raises(SeedError, match="temperature=0: must be above 0"):
        explorer_of([example], temperatures=[0])
    with pytest.raises(SeedError, match=r"history\[1\]=0.5"):
        explorer_of([example], [-0.5, 0.5])
    with pytest.raises(SeedError, match="at least one example"):
        explorer_of([])
