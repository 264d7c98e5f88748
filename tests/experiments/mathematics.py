"""The functions that decide what a kind of result means, and hashes of them as they were accepted.

Run after a change that a test of test_mathematics.py refuses:

    python tests/experiments/mathematics.py                 the kind's version was raised
    python tests/experiments/mathematics.py --meaning-kept  the same inputs still mean the same result
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from seednb.core.code import code_hash
from seednb.core.stage import VERSIONS
from seednb.data.coco import split_by_id
from seednb.data.curation import Curator
from seednb.data.instruct import build_conversations, to_pairs
from seednb.data.pocket.art import render
from seednb.data.pocket.language import conversation, reference_captions
from seednb.data.pocket.quiz import quiz
from seednb.data.pocket.scenes import make_scene
from seednb.data.probes import build_probes
from seednb.data.vocabulary import find_mentions
from seednb.evaluation.answer_files import choice_likelihoods
from seednb.evaluation.benchmarks import chair, mme, pope, seedbench, vqav2
from seednb.evaluation.controls import refit_threshold
from seednb.evaluation.evaluator import match_mentions, mention_tokens
from seednb.evaluation.stats import difference, resample, resample_auc, two_way_bootstrap
from seednb.experiments import fault_injection
from seednb.experiments.dataset import self_labelled
from seednb.experiments.robustness import PHRASINGS, blurred, compressed, in_language, rephrase
from seednb.experiments.sweep.variants import asked
from seednb.method import beta, confidence, losses, purification
from seednb.method.beta import BETA_RULES, BetaSelector
from seednb.method.confidence import CONFIDENCES, POOLINGS
from seednb.method.losses import example_means
from seednb.method.objective import Objective
from seednb.method.perturbation import PERTURBATIONS, ddpm_alpha, gaussian_noise, generator, normal
from seednb.method.purification import SPACES, is_plausible, purify_logits
from seednb.method.recipes import RECIPES, with_overrides
from seednb.model.forward import AnswerLogits, TeacherMode
from seednb.model.generation import (
    ContrastiveLogits,
    MentionPenalty,
    Sampling,
    contrastive_generate,
    generate,
)
from seednb.model.inputs.corruption import Corruption
from seednb.model.inputs.prompts import TEMPLATES, encode, encode_prompt
from seednb.model.lora import add_adapter
from seednb.training.history import cosine_with_warmup
from seednb.training.monitor.rules import RULES
from seednb.training.step import Step
from seednb.training.teacher import Teacher

RESAMPLING = (resample, resample_auc, difference, two_way_bootstrap)
ACCEPTED = Path(__file__).with_name("mathematics.json")

VIEWS = (*PERTURBATIONS.values(), gaussian_noise, ddpm_alpha, normal, generator, Corruption)
GENERATION = (
    generate,
    contrastive_generate,
    ContrastiveLogits,
    Sampling,
    encode_prompt,
    purify_logits,
)
OF_CHAIR = (chair.count, chair.per_image_sums, *chair.STATISTICS.values())
OF_POPE = (pope.outcomes, pope.per_image_sums, *pope.STATISTICS.values())
FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "world": (make_scene, render, conversation, reference_captions, quiz),
    "pairs": (to_pairs, build_conversations, split_by_id, Curator),
    "questions": (build_probes, split_by_id, chair.ground_truth, find_mentions),
    "labels": (self_labelled, *GENERATION),
    "teacher": (Teacher, TeacherMode, AnswerLogits, encode, *VIEWS),
    "train": (
        losses.seed_loss, losses.cross_entropy, losses._logprobs, *losses.DIVERGENCES.values(),
        purify_logits, is_plausible, *SPACES.values(), *CONFIDENCES.values(), *POOLINGS.values(),
        BetaSelector, *BETA_RULES.values(), example_means, Objective, with_overrides,
        Step, cosine_with_warmup, Teacher,
        TeacherMode, AnswerLogits, add_adapter, encode, *VIEWS,
    ),
    "answers": (*GENERATION, is_plausible, MentionPenalty, match_mentions, mention_tokens),
    "metrics": (*OF_CHAIR, *OF_POPE, find_mentions, refit_threshold, *RESAMPLING),
    "ablation": (*GENERATION, asked),
    "rows": (*OF_CHAIR, *OF_POPE, *RESAMPLING),
    "robust": (rephrase, in_language, blurred, compressed),
    "benchmark": (*GENERATION, choice_likelihoods),
    "scores": (
        *OF_CHAIR, *OF_POPE, *RESAMPLING, mme.score, vqav2.accuracy, seedbench.chosen_letter,
    ),
    "fault": (
        fault_injection.four_bits, fault_injection.half_precision, fault_injection.sum_over_tokens,
        fault_injection.checkpoint_without_inputs, fault_injection.shift_labels, fault_injection.cut_prompts, *RULES,
    ),
}  # fmt: skip
CONSTANTS: dict[str, dict[str, Any]] = {
    "train": {
        "SKEW": losses.SKEW,
        "PLAUSIBILITY": purification.PLAUSIBILITY,
        "PROBABILITY_FLOOR": purification.PROBABILITY_FLOOR,
        "MIN_HISTORY": beta.MIN_HISTORY,
        "DROPOUT": (confidence.DROPOUT_SHARE, confidence.DROPOUT_DRAWS),
        "POOLED": (confidence.TRIMMED_SHARE, confidence.LOWEST_SHARE),
        **{
            f"recipe {name}": {k: v for k, v in asdict(recipe).items() if k not in ("reason", "symptom")}
            for name, recipe in RECIPES.items()
        },
    },
    "answers": {"TEMPLATES": TEMPLATES},
    "robust": {"PHRASINGS": PHRASINGS},
}  # fmt: skip


def current() -> dict[str, dict[str, Any]]:
    """Of each kind, its version and the hashes of what it is made of, by name."""
    return {
        kind: {
            "version": version,
            "hashes": _hashes(kind),
        }
        for kind, version in VERSIONS.items()
    }


def _hashes(kind: str) -> dict[str, str]:
    """By name; functions of one name, from several modules, share an entry."""
    found: dict[str, list[str]] = {}
    for item in FUNCTIONS[kind]:
        found.setdefault(item.__qualname__, []).append(code_hash(item))
    for name, value in CONSTANTS.get(kind, {}).items():
        found[name] = [code_hash(value)]
    return {name: "-".join(sorted(set(hashes))) for name, hashes in found.items()}


def accepted() -> dict[str, dict[str, Any]]:
    """The same, as it was when it was last accepted."""
    return json.loads(ACCEPTED.read_text())


def changed_unversioned(now: dict[str, Any], before: dict[str, Any]) -> list[str]:
    """What changed or went in a kind whose version is what it was: "kind: name" each."""
    return [
        f"{kind}: {name}"
        for kind, known in before.items()
        if kind in now and now[kind]["version"] == known["version"]
        for name, value in known["hashes"].items()
        if now[kind]["hashes"].get(name) != value
    ]


def main() -> None:
    """Accept what is there; what changed under its old version, only if it is said to mean the same."""
    now = current()
    changed = changed_unversioned(now, accepted()) if ACCEPTED.is_file() else []
    if changed and "--meaning-kept" not in sys.argv:
        sys.exit("\n".join([*changed, "raise the version of these kinds, or give --meaning-kept"]))
    ACCEPTED.write_text(json.dumps(now, indent=1) + "\n")


if __name__ == "__main__":
    main()
