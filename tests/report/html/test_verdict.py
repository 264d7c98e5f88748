"""The report's words and marks follow from intervals, in every direction."""

import re

import pytest
from report_samples import SPANS, numbers, row

from seednb.evaluation.stats import Interval, figure_text
from seednb.report.html.front.overview import forest_plot, overview_table
from seednb.report.html.verdict import as_frame, further, judge
from seednb.report.html.verdict.words import SEEING
from seednb.report.tables import find_interval


@pytest.mark.parametrize(
    ("direction", "outcome", "words"),
    [
        ("down", "supported", "hallucinates less than the base model"),
        ("flat", "unresolved", "not distinguishable from the base model"),
        ("up", "opposite", "hallucinates more than the base model"),
    ],
)
def test_the_effect_is_read_from_the_interval(direction, outcome, words):
    effect, *_ = judge(numbers(effect=direction))
    assert effect.outcome == outcome
    assert words in effect.sentence


@pytest.mark.parametrize(
    ("direction", "outcome", "answer"),
    [
        ("down", "supported", "more than caution"),
        ("flat", "unresolved", "not distinguishable from mentioning less"),
        ("up", "opposite", "worse than mentioning less"),
    ],
)
def test_caution_is_judged_against_the_mention_control(direction, outcome, answer):
    _, caution, *_ = judge(numbers(caution=direction))
    assert (caution.outcome, caution.answer) == (outcome, answer)


@pytest.mark.parametrize("effect", ["flat", "up"])
def test_more_than_caution_is_not_said_where_there_is_no_gain(effect):
    _, caution, *_ = judge(numbers(effect=effect, caution="down"))
    assert "more than caution" not in caution.answer + caution.sentence
    assert "no better than base" in caution.answer


def test_lost_recall_is_said_with_the_gain():
    assert "leaves out more" in judge(numbers(recall="down"))[0].sentence
    assert "leaves out more" not in judge(numbers(recall="flat"))[0].sentence


@pytest.mark.parametrize(("threshold", "auc"), SEEING)
def test_seeing_better_needs_both_accuracy_and_ranking(threshold, auc):
    _, _, seeing, *_ = judge(numbers(threshold=threshold, auc=auc))
    assert (seeing.answer == "seeing better") == (threshold == auc == "up")
    assert (seeing.outcome == "supported") == (threshold == auc == "up")
    has_loss, has_gain = "down" in (threshold, auc), "up" in (threshold, auc)
    assert (seeing.outcome == "opposite") == (has_loss and not has_gain)
    assert len(SEEING) == 9


def test_only_a_moved_threshold_needs_a_gain_to_explain():
    assert judge(numbers(gain="up"))[2].answer == "only a moved threshold"
    for gain in ("flat", "down"):
        seeing = judge(numbers(gain=gain))[2]
        assert seeing.answer == "no gain"
        assert "its gain" not in seeing.sentence


@pytest.mark.parametrize(
    ("ways", "outcome", "sentence"),
    [
        (
            ("down",) * 3,
            "supported",
            "It hallucinates less than supervision alone (−2.0 points), distillation alone (−2.0 points)",
        ),
        (
            ("down", "flat", "flat"),
            "unresolved",
            "; against distillation alone (0.0 points) and contrastive decoding (0.0 points) it is open.",
        ),
        (
            ("down", "up", "flat"),
            "opposite",
            "alone (−2.0 points) and more than distillation alone (+3.0 points); against contrastive decoding (0.0 points) it",
        ),
        (
            ("flat",) * 3,
            "unresolved",
            "Against supervision alone (0.0 points), distillation alone (0.0 points) and",
        ),
        (
            ("up",) * 3,
            "opposite",
            "It hallucinates more than supervision alone (+3.0 points), distillation alone (+3.0 points)",
        ),
    ],
)
def test_one_simpler_way_that_does_better_is_a_negative_result(ways, outcome, sentence):
    *_, simpler, _ = judge(numbers(simpler=ways))
    assert simpler.outcome == outcome
    assert sentence in simpler.sentence


