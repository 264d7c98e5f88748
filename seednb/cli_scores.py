"""Verbs that need no model: `score`, one a benchmark, and `build-pope`."""

import argparse
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

from seednb.errors import SeedError
from seednb.verbs import Parser, add_verb


def add_scores(verbs: Any) -> None:
    """Add `score` with its benchmarks, and `build-pope`, to the parser's verbs."""
    scores = verbs.add_parser(
        "score",
        help="score answers that any model wrote",
        description="Score answers that any model wrote; no model runs.",
        epilog="examples: seednb score pope --help, seednb score vqa --help",
    )
    benchmarks = scores.add_subparsers(required=True, metavar="BENCHMARK")

    verb = add_verb(benchmarks, "pope", score_pope, "yes/no answers", "seednb score pope --questions coco_pope_random.json --answers answers.jsonl --parser official --json", "seednb score pope --questions coco_pope_random.json --answers method.jsonl --baseline base.jsonl")  # fmt: skip
    verb.add_argument("--questions", required=True, type=Path, help="POPE probes (JSON lines or list)")  # fmt: skip
    _answer_options(verb, "question_id and text (JSON lines or list)")
    verb.add_argument("--parser", default="official", help="official, vcd, opera, lmms-eval, vlmevalkit, strict; all: a table of the six; zh, de, es, fr: answers in that language")  # fmt: skip
    verb.add_argument("--baseline", type=Path, help="the base model's answers: paired differences with 95%% intervals; if the lines of both have a margin, logit(yes) - logit(no), also AUC and the base with its threshold re-fitted")  # fmt: skip

    verb = add_verb(benchmarks, "chair", score_chair, "captions", "seednb score chair --captions captions.jsonl --ground-truth gt.json.gz --synonyms synonyms.txt --variant lemma --json", "seednb score chair --captions method.jsonl --baseline base.jsonl --ground-truth gt.json.gz")  # fmt: skip
    verb.add_argument("--captions", required=True, type=Path, help="image_id and caption (JSON lines or list)")  # fmt: skip
    verb.add_argument("--ground-truth", type=Path, help="JSON: image id -> objects")
    verb.add_argument("--instances", type=Path, help="COCO instances, to build the ground truth")
    verb.add_argument("--captions-gt", type=Path, help="COCO captions, to build the ground truth")
    verb.add_argument("--synonyms", type=Path, help="object words (default: this project's)")
    verb.add_argument("--variant", default="lemma", choices=("lemma", "pattern", "pocket"))
    verb.add_argument("--baseline", type=Path, help="the base model's captions: paired differences with 95%% intervals, and the base cut to as many mentions")  # fmt: skip
    verb.add_argument("--drop-unfinished", action="store_true", help="cut a caption after its last full stop")  # fmt: skip
    verb.add_argument("--json", action="store_true", help="one JSON object")

    verb = add_verb(benchmarks, "vqa", score_vqa, "VQAv2 answers, or their file for the test server", "seednb score vqa --annotations v2_mscoco_val2014_annotations.json --questions v2_OpenEnded_mscoco_val2014_questions.json --answers answers.jsonl --json", "seednb score vqa --questions v2_OpenEnded_mscoco_test2015_questions.json --answers answers.jsonl --allow-partial --submission test-dev.json")  # fmt: skip
    verb.add_argument("--annotations", type=Path, help="v2_mscoco_*_annotations.json, to score")
    verb.add_argument("--questions", type=Path, help="v2_OpenEnded_*_questions.json: ids to expect")
    _answer_options(verb, "question_id and text (JSON lines) or answer (JSON list)")
    verb.add_argument("--normalisation", default="llava", choices=("llava", "lmms-eval"))
    verb.add_argument("--submission", type=Path, help="JSON to write for the test server; needs --questions")  # fmt: skip

    verb = add_verb(benchmarks, "mme", score_mme, "MME results", "seednb score mme --results results/llava-1.5-7b --json")  # fmt: skip
    verb.add_argument("--results", required=True, type=Path, help="folder with TASK.txt: image, question, right answer, prediction, separated by tabs; or what seednb answer wrote")  # fmt: skip
    verb.add_argument("--parser", default="official", choices=("official", "lmms-eval"))
    verb.add_argument("--allow-partial", action="store_true", help="leave out pictures with one of their two questions")  # fmt: skip
    verb.add_argument("--json", action="store_true", help="one JSON object")

    verb = add_verb(benchmarks, "seedbench", score_seedbench, "SEED-Bench choices", "seednb score seedbench --questions SEED-Bench.json --answers answers.jsonl --rule letter --json")  # fmt: skip
    verb.add_argument("--questions", required=True, type=Path, help="SEED-Bench.json")
    _answer_options(verb, "question_id and text, or likelihoods of four choices (JSON lines)")
    verb.add_argument("--rule", default="letter", choices=("letter", "first-character", "likelihood"))  # fmt: skip

    verb = add_verb(benchmarks, "amber", score_amber, "AMBER descriptions and yes/no answers", "seednb score amber --data AMBER/data --answers answers.json --json", "seednb score amber --data AMBER/data --answers answers.json --part discriminative --json")  # fmt: skip
    verb.add_argument("--data", required=True, type=Path, help="data folder of AMBER's repository")
    _answer_options(verb, "id and response (JSON list)")
    verb.add_argument("--part", default="all", help="all, generative, discriminative, existence, attribute or relation")  # fmt: skip
    verb.add_argument("--similarity", default="spacy", choices=("spacy", "exact"), help="near-synonyms of the generative part; exact needs no spaCy, but is not the official rule")  # fmt: skip

    verb = add_verb(benchmarks, "hallusionbench", score_hallusionbench, "HallusionBench answers", "seednb score hallusionbench --answers HallusionBench_result.json --questions HallusionBench.json --json")  # fmt: skip
    _answer_options(verb, "entries of HallusionBench.json with model_prediction or correct")
    verb.add_argument("--questions", type=Path, help="HallusionBench.json: entries to expect")
    verb.add_argument("--field", help="where a judge wrote 0, 1 or 2 (default: correct, if it is there; else yes and no are read)")  # fmt: skip
    verb.add_argument("--images-only", action="store_true", help="without the questions that have no picture, as VLMEvalKit")  # fmt: skip

    verb = add_verb(verbs, "build-pope", build_pope, "POPE probes from annotations", "seednb build-pope --objects gt.json --split adversarial > probes.jsonl")  # fmt: skip
    verb.add_argument("--objects", required=True, type=Path, help="JSON: image -> list of objects")
    verb.add_argument("--split", required=True, choices=("random", "popular", "adversarial"))
    verb.add_argument("--images", type=Path, help="text file: images to probe, one a line")
    verb.add_argument("--seed", type=int, default=42)


