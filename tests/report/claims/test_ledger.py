"""Laws of the claims ledger: what counts as consistent, supported, and complete.

Long because CASES mirrors the registry: one accepted and one rejected example of every check.
"""

import math
import re
import shlex
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from seednb.cli.__main__ import build_parser
from seednb.core.errors import SeedError
from seednb.core.profiles import load_params, parse_override
from seednb.data.probes import SPLITS
from seednb.evaluation.benchmarks import chair, pope
from seednb.method.recipes import RECIPES
from seednb.report.claims import counts, load_claims, settle
from seednb.report.claims.costs import lora_parameters
from seednb.report.claims.figures import read_figure
from seednb.report.claims.ledger import MODELS, Query
from seednb.report.claims.registry import CHECKS, run_check
from seednb.report.claims.verdicts import COLUMNS, interval_verdict

LEVELS = ["1.1", "0.8", "0.6", "0.4"]
# Each check with arguments that it must accept and arguments that it must reject.
CASES = {
    "difference": (
        {"before": "93.7", "after": "94.1", "printed": "0.4"},
        {"before": "47.2", "after": "45.8", "printed": "-1.5"},
    ),
    "product": (
        {"times": ["4", "80"], "over": ["32"], "printed": "10"},
        {"times": ["200", "6"], "printed": "1201"},
    ),
    "weighted_sum": (
        {"weights": ["0.7", "0.3"], "parts": ["1.31", "5.98"], "printed": "2.71"},
        {"weights": ["0.7", "0.3"], "parts": ["1.27", "4.8"], "printed": "2.40"},
    ),
    "weighted_range": (
        {"weights": ["0.5"], "lows": ["2"], "highs": ["4"], "low": "1.0", "high": "2.0"},
        {"weights": ["0.5"], "lows": ["2"], "highs": ["4"], "low": "1.0", "high": "3.0"},
    ),
    "total": (
        {"parts": ["0.1", "0.2"], "low": "0.3", "high": "0.3"},
        {"parts": ["14", "6"], "low": "28", "high": "30"},
    ),
    "within": (
        {"values": ["1.0", "1.5"], "low": "1.0", "high": "1.5"},
        {"values": ["1.0", "1.6"], "low": "1.0", "high": "1.5"},
    ),
    "falling": ({"values": ["3", "2", "2"]}, {"values": ["3", "2", "2.1"]}),
    "same_figure": (
        {"figures": {"here": "5.98", "there": "5.9839"}},
        {"figures": {"here": "6", "there": "8"}},
    ),
    "signal_kept": ({"alpha": "0.3", "printed": "55"}, {"alpha": "0.3", "printed": "30"}),
    "signal_to_noise": (
        {"alpha": "0.5", "low_db": "-0.1", "high_db": "0.1"},
        {"alpha": "0.3", "low_db": "-3", "high_db": "3"},
    ),
    "duration": (
        {"samples": "49200", "per_second": "1.9", "printed": "7.3"},
        {"samples": "49200", "per_second": "1.9", "printed": "7.5"},
    ),
    "precision_recall": (
        {"precision": "80.0", "recall": "80.0", "metric": "yes_ratio", "printed": "50.0"},
        {"precision": "92.8", "recall": "87.1", "metric": "f1", "printed": "92.3"},
    ),
    "accuracy_yes_ratio": (
        {"accuracy": "90.0", "yes_ratio": "50.0", "printed": "90.0"},
        {"accuracy": "93.7", "yes_ratio": "51.3", "printed": "87.1"},
    ),
    "whole_count": ({"printed": "89.3", "n": 600}, {"printed": "42.1", "n": 100}),
    "closer_to_half": (
        {"before": "51.3", "after": "50.8"},
        {"before": "51.3", "after": "48.6"},
    ),
    "chair_pair": (
        {"chair_i": "12.7", "chair_s": "44.8"},
        {"chair_i": "47.2", "chair_s": "42.1"},
    ),
    "resolves": (
        {"difference": "5.0", "rate": "90.0", "n": 1200},
        {"difference": "0.4", "rate": "93.7", "n": 1200},
    ),
    "resolves_measured": (
        {"difference": "1.5", "half_width": "3.55", "measured_n": 100, "n": 600},
        {"difference": "1.5", "half_width": "3.55", "measured_n": 100, "n": 500},
    ),
    "same_label": ({"labels": {"a": "x", "b": "x"}}, {"labels": {"a": "x", "b": "y"}}),
    "only_change": (
        {"first": {"t": "1", "w": "2"}, "second": {"t": "2", "w": "2"}, "blamed": "t"},
        {"first": {"t": "1", "w": "2"}, "second": {"t": "2", "w": "3"}, "blamed": "t"},
    ),
    "all_reported": (
        {"searched": ["1", "2"], "reported": ["2", "1"]},
        {"searched": ["1", "2"], "reported": ["2"]},
    ),
    "best_of": (
        {"results": {"a": "-1.8", "b": "-1.7"}, "chosen": "a"},
        {"results": {"a": "-1.8", "b": "-1.7"}, "chosen": "b"},
    ),
    "lora_count": (
        {"rank": 64, "scope": "all", "printed": "~76"},
        {"rank": 64, "scope": "language_model", "printed": "~76"},
    ),
    "lora_share": (
        {"rank": 64, "scope": "all", "printed": "~1.1"},
        {"rank": 128, "scope": "all", "printed": "~1.1"},
    ),
    "model_memory": ({"bytes_each": 2, "printed": "~14"}, {"bytes_each": 4, "printed": "~14"}),
    "adapter_size": (
        {"rank": 64, "printed": "306", "unit": "MB"},
        {"rank": 64, "printed": "~320", "unit": "MB"},
    ),
    "step_cost": (
        {"teacher_forwards": 2, "printed": "2"},
        {"teacher_forwards": 2, "printed": "3"},
    ),
    "log_space_purification": (
        {"beta": "0.7", "rows": 4, "vocabulary": 50, "claimed": "same"},
        {"beta": "0.7", "rows": 4, "vocabulary": 50, "claimed": "different"},
    ),
    "kl_argument_order": ({"claimed": "reverse"}, {"claimed": "forward"}),
    "beta_rule": (
        {"values": LEVELS, "quantiles": ["0.25", "0.50", "0.75"]},
        {"values": LEVELS[::-1], "quantiles": ["0.25", "0.50", "0.75"]},
    ),
    "history_by_batch": (
        {"batch_sizes": [1, 7], "window": 100, "claimed": "same", "n": 300},
        {"batch_sizes": [1, 7], "window": 100, "claimed": "differ", "n": 300},
    ),
    "continuous_beta": (
        {"beta_max": "1.1", "levels": ["1.1", "0.8", "0.6"]},
        {"beta_max": "1.1", "levels": LEVELS},
    ),
    "level_or_mean": (
        {"printed": "0.65", "levels": LEVELS, "n": 8},
        {"printed": "0.65", "levels": LEVELS, "n": 1},
    ),
    "temperature_effect": (
        {"cases": {"unsure": ["1", "0.5"]}, "beta": "0.7", "temperatures": ["1", "2"]},
        {"cases": {"sure": ["10", "8"]}, "beta": "0.7", "temperatures": ["1", "2"]},
    ),
}
ROOT = Path(__file__).parents[3]
V7_CHAIRI = {
    "model": "v7",
    "versus": "base",
    "benchmark": "chair",
    "split": None,
    "variant": "pocket",
    "metric": "CHAIRi",
    "value": -0.029,
    "low": -0.034,
    "high": -0.025,
    "n": 1500,
    "records": "chair.jsonl",
}


