"""The step of SEED as notebook 05 writes it in its cells, and the lines of it that version 4 lacked."""

import re
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
import pandas as pd
import torch
from IPython.display import HTML
from markupsafe import Markup
from peft import PeftModel

from seednb.core.errors import SeedError
from seednb.core.params import TrainParams
from seednb.experiments.experiment import Experiment
from seednb.method.recipes import RECIPES
from seednb.method.reference import Example
from seednb.model.forward import in_float64
from seednb.model.loading import Bundle
from seednb.training.examples import Examples, Groups
from seednb.training.history import cosine_with_warmup
from seednb.training.trainer import train

WRITTEN = "notebooks/05_train_v5.ipynb"
TAG = "step"  # of the cells that are the step
LACKED = re.compile(r" +# v5$")  # ends a line that version 4 lacked
STRUCK = Markup('{}<del style="color: light-dark(#b8450b, #ff9d66)">{}</del>')
LISTING = Markup('<pre class="scroll" tabindex="0">{}</pre>')
N_PAIRS = 32
SMALL = {"batch_size": 8}  # four steps


@dataclass(frozen=True)
class Start:
    """What a step by hand starts from: the pocket model with a new adapter, and examples."""

    model: PeftModel
    bundle: Bundle
    examples: Examples
    settings: TrainParams
    steps: list[list[Example]]  # the examples of each

    @classmethod
    def of(cls, lab: Experiment, exact: bool = False) -> "Start":
        """The same start at every call. `exact`: in float64 and without dropout, to compare."""
        small = lab.small(**SMALL, **({"lora_dropout": 0.0} if exact else {}))
        model, bundle, examples = small.start(small.data.pairs["replay"][:N_PAIRS])
        model, settings = (in_float64(model) if exact else model), small.params.train
        groups = Groups(examples, RECIPES["v5"], settings, noisy=True)
        steps = [groups.one_by_one(number, bundle.device) for number in range(len(groups))]
        return cls(model.train(), bundle, examples, settings, steps)

    @property
    def rates(self) -> list[float]:
        """The learning rate of each step, as the trainer sets it."""
        n = len(self.steps)
        n_warmup = max(1, round(self.settings.warmup_share * n))
        peak = self.settings.learning_rate
        return [peak * cosine_with_warmup(number, n_warmup, n) for number in range(n)]

    def by_library(self, version: str) -> pd.DataFrame:
        """Take the steps with the library's trainer, which changes `model`; the curve, by step."""
        recipe = RECIPES[version]
        with TemporaryDirectory() as folder:
            curve = train(
                self.model, self.bundle, self.examples, recipe, self.settings, Path(folder)
            )
        return curve.set_index("step")


def adapter_of(model: PeftModel) -> torch.Tensor:
    """All weights of an adapter, one after the other."""
    weights = (w.detach().flatten() for name, w in model.named_parameters() if "lora_" in name)
    return torch.cat(list(weights))


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
    return STRUCK.format(code[:indent], code[indent:])
