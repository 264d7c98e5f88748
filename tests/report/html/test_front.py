"""The first screen's own parts: the hero counts, settings and hours by card, chapters not run."""

import json
import struct

import nbformat
import pytest
from nbformat.v4 import new_markdown_cell, new_notebook
from report_samples import FACTS, first_notebook, numbers

from seednb.core.profiles import load_params
from seednb.data.vocabulary import Vocabulary
from seednb.model.cost_model import CARDS, SHAPES, Measured, plan
from seednb.report.html import build_report
from seednb.report.html.front.hero import (
    count,
    example,
    in_words,
    model_facts,
    read_pairs,
    segments,
)
from seednb.report.html.front.settings import EPOCHS, PAIRS, clock, settings_box

WORDS = Vocabulary(
    ("cat", "dog", "bird", "cow"), {name: name for name in ("cat", "dog", "bird", "cow")}
)
PRESENT = {"cat", "dog"}


def pairs(*captions):
    """Pairs of captions, base's and SEED's, of images that hold a cat and a dog."""
    base, seed = (
        [
            {"image_id": n, "image": f"{n}.jpg", "caption": both[i]}
            for n, both in enumerate(captions)
        ]
        for i in (0, 1)
    )
    return read_pairs(base, seed, dict.fromkeys(range(len(captions)), PRESENT), WORDS)


def test_inventions_gone_and_new_are_objects_that_only_one_caption_invents():
    read = pairs(
        ("a cat, a bird and a bird", "a cat"), ("a cow", "a bird"), ("a cow", "a cow and a dog")
    )
    counts = count(read)
    assert (counts.n_captions, counts.gone, counts.new, counts.repeated) == (3, 2, 1, 0)
    assert (counts.n_better, counts.n_worse) == (1, 0)
    assert count(pairs(("a cat", "a bird"))).n_worse == 1


def test_an_invention_that_gives_way_to_a_repeated_true_word_is_no_success():
    read = pairs(("a cat and a bird", "a cat and a cat"))
    counts = count(read)
    assert (counts.gone, counts.repeated, counts.n_better) == (0, 1, 0)
    assert example(read, counts) is None
    kept = count(pairs(("a cat, a cat and a bird", "a cat and a cat")))
    assert (kept.gone, kept.repeated) == (1, 0)


def test_the_example_shows_what_happens_more_often():
    better = ("a cat and a bird", "a cat and a dog")
    blunt = ("a cat and a bird", "a cat")
    loses = ("a cat, a dog and a bird", "a cat")
    read = pairs(loses, blunt, better)
    assert example(read, count(read)).seed["image"] == "2.jpg"
    worse = ("a cat", "a cow and a bird")
    read = pairs(better, worse, worse)
    assert example(read, count(read)).seed["image"] == "1.jpg"


def test_a_caption_is_cut_at_what_it_invents_and_at_what_only_it_finds():
    cut = segments("A cat, a dog and a bird.", PRESENT, WORDS, "a cat")
    assert cut == [
        ("A cat, a ", ""),
        ("dog", "found"),
        (" and a ", ""),
        ("bird", "wrong"),
        (".", ""),
    ]
    assert "".join(text for text, _ in cut) == "A cat, a dog and a bird."


def test_parameters_are_counted_in_the_checkpoint_or_known_by_its_name(tmp_path):
    header = json.dumps(
        {"__metadata__": {"format": "pt"}}
        | {name: {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}
           for name, shape in (("a", [3, 5]), ("b", [7]), ("scalar", []))}
    ).encode()  # fmt: skip
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    params = load_params("params/pocket.yaml", {"model": str(tmp_path)})
    assert model_facts(params) == {"name": tmp_path.name, "size": in_words(23), "is_toy": True}
    real = model_facts(load_params("params/llava-1.5-7b.yaml"))
    assert real == {"name": "llava-1.5-7b-hf", "size": "7.1 billion", "is_toy": False}
    unknown = model_facts(load_params("params/llava-1.5-7b.yaml", {"model": "some/other"}))
    assert unknown["size"] == ""


def test_the_box_holds_the_hours_that_plan_tells():
    root = load_params("params/pocket.yaml").root
    box, measured = settings_box(root), Measured.read(root)
    assert [each.card for each in box["cards"]] == list(CARDS)
    for each in box["cards"]:
        run = plan(measured, CARDS[each.card], SHAPES["llava-1.5-7b"], 1, PAIRS * EPOCHS)
        assert each.hours == clock(3600 * run.hours)
        assert each.settings == run.settings
    assert sum(each.is_measured for each in box["cards"]) == 1


def test_without_the_benchmarks_results_there_is_no_box(tmp_path):
    assert settings_box(tmp_path) is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(600, "10 min"), (3600, "1.0 h"), (9.96 * 3600, "10.0 h"), (12e6, "3,333 h")]
)  # fmt: skip
def test_times_are_short(seconds, text):
    assert clock(seconds) == text


def test_a_chapter_that_was_not_run_is_named_with_the_command_that_adds_it(tmp_path):
    done, left = tmp_path / "01.ipynb", tmp_path / "10.ipynb"
    nbformat.write(new_notebook(cells=first_notebook()), done)
    opening = new_markdown_cell("# 10 · Ablations: what matters\n\n**Shows:** much.")
    nbformat.write(new_notebook(cells=[opening, new_markdown_cell("## Unseen")]), left)
    missing = [{"file": left, "number": "10", "command": "seednb report --only 10"}]
    page = build_report([done], numbers(), FACTS | {"missing": missing}, tmp_path / "index.html")
    html = page.read_text(encoding="utf-8")
    assert "Not run here. This adds it: <code>seednb report --only 10</code>" in html
    assert "Ablations <small>not run</small>" in html and "what matters" in html
    assert "Unseen" not in html and html.index('id="chapter-10"') > html.index('id="chapter-01"')


def test_the_toy_is_framed_and_a_real_model_is_not_called_one(tmp_path):
    def frame(**model):
        page = build_report([], numbers(), FACTS | {"model": model}, tmp_path / "index.html")
        return page.read_text(encoding="utf-8")

    toy = frame(name="pocket", size="1.4 million", is_toy=True)
    assert "This is a toy" in toy and "1.4 million parameters" in toy
    real = frame(name="llava-1.5-7b-hf", size="7.1 billion", is_toy=False)
    assert "toy" not in real and "7.1 billion parameters" in real
    assert 'class="frame"' not in frame(name="x", size="", is_toy=False)