def _answer_options(verb: Parser, content: str) -> None:
    verb.add_argument("--answers", required=True, type=Path, help=content)
    verb.add_argument("--allow-partial", action="store_true", help="score the ids that both files hold")  # fmt: skip
    verb.add_argument("--json", action="store_true", help="one JSON object")


def _naming_its_file(score: Callable[[argparse.Namespace], None]) -> Callable[..., None]:
    """A scorer whose SeedErrors begin with the scored file: it is given rows, not files."""

    @wraps(score)
    def named(options: argparse.Namespace) -> None:
        given = [value for value in vars(options).values() if isinstance(value, Path)]
        keys = ("answers", "captions", "results")
        scored = next(vars(options)[key] for key in keys if key in vars(options))
        try:
            score(options)
        except SeedError as problem:
            if any(str(path) in str(problem) for path in given):
                raise
            raise SeedError(f"{scored}: {problem}") from problem

    return named


@_naming_its_file
def score_pope(options: argparse.Namespace) -> None:
    """Score yes/no answers by id."""
    from seednb.cli_baselines import pope_rows
    from seednb.data.files import read_rows
    from seednb.metrics.pope import score

    questions, answers = read_rows(options.questions), read_rows(options.answers)
    if options.parser == "all":
        if options.baseline:
            raise SeedError("--baseline compares under one rule; name it: --parser official")
        _print_parsers(questions, answers, options)
        return
    scores = score(questions, answers, options.parser, options.allow_partial)
    comparison = pope_rows(questions, answers, options) if options.baseline else []
    _print_scores(scores, options.json, comparison)


