"""`seednb answer`: a benchmark's questions, answered by the base model or with an adapter."""

import argparse
from pathlib import Path
from typing import Any

from seednb.cli.options import Parser, add_profile, add_verb, open_experiment

EXAMPLES = """
seednb answer --params params/llava-1.5-7b.yaml --benchmark pope --questions coco_pope_random.json --images val2014 --output answers.jsonl
seednb answer --params params/llava-1.5-7b.yaml --benchmark mme --questions MME_Benchmark --images MME_Benchmark --output mme.jsonl --model runs/…/adapter
seednb answer --params params/llava-1.5-7b.yaml --benchmark pope --language zh --questions coco_pope_random.json --images val2014 --output zh.jsonl
seednb answer --params params/llava-1.5-7b.yaml --benchmark seedbench --by likelihood --questions SEED-Bench.json --images SEED-Bench-image --output likelihoods.jsonl
"""


def add(verbs: Any) -> None:
    """Add the verb."""
    verb = add_verb(verbs, "answer", answer, "a benchmark's questions, answered; then: seednb score", EXAMPLES)  # fmt: skip
    verb.later = _add_options


def _add_options(verb: Parser) -> None:
    from seednb.evaluation.benchmarks.registry import ASKED, LINES

    *names, last = (name for name in ASKED if name != LINES)
    add_profile(verb)
    verb.add_argument("--benchmark", default=LINES, help=f"{LINES} (question_id, image, text), {', '.join(names)} or {last}")  # fmt: skip
    verb.add_argument("--questions", required=True, type=Path, help="the benchmark's question file; MME: its folder")  # fmt: skip
    verb.add_argument("--images", required=True, type=Path, help="folder of the images")
    verb.add_argument("--output", required=True, type=Path, help="answers (JSON lines); an unfinished file is continued")  # fmt: skip
    verb.add_argument("--model", type=Path, help="adapter folder (default: the base model)")
    verb.add_argument("--by", default="text", choices=("text", "likelihood"), help="an answer in words (default), or the likelihood of each choice")  # fmt: skip
    verb.add_argument("--language", metavar="CODE", help="ask POPE's questions in zh, de, es or fr")
    verb.add_argument("--names", type=Path, help="object names for --language: CSV with columns en and CODE")  # fmt: skip


def answer(options: argparse.Namespace) -> None:
    """Answer what the output file does not answer yet."""
    from seednb.evaluation.answer_files import answer_file, rank_file
    from seednb.evaluation.benchmarks.registry import read_questions

    questions = read_questions(
        options.questions, options.images, options.benchmark, options.language, options.names
    )
    lab = open_experiment(options)
    bundle = lab.adapted(options.model) if options.model else lab.bundle()
    reader = bundle.image_reader(options.images, lab.params.data.image_fit)
    write = rank_file if options.by == "likelihood" else answer_file
    n = write(bundle, questions, reader, options.output, lab.params.evaluation)
    print(f"answers: {options.output} ({n} new, {len(questions)} in all)")