@pytest.mark.parametrize(
    ("truthful", "outcome", "words"),
    [
        ("down", "supported", "hallucinates less than plain supervision"),
        ("flat", "unresolved", "not distinguishable from plain supervision"),
        ("up", "opposite", "hallucinates more than plain supervision"),
    ],
)
def test_truthful_labels_are_a_question_of_their_own(truthful, outcome, words):
    finding = judge(numbers(truthful=truthful))[-1]
    assert finding.outcome == outcome
    assert words in finding.sentence


@pytest.mark.parametrize(
    ("truthful", "recall", "joint"),
    [("up", "up", "but names more"), ("up", "down", "and names less"), ("down", "up", "and names")],
)
def test_recall_is_told_beside_the_truthful_result(truthful, recall, joint):
    rows = numbers(truthful=truthful)
    rows.append(row("v7_truthful", "sft_truthful", "chair", "recall", SPANS[recall]))
    assert joint in judge(rows)[-1].sentence


def test_comparisons_that_were_not_run_are_not_judged():
    rows = [r for r in numbers() if r["versus"] in (None, "base")]
    findings = judge(rows)
    assert [finding.outcome for finding in findings[1:]] == ["missing"] * 4
    assert list(as_frame(findings)["outcome"]) == ["supported", *["not run"] * 4]


def test_every_number_of_a_sentence_comes_from_the_rows():
    rows = numbers(recall="down", caution="down", threshold="flat", truthful="up")
    rows += kinds({"attribute": ("up", 0.04), "count": ("flat", 1.0)})
    doubled = [{**r, **{k: r[k] * 2 for k in ("value", "low", "high")}} for r in rows]
    for before, after in zip(judge(rows), judge(doubled), strict=True):
        sentences = [each.sentence.replace("v7", "") for each in (before, after)]
        figures = [[float(n) for n in re.findall(r"\d+\.\d", text)] for text in sentences]
        assert figures[0] and figures[1] == pytest.approx([2 * n for n in figures[0]], abs=0.11)
        assert len({re.sub(r"\d+\.\d", "", text) for text in sentences}) == 1


def kinds(found):
    """Rows of SEED's accuracy by kind: kind -> direction, p after Holm's correction."""
    return [
        row("v7", "base", "kinds", "accuracy", SPANS[way], kind) | {"p": p / 2, "p_holm": p}
        for kind, (way, p) in found.items()
    ]


def test_other_kinds_of_question_are_told_with_what_holm_leaves_of_them():
    seeing = judge(numbers() + kinds({"attribute": ("up", 0.5), "relation": ("flat", 1.0)}))[2]
    assert "Attribute (+3.0) questions are answered better" in seeing.sentence
    assert (
        "relation (0.0) questions are open; Holm’s correction for many tests leaves none of it."
        in seeing.sentence
    )
    assert seeing.figures["Attribute questions (p 0.25, Holm 0.5)"].value == 0.03
    both = judge(numbers() + kinds({"attribute": ("up", 0.01), "count": ("down", 0.08)}))[2]
    assert "count (−2.0) questions are answered worse" in both.sentence
    assert "Holm’s correction for many tests leaves attribute." in both.sentence
    assert not any("questions" in label for label in judge(numbers())[2].figures)
    assert "Existence" not in judge(numbers() + kinds({"existence": ("up", 0.01)}))[2].sentence


def answers(rows, **facts):
    return {remark.question: remark.sentence for remark in further(rows, facts)}


def versions(**levels):
    return [row(name, None, "chair", "CHAIRi", (v, v, v)) for name, v in levels.items()]


@pytest.mark.parametrize(
    ("levels", "pair", "span", "words"),
    [
        ({"v5": 0.2, "v6": 0.19, "v7": 0.193}, ("v7", "v6"), "flat", "final v7 (19.3%) is not resolved"),
        ({"v5": 0.2, "v6": 0.19, "v7": 0.193}, ("v7", "v6"), "up", "is resolved: −3.0 points [−5.0, −1.0]"),
        ({"v6": 0.2, "v7": 0.19}, ("v7", "v6"), "down", "distance to v6 (20.0%) is resolved: −2.0"),
        ({"v4": 0.1, "v7": 0.19}, ("v7", "v6"), "down", "were not compared directly"),
    ],
)  # fmt: skip
def test_the_best_version_is_named_with_whether_that_is_resolved(levels, pair, span, words):
    rows = [*versions(**levels), row(*pair, "chair", "CHAIRi", SPANS[span])]
    sentence = answers(rows)["Which version is best?"]
    assert sentence.startswith(f"{min(levels, key=levels.get)} has the lowest CHAIRi of v")
    assert words in sentence


