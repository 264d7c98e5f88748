"""Laws of the claims ledger: what is refused, what each claim needs, and that none is missing."""

import re
import shlex
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from seednb.cli.__main__ import build_parser
from seednb.core.errors import SeedError
from seednb.core.profiles import load_params, parse_override
from seednb.data.probes import SPLITS
from seednb.evaluation.benchmarks import chair, pope
from seednb.method.recipes import RECIPES
from seednb.report.claims import counts, load_claims, settle
from seednb.report.claims.ledger import MODELS
from seednb.report.claims.verdicts import COLUMNS

ROOT = Path(__file__).parents[3]


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
