"""Curves of runs: the growing file, the drawing, following until the end, and the static face."""

import time
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from axe import grave_violations
from browsers import start_chromium
from IPython.core.formatters import DisplayFormatter

from seednb.core.errors import SeedError
from seednb.core.files import write_frame
from seednb.report.widgets import CompareRuns, TrainingCurve
from seednb.report.widgets.curves import N_POINTS, SIDE, chart
from seednb.training.history import CURVE, GROWING, append_row, read_curve
from seednb.training.monitor.bands import Band

ATTACK = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"


def curve(n=60, slope=-0.01, **more):
    step = np.arange(1, n + 1)
    columns = {"loss": 2.0 + slope * step, "beta": 0.5, "learning_rate": 1e-3, "eta_s": 0.0}
    return pd.DataFrame({"step": step, **columns, **more})


def row(step, loss=1.0):
    return {"step": step, "loss": loss, "beta": 0.6, "eta_s": 7200.0}


def test_a_growing_curve_is_read_without_its_torn_line_and_the_later_row_of_a_step_counts(tmp_path):
    assert read_curve(tmp_path)[0].empty
    for each in (row(1), row(2), row(3), row(2, loss=5.0), row(3, loss=float("nan"))):
        append_row(tmp_path, each)
    with (tmp_path / GROWING).open("a") as file:
        file.write('{"step": 4, "lo')
    frame, finished = read_curve(tmp_path)
    assert not finished
    assert frame["step"].tolist() == [1, 2, 3]
    np.testing.assert_array_equal(frame["loss"], [1.0, 5.0, np.nan])
    write_frame(tmp_path / CURVE, curve(4))
    frame, finished = read_curve(tmp_path)
    assert finished and len(frame) == 4


def points(path):
    return [tuple(map(float, point.split())) for point in path.removeprefix("M").split("L")]


def test_lines_fill_their_common_frame_from_edge_to_edge():
    both = {"a": curve(60), "b": curve(30, slope=+0.01)}
    drawn = [points(line.path) for line in chart(both, "loss", 1).lines]
    x, y = (sorted(point[axis] for line in drawn for point in line) for axis in (0, 1))
    assert (x[0], x[-1], y[0], y[-1]) == (0, SIDE, 0, SIDE)
    assert drawn[0][0][1] < drawn[0][-1][1]  # a falling loss goes down the page
    assert drawn[1][-1][0] == pytest.approx(SIDE * 29 / 59, abs=1)


def test_a_long_curve_keeps_few_points_and_its_last_one():
    shown = chart({"a": curve(100_001)}, "loss", 1)
    drawn = points(shown.lines[0].path)
    assert len(drawn) <= N_POINTS and drawn[-1] == (SIDE, SIDE)


def test_the_mean_of_steps_is_the_mean_of_steps():
    frame = curve(4).assign(loss=[1.0, 2.0, 6.0, np.nan])
    assert chart({"a": frame}, "loss", 2).lines[0].last == "4"
    assert chart({"a": frame}, "loss", 1).lines[0].last == "6"


def test_a_flat_curve_and_an_empty_one_are_drawn():
    assert points(chart({"a": curve(3)}, "beta", 1).lines[0].path)[0][1] == SIDE / 2
    empty = chart({"a": pd.DataFrame()}, "beta", 1)
    assert empty.lines[0].path == "" and "No step" in empty.reading


def test_a_healthy_band_that_the_run_never_reaches_is_drawn_and_told():
    bands = {"loss": Band(3.0, 4.0)}
    shown = chart({"a": curve(60, slope=-0.01)}, "loss", 1, bands)
    top, height, words = shown.band
    assert (top, words) == (0, "healthy runs: 3 to 4")
    assert min(y for _, y in points(shown.lines[0].path)) > 10 * (top + height)
    assert chart({"a": curve(60)}, "beta", 1, bands).band is None


def test_beta_of_a_single_run_is_shown_with_the_range_of_its_examples():
    one = curve(3).assign(beta_low=0.4, beta_high=1.1)
    area = chart({"a": one}, "beta", 1).lines[0].area
    assert points(area.removesuffix("Z")) == [
        (0, SIDE), (SIDE / 2, SIDE), (SIDE, SIDE), (SIDE, 0), (SIDE / 2, 0), (0, 0)
    ]  # fmt: skip
    assert chart({"a": one, "b": one}, "beta", 1).lines[0].area == ""
    assert chart({"a": one}, "loss", 1).lines[0].area == ""


def test_four_runs_lie_on_common_axes_with_a_style_each():
    face = CompareRuns({name: curve() for name in ("v4", "v5", "v6", "v7")}).static_html()
    assert all(f'class="sw-line-{n}" d="M' in face for n in range(4))


