"""POPE (Li et al., EMNLP 2023): yes/no questions about objects, scored on the counts of answers.

Yes is the positive class. Counts are summed over rows, then images; every figure is a function of
summed counts, so `seednb.evaluation.stats` can resample images.
"""

from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pandas as pd

from seednb.core.errors import SeedError
from seednb.data.probes import SPLITS
from seednb.data.readers import read_json_lines, read_rows
from seednb.evaluation import comparison
from seednb.evaluation.benchmarks import base
from seednb.evaluation.comparison import BASE, METHOD, Label
from seednb.evaluation.controls import refit_threshold
from seednb.evaluation.parsers import LANGUAGES, PARSERS, Language, parser_named, translate
from seednb.evaluation.records import (
    ASKED_AS,
    Record,
    Row,
    counts_of,
    figures_of,
    join_answers,
    list_ids,
    share_of,
)
from seednb.evaluation.stats import Resampled, resample_auc

COUNTS = ("TP", "FP", "TN", "FN", "unclear", "n")
STATISTICS = {
    "accuracy": share_of(COUNTS, "TP + TN", "n"),
    "precision": share_of(COUNTS, "TP", "TP + FP"),
    "recall": share_of(COUNTS, "TP", "TP + FN"),
    # the harmonic mean of precision and recall
    "f1": share_of(COUNTS, "TP + TP", "TP + TP + FP + FN"),
    # of answers read as yes (lmms-eval's own `pope_yes_ratio` counts labels instead)
    "yes_ratio": share_of(COUNTS, "TP + FP", "n"),
}
MARGIN = "margin"
VCD = "VCD/experiments/data/POPE"  # has POPE's questions on three data sets
ELSEWHERE = {"aokvqa": base.VAL2014.files[0], "gqa": ("gqa/images",)}  # data set -> its images
POPE = base.Download(
    "pope",
    "POPE",
    f"{base.GITHUB}/AoiDragon/POPE",
    "MIT",
    tuple(
        (f"POPE/output/coco/coco_pope_{split}.json", f"{VCD}/coco/coco_pope_{split}.json")
        for split in SPLITS
    ),
    (f"git clone {base.GITHUB}/AoiDragon/POPE",),
    {
        "POPE/output/coco/coco_pope_random.json": "ac25245170b975a5bdf9080b23fd431dfe6be458bc038259c1f4f09a6bef7994",
        "POPE/output/coco/coco_pope_popular.json": "72c1a8ad45d0c13514f5f22598261df41d3b533854d29682e924db50ed8aa753",
    },
)


def read_questions(file: Path) -> list[Record]:
    """POPE's probes, JSON lines."""
    return [
        row | {"text": base.get(row, "text", file, str) + base.ONE_WORD, "yes_no": base.YES_NO}
        for row in read_json_lines(file)
    ]


def read_questions_in(file: Path, language: Language, names: Path) -> list[Record]:
    """POPE's probes in another language, with object names from a file."""
    words = tuple(f" {words[0].capitalize()}" for words in (language.yes, language.no))
    asked = {"language": language.code, "yes_no": words, "entry": {"language": language.code}}
    return [
        row | asked | {"text": row["text"] + language.suffix}
        for row in translate(read_json_lines(file), language.code, names)
    ]


def read_files(folders: base.Folders, captions: base.CaptionSettings) -> base.Material:
    """Every question once: the positives of the three splits are the same.

    POPE's questions on A-OKVQA and GQA are published elsewhere: taken if there, not missed if not.
    """
    *files, images = folders.locate(BENCHMARK)
    found = {"coco": (files, images)}
    for data_set, places in ELSEWHERE.items():
        names = [f"{VCD}/{data_set}/{data_set}_pope_{split}.json" for split in SPLITS]
        with suppress(base.Absent):
            more = [folders.find((name,), POPE, POPE.name) for name in names]
            found[data_set] = (more, folders.find(places, POPE, POPE.name))
    asked, probes = [], {}
    for data_set, (files, images) in found.items():
        questions: dict[tuple[str, str], Record] = {}
        for split, file in zip(SPLITS, files, strict=True):
            probes[data_set, split] = read_questions(file)
            for row in probes[data_set, split]:
                as_asked = row | {"question_id": len(questions) + 1}
                row[ASKED_AS] = questions.setdefault((row["image"], row["text"]), as_asked)[
                    "question_id"
                ]
        asked.append(base.Asked(data_set, list(questions.values()), images))
    every = tuple(file for files, _ in found.values() for file in files)
    return base.Material("pope", tuple(asked), {"probes": probes}, every)


