"""An executed notebook -> a chapter."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
from markupsafe import Markup
from nbconvert.filters.highlight import Highlight2HTML
from nbconvert.preprocessors import TagRemovePreprocessor
from nbformat import NotebookNode

from seednb.core.errors import SeedError
from seednb.report.html.outputs import render_outputs
from seednb.report.html.prose import Heading, Prose, plain_text

INJECTED = "injected-parameters"  # what papermill adds; the appendix lists every parameter
LIVE = "remove-output"  # a cell whose output is its progress; Jupyter Book knows the tag too
TITLE = re.compile(r"\A\s*#\s+(?P<title>.+?)\s*#*\s*(?:\n|\Z)")
NUMBERED = re.compile(r"(?P<number>\d+)\s*[·.:–-]\s*(?P<text>.+)")


@dataclass(frozen=True)
class Code:
    """A code cell: its source, folded away, and its outputs."""

    html: Markup
    n_lines: int
    outputs: tuple[Markup, ...]


@dataclass(frozen=True)
class Chapter:
    """One notebook, ready for the template; `cells` are prose (Markup) and code, in order."""

    id: str
    number: str
    title: Markup
    short_title: str
    opening: Markup
    cells: tuple[Markup | Code, ...]
    headings: tuple[Heading, ...]


def read_chapter(file: Path) -> Chapter:
    """The chapter of an executed notebook, named by the heading of its first cell.

    Raises SeedError that names the notebook if it cannot be read or starts without a heading, and
    the cell if something in it cannot be shown.
    """
    notebook = _read(file)
    title, rest = _split_title(notebook, file)
    numbered = NUMBERED.fullmatch(title)
    number, text = (numbered["number"], numbered["text"]) if numbered else ("", title)
    chapter_id = f"chapter-{number or file.parent.name}"
    prose = Prose(chapter_id)
    title_html = Markup(re.sub(r"\A<p>|</p>\s*\Z", "", prose.render(text)))
    opening = prose.render(rest)
    cells = tuple(_render_cells(notebook, prose, file))
    return Chapter(
        id=chapter_id,
        number=number,
        title=title_html,
        short_title=plain_text(title_html).partition(":")[0],
        opening=opening,
        cells=cells,
        headings=tuple(prose.headings),
    )


def _read(file: Path) -> NotebookNode:
    try:
        notebook = nbformat.read(file, as_version=4)
    except FileNotFoundError:
        raise SeedError(f"executed notebook {file} is missing; run: seednb report") from None
    except (nbformat.reader.NotJSONError, nbformat.ValidationError) as error:
        reason = str(error).partition("\n")[0]
        raise SeedError(f"{file}: not a notebook: {reason}; run: seednb report --force") from None
    remover = TagRemovePreprocessor(remove_cell_tags={INJECTED}, remove_all_outputs_tags={LIVE})
    return remover.preprocess(notebook, {})[0]


def _split_title(notebook: NotebookNode, file: Path) -> tuple[str, str]:
    """The first cell's heading, and what follows it."""
    is_prose = notebook.cells and notebook.cells[0].cell_type == "markdown"
    source: str = notebook.cells[0].source if is_prose else ""
    heading = TITLE.match(source)
    if not heading:
        raise SeedError(f"{file}: cell 0 has no heading; start it with a line '# 01 · Title'")
    return heading["title"], source[heading.end() :]


def _render_cells(notebook: NotebookNode, prose: Prose, file: Path) -> Iterator[Markup | Code]:
    language = notebook.metadata.get("language_info", {}).get("pygments_lexer", "ipython3")
    highlight = Highlight2HTML(pygments_lexer=language)
    for place, cell in enumerate(notebook.cells[1:], start=1):
        try:
            if cell.cell_type == "markdown":
                yield prose.render(cell.source, cell.get("attachments"))
            elif cell.cell_type == "code" and cell.source.strip():
                outputs = tuple(render_outputs(cell.outputs, prose))
                n_lines = len(cell.source.strip().splitlines())
                yield Code(Markup(highlight(cell.source)), n_lines, outputs)
        except SeedError as error:
            raise SeedError(f"{file}, cell {place}: {error}") from error
