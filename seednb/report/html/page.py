"""What every page has: template, style, scripts, and the check that it asks nothing of any network."""

import re
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from seednb.core.errors import SeedError
from seednb.core.files import write_text
from seednb.evaluation.stats import Interval, figure_text

# Second line of defence, for what a script might try: the browser refuses it.
POLICY = (
    "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; font-src data:; media-src data:; base-uri 'none'; "
    "form-action 'none'"
)
LOADED = ("src", "srcset", "poster", "data", "background")
REFERRING = ("link", "image", "use")  # here a href is loaded, elsewhere it waits for a click
STYLE_ADDRESS = re.compile(r"url\(\s*['\"]?(?!data:|#)([^'\")]+)|@import\s+['\"]?([^'\";]+)")
ASSETS = Path(__file__).parents[2] / "assets" / "report"


def check_offline(html: str) -> None:
    """Raise SeedError that names the first address the page would load."""
    checker = _Checker()
    checker.feed(html)
    checker.close()


class _Checker(HTMLParser):
    """Visits every tag; links that a reader may click are fine."""

    def __init__(self) -> None:
        super().__init__()
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_style = tag == "style"
        for name, value in attrs:
            address = (value or "").strip()
            is_loaded = name in LOADED or (tag in REFERRING and name.endswith("href"))
            if is_loaded and address and not address.startswith(("data:", "#")):
                _refuse(address, tag)
            if name == "style":
                _check_style(address, tag)

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False

    def handle_data(self, data: str) -> None:
        if self._in_style:
            _check_style(data, "style")


def _check_style(css: str, tag: str) -> None:
    found = STYLE_ADDRESS.search(css)
    if found:
        _refuse(found[1] or found[2], tag)


def _refuse(address: str, tag: str) -> None:
    raise SeedError(
        f"the report would load {address[:120]!r} (<{tag}>), but it must work offline; "
        "embed it in the notebook as a data URI"
    )


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
    environment.filters |= {
        "interval": Interval.of,
        "figure_text": figure_text,
        "points": partial(figure_text, signed=True),
    }
    return environment


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")
