"""What every page has: template, style, scripts, and the check that it works offline."""

from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from seednb.artifacts import write_text
from seednb.report.changes import as_text
from seednb.report.offline import POLICY, check_offline
from seednb.stats import figure_text

ASSETS = Path(__file__).parents[1] / "assets" / "report"


def write_page(destination: Path, template: str, **values: Any) -> Path:
    """Fill a template that extends `page.html.j2`; write it and return its path.

    The same values give the same bytes. Raises SeedError if the page would need a network.
    """
    write_text(destination, render_page(template, **values))
    return destination


def render_page(template: str, form_action: str = "'none'", **values: Any) -> str:
    """The page as text; `form_action`: where its content policy lets a form send something."""
    html = (
        _environment()
        .get_template(template)
        .render(
            policy=POLICY.replace("form-action 'none'", f"form-action {form_action}"),
            css=Markup(_asset("report.css")),
            script=Markup(_asset("report.js") + _asset("tables.js")),
            early_script=Markup(_asset("theme.js")),
            **values,
        )
    )
    check_offline(html)
    return html


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["metric_text"] = as_text
    environment.filters["points"] = partial(figure_text, signed=True)
    environment.tests["prose"] = lambda cell: isinstance(cell, Markup)
    return environment


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")
