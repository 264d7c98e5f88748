"""The page that lists all reports: what each found, when, and where it lies."""

from pathlib import Path

from seednb.report.comparison import FOLDER
from seednb.report.overview import overview_table
from seednb.report.page import write_page
from seednb.report.runs import PAGE, all_runs


def write_index(reports: Path) -> Path:
    """Write `reports/index.html`, with a line for every report and comparison; return its path."""
    runs = all_runs(reports)
    pages = sorted((reports / FOLDER).glob("*.html"))
    return write_page(
        reports / PAGE,
        "listing.html.j2",
        runs=runs,
        n_images={run.name: overview_table(run.rows).n_images for run in runs},
        addresses={run.name: f"{run.folder.name}/{PAGE}" for run in runs},
        comparisons={page.stem.replace("--", " and "): f"{FOLDER}/{page.name}" for page in pages},
    )
