"""The step of SEED as notebook 05 writes it in its cells, and the lines of it that version 4 lacked."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import torch
from IPython.display import HTML
from markupsafe import Markup
from torch.nn import functional as F

from seednb.core.errors import SeedError
from seednb.experiments.experiment import Experiment
from seednb.method.recipes import RECIPES
from seednb.training.examples import Groups
from seednb.training.history import cosine_with_warmup

WRITTEN = "notebooks/05_train_v5.ipynb"
N_PAIRS = 32  # four steps of eight
TAG = "step"  # of the cells that are the step
LACKED = re.compile(r" +# v5$")  # ends a line that version 4 lacked
LISTING = Markup('<pre class="scroll" tabindex="0">{}</pre>')


@dataclass(frozen=True)
class WrittenStep:
    """The cells of the step; a line that ends in `# v5` is one that version 4 lacked."""

    cells: tuple[str, ...]

    @classmethod
    def read(cls, root: Path) -> "WrittenStep":
        """The step of the project in `root`. Raises SeedError where notebook 05 has no such cells."""
        try:
            cells = nbformat.read(root / WRITTEN, as_version=4).cells
        except (OSError, ValueError) as problem:
            raise SeedError(f"{root / WRITTEN} cannot be read ({problem}); restore it") from None
        found = tuple(cell.source for cell in cells if TAG in cell.metadata.get("tags", ()))
        if not found:
            raise SeedError(f"{WRITTEN} has no cell with the tag {TAG!r}; restore it")
        return cls(found)

    @property
    def lines(self) -> list[str]:
        """All lines of code."""
        return [line for cell in self.cells for line in cell.splitlines() if line.strip()]

    @property
    def lacking(self) -> list[str]:
        """The lines that version 4 lacked, without the mark."""
        return [LACKED.sub("", line).strip() for line in self.lines if LACKED.search(line)]

    @property
    def of_v4(self) -> str:
        """What runs without those lines; a line that opens a block leaves the block behind."""
        kept = []
        for line in self.lines:
            if not LACKED.search(line):
                kept.append(line)
            elif LACKED.sub("", line).endswith(":"):
                kept.append(re.sub(r"\S.*", "if True:", line))
        return "\n".join(kept)

    def run(self, small: Experiment, version: str) -> pd.DataFrame:
        """What the cells write down of each example when they run on a small experiment.

        `version` is "v5", or "v4" without the lines that it lacked; both see the same examples.
        """
        model, bundle, pairs = small.start(small.data.pairs["replay"][:N_PAIRS])
        settings = small.params.train
        groups = Groups(pairs, RECIPES["v5"], settings, noisy=True)
        names: dict[str, Any] = {
            "model": model.train(),
            "steps": [groups.one_by_one(n, bundle.device) for n in range(len(groups))],
            "settings": settings,
            "torch": torch,
            "F": F,
            "cosine_with_warmup": cosine_with_warmup,
        }
        exec({"v4": self.of_v4, "v5": "\n".join(self.lines)}[version], names)
        return pd.DataFrame(names["figures"])

    def struck(self) -> HTML:
        """The cells, with the lines that version 4 lacked struck out."""
        return HTML(LISTING.format(Markup("\n\n").join(map(_struck, self.cells))))


def _struck(cell: str) -> Markup:
    return Markup("\n").join(map(_line, cell.splitlines()))


def _line(line: str) -> Markup:
    if not LACKED.search(line):
        return Markup("{}").format(line)
    code = LACKED.sub("", line)
    indent = len(code) - len(code.lstrip())
    return Markup("{}<del>{}</del>").format(code[:indent], code[indent:])
