"""What 8-bit and 4-bit weights cost in accuracy: v7 trained in each precision, against float32.

python benchmarks/precision.py                       (a CPU; about 10 minutes on one core)
python benchmarks/precision.py --base BASE           (of another checkpoint; adds its rows)
python benchmarks/precision.py --params params/smoke.yaml --write no      (two minutes; no result)

Three parts, on the pocket model. `targets`: purified targets of the untrained model, with the betas
that its own confidences choose. `trained`: v7 trained and examined in a precision, against v7 in
float32. `on float32`: the adapter trained in a precision, on float32 weights. Differences are paired
by image. A CPU emulates fp8 with the rounding of a card, except for the card's order of sums.
"""

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from measure import significant
from results import RESULTS, write_result
from torch import Tensor

from seednb.core.files import read_json
from seednb.core.stage import folder_fingerprint
from seednb.evaluation.records import Answers
from seednb.experiments.experiment import Experiment, stored_answers
from seednb.experiments.metrics import CAPTIONS, PROBES, split_rows
from seednb.method.losses import reverse_kl
from seednb.method.recipes import RECIPES
from seednb.model.lora import add_adapter
from seednb.training.examples import Examples
from seednb.training.step import of_tokens
from seednb.training.trainer import ADAPTER, Run

ROOT = Path(__file__).parents[1]
REFERENCE, OTHERS = "float32", ("bfloat16", "fp8", "fp8_teacher", "nf4")
N_PAIRS = 400  # whose targets are compared
METRICS = {"chair": ("CHAIRi", "CHAIRs", "recall"), "pope": ("accuracy", "auc")}
V7 = RECIPES["v7"]


@dataclass(frozen=True)
class Targets:
    """Purified targets of some answer tokens, and what they are made of."""

    clean: Tensor  # logits [N, V] of the clean view
    target: Tensor  # purified logits [N, V]
    beta: Tensor  # [N]


def main() -> None:
    """Measure every precision and write `results/precision.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--params", default=str(ROOT / "params/pocket.yaml"))
    parser.add_argument("--base", type=Path, help="checkpoint folder; left out: the shipped one")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs")
    parser.add_argument("--write", choices=("yes", "no"), default="yes")
    options = parser.parse_args()
    common: dict[str, Any] = {"runs_dir": str(options.runs.resolve())}
    if options.base:
        common["model"] = str(options.base.resolve())
    labs = {
        name: Experiment.open(options.params, common | {"precision": name})
        for name in ("auto", *OTHERS)
    }
    labs = {REFERENCE: labs.pop("auto")} | labs  # whose run of the report is then found by its key
    base = options.base.name if options.base else "pocket"
    rows = [{"base": base} | row for row in (*target_rows(labs), *trained_rows(labs))]
    for row in rows:
        print(row, flush=True)
    if options.write == "yes":
        file = RESULTS / "precision.json"
        known = read_json(file)["rows"] if file.is_file() else []
        rows = [row for row in known if row["base"] != base] + rows
        print(write_result("precision", rows, headline(rows)))


def target_rows(labs: dict[str, Experiment]) -> Iterator[dict[str, Any]]:
    """How far each precision's targets are from float32's."""
    reference = purified_targets(labs[REFERENCE])
    signal = float(reverse_kl(reference.clean, reference.target, V7.temperature).mean())
    for name in OTHERS:
        found = purified_targets(labs[name])
        apart = reverse_kl(reference.target, found.target, V7.temperature)
        words = [each.target.argmax(-1) for each in (reference, found)]
        yield {
            "part": "targets",
            "precision": name,
            "tokens": len(apart),
            "divergence_nats": significant(float(apart.mean())),
            "share_of_signal": significant(float(apart.mean()) / signal),
            "share_beta_changed": significant(share(reference.beta != found.beta)),
            "share_word_changed": significant(share(words[0] != words[1])),
        }


@torch.no_grad()
def purified_targets(lab: Experiment) -> Targets:
    """Targets of the first pairs, in the order and with the noise of a training."""
    bundle = lab.bundle()
    examples = Examples.of(
        lab.data.pairs["replay"][:N_PAIRS], bundle, lab.image_reader("train", bundle)
    )
    model = add_adapter(bundle.model, lab.params.model, lab.params.train.seed)
    once = replace(V7, epochs=1)
    run = Run(model, bundle, examples, once, lab.params.train, Path(tempfile.mkdtemp()))
    maker, objective = run.step.targets, run.step.objective
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for group, _ in run.groups.from_step(0, bundle.device):
        targets = maker.of(group)
        for micro, views, beta in zip(
            targets.micro_batches, targets.views, maker.betas(targets, 0.0), strict=True
        ):
            assert views is not None and views.noisy is not None
            tokens = of_tokens(beta, micro.batch)
            clean, noisy = objective.head(views.clean), objective.head(views.noisy)
            parts.append((clean.float(), objective.purification(clean, noisy, tokens), tokens))
    return Targets(*(torch.cat(list(part)) for part in zip(*parts, strict=True)))


def trained_rows(labs: dict[str, Experiment]) -> Iterator[dict[str, Any]]:
    """v7 of each precision against v7 of float32, and each adapter on float32 weights."""
    plain = labs[REFERENCE]
    answers: dict[str, Answers] = {}
    for name, lab in labs.items():
        answers[name] = lab.answers("v7")
        if name != REFERENCE:
            adapter = lab.train("v7").folder / ADAPTER
            plain.compare(adapter, with_base=False)
            stage = plain.stages.answers("adapter", adapter=folder_fingerprint(adapter))
            answers[f"{name} on float32"] = stored_answers(name, stage)
    pairs = [(name, REFERENCE) for name in answers if name != REFERENCE]
    pairs += [(f"{name} on float32", name) for name in OTHERS]
    runs = {name: {None: each} for name, each in answers.items()}
    for split in (CAPTIONS, *PROBES.values()):
        for row in split_rows(split, runs, pairs, plain.data, plain.params.evaluation):
            if row["metric"] in METRICS[split.benchmark]:
                yield {
                    "part": "trained",
                    "precision": row["model"],
                    "versus": row["versus"],
                    "benchmark": split.benchmark,
                    "split": split.name,
                    "metric": row["metric"],
                    **{key: significant(row[key]) for key in ("value", "low", "high")},
                    "n": row["n"],
                }


def headline(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Divergence of targets, and the differences in CHAIRi and adversarial accuracy."""
    found = {}
    for row in rows:
        name = f"{row['base']}, {row['precision']}"
        if row["part"] == "targets":
            found[f"{name}: divergence of targets, share of the signal"] = row["share_of_signal"]
        elif row["versus"] == REFERENCE and (row["metric"], row["split"]) in (
            ("CHAIRi", None), ("accuracy", "adversarial"),
        ):  # fmt: skip
            found[f"{name}: change of {row['metric']}"] = row["value"]
    return found


def share(changed: Tensor) -> float:
    """Of the tokens, those for which something changed."""
    return float(changed.float().mean())


if __name__ == "__main__":
    main()