@pytest.fixture(scope="module")
def ledger():
    return load_claims()


@pytest.fixture(scope="module")
def settled(ledger):
    return settle(ledger, []).set_index("id")


def test_every_check_has_an_example_of_both_outcomes():
    assert CASES.keys() == CHECKS.keys()


@pytest.mark.parametrize("name", CASES)
def test_check_accepts_the_consistent_example_and_rejects_the_other(name):
    accepted, rejected = (run_check(name, arguments) for arguments in CASES[name])
    assert accepted.consistent, accepted.evidence
    assert not rejected.consistent, rejected.evidence
    assert accepted.evidence and rejected.evidence


def test_every_check_is_used_by_the_ledger(ledger):
    assert {claim.check for claim in ledger if claim.check} == CHECKS.keys()


@pytest.mark.parametrize(
    ("text", "tolerance"),
    [
        ("2.40", 0.005),
        ("2.4", 0.05),
        ("76", 0.5),
        ("~76", 1),
        ("~320", 10),
        ("~0.3", 0.1),
        ("~0", 1),
    ],
)
def test_tolerance_is_half_a_unit_of_the_last_digit_and_a_whole_one_for_about(text, tolerance):
    assert math.isclose(read_figure(text).tolerance, tolerance)


@pytest.mark.parametrize("bad", [2.4, 3, "many", "nan", "inf", ""])
def test_figure_without_printed_digits_is_refused(bad):
    with pytest.raises(ValueError, match="figure"):
        read_figure(bad)