def test_a_run_is_followed_as_it_grows_and_left_when_it_ends(tmp_path):
    append_row(tmp_path, row(1))
    widget = TrainingCurve.following(tmp_path, "v7", every_s=0.01)
    assert "at step 1, 2.0 h left" in widget.view.value
    append_row(tmp_path, row(2))
    until(lambda: "at step 2" in widget.view.value)
    assert not widget.stop.disabled
    write_frame(tmp_path / CURVE, curve(9))
    until(lambda: "at step 9" in widget.view.value and widget.stop.disabled)


def test_following_begins_before_the_folder_is_there_and_stops_at_a_press(tmp_path):
    widget = TrainingCurve.following(tmp_path / "later", every_s=0.01)
    assert "No step" in widget.view.value
    widget.stop.click()
    until(lambda: widget.stop.disabled)
    (tmp_path / "later").mkdir()
    append_row(tmp_path / "later", row(1))
    assert "No step" in widget.view.value


def until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_choice_is_kept_while_the_curve_grows_and_answers_within_a_tenth_of_a_second(tmp_path):
    append_row(tmp_path, row(1))
    widget = TrainingCurve(read_curve(tmp_path)[0])
    widget.folder = tmp_path
    widget.quantity.value = "beta"
    append_row(tmp_path, row(2))
    widget.refresh()
    assert widget.quantity.value == "beta" and "beta from 0.6" in widget.view.value
    large = CompareRuns({"a": curve(20_000), "b": curve(20_000, slope=0.1)})
    started = time.perf_counter()
    for quantity in ("beta", "learning_rate", "loss"):
        large.quantity.value = quantity
    assert (time.perf_counter() - started) / 3 < 0.1


def test_both_faces_are_in_the_bundle_and_the_same_curve_gives_the_same_bytes():
    bundle, _ = DisplayFormatter().format(TrainingCurve(curve(), "v7"))
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"]
    assert bundle["text/html"] == TrainingCurve(curve(), "v7").static_html()
    assert len(bundle["text/html"]) < 150_000 and "http" not in bundle["text/html"]


def test_names_of_runs_stay_text():
    class Scripts(HTMLParser):
        n_scripts = 0

        def handle_starttag(self, tag, attrs):
            self.n_scripts += tag == "script"
            assert tag != "img"

    parser = Scripts()
    parser.feed(CompareRuns({ATTACK: curve(), "b": curve()}).static_html())
    assert parser.n_scripts == 2


@pytest.mark.parametrize(
    ("curves", "message"),
    [
        ({"a": curve()}, "two runs to 4 are compared, not 1"),
        ({"a": curve(), "b": pd.DataFrame()}, "'b' has no step"),
        ({"a": curve(), "b": pd.DataFrame({"step": [1], "odd": [1]})}, "no quantity in common"),
        ({"a": curve(), "b": pd.DataFrame({"loss": [1]})}, "'b' has no column 'step'"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused(curves, message):
    with pytest.raises(SeedError, match=message):
        CompareRuns(curves)


def test_two_runs_are_read_from_their_folders(tmp_path):
    for name in ("v6", "v7"):
        (tmp_path / name).mkdir()
        append_row(tmp_path / name, row(1))
    assert "v6: loss" in CompareRuns.of(tmp_path / "v6", tmp_path / "v7").view.value
    with pytest.raises(SeedError, match="of the same name"):
        CompareRuns.of(tmp_path / "v6", tmp_path / "v6")


@pytest.mark.browser
def test_the_static_face_changes_by_keyboard_and_breaks_no_serious_rule(tmp_path):
    from selenium.webdriver.common.keys import Keys

    face = CompareRuns({"v6": curve(slope=0.01), "v7": curve()}).static_html()
    page = tmp_path / "face.html"
    page.write_text(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Face</title>"
        f"<main><h1>Face</h1>{face}</main>",
        "utf-8",
    )
    driver = start_chromium("--window-size=900,700")
    try:
        driver.get(page.as_uri())

        def reading():
            return driver.find_element("css selector", "[data-chart]:not([hidden]) .sw-note").text

        assert "v6: loss (nats)" in reading() and "v7: loss (nats)" in reading()
        select = driver.find_element("name", "quantity")
        select.send_keys(Keys.ARROW_DOWN)
        assert "v7: beta" in reading()
        assert driver.execute_script("return document.activeElement.name") == "quantity"
        outline = "return getComputedStyle(document.activeElement).outlineStyle"
        assert driver.execute_script(outline) == "solid"
        assert grave_violations(driver) == []
        assert driver.get_log("browser") == []
    finally:
        driver.quit()
