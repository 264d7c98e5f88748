"""The beta explorer: its frames are the formula, its rule is the selector's."""

import time
from collections.abc import Callable
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
    make_example,
    make_explorer,
    static_data,
)

import seednb.report.widgets.explorer as explorer_module
from seednb.core.errors import SeedError
from seednb.method.beta import BetaSelector
from seednb.report.widgets import BetaExplorer
from seednb.report.widgets.explorer import BY_CONFIDENCE, BY_HAND
from seednb.report.widgets.frames import BETAS, frames
from seednb.report.widgets.history import History


def softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("alpha", ALPHAS)
def test_frames_equal_the_formula_over_the_whole_vocabulary(
    alpha: float, temperature: float
) -> None:
    example = make_example()
    clean, noisy = (
        logits.astype(float) for logits in (example.clean_logits, example.noisy_logits[alpha])
    )
    shown = frames(example, alpha, temperature)
    for beta, purified in zip(BETAS, shown.purified, strict=True):
        expected = softmax(((1 + beta) * clean - beta * noisy) / temperature)[example.word_ids]
        np.testing.assert_allclose(np.array(purified) / 1000, expected, atol=0.000501)
    expected_noisy = softmax(noisy / temperature)[example.word_ids]
    np.testing.assert_allclose(np.array(shown.noisy) / 1000, expected_noisy, atol=0.000501)


def test_beta_zero_gives_the_clean_probabilities_and_beta_one_does_not() -> None:
    shown = frames(make_example(), 0.3, 1.0)
    assert shown.purified[0] == shown.clean
    assert shown.purified[10] != shown.clean


def test_no_bar_is_longer_than_the_axis_and_all_betas_share_it() -> None:
    shown = frames(make_example(3), 0.1, 4.0)
    assert max(map(max, [shown.clean, shown.noisy, *shown.purified])) <= shown.scale


def test_static_face_has_a_frame_for_every_example_alpha_temperature_and_beta() -> None:
    table = np.array(
        [
            [[frame[3] for frame in row] for row in example["frames"]]
            for example in static_data(make_explorer(3).static_html())["examples"]
        ]
    )
    assert table.shape == (3, len(ALPHAS), len(TEMPERATURES), len(BETAS), len(WORDS))


def test_static_frames_are_the_numbers_that_the_live_face_draws() -> None:
    data = static_data(make_explorer().static_html())
    shown = frames(make_example(1), ALPHAS[2], TEMPERATURES[1])
    assert data["examples"][1]["frames"][2][1] == [
        shown.scale,
        shown.clean,
        shown.noisy,
        shown.purified,
    ]


@pytest.mark.parametrize("history", [HISTORY, HISTORY[:19], []], ids=["long", "short", "none"])
@pytest.mark.parametrize("seed", [0, 1, 2, 6])
def test_shown_beta_is_the_one_that_the_selector_gives(seed: int, history: list[float]) -> None:
    example = make_example(seed)
    selector = BetaSelector()
    selector.history.extend(history)
    expected = selector.select(torch.tensor([example.confidence], dtype=torch.float64)).item()
    explorer = BetaExplorer([example], history, ALPHAS, TEMPERATURES)
    assert explorer.beta.value == pytest.approx(expected)
    assert f"the rule gives beta {expected:g}." in explorer.side.value
    assert static_data(explorer.static_html())["examples"][0]["beta"] == pytest.approx(expected)


def test_strip_puts_the_marker_among_the_selectors_thresholds() -> None:
    history = History(tuple(HISTORY))
    thresholds = history.selector().thresholds()
    strip = history.strip(thresholds[1])
    assert strip.marker == strip.thresholds[1] == strip.chosen[0]
    assert [beta for _, beta in strip.zones] == list(BetaSelector().values)
    width = 100 / len(strip.bars)
    left = sum(bar for k, bar in enumerate(strip.bars) if (k + 1) * width <= strip.thresholds[0])
    assert left / sum(strip.bars) == pytest.approx(0.25, abs=0.06)  # one bin holds up to 6%


def test_slider_can_stand_on_every_beta_of_the_rule() -> None:
    selector = BetaSelector()
    assert {*selector.values, selector.start_value} <= set(BETAS)


@pytest.mark.parametrize(
    ("control", "value"), [("beta", 2.0), ("alpha", 0.7), ("temperature", 4.0), ("example", 1)]
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


def test_reading_names_the_likeliest_absent_and_present_word_with_their_percentages() -> None:
    clean = np.log([0.1, 0.41, 0.3, 0.1, 0.09]).astype(np.float32)
    noisy = np.log([0.1, 0.52, 0.2, 0.1, 0.08]).astype(np.float32)
    example = replace(
        make_example(),
        clean_logits=clean,
        noisy_logits=dict.fromkeys(ALPHAS, noisy),
        words=["cat", "cup", "dog"],
        word_ids=[1, 2, 3],
        present=[False, True, False],
    )
    explorer = BetaExplorer([example], HISTORY, ALPHAS, [1.0])
    explorer.beta.value = 1.0
    purified = softmax(2 * clean.astype(float) - noisy)
    for k, word, place in ((1, "cat", "not in the image"), (2, "cup", "in the image")):
        change = f"from {np.exp(clean[k]):.0%} to {purified[k]:.0%}."
        assert f"Beta 1.0 moves “{word}” ({place}) {change}" in explorer.reading.value
    assert "dog" not in explorer.reading.value
    explorer.beta.value = 0.0
    assert "Beta 0 changes nothing" in explorer.reading.value


def test_slider_moves_need_no_new_forward_mathematics(
    monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    calls = []

    def counted(*arguments: Any) -> Any:
        calls.append(arguments[1:])
        return frames(*arguments)

    monkeypatch.setattr(explorer_module, "frames", counted)
    explorer = BetaExplorer([make_example(n_vocabulary=32000)], HISTORY, ALPHAS, TEMPERATURES)
    started = time.perf_counter()
    for beta in BETAS:
        explorer.beta.value = beta
    seconds = (time.perf_counter() - started) / len(BETAS)
    record_property("slider_ms", 1000 * seconds)
    assert seconds < 0.1
    assert calls == [(0.1, 1.0)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_png": b"GIF89a"}, "no PNG"),
        ({"confidence": 0.2}, r"confidence=0.2: must be finite and at most 0"),
        ({"clean_logits": np.full(60, np.nan)}, "view clean: must be 60 finite numbers"),
        ({"noisy_logits": {0.3: np.zeros(59)}}, "view 0.3: must be 60 finite numbers"),
        ({"words": ["knife"]}, "must be of one length"),
        ({"word_ids": [60] * 8}, r"word_ids: must be in \[0, 59\]"),
        ({"present": [1] * 8}, "must hold True, False or None"),
    ],
)
def test_bad_example_is_refused_by_title_and_reason(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SeedError, match=f"'dining 0'.*{message}"):
        replace(make_example(), **change)


def test_explorer_refuses_what_it_cannot_show() -> None:
    example = make_example()
    with pytest.raises(SeedError, match=r"'dining 0' has no noisy logits for alpha=0\.9"):
        BetaExplorer([example], HISTORY, [0.9], TEMPERATURES)
    with pytest.raises(SeedError, match="temperature=0: must be above 0"):
        BetaExplorer([example], HISTORY, ALPHAS, [0])
    with pytest.raises(SeedError, match=r"history\[1\]=0.5"):
        BetaExplorer([example], [-0.5, 0.5], ALPHAS, TEMPERATURES)
    with pytest.raises(SeedError, match="at least one example"):
        BetaExplorer([], HISTORY, ALPHAS, TEMPERATURES)
