"""AMBER (Wang et al., 2023): descriptions and yes/no answers scored without a language model.

Generative: CHAIR (unsafe nouns / nouns), Cover (truth words named / truth words), Hal (descriptions
with an unsafe noun) and Cog (hallucination targets named / targets). Discriminative: the positive
class is "no", so precision is right no / said no and recall right no / gold no; only "Yes" and
"No" to the letter are answers. Every denominator starts at .001, as in the official script; `printed` holds
its own output.
"""

from argparse import Namespace
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from seednb.core.errors import SeedError
from seednb.data.readers import read_rows
from seednb.evaluation import records
from seednb.evaluation.benchmarks import base
from seednb.evaluation.comparison import Label
from seednb.evaluation.records import Record, Row
from seednb.evaluation.stats import Statistic
from seednb.evaluation.words import (
    Similarity,
    WordLists,
    count_description,
    exact_similarity,
    lemmas,
    spacy_similarity,
)

PART_OF = {  # type in annotations.json -> part; relation is written both ways there
    "generative": "generative",
    "discriminative-hallucination": "existence",
    "discriminative-attribute-state": "state",
    "discriminative-attribute-number": "number",
    "discriminative-attribute-action": "action",
    "discriminative-relation": "relation",
    "relation": "relation",
}
ATTRIBUTES = ("state", "number", "action")
DISCRIMINATIVE = ("existence", *ATTRIBUTES, "relation")
GROUPS = {"discriminative": DISCRIMINATIVE, "attribute": ATTRIBUTES}
GROUPS |= {name: (name,) for name in DISCRIMINATIVE}
PARTS = {"all": ("generative", *DISCRIMINATIVE), "generative": ("generative",)} | {
    name: GROUPS[name] for name in ("discriminative", "existence", "attribute", "relation")
}  # what can be asked for -> the parts that it holds
Count = Callable[[Row, str], dict[str, int]]  # of an annotation and its answer
START = 0.001  # of every denominator, so that none is 0
DESCRIBED = ("n", "n_nouns", "n_unsafe", "n_truth", "n_covered", "n_targets", "n_hit", "n_clean")
JUDGED = ("n", "n_right", "n_gold_no", "n_said_no", "n_right_no", "n_unclear")
DATA = ("annotations.json", "relation.json", "safe_words.txt")
AMBER = base.Download(
    "amber",
    "AMBER",
    f"{base.GITHUB}/junyangwang0410/AMBER",
    "Apache-2.0; images: see source",
    (*((f"AMBER/data/{name}",) for name in DATA), ("AMBER/data/query/query_all.json",), ("AMBER/image", "AMBER/images", "AMBER/data/image")),
    (f"git clone {base.GITHUB}/junyangwang0410/AMBER", "gdown 1MaCHgtupcZUjf007anNl4_MV0o4DjXvl -O AMBER.zip && unzip -d AMBER AMBER.zip"),
)  # fmt: skip


def read_truth(folder: Path) -> tuple[list[Record], WordLists]:
    """The annotations and word lists in the `data` folder of AMBER's repository."""
    for name in DATA:
        if not (folder / name).is_file():
            wanted = f"the folder data/ of AMBER's repository, with {', '.join(DATA)}"
            raise SeedError(f"{folder / name} is missing; give {wanted}")
    annotations, *words = (folder / name for name in DATA)
    return read_rows(annotations), WordLists.read(*words)


def read_questions(file: Path) -> list[Record]:
    """query_all.json or one of its parts; the scorer wants `id` and `response`."""
    return [
        {
            "question_id": base.get(row, "id", file),
            "image": base.get(row, "image", file),
            "text": base.get(row, "query", file),
            "entry": {"id": row["id"]},
            "reply": "response",
            "yes_no": () if str(row["query"]).startswith("Describe") else base.YES_NO,
        }
        for row in read_rows(file)
    ]


def read_files(folders: base.Folders, captions: base.CaptionSettings) -> base.Material:
    """All queries, the annotations, and the image of each query."""
    *files, queries, images = folders.locate(BENCHMARK)
    annotations, lists = read_truth(files[0].parent)
    questions = read_questions(queries)
    image_of = {str(row["question_id"]): row["image"] for row in questions}
    truth = {"annotations": annotations, "lists": lists, "image_of": image_of}
    asked = base.Asked("answers", questions, images)
    return base.Material("amber", (asked,), truth, (queries, *files))