def outcomes(records: pd.DataFrame, parser: str) -> pd.DataFrame:
    """One row a record, columns `COUNTS` of 0 and 1, index as the records'.

    `records` holds `label` and `answer`. An unclear answer is always wrong (it is in n), and what
    else it counts as follows the evaluator: a missed yes (FN) for vlmevalkit and strict, nothing
    for lmms-eval. vcd's rule needs the label, see `parse_answer`: a right answer is what contains
    its label, so "yes ... no" is right for both labels and "" is wrong for both.
    """
    asks_yes = _labels(records) == "yes"
    verdict = records["answer"].map(parser_named(parser))
    says_yes, says_no = verdict == "yes", verdict == "no"
    if parser == "vcd":
        lowered = records["answer"].str.lower()
        right = lowered.str.contains("yes").where(asks_yes, lowered.str.contains("no"))
        says_yes, says_no = asks_yes == right, asks_yes != right
    denies = says_no if parser == "lmms-eval" else ~says_yes
    columns = {
        "TP": asks_yes & says_yes,
        "FP": ~asks_yes & says_yes,
        "TN": ~asks_yes & says_no,
        "FN": asks_yes & denies,
        "unclear": verdict == "unclear",
        "n": pd.Series(True, records.index),
    }
    return pd.DataFrame(columns, dtype=int)


def per_image_sums(records: pd.DataFrame, parser: str = "official") -> pd.DataFrame:
    """`COUNTS` summed over each image's records; index `image`, sorted, for `seednb.evaluation.stats`."""
    return outcomes(records, parser).groupby(records["image"]).sum()


def score(
    questions: Sequence[Row], answers: Sequence[Row], parser: str, allow_partial: bool = False
) -> Record:
    """Integer counts and ratios of an answer file against its questions."""
    records = join_answers(questions, answers, allow_partial)
    sums = outcomes(records, parser).sum()
    return {"parser": parser, **counts_of(sums), **figures_of(STATISTICS, sums)}


def parser_table(records: pd.DataFrame) -> pd.DataFrame:
    """One row a parser: what the same answers score under each evaluator's rule."""
    sums_of = {parser: outcomes(records, parser).sum() for parser in PARSERS}
    return pd.DataFrame(
        {"parser": parser, **figures_of(STATISTICS, sums), "unclear": int(sums["unclear"])}
        for parser, sums in sums_of.items()
    )


def disagreements(records: pd.DataFrame) -> pd.DataFrame:
    """The records whose answer is not the same to all parsers, with each one's verdict.

    vcd's column shows what the text alone says; its score looks at the label, see `outcomes`.
    """
    verdicts = pd.DataFrame({name: records["answer"].map(read) for name, read in PARSERS.items()})
    differ = verdicts.nunique(axis=1) > 1
    shown = [name for name in ("question_id", "label", "answer") if name in records]
    return records.loc[differ, shown].join(verdicts[differ])


def _labels(records: pd.DataFrame) -> pd.Series:
    missing = [name for name in ("label", "answer") if name not in records]
    if missing:
        raise SeedError(f"POPE records have no {' and no '.join(missing)}; check the question file")
    labels = records["label"].astype(str).str.strip().str.lower()
    odd = records[~labels.isin(["yes", "no"])]
    if len(odd):
        ids = list_ids(odd.get("question_id", odd.index.to_series()))
        raise SeedError(f"POPE labels must be yes or no; see question_id {ids}")
    return labels


def compare(
    truth: Record, answers: base.AnswersByModel, label: Label, remarks: base.Remarks
) -> Iterator[Record]:
    """Rows of every split, each with the answers to its own questions, which are asked once."""
    for (data_set, split), probes in truth["probes"].items():
        records = {}
        for model, parts in answers.items():
            said = {line["question_id"]: line for line in parts[data_set]}
            lines = [said[probe[ASKED_AS]] for probe in probes]
            records[model] = pd.DataFrame(
                probe | {"answer": line["text"], MARGIN: line.get(MARGIN)}
                for probe, line in zip(probes, lines, strict=True)
            )
        name = split if data_set == "coco" else f"{data_set} {split}"
        here = replace(label, split=name, variant=base.OFFICIAL)
        yield from compare_probes(records, base.OFFICIAL, here)