@settings(max_examples=200, deadline=None)
@given(hits=st.integers(60, 600), false_alarms=st.integers(0, 600))
def test_metrics_of_a_real_confusion_matrix_agree_with_its_precision_and_recall(hits, false_alarms):
    precision, recall = 100 * hits / (hits + false_alarms), 100 * hits / 600
    truth = {
        "f1": 2 * precision * recall / (precision + recall),
        "accuracy": 100 * (hits + 600 - false_alarms) / 1200,
        "yes_ratio": 100 * (hits + false_alarms) / 1200,
    }
    for metric, value in truth.items():
        arguments = {"precision": f"{precision:.12f}", "recall": f"{recall:.12f}", "metric": metric}
        assert run_check("precision_recall", arguments | {"printed": f"{value:.2f}"}).consistent
        off = f"{value + 0.5:.2f}"
        assert not run_check("precision_recall", arguments | {"printed": off}).consistent
    arguments = {k: f"{truth[k]:.12f}" for k in ("accuracy", "yes_ratio")}
    assert run_check("accuracy_yes_ratio", arguments | {"printed": f"{recall:.2f}"}).consistent


@settings(max_examples=200, deadline=None)
@given(n=st.integers(1, 3000), data=st.data())
def test_every_share_of_whole_numbers_passes_the_count_check(n, data):
    k = data.draw(st.integers(0, n))
    assert run_check("whole_count", {"printed": f"{100 * k / n:.1f}", "n": n}).consistent


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 4), min_size=20, max_size=60).filter(lambda c: 0 < sum(c) < 4 * len(c))
)
def test_captions_of_equal_length_never_have_chairi_above_chairs(invented):
    chair_i = 100 * sum(invented) / (4 * len(invented))
    chair_s = 100 * sum(n > 0 for n in invented) / len(invented)
    if chair_s == 100:
        return
    arguments = {"chair_i": f"{chair_i:.6f}", "chair_s": f"{chair_s + 1e-5:.6f}"}
    assert run_check("chair_pair", arguments).consistent


def test_longer_hallucinating_captions_reach_the_printed_ratio():
    ratio = 0.472 * 0.579 / (0.421 * 0.528)
    flagged, others = 421 * ratio, 579
    assert math.isclose(flagged / (flagged + others), 0.472)
    evidence = run_check("chair_pair", {"chair_i": "47.2", "chair_s": "42.1"}).evidence
    assert f"{ratio:.2f} times" in evidence