def score(
    annotations: Sequence[Row],
    answers: Sequence[Row],
    lists: WordLists,
    similarity: Similarity,
    part: str = "all",
    allow_partial: bool = False,
) -> Record:
    """Counts and figures of one part, or of all.

    Answers are `id` and `response`; those to other parts are left out, as the official script
    does. `printed` holds the percentages that it prints: it rounds precision and recall before F1,
    the other figures here are not rounded. Raises SeedError for ids that do not fit, unknown parts
    and types, and answers without text.
    """
    records.check_known("AMBER part", part, PARTS)
    part_of = {str(row.get("id")): _part_of(row) for row in annotations}
    wanted = [row for row in annotations if _part_of(row) in PARTS[part]]
    # an id that no annotation has stays, so that it is named
    given = [row for row in answers if part_of.get(str(row.get("id"))) in (None, *PARTS[part])]
    pairs = records.pair_by_id(wanted, given, allow_partial, key="id")
    scores: dict[str, Any] = {"part": part, **records.coverage(len(wanted), len(pairs))}
    describe = description_counter(lists, similarity)
    for name, parts in {"generative": PARTS["generative"], **GROUPS}.items():
        count = describe if name == "generative" else count_judgement
        counts = [count(row, _response(answer)) for row, answer in pairs if _part_of(row) in parts]
        if counts and set(parts) <= set(PARTS[part]):
            scores[name] = _scored(name, pd.DataFrame(counts).sum())
    return scores


def image_sums(
    annotations: Sequence[Row],
    answers: Sequence[Row],
    parts: Sequence[str],
    count: Count,
    image_of: Mapping[str, str],
) -> pd.DataFrame:
    """Counts of each image's answers in some parts; `image_of` names the image of each id."""
    wanted = [row for row in annotations if _part_of(row) in parts]
    ids = {str(row["id"]) for row in wanted}
    given = [row for row in answers if str(row.get("id")) in ids]
    pairs = records.pair_by_id(wanted, given, key="id")
    return records.sum_by_image(
        (image_of[str(row["id"])], count(row, _response(answer))) for row, answer in pairs
    )


def description_counter(lists: WordLists, similarity: Similarity) -> Count:
    """Counts a description, as `count_description` does."""
    return lambda row, text: {"n": 1} | count_description(text, row, lists, similarity)


def count_judgement(row: Row, text: str) -> dict[str, int]:
    """Counts of one yes/no answer."""
    gold = _gold(row)
    return {
        "n": 1,
        "n_right": int(gold == text),
        "n_gold_no": int(gold == "No"),
        "n_said_no": int(text == "No"),
        "n_right_no": int(gold == text == "No"),
        "n_unclear": int(text not in ("Yes", "No")),
    }


def statistics(group: str) -> dict[str, Statistic]:
    """The figures of summed counts, with the official script's denominators.

    Of `DESCRIBED` for the group "generative", of `JUDGED` for the others.
    """
    if group == "generative":
        clean = records.share_of(DESCRIBED, "n_clean", "n", START)
        return {
            "CHAIR": records.share_of(DESCRIBED, "n_unsafe", "n_nouns", START),
            "Cover": records.share_of(DESCRIBED, "n_covered", "n_truth", START),
            "Hal": lambda sums: 1 - clean(sums),
            "Cog": records.share_of(DESCRIBED, "n_hit", "n_targets", START),
        }
    # the script adds up the three attributes' denominators, and has its own start for each F1
    start = START * len(ATTRIBUTES) if group == "attribute" else START
    precision = records.share_of(JUDGED, "n_right_no", "n_said_no", start)
    recall = records.share_of(JUDGED, "n_right_no", "n_gold_no", start)
    return {
        "accuracy": records.share_of(JUDGED, "n_right", "n", start),
        "precision": precision,
        "recall": recall,
        "f1": lambda sums: _f1(precision(sums), recall(sums), group),
    }


