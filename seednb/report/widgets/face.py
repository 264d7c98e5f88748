"""What the widgets share: the card, templates, inline data, ids that depend on content alone."""

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import ipywidgets as widgets
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from seednb.core.errors import SeedError

SIGNATURES = {"png": b"\x89PNG\r\n\x1a\n", "webp": b"RIFF"}
NATURAL = {"width": "auto"}  # layout of live controls: the CSS decides
COMPACT: dict[str, Any] = {"layout": NATURAL, "style": {"description_width": "initial"}}
# Inside <script> only these can end the data or open a comment; JSON lets any character be escaped.
INERT = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


class Card(widgets.VBox):
    """A widget that draws itself live in JupyterLab and, elsewhere, as its static face."""

    def __init__(self, *children: widgets.Widget) -> None:
        """`children` bring controls and drawings; the style of the drawings comes with the card."""
        css = widgets.HTML(render("style.html"), layout={"display": "none"})
        super().__init__([css, *children])
        self.add_class("seednb").add_class("sw-card")

    def static_html(self) -> str:
        """One HTML element with every drawing precomputed: it needs no kernel and no network."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        return super()._repr_mimebundle_(**kwargs) | {"text/html": self.static_html()}


def check_image(file: bytes, title: str) -> None:
    """Raise SeedError unless the bytes are those of an image that pages show."""
    if not file.startswith(tuple(SIGNATURES.values())):
        raise SeedError(f"image of {title!r} is neither WebP nor PNG; save it as one with Pillow")


def minus(number: str) -> str:
    """A formatted number with a real minus sign."""
    return number.replace("-", "\u2212")


def percent(thousandths: int) -> str:
    """Thousandths as percent: 412 -> '41%', 56 -> '5.6%', 0 -> '<0.1%'; the scripts do the same."""
    if thousandths == 0:
        return "<0.1%"
    if thousandths < 100:
        return f"{thousandths / 10:.1f}%"
    return f"{(thousandths + 5) // 10}%"


def image(file: bytes) -> str:
    """A data address of an image."""
    kind = next(kind for kind, start in SIGNATURES.items() if file.startswith(start))
    return f"data:image/{kind};base64,{base64.b64encode(file).decode()}"


def inline_json(data: Any) -> Markup:
    """Compact JSON that is safe inside a script element: no character can close the element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup(text.translate(INERT))


def render(template: str, **values: Any) -> str:
    """A template of the widgets' assets with every value escaped."""
    return _environment().get_template(template).render(**values)


def static_face(name: str, label: str, data: Any, **values: Any) -> str:
    """One self-contained element: style, `{name}.html`, its numbers and `{name}.js`.

    The root's id is a hash of the content, so the same widget always gives the same bytes.
    """
    body = render(f"{name}.html", data=data, **values)
    numbers = inline_json(data)
    digest = hashlib.sha256((body + numbers).encode()).hexdigest()[:12]
    return render(
        "face.html",
        ident=f"seednb-{name}-{digest}",
        name=name,
        label=label,
        body=Markup(body),
        data=numbers,
    )


def dropdown(description: str, options: Sequence[Any], **more: Any) -> widgets.Dropdown:
    """A list to choose from, with its description beside it."""
    return widgets.Dropdown(options=options, description=description, **more, **COMPACT)


def boxed(css_class: str, *children: widgets.Widget) -> widgets.Box:
    """A box of widgets that the widgets' CSS lays out."""
    return widgets.Box(children).add_class(css_class)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("seednb", "assets/widgets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "image": image}
    return environment
