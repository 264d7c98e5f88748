"""Markdown cells -> HTML: MathML formulas, headings with permalinks, tables in scroll boxes."""

import re
import unicodedata
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, count
from typing import Any, Literal

from latex2mathml.converter import convert
from markupsafe import Markup, escape
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from seednb.core.errors import SeedError

MATHML = "http://www.w3.org/1998/Math/MathML"
THIN_SPACE = "0.167em"  # TeX's space around a named operator
TOP_LEVEL = 3  # a chapter's title is h2, so its sections start at h3
PERMALINK = Markup('<a class="permalink" href="#{id}" aria-label="Link to this section">#</a>')
SCROLL_BOX = Markup(
    '<div class="scroll table" tabindex="0" role="region" aria-label="Table">{table}</div>'
)
ET.register_namespace("", MATHML)


def to_mathml(latex: str, display: Literal["inline", "block"]) -> str:
    """One formula as a `<math>` element.

    Raises SeedError that shows the formula if it cannot be converted or holds an unknown command.
    """
    try:
        root = ET.fromstring(convert(latex.strip(), display=display))
    except Exception as error:  # the converter's errors have no common class of their own
        raise SeedError(
            f"formula {latex.strip()!r} cannot be converted ({type(error).__name__}); "
            "correct the LaTeX in the notebook"
        ) from error
    for element in root.iter():
        name, text = element.tag.removeprefix(f"{{{MATHML}}}"), element.text or ""
        if not name.startswith("m"):
            raise SeedError(f"formula {latex.strip()!r}: <{name}> is no part of MathML; remove it")
        if text.startswith("\\"):
            raise SeedError(f"formula {latex.strip()!r}: unknown command {text}; use another")
    _space_operators(root)
    _join_words(root)
    return ET.tostring(root, encoding="unicode")


def _space_operators(root: ET.Element) -> None:
    """`log q` instead of `logq`: the converter writes named operators as plain identifiers."""
    for parent in root.iter(_tag("mrow")):
        before: ET.Element | None = None
        for child in parent:
            if child.tag == _tag("mi") and len(child.text or "") > 1:
                child.tag = _tag("mo")
                follows_symbol = before is not None and before.tag != _tag("mo")
                child.set("lspace", THIN_SPACE if follows_symbol else "0")
                child.set("rspace", THIN_SPACE)
            before = child


def _join_words(root: ET.Element) -> None:
    """`\\mathrm{clean}` as one word: the converter writes one element a letter."""
    for parent in root.iter(_tag("mrow")):
        letters = list(parent)
        upright = [c.tag == _tag("mi") and c.get("mathvariant") == "normal" for c in letters]
        if len(letters) > 1 and all(upright):
            word = "".join(letter.text or "" for letter in letters)
            for letter in letters:
                parent.remove(letter)
            ET.SubElement(parent, _tag("mi")).text = word


def _tag(name: str) -> str:
    return f"{{{MATHML}}}{name}"


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