def _scored(group: str, sums: pd.Series) -> Record:
    figures = records.figures_of(statistics(group), sums)
    printed = {name: round(value * 100, 1) for name, value in figures.items()}
    if group != "generative":
        f1 = _f1(printed["precision"] / 100, printed["recall"] / 100, group)
        printed["f1"] = round(f1 * 100, 1)
    return {**records.counts_of(sums), **figures, "printed": printed}


def _f1(precision: Any, recall: Any, group: str) -> Any:
    start = 0.001 if group == "existence" else 0.0001
    return 2 * precision * recall / (precision + recall + start)


def _part_of(annotation: Row) -> str:
    return PART_OF[_known(annotation, "type", PART_OF)]


def _gold(annotation: Row) -> str:
    return _known(annotation, "truth", ("yes", "no")).capitalize()


def _known(annotation: Row, key: str, known: Collection[str]) -> str:
    value = annotation.get(key)
    if not isinstance(value, str) or value not in known:
        raise SeedError(
            f"AMBER annotation {annotation.get('id')}: {key} {value!r} is unknown, it must be one of "
            f"{', '.join(known)}; use the repository's data/annotations.json"
        )
    return value


def _response(answer: Row) -> str:
    text = answer.get("response")
    if not isinstance(text, str):
        raise SeedError(f"AMBER answer {answer.get('id')} has no text 'response'; add it")
    return text


def compare(
    truth: Record, answers: base.AnswersByModel, label: Label, remarks: base.Remarks
) -> Iterator[Record]:
    """Rows of each group of yes/no questions and, if the word data is there, of descriptions."""
    annotations, image_of = truth["annotations"], truth["image_of"]

    def rows(group: str, parts: Sequence[str], count: Count, variant: str) -> Iterator[Record]:
        sums = {
            model: image_sums(annotations, lines["answers"], parts, count, image_of)
            for model, lines in answers.items()
        }
        yield from base.rows_if_any(sums, statistics(group), label, split=group, variant=variant)

    for group, parts in GROUPS.items():
        yield from rows(group, parts, count_judgement, base.OFFICIAL)
    try:
        lemmas("a word")
    except SeedError as problem:
        remarks.lacking.append(f"amber, descriptions: {problem}")
        return
    try:
        similarity, variant = spacy_similarity(), base.OFFICIAL
    except SeedError as problem:
        similarity, variant = exact_similarity, "exact words, not official"
        remarks.lacking.append(
            f"amber, descriptions: scored without near-synonyms, because {problem}"
        )
    describe = description_counter(truth["lists"], similarity)
    yield from rows("generative", PARTS["generative"], describe, variant)


def score_files(options: Namespace) -> base.Scored:
    """Responses by id; spaCy is loaded only for descriptions."""
    annotations, lists = read_truth(options.data)
    answers = read_rows(options.answers)
    describes = "generative" in PARTS.get(options.part, ())
    by_spacy = describes and options.similarity == "spacy"
    similarity = spacy_similarity() if by_spacy else exact_similarity
    scores = score(annotations, answers, lists, similarity, options.part, options.allow_partial)
    return base.Scored(scores | ({"similarity": options.similarity} if describes else {}))


BENCHMARK = base.Benchmark(
    name="amber",
    title="AMBER descriptions and yes/no answers",
    position=6,
    downloads=(AMBER,),
    headline=base.Headline(("CHAIR", "Cover", "Hal", "Cog", "accuracy", "f1"), splits=("generative", "discriminative")),
    read_files=read_files,
    read_questions=read_questions,
    compare=compare,
    score_files=score_files,
    options=(
        base.option("--data", "data folder of AMBER's repository", required=True, type=Path),
        *base.answer_options("id and response (JSON list)"),
        base.option("--part", "all, generative, discriminative, existence, attribute or relation", default="all"),
        base.option("--similarity", "near-synonyms of the generative part; exact needs no spaCy, but is not the official rule", default="spacy", choices=("spacy", "exact")),
    ),
    examples=(
        "seednb score amber --data AMBER/data --answers answers.json --json",
        "seednb score amber --data AMBER/data --answers answers.json --part discriminative --json",
    ),
)  # fmt: skip
