"""Fill README's table of results and its small drawings: python docs/make_readme.py

The table holds rows of the tracked example, reports/example/metrics.json; the drawings are those at the
head of the notebooks. Run it when either has changed.
"""

import base64
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from seednb.report.tables import metric_table

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "reports/example/metrics.json"
DRAWINGS = ROOT / "docs/images/notebooks"
MODELS = ("base", "v4", "v5", "v6", "v7", "sft", "distill_only", "contrastive", "mention_control")
CHAIR, RECALL = ("chair", None, "CHAIRi"), ("chair", None, "recall")
ACCURACY = ("pope", "adversarial", "accuracy")
HEADINGS = {
    "README.md": (
        "model",
        "CHAIRi, %",
        "against base",
        "recall, against base",
        "POPE, against base",
    ),
    "README.zh.md": ("模型", "CHAIRi，%", "与基础模型之差", "召回率之差", "POPE 准确率之差"),
}
PLACE = re.compile(r"(?<=<!-- results -->\n).*?(?=<!-- end of results -->)", re.S)
WIDTH, COLOURS = 400, 64  # of a small drawing: pixels, and a palette


def table(headings: tuple[str, ...], rows: list[dict[str, Any]]) -> str:
    """The table as Markdown: levels and paired differences in percent, with 95% intervals."""
    level = metric_table(rows, {"level": CHAIR}, None, MODELS)
    columns = {"CHAIRi": CHAIR, "recall": RECALL, "accuracy": ACCURACY}
    change = metric_table(rows, columns, "base", MODELS).reindex(level.index).fillna("–")
    lines = [headings, ("---",) + ("---:",) * (len(headings) - 1)]
    lines += [
        (f"`{model}`", level.loc[model, "level"], *change.loc[model]) for model in level.index
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def filled(page: Path) -> str:
    """A page with its table of results made anew."""
    rows = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    made = table(HEADINGS[page.name], rows)
    return PLACE.sub(lambda _: f"\n{made}\n", page.read_text(encoding="utf-8"))


def drawings() -> Iterator[tuple[Path, Image.Image]]:
    """(file, image) of the drawing at the head of each notebook, made small."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        (attached,) = [cell["attachments"] for cell in cells if cell.get("attachments")]
        (image,) = attached.values()
        drawing = Image.open(io.BytesIO(base64.b64decode(image["image/png"]))).convert("RGB")
        drawing.thumbnail((WIDTH, drawing.height), Image.Resampling.LANCZOS)
        yield DRAWINGS / f"{path.stem}.png", drawing


def main() -> None:
    """Write both pages and the drawings."""
    for name in HEADINGS:
        (ROOT / name).write_text(filled(ROOT / name), encoding="utf-8")
    DRAWINGS.mkdir(parents=True, exist_ok=True)
    for file, drawing in drawings():
        drawing.quantize(COLOURS).save(file, optimize=True)


if __name__ == "__main__":
    main()