def test_resolved_and_unresolved_are_opposite_claims():
    for change in ("0.4", "5.0"):
        arguments = {"difference": change, "rate": "93.7", "n": 1200}
        outcomes = [run_check("resolves", arguments | {"resolved": x}) for x in (True, False)]
        assert outcomes[0].consistent != outcomes[1].consistent


def test_rounding_of_both_inputs_is_disclosed_where_it_could_explain_a_difference():
    near = run_check("difference", {"before": "47.2", "after": "45.8", "printed": "-1.5"})
    far = run_check("difference", {"before": "47.2", "after": "45.8", "printed": "-1.6"})
    assert "rounded after" in near.evidence
    assert "rounded after" not in far.evidence


def test_adapter_counts_of_llava_are_those_of_its_dimensions():
    assert lora_parameters(64) == {"all": 76_546_048, "language_model": 67_108_864}


def test_ledger_is_long_enough_and_ids_are_unique(ledger):
    assert len(ledger) >= 60
    assert len({claim.id for claim in ledger}) == len(ledger)
    assert len({claim.statement for claim in ledger}) == len(ledger)


def test_settled_frame_has_a_verdict_and_evidence_for_every_claim(ledger):
    frame = settle(ledger, [])
    assert list(frame.columns) == COLUMNS
    assert list(frame["id"]) == [claim.id for claim in ledger]
    assert (frame[["section", "statement", "verdict", "evidence"]] != "").all().all()
    assert frame.query("kind == 'tried_here'")["verdict"].eq("not run").all()
    assert counts(frame)["claims"].sum() == len(ledger)


@pytest.mark.parametrize(
    ("claim_id", "forced"),
    [
        ("pope-f1-base", "89.9"),
        ("pope-accuracy-base", "90.2"),
        ("pope-yes-base", "46.9"),
        ("pope-f1-seed", "91.4"),
        ("pope-accuracy-seed", "91.5"),
        ("pope-yes-seed", "47.8"),
        ("chairi-change", "-1.4"),
        ("curve-final", "2.33"),
        ("adapter-file-size", "306"),
        ("continuous-beta", "0.55"),
        ("chair-pair-base", "1.23"),
        ("log-beta-single", "0.6"),
    ],
)
def test_known_impossible_figure_is_inconsistent_and_shows_what_is_forced(
    settled, claim_id, forced
):
    row = settled.loc[claim_id]
    assert row["verdict"] == "inconsistent"
    assert forced in row["evidence"]


@pytest.mark.parametrize(
    "claim_id",
    [
        "gap-memory",
        "probe-count",
        "curve-ep1-100",
        "lora-count",
        "memory-peak",
        "log-eta",
        "chairs-change",
        "code-is-reverse-kl",
        "beta-by-confidence",
        "alpha-03-amplitude",
    ],
)
def test_sound_figure_is_consistent(settled, claim_id):
    assert settled.loc[claim_id, "verdict"] == "consistent"


def test_every_command_is_one_that_the_command_line_accepts(ledger):
    from seednb.report.pipeline import STEPS

    parser, steps = build_parser(), {step.number for step in STEPS}
    for claim in ledger:
        if not claim.command:
            assert claim.kind in ("arithmetic", "source"), claim.id
            continue
        program, *words = shlex.split(claim.command)
        assert program == "seednb", claim.id
        options = vars(parser.parse_args(words))
        assert set(filter(None, options.get("only", "").split(","))) <= steps, claim.id
        assert options.get("version", "v7") in RECIPES, claim.id
        if "params" in options:
            overrides = dict(parse_override(text) for text in options["overrides"])
            load_params(ROOT / options["params"], overrides)


