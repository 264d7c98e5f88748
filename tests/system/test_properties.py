"""Laws that hold for all inputs: parsers, packing, the choice of beta, parameters, divergences."""

import json
import math
from bisect import bisect_right
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from seednb.core.errors import SeedError
from seednb.core.profiles import SECTIONS, load_params, parse_override
from seednb.core.schema import LARGEST
from seednb.evaluation.benchmarks.pope import COUNTS, outcomes
from seednb.evaluation.parsers import PARSERS, parse_answer
from seednb.evaluation.stats import bootstrap, holm, mcnemar_exact, paired_bootstrap, ratio
from seednb.evaluation.words import VQA_RULES, normalise
from seednb.method.beta import MIN_HISTORY, BetaSelector
from seednb.method.confidence import answer_confidence
from seednb.method.losses import DIVERGENCES, cross_entropy, seed_loss
from seednb.method.purification import purify_logits
from seednb.model.inputs.collate import LENGTH_STEP, Layout, collate
from seednb.model.inputs.prompts import Encoded

few = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,  # the same examples in every run
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
IMAGE, PAD = 7, 0
words = st.text() | st.lists(
    st.sampled_from(["yes", "no", "Yes", "NO", "not,", "n't", ".", "know", "?", "don't"])
).map(" ".join)


@few
@given(text=words, parser=st.sampled_from(list(PARSERS)))
def test_every_text_has_one_of_three_verdicts(text, parser):
    assert parse_answer(text, parser) in ("yes", "no", "unclear")
    if parser in ("official", "opera"):
        assert parse_answer(text, parser) != "unclear"


@few
@given(
    verdict=st.sampled_from(["yes", "no"]),
    before=st.text(" \n\t.,!\"'*", max_size=4),
    after=st.text(" \n\t.,!\"'*", max_size=4),
)
def test_strict_sees_one_word_through_space_case_and_punctuation(verdict, before, after):
    for word in (verdict, verdict.upper(), verdict.capitalize()):
        assert parse_answer(f"{before}{word}{after}", "strict") == verdict
    assert parse_answer(f"{before}{verdict} it is{after}", "strict") == "unclear"


@few
@given(
    rows=st.lists(st.tuples(st.sampled_from(["yes", "no"]), words), min_size=1),
    parser=st.sampled_from(list(PARSERS)),
)
def test_each_answer_is_counted_at_most_once_and_right_ones_by_their_label(rows, parser):
    records = pd.DataFrame(rows, columns=["label", "answer"])
    counts = outcomes(records, parser)
    assert list(counts.columns) == list(COUNTS)
    assert (counts["n"] == 1).all()
    once = counts[["TP", "FP", "TN", "FN"]].sum(axis=1)
    assert (once <= 1).all()
    asks_yes = records["label"] == "yes"
    assert not counts.loc[asks_yes, ["FP", "TN"]].to_numpy().any()
    assert not counts.loc[~asks_yes, ["TP", "FN"]].to_numpy().any()


@few
@given(text=st.text(), rule=st.sampled_from(VQA_RULES), n=st.integers(0, 10))
def test_normalised_answers_ignore_articles_and_the_writing_of_numbers(text, rule, n):
    said = normalise(text, rule)
    assert said == " ".join(said.split())
    assert normalise(f"the {n} a", rule) == str(n)


texts = st.lists(
    st.tuples(
        st.integers(0, 3),  # the image
        st.lists(st.integers(10, 99), min_size=1, max_size=6),  # the question
        st.lists(st.integers(10, 99), max_size=5),  # the answer
    ),
    min_size=1,
    max_size=7,
)


def encoded(chosen, n_image_tokens):
    """Texts that begin alike, then have the image's tokens."""
    start = (1, *[IMAGE] * n_image_tokens)
    return [Encoded((*start, *q, *a), len(start) + len(q)) for _, q, a in chosen]


