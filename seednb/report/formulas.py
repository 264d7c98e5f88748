"""LaTeX -> MathML that browsers set well without any script."""

import xml.etree.ElementTree as ET
from typing import Literal

from latex2mathml.converter import convert

from seednb.errors import SeedError

MATHML = "http://www.w3.org/1998/Math/MathML"
THIN_SPACE = "0.167em"  # TeX's space around a named operator
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