def test_every_query_asks_for_a_row_that_a_report_holds(ledger):
    from seednb.core.profiles import load_params
    from seednb.experiments.ablation.plans import hyper_parameters
    from seednb.experiments.metrics import CONTRASTS
    from seednb.report.claims.ledger import ABLATION

    metrics = {"chair": {*chair.STATISTICS}, "pope": {*pope.STATISTICS, "auc"}}
    short = [
        ABLATION + variant.name
        for variant in hyper_parameters(load_params(ROOT / "params/pocket.yaml"))
    ]
    tried = {(name, ABLATION + versus) for name in short for versus in ("base", "v7")}
    pairs = {
        *tried,
        *CONTRASTS,
        ("v7", "threshold_control"),
        *((model, "base") for model in MODELS),
    }
    for claim in ledger:
        if query := claim.query:
            assert query.metric in metrics[query.benchmark], claim.id
            assert (query.split in SPLITS) == (query.benchmark == "pope"), claim.id
            assert (query.model, query.versus) in pairs, claim.id


@pytest.mark.parametrize(
    ("low", "high", "expected", "verdict"),
    [
        (-2, -1, "lower", "supported"),
        (-2, 1, "lower", "not supported"),
        (1, 2, "lower", "opposite"),
        (1, 2, "higher", "supported"),
        (-2, 1, "higher", "not supported"),
        (-2, -1, "higher", "opposite"),
        (-2, 1, "zero", "not contradicted"),
        (1, 2, "zero", "not supported"),
        (-2, -1, "zero", "not supported"),
        (-2, 1, "not_lower", "not contradicted"),
        (1, 2, "not_lower", "supported"),
        (-2, -1, "not_lower", "opposite"),
        (-2, 1, "not_higher", "not contradicted"),
        (-2, -1, "not_higher", "supported"),
        (1, 2, "not_higher", "opposite"),
        (0, 1, "higher", "not supported"),
    ],
)
def test_interval_decides_the_verdict(low, high, expected, verdict):
    assert interval_verdict(low, high, expected) == verdict


def test_verdict_flips_with_the_sign_of_the_row(ledger):
    claim = [c for c in ledger if c.id == "v7-chairi"]
    raised = V7_CHAIRI | {"value": 0.029, "low": 0.025, "high": 0.034}
    unsure = V7_CHAIRI | {"low": -0.06, "high": 0.01}
    verdicts = [settle(claim, [row]).loc[0, "verdict"] for row in (V7_CHAIRI, raised, unsure)]
    assert verdicts == ["supported", "opposite", "not supported"]
    evidence = settle(claim, [V7_CHAIRI]).loc[0, "evidence"]
    assert "−2.9 points [−3.4, −2.5], n = 1500, pocket" in evidence


@pytest.mark.parametrize(
    "change",
    [
        {"versus": None},
        {"versus": "mention_control"},
        {"model": "v6"},
        {"metric": "CHAIRs"},
        {"split": "random"},
        {"benchmark": "pope"},
        {"low": None},
        {"high": float("nan")},
    ],
)
def test_row_of_another_comparison_or_without_interval_does_not_settle_a_claim(ledger, change):
    claim = [c for c in ledger if c.id == "v7-chairi"]
    assert settle(claim, [V7_CHAIRI | change]).loc[0, "verdict"] == "not run"


def test_variants_that_disagree_do_not_support_a_claim(ledger):
    claim = [c for c in ledger if c.id == "v7-chairi"]
    lemma = V7_CHAIRI | {"variant": "lemma"}
    assert settle(claim, [V7_CHAIRI, lemma]).loc[0, "verdict"] == "supported"
    frame = settle(claim, [V7_CHAIRI, lemma | {"high": 0.01}])
    assert frame.loc[0, "verdict"] == "not supported"
    assert "pocket" in frame.loc[0, "evidence"] and "lemma" in frame.loc[0, "evidence"]


def test_query_can_name_one_variant():
    assert Query("v7", "chair", "CHAIRi", "lower", variant="lemma").variant == "lemma"
    with pytest.raises(ValueError, match="expected 'less'"):
        Query("v7", "chair", "CHAIRi", "less")


def test_counts_of_a_settled_frame():
    frame = pd.DataFrame({"kind": ["a", "a", "b"], "verdict": ["x", "x", "y"]})
    assert counts(frame).values.tolist() == [["a", "x", 2], ["b", "y", 1]]