def _print_parsers(questions: Any, answers: Any, options: argparse.Namespace) -> None:
    """What the six rules make of the same answers, and the answers on which they differ."""
    import json

    from seednb.metrics.pope import disagreements, join_answers, parser_table
    from seednb.tables import as_text

    records = join_answers(questions, answers, options.allow_partial)
    table, differ = parser_table(records), disagreements(records)
    if options.json:
        figures = table.astype(object).where(table.notna(), None)  # JSON has no NaN
        lists = {"parsers": figures, "disagreements": differ}
        print(json.dumps({name: frame.to_dict("records") for name, frame in lists.items()}))
        return
    print(as_text(table.round(5)))
    print(f"\nthe rules differ on {len(differ)} of {len(records)} answers")
    if len(differ):
        print(as_text(differ.assign(answer=differ["answer"].str.slice(0, 40)).head(20)))


@_naming_its_file
def score_chair(options: argparse.Namespace) -> None:
    """Score captions against annotated objects."""
    from seednb.cli_baselines import chair_rows
    from seednb.data.files import read_rows
    from seednb.metrics.chair import Vocabulary, score

    vocabulary = Vocabulary.read(options.synonyms) if options.synonyms else Vocabulary.coco()
    captions = read_rows(options.captions)
    truth = _ground_truth(options, vocabulary)
    scores = score(captions, truth, vocabulary, options.variant, options.drop_unfinished)
    comparison = chair_rows(captions, truth, vocabulary, options) if options.baseline else []
    _print_scores(scores, options.json, comparison)


@_naming_its_file
def score_vqa(options: argparse.Namespace) -> None:
    """Score short answers, write them for the test server, or both."""
    from seednb.answer_files import read_vqa
    from seednb.artifacts import write_json
    from seednb.data.files import read_rows
    from seednb.metrics.vqa import check_same_questions, score, submission

    if not options.annotations and not (options.questions and options.submission):
        raise SeedError("give --annotations to score, or --questions together with --submission")
    if options.submission and not options.questions:
        raise SeedError("--submission needs --questions: the ids that the server expects")
    answers = read_rows(options.answers)
    questions = read_vqa(options.questions, "questions") if options.questions else []
    rest = (answers, options.normalisation, options.allow_partial)
    if options.annotations:
        annotations = read_vqa(options.annotations, "annotations")
        if questions:
            check_same_questions(questions, annotations)
        _print_scores(score(annotations, *rest), options.json)
    if options.submission:
        rows = submission(questions, *rest)
        try:
            write_json(options.submission, rows)
        except OSError as problem:
            raise SeedError(
                f"{options.submission} cannot be written ({problem}); give the path of a file"
            ) from None


@_naming_its_file
def score_mme(options: argparse.Namespace) -> None:
    """Score a folder of task files."""
    from seednb.answer_files import read_mme
    from seednb.metrics.mme import score

    rows_by_task = read_mme(options.results)
    _print_scores(score(rows_by_task, options.parser, options.allow_partial), options.json)


@_naming_its_file
def score_seedbench(options: argparse.Namespace) -> None:
    """Score letters or likelihoods by id."""
    from seednb.answer_files import read_seedbench
    from seednb.data.files import read_rows
    from seednb.metrics.seedbench import score

    benchmark, answers = read_seedbench(options.questions), read_rows(options.answers)
    _print_scores(score(benchmark, answers, options.rule, options.allow_partial), options.json)