@pytest.mark.parametrize(
    ("v5", "base", "said"),
    [("up", "up", "appeared:"), ("up", "flat", "appeared in part"), ("down", "flat", "did not appear")],
)  # fmt: skip
def test_v6_became_worse_if_it_is_worse_than_both(v5, base, said):
    rows = [
        row("v6", versus, "chair", "CHAIRi", SPANS[way])
        for versus, way in (("v5", v5), ("base", base))
    ]
    assert f"Here that {said}" in answers(rows)["Did v6 become worse?"]
    assert "Did v6 become worse?" not in answers(rows[:1])


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.55, 0.7, "announces a"), (0.45, 0.6, "does not measurably"), (0.3, 0.4, "denies")],
)
def test_confidence_announces_an_invention_only_above_chance(low, high, said):
    found = {"auc": (low + high) / 2, "low": low, "high": high, "n": 10}
    question = "Does the choice of beta do what it claims?"
    assert said in answers([], confidence=found)[question]
    left = [{"number": "11", "command": "seednb report --only 11"}]
    (remark,) = [each for each in further([], {"missing": left}) if each.question == question]
    assert remark.sentence.endswith("which was not run:") and remark.command == left[0]["command"]


def test_the_cost_of_contrastive_decoding_is_measured_or_not_told():
    rows = [{"name": "16 a batch", "captions_per_s": 5.0}]
    rows.append({"name": "16 a batch, contrastive", "captions_per_s": 4.0})
    question = "What does contrastive decoding cost?"
    assert "20% fewer" in answers([], captions={"rows": rows, "machine": "H100, x86"})[question]
    assert not re.search(r"\d", answers([])[question])


def test_points_have_a_real_minus_and_zero_has_no_sign():
    assert figure_text(-0.0287, signed=True) == "−2.9"
    assert figure_text(0.0287, signed=True) == "+2.9"
    assert figure_text(0.0, signed=True) == "0.0"
    assert figure_text(0.213) == "21.3"
    found = Interval.of(row("v7", "base", "chair", "mentions", (-0.305, None, float("nan"))))
    texts = [
        figure_text(end, "mentions", signed=True) for end in (found.value, found.low, found.high)
    ]
    assert texts == ["−0.30", "–", "–"]


def test_an_interval_that_touches_zero_is_not_a_direction():
    assert Interval(-0.1, -0.2, 0.0, 5).direction == "flat"
    assert Interval(-0.1, -0.2, -1e-9, 5).direction == "down"
    rows = [row("v7", "base", "chair", "recall", (0.1, None, 0.2))]
    assert find_interval(rows, "v7", "base", "chair", "recall") is None


def test_better_is_down_for_hallucination_and_up_for_the_rest():
    table = overview_table(numbers(effect="down", recall="down", gain="up", auc="flat"))
    marks = [cell.mark for cell in table.groups["SEED, by version"]["v4"]]
    assert marks == ["better", "worse", "better", "open"]
    assert not table.missing


def test_the_forest_plot_keeps_order_and_stays_in_its_box():
    rows = [r for r in numbers() if r["model"] != "v4"]
    rows.append(row("v4", "base", "chair", "CHAIRi", (0.004, -0.3, 0.2)))
    forest = forest_plot(overview_table(rows))
    assert [place.model for place in forest.rows][:4] == ["v4", "v5", "v6", "v7"]
    for place in forest.rows:
        assert forest.left <= place.low <= place.value <= place.high <= forest.width
        assert (place.low < forest.zero < place.high) == (place.change.direction == "flat")
    assert (forest.zero, "0") in forest.ticks
    heights = [place.y for place in forest.rows]
    assert heights == sorted(set(heights)) and heights[-1] < forest.bottom < forest.height
