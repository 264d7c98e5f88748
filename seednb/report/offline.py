"""The law of the report: it asks nothing of any network."""

import re
from html.parser import HTMLParser

from seednb.errors import SeedError

# Second line of defence, for what a script might try: the browser refuses it.
POLICY = (
    "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; font-src data:; media-src data:; base-uri 'none'; "
    "form-action 'none'"
)
LOADED = ("src", "srcset", "poster", "data", "background")
REFERRING = ("link", "image", "use")  # here a href is loaded, elsewhere it waits for a click
STYLE_ADDRESS = re.compile(r"url\(\s*['\"]?(?!data:|#)([^'\")]+)|@import\s+['\"]?([^'\";]+)")


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
