"""Tables and sentences of the notebooks: what is not there is left out, what is there is not cut."""

import math
from types import SimpleNamespace

import pandas as pd
import pytest
from report_samples import HOSTILE, SPANS, row

from seednb.core.files import write_json
from seednb.data.instruct import Pair
from seednb.data.vocabulary import Vocabulary
from seednb.model.cost_model import RESULTS
from seednb.report import plots
from seednb.report.summaries import (
    TIMES_REPRODUCTION,
    caption_spans,
    epochs_table,
    label_errors,
    label_honesty,
    rank_table,
    same_image,
    scaling_table,
    training_table,
)
from seednb.report.tables import (
    CHAIR_COLUMNS,
    as_command,
    interval_text,
    mcnemar_reading,
    metric_table,
    prose,
    readable,
    reading,
    sides,
    spread,
)

ROWS = [
    row("v7", "base", "chair", "CHAIRi", SPANS["down"]),
    row("v7", "base", "chair", "recall", SPANS["flat"]),
    row("threshold_control", "base", "pope", "accuracy", SPANS["up"], "adversarial"),
]


def test_a_model_without_any_of_the_metrics_has_no_row():
    table = metric_table(ROWS, CHAIR_COLUMNS, versus="base")
    assert list(table.index) == ["v7"]
    assert table.loc["v7", "CHAIRi"] == "−2.0 [−3.0, −1.0]"
    assert table.loc["v7", "CHAIRs"] == "–"


def test_an_exact_zero_has_no_sign():
    figures = pd.Series({"metric": "f1", "value": 0.008, "low": 0.0, "high": 0.015})
    assert interval_text(figures, signed=True) == "+0.8 [0.0, +1.5]"


@pytest.mark.parametrize(
    ("way", "word"), [("down", "lower"), ("flat", "not resolved"), ("up", "higher")]
)
def test_a_difference_is_read_from_its_interval(way, word):
    rows = [row("v7", "base", "chair", "CHAIRi", SPANS[way])]
    points = interval_text(rows[0], signed=True)
    said = f"v7 against base: CHAIRi {word} ({points} points)."
    assert reading(rows, CHAIR_COLUMNS, "v7", "base") == said
    assert reading(rows, CHAIR_COLUMNS, "v7", "v6") == "v7 against v6: not compared."


def test_a_spread_names_the_ends_once_and_gives_counts_no_unit():
    rows = [
        row(f"sampling_{n}", "base", "chair", metric, SPANS[way])
        for n, way in enumerate(("down", "up"))
        for metric in ("CHAIRi", "mentions")
    ]
    models = ["sampling_0", "sampling_1"]
    said = spread(rows, CHAIR_COLUMNS, models, "base")
    assert said == "CHAIRi −2.0 to +3.0 points, mentions −0.02 to +0.03"
    assert spread(rows, CHAIR_COLUMNS, models[:1], "base").startswith("CHAIRi −2.0 points,")
    assert spread(rows, CHAIR_COLUMNS, models, "v7") == "not compared"


def test_models_are_told_by_the_side_on_which_their_interval_lies():
    rows = [row(f"short/{way}", "base", "chair", "CHAIRi", SPANS[way]) for way in SPANS]
    models = [f"short/{way}" for way in SPANS]
    column = {"CHAIRi": CHAIR_COLUMNS["CHAIRi"]}
    said = "CHAIRi: lower with down; higher with up; not told apart: flat."
    assert sides(rows, column, models, "base") == said
    assert sides(rows, column, models, "v7") == "CHAIRi: not compared."


def test_corrected_tests_are_read_by_side_and_one_model_is_named():
    tests = pd.DataFrame(
        [("v7", "random", 3, 30, 0.01), ("v7", "popular", 30, 3, 0.01), ("v7", "hard", 9, 8, 1.0),
         ("v4", "hard", 1, 90, 0.001)],
        columns=["model", "split", "only base right", "only model right", "p (Holm)"],
    )  # fmt: skip
    assert mcnemar_reading(tests, "v7", "split") == (
        "3 of 4 tests stay below 0.05 after the correction. v7 is more often right on random; "
        "less often right on popular; not told apart on hard."
    )


def test_a_true_object_named_again_is_marked_once():
    caption = {"caption": "A cat, a dog and a cat."}
    assert caption_spans(caption, {"cat"}, WORLD.vocabulary) == ([(9, 12)], [(2, 5)])


