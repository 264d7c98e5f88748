"""Markdown cells -> HTML: MathML formulas, headings with permalinks, tables in scroll boxes."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

from markupsafe import Markup, escape
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from seednb.report.formulas import to_mathml

TOP_LEVEL = 3  # a chapter's title is h2, so its sections start at h3
PERMALINK = Markup('<a class="permalink" href="#{id}" aria-label="Link to this section">#</a>')
SCROLL_BOX = Markup(
    '<div class="scroll table" tabindex="0" role="region" aria-label="Table">{table}</div>'
)


@dataclass(frozen=True)
class Heading:
    """A section of a chapter, for the table of contents."""

    id: str
    text: Markup
    level: int


class Prose:
    """Renders the markdown cells of one chapter; `headings` grows as it goes."""

    def __init__(self, chapter_id: str) -> None:
        """`chapter_id` keeps the ids of different chapters apart."""
        self.headings: list[Heading] = []
        self._chapter_id = chapter_id

    def render(self, source: str, attachments: Mapping[str, Any] | None = None) -> Markup:
        """One markdown cell as HTML."""
        renderer = _Renderer(self, escape=False, attachments=dict(attachments or {}))
        return Markup(MarkdownWithMath(renderer=renderer).render(source))

    def render_output(self, source: str) -> Markup:
        """Markdown that a cell displayed; it may quote data, so HTML in it stays text and its links run nothing."""
        renderer = _Renderer(self, escape=True, allow_harmful_protocols=False)
        return Markup(MarkdownWithMath(renderer=renderer).render(source))

    def add_heading(self, html: str, level: int) -> Heading:
        """Give a heading an id that no other heading of the report has."""
        slug = f"{self._chapter_id}-{_slug(plain_text(html))}"
        taken = {heading.id for heading in self.headings}
        numbered = (f"{slug}-{number}" for number in count(2))
        free = next(name for name in chain([slug], numbered) if name not in taken)
        heading = Heading(free, Markup(html), level)
        self.headings.append(heading)
        return heading


class _Renderer(IPythonRenderer):
    """nbconvert's renderer with formulas as MathML and this report's headings and tables."""

    def __init__(self, prose: Prose, **options: Any) -> None:
        super().__init__(**options)
        self._prose = prose

    def heading(self, text: str, level: int, **attrs: Any) -> str:
        shown = min(max(level + 1, TOP_LEVEL), 6)
        heading = self._prose.add_heading(text, shown)
        link = PERMALINK.format(id=heading.id)
        return f'<h{shown} id="{escape(heading.id)}">{text}{link}</h{shown}>\n'

    def block_math(self, body: str) -> str:
        return f'<span class="formula">{to_mathml(body, "block")}</span>'

    def inline_math(self, body: str) -> str:
        return to_mathml(body, "inline")

    def latex_environment(self, name: str, body: str) -> str:
        return self.block_math(f"\\begin{{{name}}}{body}\\end{{{name}}}")

    def table(self, text: str) -> str:
        return SCROLL_BOX.format(table=Markup(f"<table>{text}</table>"))


def plain_text(html: str) -> str:
    """The words of a piece of HTML."""
    return str(Markup(html).striptags())


def _slug(text: str) -> str:
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_text.lower()).strip("-") or "section"