@_naming_its_file
def score_amber(options: argparse.Namespace) -> None:
    """Score responses by id; spaCy is loaded only for descriptions."""
    from seednb.answer_files import read_amber
    from seednb.data.files import read_rows
    from seednb.metrics.amber import PARTS, score
    from seednb.metrics.amber_words import exact_similarity, spacy_similarity

    annotations, lists = read_amber(options.data)
    answers = read_rows(options.answers)
    describes = "generative" in PARTS.get(options.part, ())
    by_spacy = describes and options.similarity == "spacy"
    similarity = spacy_similarity() if by_spacy else exact_similarity
    scores = score(annotations, answers, lists, similarity, options.part, options.allow_partial)
    if describes:
        scores["similarity"] = options.similarity
    _print_scores(scores, options.json)


@_naming_its_file
def score_hallusionbench(options: argparse.Namespace) -> None:
    """Score the entries with a model's predictions or a judge's verdicts."""
    from seednb.data.files import read_rows
    from seednb.metrics.hallusion import score

    answers = read_rows(options.answers)
    questions = read_rows(options.questions) if options.questions else None
    chosen = (options.field, options.images_only, options.allow_partial)
    _print_scores(score(answers, questions, *chosen), options.json)


def build_pope(options: argparse.Namespace) -> None:
    """Print probes as JSON lines."""
    import json

    from seednb.metrics.probes import build_probes

    objects = _read_objects(options.objects)
    if options.images:
        objects = _chosen(objects, options.images)
    for probe in build_probes(objects, options.split, seed=options.seed):
        print(json.dumps(probe))


def _ground_truth(options: argparse.Namespace, vocabulary: Any) -> Any:
    """Objects by image: read from --ground-truth, or built from COCO annotations."""
    from seednb.data.coco import load_split
    from seednb.metrics.chair import ground_truth

    if options.ground_truth:
        return _read_objects(options.ground_truth)
    if not (options.instances and options.captions_gt):
        raise SeedError("give --ground-truth, or --instances together with --captions-gt")
    split = load_split("ground truth", Path(), options.instances, options.captions_gt)
    return ground_truth(split.objects, split.captions, vocabulary, options.variant)


def _read_objects(path: Path) -> dict[str | int, list[str]]:
    from seednb.data.files import read_json

    objects = read_json(path, unique_keys=True)
    lists = objects.values() if isinstance(objects, dict) else [None]
    if not all(isinstance(v, list) and all(_is_name(name) for name in v) for v in lists):
        raise SeedError(f"{path}: write one JSON object, image -> list of its objects' names")
    return objects


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _chosen(objects: dict[str | int, list[str]], images: Path) -> dict[str | int, list[str]]:
    """The objects of the images that a text file names, in its order."""
    from seednb.metrics.records import list_ids

    try:
        names = images.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as problem:
        raise SeedError(f"{images} cannot be read ({problem}); check the path") from None
    unknown = [name for name in names if name not in objects]
    if unknown:
        raise SeedError(f"{images}: no objects are known of {list_ids(unknown)}; drop those lines")
    return {name: objects[name] for name in names}


def _print_scores(
    scores: dict[str, Any], as_json: bool, comparison: Sequence[dict[str, Any]] = ()
) -> None:
    """One JSON object, or a line a figure with the names of nested ones joined by dots.

    A comparison with a baseline follows: under `comparison`, or as tables.
    """
    import json

    if as_json:
        both = scores | ({"comparison": list(comparison)} if comparison else {})
        print(json.dumps({key: _or_null(value) for key, value in both.items()}))
        return
    for key, value in _flat(scores):
        print(f"{key:<24}{value:.5f}" if isinstance(value, float) else f"{key:<24}{value}")
    if comparison:
        from seednb.cli_baselines import print_comparison

        print_comparison(comparison)


def _or_null(value: Any) -> Any:
    """A ratio of nothing is NaN, which JSON does not have."""
    return None if value != value else value


def _flat(scores: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    lines: list[tuple[str, Any]] = []
    for key, value in scores.items():
        name = f"{prefix}{key}"
        lines += _flat(value, f"{name}.") if isinstance(value, dict) else [(name, value)]
    return lines