@few
@given(chosen=texts, n_image_tokens=st.integers(1, 4), packs=st.booleans())
def test_packed_texts_read_back_as_they_were_and_see_nobody_else(chosen, n_image_tokens, packs):
    rows_of = [str(image) for image, _, _ in chosen]
    layout = Layout(PAD, IMAGE, n_image_tokens, packs=packs)
    names, rows = layout.rows(rows_of)
    encodings = encoded(chosen, n_image_tokens)
    batch = collate(encodings, rows, torch.zeros(len(names), 1), layout)
    assert batch.input_ids.shape[0] == (len(set(rows_of)) if packs else len(chosen))
    assert batch.input_ids.shape[1] % LENGTH_STEP == 0
    length, mask = batch.input_ids.shape[1], batch.attention_mask
    at = 0
    for number, (text, row) in enumerate(zip(encodings, rows, strict=True)):
        places = list(range(len(text.input_ids)))
        if batch.branches is not None:
            branches = batch.branches[row].tolist()
            filled = batch.input_ids[row].tolist()
            start = branches.count(0) - _n_padding(filled, branches)
            own = [t for t in range(length) if branches[t] == number + 1]
            places = [*range(start), *own]
            for place, t in enumerate(places):
                seen = mask[row, 0, t].nonzero().flatten().tolist()
                assert set(seen) == set(places[: place + 1]) | _later_shared(t, branches, start)
        assert batch.input_ids[row, places].tolist() == list(text.input_ids)
        if batch.position_ids is not None:
            assert batch.position_ids[row, places].tolist() == list(range(len(places)))
        n = batch.n_answer_tokens[number]
        found = batch.answer_positions[at : at + n].tolist()
        first = text.n_prompt - 1
        assert found == [row * length + places[first + k] for k in range(n)]
        assert tuple(batch.answer_ids[at : at + n].tolist()) == text.predicted
        assert batch.example_of_token[at : at + n].unique().tolist() == [number]
        at += n
    assert at == len(batch.answer_ids)


def _n_padding(filled, branches):
    """Places at the end of a row that hold nothing (branch 0 too)."""
    n = 0
    while filled[-1 - n] == PAD and branches[-1 - n] == 0:
        n += 1
    return n


def _later_shared(place, branches, start):
    """Padding lies behind every text, so no text sees it."""
    return {t for t in range(start, place + 1) if branches[t] == 0}


confidences = st.lists(st.integers(-8, 0).map(float), min_size=1, max_size=120) | st.lists(
    st.floats(-20, 0, allow_subnormal=False), min_size=MIN_HISTORY, max_size=120
)  # the first are full of ties


@few
@given(values=confidences, window=st.integers(15, 60), cut=st.integers(0, 120))
def test_beta_depends_on_the_confidences_before_it_and_not_on_the_batch(values, window, cut):
    selector = BetaSelector(window=window)
    found = [*selector.select(torch.tensor(values[:cut], dtype=torch.float64)).tolist()]
    found += selector.select(torch.tensor(values[cut:], dtype=torch.float64)).tolist()
    expected = [
        beta_by_hand(values[max(0, n - window) : n], value) for n, value in enumerate(values)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert list(selector.history) == values[-window:]


def beta_by_hand(history, value):
    """The rule in plain words: in which quarter of the history does the confidence fall?"""
    if len(history) < MIN_HISTORY:
        return 0.7
    return (1.1, 0.8, 0.6, 0.4)[
        bisect_right(np.quantile(history, [0.25, 0.5, 0.75]).tolist(), value)
    ]


@few
@given(values=st.lists(st.floats(-20, 0), min_size=MIN_HISTORY, max_size=80), pair=st.tuples(st.floats(-30, 0), st.floats(-30, 0)))  # fmt: skip
def test_less_confidence_never_means_a_smaller_beta(values, pair):
    betas = []
    for value in sorted(pair):
        selector = BetaSelector()
        selector.select(torch.tensor(values))
        betas += selector.select(torch.tensor([value])).tolist()
    assert betas[0] >= betas[1]


logits = st.integers(2, 9).flatmap(
    lambda v: st.lists(
        st.lists(st.floats(-60, 60, width=32), min_size=v, max_size=v), min_size=2, max_size=2
    )
)


def as_rows(pair):
    """Two rows of logits in float64."""
    return torch.tensor(pair, dtype=torch.float64).unsqueeze(1)


@few
@given(pair=logits, temperature=st.floats(0.5, 5), shift=st.floats(-50, 50))
@pytest.mark.parametrize("name", DIVERGENCES)
def test_divergences_are_positive_zero_at_home_and_blind_to_shifts(name, pair, temperature, shift):
    student, target = as_rows(pair)
    value = DIVERGENCES[name](student, target, temperature)
    assert value.item() >= -1e-9 and math.isfinite(value.item())
    torch.testing.assert_close(DIVERGENCES[name](student + shift, target, temperature), value, rtol=1e-6, atol=1e-9)  # fmt: skip
    assert abs(DIVERGENCES[name](student, student, temperature).item()) < 1e-9


@few
@given(pair=logits, temperature=st.floats(0.5, 5))
def test_directions_are_each_other_s_mirror_and_js_lies_below_log_two(pair, temperature):
    student, target = as_rows(pair)
    reverse, forward, js = (DIVERGENCES[name] for name in ("reverse", "forward", "js"))
    torch.testing.assert_close(
        reverse(student, target, temperature), forward(target, student, temperature)
    )
    there = js(student, target, temperature)
    torch.testing.assert_close(there, js(target, student, temperature))
    assert there.item() <= math.log(2) + 1e-6


@few
@given(pair=logits, beta=st.floats(0, 4), other=st.floats(0, 4), shift=st.floats(-50, 50))
def test_purified_logits_are_linear_in_beta_and_a_shift_stays_a_shift(pair, beta, other, shift):
    clean, noisy = as_rows(pair)
    purified = purify_logits(clean, noisy, beta)
    torch.testing.assert_close(purified, (1 + beta) * clean - beta * noisy)
    further = purify_logits(purified, purified - (clean - noisy), other)
    torch.testing.assert_close(further, purify_logits(clean, noisy, beta + other))
    moved = purify_logits(clean + shift, noisy + shift, beta)
    torch.testing.assert_close(moved, purified + shift)


@few
@given(pair=logits)
def test_confidence_and_cross_entropy_meet_at_the_likeliest_word(pair):
    rows = as_rows(pair).flatten(0, 1)
    told = answer_confidence(rows, torch.tensor([0, 0]), 1)
    losses = cross_entropy(rows, rows.argmax(-1))
    assert -math.log(rows.shape[1]) - 1e-9 <= told.item() <= 0
    torch.testing.assert_close(-losses.mean(0, keepdim=True), told)


@few
@given(d=st.floats(0, 50), s=st.floats(0, 50), weight=st.floats(0, 1), temperature=st.floats(0.5, 5))  # fmt: skip
def test_the_loss_lies_between_its_parts(d, s, weight, temperature):
    loss = seed_loss(torch.tensor([d]), torch.tensor([s]), weight, temperature).item()
    scaled = temperature**2 * d
    assert min(scaled, s) - 1e-3 <= loss <= max(scaled, s) + 1e-3


@few
@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_raises_no_p_above_one_and_keeps_their_order(p):
    adjusted = holm(p)
    assert (adjusted >= np.asarray(p) - 1e-12).all() and (adjusted <= 1).all()
    assert (adjusted <= np.asarray(p) * len(p) + 1e-12).all()
    order = np.argsort(p, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()


@few
@given(rows=st.lists(st.tuples(st.booleans(), st.booleans()), max_size=30))
def test_mcnemar_is_symmetric_and_looks_at_disagreements_only(rows):
    a, b = [x for x, _ in rows], [y for _, y in rows]
    p = mcnemar_exact(a, b)
    assert p == mcnemar_exact(b, a) == mcnemar_exact([*a, True, False], [*b, True, False])
    assert 0 < p <= 1


@few
@given(counts=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 9)), min_size=1, max_size=12))
def test_an_interval_holds_its_level_and_pairing_a_model_with_itself_gives_zero(counts):
    sums = np.asarray(counts, float)

    def share(totals):
        return ratio(totals[..., 0], totals[..., 1])

    level = bootstrap(sums, share, resamples=100)
    shares = ratio(sums[:, 0], sums[:, 1])
    assert shares.min() - 1e-12 <= level.low <= level.high <= shares.max() + 1e-12
    same = paired_bootstrap(sums, sums, share, resamples=100)
    assert (same.value, same.low, same.high) == (0, 0, 0)


