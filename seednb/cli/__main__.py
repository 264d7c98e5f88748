"""Command line: the same verbs as the library. Imports stay inside the verbs, so --help is quick."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seednb.cli.benchmarks import add_benchmark_options, run_benchmarks
from seednb.cli.check import add_check
from seednb.cli.demo.verb import add_demo_options, run_demo
from seednb.cli.options import Parser, add_verb
from seednb.cli.score import add_scores
from seednb.cli.sweep import add_sweep
from seednb.core.console import marked, sparkline, styled
from seednb.core.errors import SeedError
from seednb.method.recipes import RECIPES
from seednb.model import cost_model

DEFAULT_PARAMS = "params/pocket.yaml"
PATHS = (
    "data_root",
    "model",
    "vocabulary",
    "runs_dir",
    "reports_dir",
    "benchmarks_dir",
    "healthy_bands",
)  # relative to where you are


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb. Returns 0 on success, 1 on a named failure; argparse exits with 2 on wrong usage."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    try:
        options.verb(options)
    except SeedError as error:
        if options.debug:
            raise
        print(f"seednb: {error}", file=sys.stderr)
        return 1
    return 0


def build_parser() -> Parser:
    """All verbs with their options and examples."""
    parser = Parser(prog="seednb", description="SEED against visual hallucination, step by step.")
    parser.add_argument("--debug", action="store_true", help="show the traceback of a failure")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    verb = add_verb(verbs, "report", report, "run the notebooks, build the report", "seednb report", "seednb report -p n_pairs=400 --only 05,08", "seednb report --compare pocket smoke")  # fmt: skip
    _params_options(verb)
    verb.add_argument("--only", default="", metavar="NN,NN", help="only these notebooks")
    verb.add_argument("--all", action="store_true", help="also the long chapters on request")
    verb.add_argument("--force", action="store_true", help="run them even if nothing changed")
    _dry_run_option(verb)
    verb.add_argument("--compare", nargs=2, metavar=("A", "B"), help="two finished reports side by side: names below reports/, folders or metrics.json files")  # fmt: skip

    verb = add_verb(verbs, "prepare-data", prepare_data, "LLaVA-Instruct JSON -> instruction pairs", "seednb prepare-data --input llava_instruct_150k.json --image-dir train2014 --output seed_50k.json --max-samples 50000")  # fmt: skip
    verb.add_argument("--input", required=True, type=Path, help="LLaVA-Instruct JSON")
    verb.add_argument("--image-dir", required=True, type=Path, help="folder of the images")
    verb.add_argument("--output", required=True, type=Path, help="JSON to write")
    verb.add_argument("--max-samples", type=int, help="stop after this many pairs")
    verb.add_argument("-p", action="append", default=[], metavar="key=value", dest="overrides", help="what to leave out: max_answer_overlap, drop_trivial_answers, …; see seednb params")  # fmt: skip

    verb = add_verb(verbs, "train", train, "train one version's adapter", "seednb train --version v7", "accelerate launch -m seednb.cli train --params params/llava-1.5-7b.yaml --version v7")  # fmt: skip
    _params_options(verb)
    verb.add_argument("--version", default="v7", choices=tuple(RECIPES), help="default: v7")
    verb.add_argument("--epochs", type=int, help="instead of the version's")
    verb.add_argument("--data", type=Path, help="instruction pairs (JSON) instead of the profile's")
    verb.add_argument("--labels", default="replay", choices=("replay", "truthful", "self"))
    verb.add_argument("--resume", action="store_true", help="go on from the last checkpoint (default: an unfinished run always does)")  # fmt: skip
    _dry_run_option(verb)

    verb = add_verb(verbs, "evaluate", evaluate, "POPE and CHAIR of an adapter, or published benchmarks", "seednb evaluate --model runs/pocket/train-v7-replay-…/adapter --compare", "seednb evaluate --params params/llava-1.5-7b.yaml --benchmarks pope,chair,mme --model runs/…/adapter --json")  # fmt: skip
    verb.later = _evaluate_options

    verb = add_verb(verbs, "answer", answer, "a benchmark's questions, answered; then: seednb score", "seednb answer --params params/llava-1.5-7b.yaml --benchmark pope --questions coco_pope_random.json --images val2014 --output answers.jsonl", "seednb answer --params params/llava-1.5-7b.yaml --benchmark mme --questions MME_Benchmark --images MME_Benchmark --output mme.jsonl --model runs/…/adapter", "seednb answer --params params/llava-1.5-7b.yaml --benchmark pope --language zh --questions coco_pope_random.json --images val2014 --output zh.jsonl", "seednb answer --params params/llava-1.5-7b.yaml --benchmark seedbench --by likelihood --questions SEED-Bench.json --images SEED-Bench-image --output likelihoods.jsonl")  # fmt: skip
    verb.later = _answer_options

    verb = add_verb(verbs, "demo", demo, "base and SEED side by side", "seednb demo", "seednb demo --image photo.jpg --model runs/pocket/train-v7-replay-…/adapter", "seednb demo --serve      (a local page for your own images)")  # fmt: skip
    _params_options(verb)
    add_demo_options(verb)

    add_check(verbs)

    add_scores(verbs)

    add_sweep(verbs, _overrides)

    verb = add_verb(verbs, "pocket-base", pocket_base, "re-train the pocket checkpoint", "seednb pocket-base --output my-base --seed 1      (about 18 minutes on one core)")  # fmt: skip
    verb.add_argument("--output", required=True, type=Path, help="checkpoint folder to write")
    verb.add_argument("--seed", type=int, default=0)
    verb.add_argument("--device", default="cpu", help="cpu or cuda")

    verb = add_verb(verbs, "plan", plan, "hours and memory of a full run", "seednb plan --card h100", "seednb plan --gpus 8 --model llava-1.5-13b --examples-a-step 128", "python benchmarks/projection.py      (from 1 to 1,024 cards)")  # fmt: skip
    verb.add_argument("--gpus", type=int, default=1, metavar="N", help="cards (default: 1)")
    verb.add_argument("--card", default="h100", choices=tuple(cost_model.CARDS), help="default: h100")  # fmt: skip
    verb.add_argument("--model", default="llava-1.5-7b", choices=tuple(cost_model.SHAPES), help="default: llava-1.5-7b")  # fmt: skip
    verb.add_argument("--pairs", type=int, default=150_000)
    verb.add_argument("--epochs", type=int, default=3)
    verb.add_argument("--examples-a-step", type=int, metavar="G", help="default: as many as a pass of all cards holds")  # fmt: skip
    verb.add_argument("--json", action="store_true", help="as one JSON object")

    verb = add_verb(verbs, "doctor", doctor, "machine, versions, data, licences, next command", "seednb doctor --params params/llava-1.5-7b.yaml", "seednb doctor --json")  # fmt: skip
    _params_options(verb)
    verb.add_argument("--json", action="store_true", help="files, downloads and checksums as one JSON object")  # fmt: skip
    add_verb(
        verbs, "params", params, "every parameter: default, range, unit, meaning", "seednb params"
    )
    return parser


def _evaluate_options(verb: Parser) -> None:
    _params_options(verb)
    verb.add_argument("--model", type=Path, help="adapter folder")
    add_benchmark_options(verb)
    verb.add_argument("--compare", action="store_true", help="also the base model, and the difference")  # fmt: skip
    verb.add_argument("--contrast", action="store_true", help="decode from purified logits, too: -p contrast_beta=…, caption_beams=…")  # fmt: skip
    verb.add_argument("--pope-n", type=int, metavar="N", help="images to probe")
    verb.add_argument("--chair-n", type=int, metavar="N", help="images to caption")
    _dry_run_option(verb)


def _answer_options(verb: Parser) -> None:
    from seednb.evaluation.benchmarks.registry import ASKED, LINES

    *names, last = (name for name in ASKED if name != LINES)
    _params_options(verb)
    verb.add_argument("--benchmark", default="lines", help=f"{LINES} (question_id, image, text), {', '.join(names)} or {last}")  # fmt: skip
    verb.add_argument("--questions", required=True, type=Path, help="the benchmark's question file; MME: its folder")  # fmt: skip
    verb.add_argument("--images", required=True, type=Path, help="folder of the images")
    verb.add_argument("--output", required=True, type=Path, help="answers (JSON lines); an unfinished file is gone on with")  # fmt: skip
    verb.add_argument("--model", type=Path, help="adapter folder (default: the base model)")
    verb.add_argument("--by", default="text", choices=("text", "likelihood"), help="an answer in words (default), or the likelihood of each choice")  # fmt: skip
    verb.add_argument("--language", metavar="CODE", help="ask POPE's questions in zh, de, es or fr")
    verb.add_argument("--names", type=Path, help="object names for --language: CSV with columns en and CODE")  # fmt: skip


def _params_options(verb: Parser) -> None:
    verb.add_argument("--params", type=Path, default=Path(DEFAULT_PARAMS), help=f"profile (default: {DEFAULT_PARAMS})")  # fmt: skip
    verb.add_argument("-p", action="append", default=[], metavar="key=value", dest="overrides", help="override one parameter; list: seednb params")  # fmt: skip


def _dry_run_option(verb: Parser) -> None:
    verb.add_argument("--dry-run", action="store_true", help="say what would run, and check the inputs")  # fmt: skip


def _overrides(options: argparse.Namespace) -> dict[str, Any]:
    """The -p options; a path that exists is made absolute, as it was meant where it was typed."""
    from seednb.core.profiles import parse_override

    values = dict(parse_override(text) for text in options.overrides)
    for key in values.keys() & set(PATHS):
        if Path(str(values[key])).expanduser().exists():
            values[key] = str(Path(str(values[key])).expanduser().resolve())
    return values


def _experiment(options: argparse.Namespace, **more: Any) -> Any:
    from seednb.experiments.experiment import Experiment

    changed = {key: value for key, value in more.items() if value is not None}
    return Experiment.open(options.params, _overrides(options) | changed)


def report(options: argparse.Namespace) -> None:
    """Run the notebooks that changed and build the report; or compare two finished ones."""
    from seednb.core.profiles import load_params
    from seednb.report.html import outcome, read_run
    from seednb.report.pipeline import Pipeline

    overrides = _overrides(options)
    resolved = load_params(options.params, overrides)
    if options.compare:
        from seednb.report.html import build_comparison, write_index

        reports = resolved.path(resolved.run.reports_dir)
        first, second = (read_run(text, reports) for text in options.compare)
        print(f"comparison: {build_comparison(first, second, reports)}")
        print(f"all reports: {write_index(reports)}")
        return
    pipeline = Pipeline(options.params, overrides, resolved)
    only = [number.strip() for number in options.only.split(",") if number.strip()]
    if options.dry_run:
        from seednb.cli.dry_run import show_report

        for line in show_report(pipeline, only, options.force, options.all):
            print(line)
        return
    page = pipeline.run(only, options.force, options.all)
    print("\n".join(outcome(read_run(str(page.parent), page.parents[1]).findings)))
    print(f"report: {page}\nall reports: {page.parents[1] / 'index.html'}")


def prepare_data(options: argparse.Namespace) -> None:
    """Convert LLaVA-Instruct to instruction pairs."""
    from seednb.data.curation import Curator, curation
    from seednb.data.instruct import prepare_data as convert

    refuse = Curator(curation(_overrides(options)))
    summary = convert(options.input, options.image_dir, options.output, options.max_samples, refuse)
    for key, value in summary.items():
        print(f"{key}: {value}")


def train(options: argparse.Namespace) -> None:
    """Train one version; an unfinished run goes on from its last checkpoint."""
    from seednb.core.devices import one_card_each
    from seednb.training.history import CURVE

    lab = _experiment(options)
    if options.dry_run:
        from seednb.cli.dry_run import show_train

        settings = (options.version, options.labels, options.epochs, options.data)
        for line in show_train(lab.params, *settings):
            print(line)
        return
    training = lab.train(options.version, options.labels, options.epochs, options.data)
    if one_card_each().is_main_process:
        loss = training.curve["loss"].dropna().tolist()
        print(f"loss     {sparkline(loss)} {loss[0]:.3f} to {loss[-1]:.3f} in {len(loss)} steps")
        print(f"curve:   {training.folder / CURVE}")
        print(f"adapter: {training.folder / 'adapter'} ({training.seconds:.0f} s)")


def evaluate(options: argparse.Namespace) -> None:
    """Probe and caption with an adapter; with --compare, with the base model too."""
    from seednb.core.devices import one_card_each
    from seednb.report.tables import as_text

    lab = _experiment(options, pope_images=options.pope_n, caption_images=options.chair_n)
    if not options.model and not options.benchmarks:
        raise SeedError(
            "give --model FOLDER, or --benchmarks NAME,NAME; see: seednb evaluate --help"
        )
    if options.contrast and options.benchmarks:
        raise SeedError("--contrast goes with POPE and CHAIR of an adapter, not with --benchmarks")
    if options.dry_run:
        from seednb.cli.dry_run import show_benchmarks, show_evaluate

        show = show_benchmarks if options.benchmarks else show_evaluate
        for line in show(lab.params, options):
            print(line)
        return
    if options.benchmarks:
        run_benchmarks(options, lab)
        return
    table = lab.compare(options.model, options.compare, options.contrast)
    if one_card_each().is_main_process:
        print(as_text(table))


def answer(options: argparse.Namespace) -> None:
    """Answer what the output file does not answer yet."""
    from seednb.evaluation.answer_files import answer_file, rank_file
    from seednb.evaluation.benchmarks.registry import read_questions

    questions = read_questions(
        options.questions, options.images, options.benchmark, options.language, options.names
    )
    lab = _experiment(options)
    bundle = lab.adapted(options.model) if options.model else lab.bundle()
    reader = bundle.image_reader(options.images, lab.params.data.image_fit)
    write = rank_file if options.by == "likelihood" else answer_file
    n = write(bundle, questions, reader, options.output, lab.params.evaluation)
    print(f"answers: {options.output} ({n} new, {len(questions)} in all)")


def demo(options: argparse.Namespace) -> None:
    """Base and SEED captions of images: in the terminal, as page and image, or served."""
    run_demo(options, _experiment(options))


def pocket_base(options: argparse.Namespace) -> None:
    """Train a pocket checkpoint from nothing."""
    from seednb.model.pocket_base.build import build_base
    from seednb.model.pocket_base.recipe import BaseRecipe

    seconds = build_base(BaseRecipe(seed=options.seed), options.output, options.device)
    print(f"checkpoint: {options.output} ({sum(seconds.values()):.0f} s)")


def doctor(options: argparse.Namespace) -> None:
    """Say what is there, what is missing, and the next command."""
    import json

    from seednb.cli.doctor import examine, facts
    from seednb.core.profiles import load_params

    profile = load_params(options.params, _overrides(options))
    print(json.dumps(facts(profile)) if options.json else marked(examine(profile)))


def plan(options: argparse.Namespace) -> None:
    """Print what a run takes: settings, memory, seconds a step, hours."""
    import json
    from dataclasses import asdict

    from seednb.core.profiles import load_params

    measured = cost_model.Measured.read(load_params(Path(DEFAULT_PARAMS)).root)
    card, shape = cost_model.CARDS[options.card], cost_model.SHAPES[options.model]
    size = (options.gpus, options.pairs * options.epochs, options.examples_a_step)
    run = cost_model.plan(measured, card, shape, *size)
    if options.json:
        print(json.dumps(asdict(run) | {"hours": run.hours}))
        return
    print(f"projected from {cost_model.RESULTS}/{cost_model.TRAINING}.json (measured: {measured.card.name})")  # fmt: skip
    print(f"a card  {run.settings}, {run.peak_gib:.1f} of {card.memory_gib} GiB")
    print(f"a step  {run.examples_a_step} examples, {run.step_s:.3g} s, of which {run.sharing_s:.2g} s add gradients")  # fmt: skip
    print(f"in all  {run.n_steps} steps, {run.hours:.3g} hours on {run.n_cards} {card.name}")


def params(options: argparse.Namespace) -> None:
    """Print every parameter."""
    from seednb.core.profiles import describe

    section = ""
    for row in describe():
        if row["section"] != section:
            section = row["section"]
            print(f"\n{styled(section, 'bold')}")
        note = ", ".join(text for text in (row["allowed"], row["unit"]) if text)
        default = row["default"] or "''"
        print(f"  {row['name']:<24}{default:<40} {row['meaning']}{f' ({note})' if note else ''}")


if __name__ == "__main__":
    sys.exit(main())
