"""Make the tracked example of a report from a finished one: python docs/make_example.py

A visitor of reports/example/ sees results without running anything. index.html is the report with its
images as WebP and without the table of all numbers, at most 3 MB; metrics.json has that table. Make
both anew when tests/report/html/test_example.py says that they show an older report, then README's table
(docs/make_readme.py). `--report FILE` takes another report than reports/pocket/index.html.
"""

import argparse
import base64
import io
import re
import shutil
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "reports/example/index.html"
LARGEST = 3_000_000  # bytes
QUALITY = 80  # of WebP
SMALL = 128  # pixels: the drawings of the pocket world are shown larger, so they keep every pixel
PNG = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=]+)")
NUMBERS = re.compile(r"<details[^>]*>\s*<summary>[\d,]+ rows: .*?</details>", re.S)
METRICS = "metrics.json"  # beside the page
LEFT_OUT = (
    f"<p>The tracked example leaves this table out; <code>{METRICS}</code> beside it has it.</p>"
)


def main() -> None:
    """Read, trim and write. Exits with a sentence if there is no report or the example is too large."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--report", type=Path, default=ROOT / "reports/pocket/index.html")
    parser.add_argument("--output", type=Path, default=EXAMPLE)
    options = parser.parse_args()
    if not options.report.is_file():
        raise SystemExit(f"{options.report} does not exist; run: seednb report")
    html = trimmed(options.report.read_text(encoding="utf-8"))
    size = len(html.encode())
    if size > LARGEST:
        raise SystemExit(f"the example would have {size / 1e6:.1f} MB, more than {LARGEST / 1e6:g}")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(html, encoding="utf-8")
    shutil.copyfile(options.report.with_name(METRICS), options.output.with_name(METRICS))
    print(f"{options.output}: {size / 1e6:.1f} MB")


def trimmed(html: str) -> str:
    """A report without its table of all numbers, and with smaller images."""
    return PNG.sub(lambda found: as_webp(found[0], found[1]), NUMBERS.sub(LEFT_OUT, html))


def as_webp(address: str, png: str) -> str:
    """The address of the same image as WebP, if that is shorter."""
    buffer = io.BytesIO()
    image = Image.open(io.BytesIO(base64.b64decode(png)))
    is_small = max(image.size) <= SMALL
    image.save(buffer, "webp", quality=QUALITY, method=6, lossless=is_small)
    smaller = f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return min(address, smaller, key=len)


if __name__ == "__main__":
    main()
