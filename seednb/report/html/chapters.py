"""An executed notebook -> a chapter."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import nbformat
from markupsafe import Markup
from nbconvert.filters.highlight import Highlight2HTML
from nbconvert.preprocessors import TagRemovePreprocessor
from nbformat import NotebookNode

from seednb.core.errors import SeedError
from seednb.report.html.outputs import is_wide, render_outputs
from seednb.report.html.prose import Heading, Prose, plain_text

INJECTED = "injected-parameters"  # what papermill adds; the appendix lists every parameter
LIVE = "remove-output"  # a cell whose output is its progress; Jupyter Book knows the tag too
# A code cell with one of these tags is folded away together with the text cell before it: into a
# fold of its own, named by that text's heading, bold lead or first words, or into the chapter's one
# fold of tables, which stands where the last of them stood. An exercise is folded with its answer.
FOLD, ALL_TABLES = "fold", "all-tables"
SHOWN = "step"  # code that is itself what the chapter shows
EXERCISE, ANSWER = "**Change me.**", "*The answer.*"
LEAD = re.compile(
    r"\s*<h\d[^>]*>(.*?)(?:<a class=.permalink|</h)|\s*<p>\s*<strong>(.*?)</strong>", re.S
)
N_LEAD_WORDS = 8  # of a text without heading or bold lead
TITLE = re.compile(r"\A\s*#\s+(?P<title>.+?)\s*#*\s*(?:\n|\Z)")
NUMBERED = re.compile(r"(?P<number>\d+)\s*[·.:–-]\s*(?P<text>.+)")


@dataclass(frozen=True)
class Code:
    """A code cell: its source, folded away unless it is what the chapter shows, and its outputs."""

    html: Markup
    n_lines: int
    outputs: tuple[Markup, ...]
    is_shown: bool = False


@dataclass(frozen=True)
class ChapterStep:
    """A text cell (which may be missing) with the code cells that follow it; `tag` folds it."""

    text: Markup
    code: tuple[Code, ...] = ()
    tag: str = ""

    @property
    def outputs(self) -> tuple[Markup, ...]:
        """What the code cells show, in order."""
        return tuple(output for cell in self.code for output in cell.outputs)

    @property
    def is_wide(self) -> bool:
        """Whether an output needs the page's whole width: it stands below the text, not beside it."""
        return any(map(is_wide, self.outputs))


@dataclass(frozen=True)
class Fold:
    """Steps that a reader opens if they want them."""

    title: str
    steps: tuple[ChapterStep, ...]


@dataclass(frozen=True)
class Chapter:
    """One notebook, ready for the template."""

    id: str
    number: str
    title: Markup
    short_title: str
    opening: Markup
    blocks: tuple[ChapterStep | Fold, ...]
    headings: tuple[Heading, ...]

    @property
    def n_characters(self) -> int:
        """How much the chapter shows."""
        folded = (block.steps if isinstance(block, Fold) else [block] for block in self.blocks)
        return sum(len(step.text) + sum(map(len, step.outputs)) for step in chain(*folded))


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
    blocks = _folded(tuple(_steps(notebook, prose, file)))
    return Chapter(
        id=chapter_id,
        number=number,
        title=title_html,
        short_title=plain_text(title_html).partition(":")[0],
        opening=opening,
        blocks=blocks,
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


def _steps(notebook: NotebookNode, prose: Prose, file: Path) -> Iterator[ChapterStep]:
    """Each text cell with its code cells; a step holds no two cells of different tags."""
    language = notebook.metadata.get("language_info", {}).get("pygments_lexer", "ipython3")
    highlight = Highlight2HTML(pygments_lexer=language)
    step = ChapterStep(Markup())
    for place, cell in enumerate(notebook.cells[1:], start=1):
        try:
            if cell.cell_type == "markdown":
                # code that shows nothing and has no text of its own, as the parameters, goes with the next
                is_silent = not (step.text or step.outputs or step.tag)
                if not is_silent:
                    yield step
                tag = next((t for t in (EXERCISE, ANSWER) if cell.source.startswith(t)), "")
                text = prose.render(cell.source, cell.get("attachments"))
                step = ChapterStep(text, step.code if is_silent else (), tag)
            elif cell.cell_type == "code" and cell.source.strip():
                tags = cell.metadata.get("tags", ())
                tag = next((t for t in (FOLD, ALL_TABLES) if t in tags), "")
                if step.code and (tag or step.tag in (FOLD, ALL_TABLES)):
                    yield step
                    step = ChapterStep(Markup())
                outputs = tuple(render_outputs(cell.outputs, prose))
                n_lines = len(cell.source.strip().splitlines())
                code = Code(Markup(highlight(cell.source)), n_lines, outputs, SHOWN in tags)
                step = replace(step, code=(*step.code, code), tag=tag or step.tag)
        except SeedError as error:
            raise SeedError(f"{file}, cell {place}: {error}") from error
    yield step


def _folded(steps: Sequence[ChapterStep]) -> tuple[ChapterStep | Fold, ...]:
    """The steps, with those that are tagged inside folds."""
    tables = tuple(step for step in steps if step.tag == ALL_TABLES)
    blocks: list[ChapterStep | Fold] = []
    for step in steps:
        before = blocks[-1] if blocks else None
        if step.tag in (FOLD, EXERCISE):
            blocks.append(Fold(_lead(step.text), (step,)))
        elif step.tag == ANSWER and isinstance(before, Fold):
            blocks[-1] = replace(before, steps=(*before.steps, step))
        elif step.tag != ALL_TABLES and (step.text or step.code):
            blocks.append(step)
        elif tables and step is tables[-1]:
            blocks.append(Fold("All tables", tables))
    return tuple(blocks)


def _lead(text: Markup) -> str:
    """What a fold is called."""
    found = LEAD.match(text)
    if found:
        return plain_text(found[1] or found[2]).rstrip(" .:")
    words = plain_text(text).split()
    more = " …" if len(words) > N_LEAD_WORDS else ""
    return " ".join(words[:N_LEAD_WORDS]).rstrip(" .:,") + more or "More"
