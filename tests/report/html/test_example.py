"""The tracked example of a report: small, offline, and of the report that the code makes today."""

import base64
import io
import re
import sys
from pathlib import Path

import pytest
from PIL import Image

from seednb.report.html.chapters import read_chapter
from seednb.report.html.page import check_offline
from seednb.report.html.verdict import judge
from seednb.report.html.verdict.further import QUESTIONS
from seednb.report.pipeline import STEPS

ROOT = Path(__file__).parents[3]
sys.path.append(str(ROOT / "docs"))
import make_example  # noqa: E402


def as_ids(html, chapter):
    """The ids of a chapter's headings in a page."""
    return set(re.findall(rf'<h[2-4][^>]* id="({chapter}-[^"]+)"', html))


@pytest.mark.skipif(not make_example.EXAMPLE.is_file(), reason="the example has not been made")
def test_the_tracked_example_is_of_the_present_report_small_and_offline():
    html = make_example.EXAMPLE.read_text(encoding="utf-8")
    again = "run: python docs/make_example.py"
    assert make_example.EXAMPLE.stat().st_size <= make_example.LARGEST, again
    check_offline(html)
    for step in STEPS:
        chapter = read_chapter(ROOT / "notebooks" / f"{step.notebook}.ipynb")
        shown = as_ids(html, chapter.id)
        present = {f"{chapter.id}-title", *(heading.id for heading in chapter.headings)}
        assert shown == present or (step.on_request and len(shown) == 1), (chapter.id, again)
    asked = [*(each.question for each in judge([])), *QUESTIONS]
    assert [question for question in asked if question not in html] == [], again
    for place in ("result", "settings", "claims", "appendix"):
        assert f'id="{place}"' in html, again
    assert 'class="hero"' in html and 'class="frame"' in html, again


def test_an_example_is_its_report_with_smaller_images_and_without_the_table_of_all_numbers():
    noise = Image.effect_noise((64, 64), 80).convert("RGB")
    buffer = io.BytesIO()
    noise.save(buffer, "png")
    png = base64.b64encode(buffer.getvalue()).decode()
    table = "<details><summary>1,529 rows: levels in percent</summary><table>7</table></details>"
    html = f'<p>before</p><img src="data:image/png;base64,{png}">{table}<details>kept</details>'
    example = make_example.trimmed(html)
    assert "before" in example and "<details>kept</details>" in example
    assert "1,529 rows" not in example and make_example.LEFT_OUT in example
    (address,) = re.findall(r'src="data:image/webp;base64,([^"]+)"', example)
    assert Image.open(io.BytesIO(base64.b64decode(address))).size == noise.size
    assert len(example) < len(html)
