"""What the widgets share: the card, templates, inline data, ids that depend on content alone."""

import base64
import hashlib
import io
import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import ipywidgets as widgets
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from seednb.core.errors import SeedError

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
QUALITY = 88  # of an image in a static face
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


def check_png(image_png: bytes, title: str) -> None:
    """Raise SeedError unless the bytes are those of a PNG image."""
    if not image_png.startswith(PNG_SIGNATURE):
        raise SeedError(f"image of {title!r} is no PNG; save it with Pillow's format 'PNG'")


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


def image(image_png: bytes) -> str:
    """A data address of a PNG's image, as WebP: a quarter of the size."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(image_png)).convert("RGB").save(buffer, "WEBP", quality=QUALITY)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


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
