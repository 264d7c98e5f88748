"""`seednb report`: run the notebooks that changed and build the report; or compare two finished ones."""

import argparse
from typing import Any

from seednb.cli.options import add_dry_run, add_profile, add_verb, overrides

EXAMPLES = """
seednb report
seednb report -p n_pairs=400 --only 05,08
seednb report --compare pocket smoke
"""


def add(verbs: Any) -> None:
    """Add the verb and its options."""
    verb = add_verb(
        verbs,
        "report",
        report,
        "run each notebook as papermill does with -f PROFILE, then build the report",
        EXAMPLES,
    )
    add_profile(verb)
    verb.add_argument("--only", default="", metavar="NN,NN", help="only these notebooks")
    verb.add_argument("--all", action="store_true", help="also the long chapters on request")
    verb.add_argument("--force", action="store_true", help="run them even if nothing changed")
    add_dry_run(verb)
    verb.add_argument("--compare", nargs=2, metavar=("A", "B"), help="two finished reports side by side: names below reports/, folders or metrics.json files")  # fmt: skip


def report(options: argparse.Namespace) -> None:
    """Run and build; or compare, or list what would run."""
    from seednb.cli.dry_run import show_report
    from seednb.core.profiles import load_params
    from seednb.report.html import build_comparison, outcome, read_run, write_index
    from seednb.report.pipeline import Pipeline

    changes = overrides(options)
    params = load_params(options.params, changes)
    if options.compare:
        reports = params.path(params.run.reports_dir)
        first, second = (read_run(text, reports) for text in options.compare)
        print(f"comparison: {build_comparison(first, second, reports)}")
        print(f"all reports: {write_index(reports)}")
        return
    pipeline = Pipeline(options.params, changes, params)
    only = [number.strip() for number in options.only.split(",") if number.strip()]
    if options.dry_run:
        for line in show_report(pipeline, only, options.force, options.all):
            print(line)
        return
    page = pipeline.run(only, options.force, options.all)
    print("\n".join(outcome(read_run(str(page.parent), page.parents[1]).findings)))
    print(f"report: {page}\nall reports: {page.parents[1] / 'index.html'}")