NUMBERS = [
    (item, kind)
    for section in SECTIONS.values()
    for item in fields(section)
    for kind in [type(item.default)]
    if kind in (int, float)
]


@few
@given(data=st.data())
def test_a_number_is_taken_exactly_where_it_is_in_range(data, tmp_path):
    item, kind = data.draw(st.sampled_from(NUMBERS))
    value = data.draw(st.integers(-5, 5000) if kind is int else st.floats(-2, 30))
    low, high = item.metadata["low"], item.metadata["high"]
    file = tmp_path / "p.yaml"
    file.write_text(json.dumps({item.name: value}))
    fits = (low is None or value >= low) and (high is None or value <= high)
    if fits:
        assert load_params(file).values()[item.name] == value
    else:
        with pytest.raises(SeedError, match=rf"p\.yaml: {item.name}="):
            load_params(file)


@few
@given(value=st.none() | st.booleans() | st.integers(-LARGEST, LARGEST) | st.floats(allow_nan=False) | st.text(st.characters(codec="ascii", categories=["L", "N"])))  # fmt: skip
def test_an_override_reads_back_what_was_written(value):
    key, read = parse_override(f"key={json.dumps(value)}")
    assert key == "key"
    if isinstance(value, float) and isinstance(read, str):  # YAML 1.1 takes 1e+16 for a text
        read = float(read)
    assert read == value or str(read) == str(value)


@few
@given(text=st.text())
def test_any_override_is_taken_or_refused_in_a_sentence(text, tmp_path):
    (tmp_path / "p.yaml").write_text("")
    assume("\ud800" not in text)
    try:
        params = load_params(tmp_path / "p.yaml", dict([parse_override(text)]))
    except SeedError as problem:
        assert str(problem)
    else:
        assert params.values()
