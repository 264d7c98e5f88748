"""Records -> the report's numbers: one row a model, benchmark, split and metric, with intervals."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from seednb.core.params import EvaluationParams
from seednb.data.probes import SPLITS
from seednb.evaluation.benchmarks import chair, pope
from seednb.evaluation.comparison import Label, Pair, figure_rows
from seednb.evaluation.records import KINDS, Answers, Record, kinds_asked
from seednb.evaluation.significance import kinds_table
from seednb.evaluation.stats import Resampled, resample
from seednb.experiments.dataset import Prepared
from seednb.method.recipes import CONTROLS, REPORTED

Seeds = Mapping[Any, Answers]  # seed of a training -> its answers; of what was not trained: None
# Comparisons other than with the base model: (model, versus).
CONTRASTS = (
    ("v5", "v4"),
    ("v6", "v5"),
    ("v7", "v6"),
    ("v7", "sft"),
    ("v7", "distill_only"),
    ("v7", "contrastive"),
    ("v7", "mention_control"),
    ("v7_truthful", "sft_truthful"),
)
# Those whose answers by kind are tested against the base model's, in one family.
TESTED = (*(recipe.name for recipe in (*REPORTED, *CONTROLS)), "contrastive")


@dataclass(frozen=True)
class BenchmarkSplit:
    """The records of one benchmark, or of one split of it."""

    benchmark: str
    name: str | None  # of the split; None for a benchmark without
    file: str  # of the stage, that holds the records

    def records(self, answers: Answers) -> list[Record]:
        """A model's records of this split; none if it was not asked."""
        if self.benchmark == "chair":
            return answers.captions
        if self.benchmark == "pope":
            return [row for row in answers.probes if row["split"] == self.name]
        return [row for row in answers.questions if row["kind"] == self.name]

    def variant(self, params: EvaluationParams) -> str:
        """How the records are read."""
        return params.chair_variant if self.benchmark == "chair" else params.pope_parser

    def figures(
        self, answers: Answers, data: Prepared, params: EvaluationParams, resamples: int
    ) -> dict[str, Resampled]:
        """Every metric of one model, resampled by image."""
        more: dict[str, Resampled] = {}
        rows, seed = self.records(answers), params.bootstrap_seed
        if self.benchmark == "chair":
            counts = chair.count(rows, data.present, data.vocabulary, params.chair_variant)
            sums, statistics = chair.per_image_sums(counts), chair.STATISTICS
        else:
            frame = pd.DataFrame(rows)
            sums, statistics = pope.per_image_sums(frame, params.pope_parser), pope.STATISTICS
            more["auc"] = pope.area(frame, params.resamples, seed)
        found = {name: resample(sums, each, resamples, seed) for name, each in statistics.items()}
        return found | more


CAPTIONS = BenchmarkSplit("chair", None, "captions.jsonl")
PROBES = {split: BenchmarkSplit("pope", split, "probes.jsonl") for split in SPLITS}


def splits_asked(answers: Iterable[Answers]) -> list[BenchmarkSplit]:
    """Captions, POPE's splits, and the kinds of question that all who were probed were asked."""
    probed = [each for each in answers if each.probes]
    kinds = [BenchmarkSplit(KINDS, kind, "questions.jsonl") for kind in kinds_asked(probed)]
    return [CAPTIONS, *(PROBES.values() if probed else ()), *kinds]


def split_rows(
    split: BenchmarkSplit,
    answers: Mapping[str, Seeds],
    pairs: Sequence[Pair],
    data: Prepared,
    params: EvaluationParams,
    resamples: int | None = None,
) -> Iterator[Record]:
    """Levels of every model that was asked, and the paired differences among them.

    `resamples`: of ratios, if not those of the parameters.
    """
    asked = {m: runs for m, runs in answers.items() if all(map(split.records, runs.values()))}
    n = resamples or params.resamples
    figures = {
        model: {seed: split.figures(run, data, params, n) for seed, run in runs.items()}
        for model, runs in asked.items()
    }
    label = label_of(split, asked, params)
    every = (name for runs in figures.values() for found in runs.values() for name in found)
    for metric in dict.fromkeys(every):
        measured = {
            model: {seed: found[metric] for seed, found in runs.items()}
            for model, runs in figures.items()
        }
        yield from figure_rows(measured, [p for p in pairs if {*p} <= {*asked}], metric, label)


def label_of(
    split: BenchmarkSplit, answers: Mapping[str, Seeds], params: EvaluationParams
) -> Label:
    """What a split's rows are about, and the files of the records behind them."""
    records = {
        model: ", ".join((run.folder / split.file).as_posix() for run in runs.values())
        for model, runs in answers.items()
    }
    resampling = {"resamples": params.resamples, "seed": params.bootstrap_seed}
    return Label(split.benchmark, split.name, split.variant(params), records, **resampling)


def metric_rows(
    answers: Mapping[str, Answers], data: Prepared, params: EvaluationParams
) -> list[Record]:
    """Levels of every model, and paired differences to the base model and along `CONTRASTS`."""
    pairs = [(model, "base") for model in answers if model != "base" and "base" in answers]
    pairs += [pair for pair in CONTRASTS if set(pair) <= set(answers)]
    once = {model: {None: each} for model, each in answers.items()}
    rows: list[Record] = []
    for split in splits_asked(answers.values()):
        rows += split_rows(split, once, pairs, data, params)
        if split.benchmark == "pope" and "base" in answers:
            frames: dict[str, pd.DataFrame] = {
                m: pd.DataFrame(split.records(answers[m])) for m in ("base", "v7") if m in once
            }
            label = label_of(split, {"base": once["base"]}, params)
            rows += pope.threshold_rows(frames, params.pope_parser, label)
    _add_tests(rows, answers, params.pope_parser)
    return rows


def _add_tests(rows: list[Record], answers: Mapping[str, Answers], parser: str) -> None:
    """Give each accuracy by kind its exact p against the base model: `p`, and Holm's as `p_holm`.

    Holm's correction is over all models of `TESTED` and all kinds, as in chapter 08.
    """
    tested = [model for model in TESTED if model in answers and answers[model].questions]
    if not tested or not answers.get("base") or not answers["base"].questions:
        return
    asked = {model: answers[model] for model in ("base", *tested)}
    table = kinds_table(asked, tested, "base", parser)
    found = {(test["model"], test["kind"]): test for test in table.to_dict("records")}
    for row in rows:
        test = found.get((row["model"], row["split"]))
        if test and (row["benchmark"], row["metric"], row["versus"]) == (KINDS, "accuracy", "base"):
            row |= {"p": test["p"], "p_holm": test["p (Holm)"]}


def select(rows: list[Record], **wanted: Any) -> pd.DataFrame:
    """The rows whose columns have the wanted values (None matches a missing value)."""
    frame = pd.DataFrame(rows)
    for column, value in wanted.items():
        frame = frame[frame[column].isna() if value is None else frame[column] == value]
    return frame.reset_index(drop=True)