def test_text_is_escaped_and_never_cut():
    html = readable(pd.DataFrame({"statement": [HOSTILE + "x" * 200]})).to_html()
    assert "<script>" not in html
    assert "x" * 200 in html


def test_a_command_breaks_between_words_only():
    assert as_command("a --b").count("nowrap") == 2


# Two images; the replayed caption of the first names a dog that is not there.
WORLD = SimpleNamespace(
    train=SimpleNamespace(
        images=pd.DataFrame({"image_id": [1, 2], "file_name": ["1.jpg", "2.jpg"]}),
        objects={1: ["cat"], 2: ["cat", "dog"]},
        categories=("cat", "dog"),
    ),
    pairs={
        "replay": [
            Pair("2.jpg", "What is this?", "A cat and a dog."),
            Pair("1.jpg", "What is this?", "A cat and a dog."),
            Pair("1.jpg", "Is there a dog?", "Yes"),
        ],
        "truthful": [Pair("1.jpg", "What is this?", "A cat.")],
    },
    present={1: {"cat"}, 2: {"cat", "dog"}},
    vocabulary=Vocabulary(("cat", "dog"), {"cat": "cat", "dog": "dog"}),
)


def test_labels_that_invent_are_counted_by_caption_and_by_object():
    honesty = label_honesty(WORLD).set_index("labels")
    assert honesty.loc["replay", "invent"] == pytest.approx(0.5)
    assert honesty.loc["truthful", "invent"] == 0
    errors = label_errors(WORLD, "replay")
    assert errors.loc["dog", "invented"] == 1
    assert errors["present"].dtype.kind == "i"


def test_the_image_shown_is_one_where_a_label_invents():
    shown = same_image(WORLD)
    assert shown["answer"].iloc[0] == "cat"
    assert list(shown["labels"]) == ["annotation", "replay", "replay", "truthful"]


def test_even_ranks_stand_beside_the_found_ones():
    table = rank_table(pd.Series([1, 1, 2, 9]), WORLD, n_rows=3)
    assert table["hallucinated mentions"].tolist() == [0.5, 0.25, 0.0]
    assert (table["spread evenly"] == 1.0).all()  # half an object is absent: at least one counts


def test_a_flat_curve_stays_flat():
    names = ("loss", "distillation", "supervision", "beta", "confidence", "learning_rate")
    curve = pd.DataFrame({name: [1e-5, 2e-5] for name in names}).assign(step=[1, 2], epoch=1)
    panels = plots.training_curves(curve, window=1).axes
    assert panels[1].get_ylim() == (0, plots.AT_LEAST["distillation"])


def test_several_cards_stand_beside_one_of_them(tmp_path):
    folder = tmp_path / RESULTS
    folder.mkdir(parents=True)
    for name, rate in (
        ("7b, 1 processes", 20.0),
        ("7b, 2 processes", 39.0),
        ("34b, 2 processes, sharded", 4.0),
    ):
        row = {"name": name, "samples_per_s": rate, "peak_gib_of_each": [30.0, 31.0]}
        write_json(folder / f"scaling-{len(name)}-{rate}.json", {"rows": [row]})
    table = scaling_table(tmp_path).set_index(["model", "cards"])
    assert table.loc[("7b", 2), "times one card"] == 39 / 20
    assert math.isnan(table.loc[("34b", 2), "times one card"])
    assert table.loc[("34b", 2), "layers"] == "in parts"
    assert set(table["GiB of each"]) == {31.0}


def test_epochs_are_averaged_by_time_and_not_by_rate():
    rates = {"seed loop": 1.5, "ours": 30.0, "ours, teacher cached": 60.0}
    rows = [
        {"name": name, "samples_per_s": rate, "times_seed_loop": rate / 1.5}
        for name, rate in rates.items()
    ]
    (row,) = epochs_table({"rows": rows}).to_dict("records")
    assert row["variant"] == "ours"
    shown = training_table({"rows": rows}).set_index("name")["times_seed_loop"]
    assert shown["reproduction's loop"] == 1 and shown["ours"] == 20
    assert row["over 3 epochs"] == pytest.approx(3 / (1 / 30 + 2 / 60))
    assert row[TIMES_REPRODUCTION] == pytest.approx(45 / 1.5)


def test_computed_sentences_are_one_paragraph_of_markdown_without_empty_ones():
    assert prose("CHAIRi **falls**.", "", "Recall does not.")._repr_markdown_() == (
        "CHAIRi **falls**. Recall does not."
    )