def compare_probes(
    records: Mapping[str, pd.DataFrame], parser: str, label: Label
) -> Iterator[Record]:
    """Counts, the area under the ROC curve, and the base with its threshold re-fitted.

    Records are `image`, `label`, `answer` and, for the last two, `margin`; without margins these
    are left out. The control and whatever is compared with it are scored on half of the images.
    """
    if not all("image" in frame for frame in records.values()):
        raise SeedError(
            "the questions name no 'image', which intervals are made of; give POPE's file"
        )
    sums = {model: per_image_sums(frame, parser) for model, frame in records.items()}
    yield from comparison.compare_sums(sums, STATISTICS, label)
    ranked = {
        model: frame
        for model, frame in records.items()
        if MARGIN in frame and frame[MARGIN].notna().all()
    }
    areas = {model: {None: area(f, label.resamples, label.seed)} for model, f in ranked.items()}
    yield from comparison.figure_rows(areas, comparison.pairs_with_base(ranked), "auc", label)
    if BASE in ranked and ranked[BASE]["image"].nunique() > 1:
        yield from threshold_rows(records, parser, label)


def area(records: pd.DataFrame, resamples: int, seed: int) -> Resampled:
    """The area under the ROC curve of the margins, resampled by image half as often as ratios.

    A sorted sum over rows costs more than a product of sums.
    """
    ranked = (records[MARGIN], records["label"] == "yes", records["image"])
    return resample_auc(*ranked, resamples // 2, seed)


def threshold_rows(
    records: Mapping[str, pd.DataFrame], parser: str, label: Label
) -> Iterator[Record]:
    """The base with its yes/no threshold re-fitted on half of the images, scored on the others."""
    refitted = refit_threshold(records[BASE], label.seed)
    control = per_image_sums(refitted.records, parser)
    halves = {
        model: per_image_sums(frame[frame["image"].isin(refitted.images)], parser)
        for model, frame in records.items()
    }
    yield from comparison.control_rows(
        comparison.THRESHOLD, control, halves, None, STATISTICS, label
    )


def score_files(options: Namespace) -> base.Scored:
    """A file of answers by id, under one parser or under all; with a baseline's beside them."""
    questions, answers = read_rows(options.questions), read_rows(options.answers)
    if options.parser == "all":
        if options.baseline:
            raise SeedError("--baseline compares under one rule; name it: --parser official")
        return _by_every_parser(join_answers(questions, answers, options.allow_partial))
    scores = score(questions, answers, options.parser, options.allow_partial)
    if not options.baseline:
        return base.Scored(scores)
    method, baseline = (
        join_answers(questions, rows, options.allow_partial)
        for rows in (answers, read_rows(options.baseline))
    )
    if "question_id" in method:  # else matched line by line
        if options.allow_partial:
            both = set(method["question_id"]) & set(baseline["question_id"])
            method, baseline = (f[f["question_id"].isin(both)] for f in (method, baseline))
        comparison.check_same_rows(method, baseline, "question_id")
    label = comparison.method_and_base(
        "pope", options.parser, str(options.answers), str(options.baseline)
    )
    records = {METHOD: method, BASE: baseline}
    return base.Scored(scores, list(compare_probes(records, options.parser, label)))


def _by_every_parser(records: pd.DataFrame) -> base.Scored:
    """What each rule makes of the same answers, and the answers on which they differ."""
    table, differ = parser_table(records), disagreements(records)
    figures = {
        "parsers": table.astype(object).where(table.notna(), None).to_dict("records"),
        "disagreements": differ.to_dict("records"),
    }
    told = f"\nthe rules differ on {len(differ)} of {len(records)} answers"
    shown = differ.assign(answer=differ["answer"].str.slice(0, 40)).head(20)
    return base.Scored(figures, tables=[("", table.round(5)), (told, shown)])


BENCHMARK = base.Benchmark(
    name="pope",
    title="yes/no answers",
    position=1,
    downloads=(POPE, base.VAL2014),
    headline=base.Headline(("accuracy", "f1", "yes_ratio", "auc")),
    read_files=read_files,
    read_questions=read_questions,
    read_questions_in=read_questions_in,
    compare=compare,
    score_files=score_files,
    options=(
        base.option("--questions", "POPE probes (JSON lines or list)", required=True, type=Path),
        *base.answer_options("question_id and text (JSON lines or list)"),
        base.option("--parser", f"{', '.join(PARSERS)}; all: a table of the six; {', '.join(LANGUAGES)}: answers in that language", default=base.OFFICIAL),
        base.option("--baseline", "the base model's answers: paired differences with 95%% intervals; if the lines of both have a margin, logit(yes) - logit(no), also AUC and the base with its threshold re-fitted", type=Path),
    ),
    examples=(
        "seednb score pope --questions coco_pope_random.json --answers answers.jsonl --parser official --json",
        "seednb score pope --questions coco_pope_random.json --answers method.jsonl --baseline base.jsonl",
    ),
)  # fmt: skip