GOOD = {
    "id": "some-claim",
    "section": "Here",
    "statement": "1 + 1 is 2",
    "kind": "arithmetic",
    "check": {"total": {"parts": ["1", "1"], "low": "2", "high": "2"}},
}
NEEDS_7B = {"id": "some-claim", "section": "S", "statement": "s", "kind": "needs_7b"}
TRIED = NEEDS_7B | {"kind": "tried_here"}


def write_ledger(folder: Path, *entries: object) -> Path:
    file = folder / "claims.yaml"
    file.write_text(yaml.safe_dump(list(entries)), encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (GOOD | {"kind": "guess"}, "unknown kind 'guess'"),
        (GOOD | {"check": {"magic": {}}}, "unknown check 'magic'"),
        (GOOD | {"check": {"total": {"parts": ["1"]}}}, "missing a required argument"),
        (GOOD | {"check": "total"}, "check must be one"),
        (GOOD | {"verdict": "consistent"}, "no field verdict"),
        (GOOD | {"statement": ""}, "needs statement"),
        (GOOD | {"id": "Some Claim"}, "lower-case"),
        (NEEDS_7B, "needs command"),
        (NEEDS_7B | {"command": "python train.py"}, "must start with 'seednb '"),
        (NEEDS_7B | {"kind": "source", "verdict": "wrong"}, "needs reason"),
        (NEEDS_7B | {"kind": "source", "verdict": "no", "reason": "r"}, "verdict 'no'"),
        (TRIED | {"query": {"model": "v7"}}, "missing"),
        (
            TRIED
            | {"query": {"model": "v9", "benchmark": "b", "metric": "m", "expected": "lower"}},
            "model 'v9'",
        ),
    ],
)
def test_broken_entry_is_refused_by_id(tmp_path, entry, message):
    with pytest.raises(SeedError, match=re.escape(message)) as error:
        load_claims(write_ledger(tmp_path, entry))
    assert repr(entry["id"]) in str(error.value)


def test_repeated_id_is_refused(tmp_path):
    with pytest.raises(SeedError, match=r"some-claim.*used twice"):
        load_claims(write_ledger(tmp_path, GOOD, GOOD))


def test_entry_that_is_no_mapping_is_refused_by_its_position(tmp_path):
    with pytest.raises(SeedError, match="claim number 2"):
        load_claims(write_ledger(tmp_path, GOOD, "text"))


def test_figure_without_quotes_is_refused_by_id_when_settled(tmp_path):
    entry = GOOD | {"check": {"total": {"parts": [1, 1], "low": "2", "high": "2"}}}
    with pytest.raises(SeedError, match=r"some-claim.*must be quoted"):
        settle(load_claims(write_ledger(tmp_path, entry)), [])


def test_loading_the_ledger_does_not_import_torch():
    code = "import sys, seednb.report.claims as c; c.load_claims(); print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?:e-\d+)?|(?<=[A-Za-z\-_])\d+(?:\.\d+)?")


def numbers(text: str) -> set[Decimal]:
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    return {Decimal(found).normalize() for found in NUMBER.findall(text)}


@pytest.mark.reference
def test_every_number_of_the_document_is_in_the_ledger(reference, ledger):
    document = (reference / "seed.txt").read_text(encoding="utf-8")
    covered = set().union(*(numbers(str(claim)) for claim in ledger))
    assert numbers(document) <= covered


@pytest.mark.reference
def test_statements_are_our_own_words(reference, ledger):
    def words(text: str) -> list[str]:
        return re.findall(r"\w+", text.lower())

    document = f" {' '.join(words((reference / 'seed.txt').read_text(encoding='utf-8')))} "
    for claim in ledger:
        ours = words(claim.statement)
        runs = [" ".join(ours[i : i + 9]) for i in range(len(ours) - 8)]
        assert not [run for run in runs if f" {run} " in document], claim.id
