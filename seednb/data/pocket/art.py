"""Draws pocket images with Pillow: a backdrop for each scene, a small drawing for each object.

Drawings are lists of shapes on a 32 x 32 canvas, outlined so that a person can name them.
"""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from seednb.data.pocket.scenes import Placed, Scene, World

Colour = tuple[int, int, int]
Shape = tuple[str, tuple[float, ...], Colour | float]

CANVAS = 32
OVERSAMPLING = 4
INK: Colour = (32, 32, 40)
STEEL: Colour = (214, 220, 230)
WHITE: Colour = (250, 250, 252)
BROWN: Colour = (126, 80, 44)
DARK: Colour = (62, 64, 74)
PAINT = 1.0  # of objects that come in several colours: a share of their paint
SHADE = 0.78  # the same, darker
PAINTS: dict[str, Colour] = {
    "red": (222, 40, 46), "blue": (46, 104, 226), "green": (44, 158, 72), "yellow": (248, 204, 40),
}  # fmt: skip

# Upper and lower colour of each scene, and how its lower part is patterned.
BACKDROPS: dict[str, tuple[Colour, Colour, str]] = {
    "kitchen": ((232, 208, 160), (166, 118, 74), "tiles"),
    "street": ((158, 190, 226), (96, 98, 104), "lane"),
    "living room": ((216, 178, 172), (136, 92, 82), "rug"),
    "office": ((196, 206, 214), (112, 122, 150), "boards"),
    "park": ((170, 214, 240), (104, 166, 84), "tufts"),
    "bathroom": ((190, 226, 228), (150, 188, 200), "tiles"),
    "farm": ((244, 214, 150), (150, 148, 56), "furrows"),
    "beach": ((120, 196, 236), (238, 216, 160), "waves"),
}
JITTER = 14  # largest shift of a backdrop colour, 8-bit levels

# Kinds: "r" rectangle and "e" ellipse (x0 y0 x1 y1), "p" polygon (points), "l" line (points),
# "o" ring (x0 y0 x1 y1), "c" lower half of an ellipse.
DRAWINGS: dict[str, list[Shape]] = {
    "fork": [
        ("r", (14, 12, 18, 31), STEEL), ("r", (8, 1, 11, 12), STEEL), ("r", (14, 1, 18, 12), STEEL),
        ("r", (21, 1, 24, 12), STEEL), ("r", (8, 9, 24, 14), STEEL),
    ],
    "knife": [("p", (12, 1, 19, 4, 20, 19, 12, 19), STEEL), ("r", (12, 19, 18, 31), BROWN)],
    "cup": [
        ("o", (17, 10, 29, 23), PAINT), ("r", (5, 7, 21, 28), PAINT),
        ("r", (5, 12, 21, 17), WHITE),
    ],
    "bowl": [("c", (2, 0, 30, 29), PAINT), ("e", (2, 10, 30, 19), (250, 226, 170))],
    "car": [
        ("p", (7, 15, 11, 7, 22, 7, 27, 15), (190, 225, 245)),
        ("r", (1, 14, 31, 24), PAINT), ("e", (4, 19, 13, 28), INK),
        ("e", (19, 19, 28, 28), INK), ("e", (7, 22, 10, 25), STEEL), ("e", (22, 22, 25, 25), STEEL),
    ],
    "traffic light": [
        ("r", (14, 26, 18, 32), DARK), ("r", (9, 0, 23, 27), DARK), ("e", (12, 1, 20, 9), (235, 50, 45)),
        ("e", (12, 9, 20, 17), (245, 205, 50)), ("e", (12, 18, 20, 26), (60, 200, 90)),
    ],
    "stop sign": [
        ("r", (14, 20, 18, 32), STEEL),
        ("p", (10, 0, 22, 0, 30, 8, 30, 16, 22, 24, 10, 24, 2, 16, 2, 8), (215, 30, 38)),
        ("r", (6, 9, 26, 15), WHITE),
    ],
    "bus": [
        ("r", (1, 3, 31, 26), PAINT), ("r", (4, 7, 11, 15), (150, 200, 235)),
        ("r", (13, 7, 20, 15), (150, 200, 235)), ("r", (22, 7, 29, 15), (150, 200, 235)),
        ("e", (5, 22, 12, 30), INK), ("e", (20, 22, 27, 30), INK),
    ],
    "couch": [
        ("r", (4, 5, 28, 20), PAINT), ("r", (3, 16, 29, 25), PAINT),
        ("r", (0, 12, 7, 27), SHADE), ("r", (25, 12, 32, 27), SHADE),
    ],
    "tv": [
        ("r", (14, 23, 18, 29), INK), ("r", (8, 27, 24, 30), INK), ("r", (0, 3, 32, 24), INK),
        ("r", (3, 6, 29, 21), (70, 130, 215)), ("p", (3, 21, 12, 12, 18, 21), (110, 185, 120)),
    ],
    "remote": [
        ("r", (10, 0, 22, 32), DARK), ("e", (13, 3, 19, 9), (235, 60, 60)), ("r", (12, 13, 15, 16), WHITE),
        ("r", (17, 13, 20, 16), WHITE), ("r", (12, 19, 15, 22), WHITE), ("r", (17, 19, 20, 22), WHITE),
        ("r", (12, 25, 15, 28), WHITE), ("r", (17, 25, 20, 28), WHITE),
    ],
    "cat": [
        ("p", (6, 14, 6, 1, 15, 9), (238, 155, 60)), ("p", (26, 14, 26, 1, 17, 9), (238, 155, 60)),
        ("e", (4, 6, 28, 29), (238, 155, 60)), ("e", (9, 13, 13, 18), INK), ("e", (19, 13, 23, 18), INK),
        ("p", (14, 20, 18, 20, 16, 23), (230, 110, 130)), ("l", (2, 22, 12, 22), WHITE),
        ("l", (20, 22, 30, 22), WHITE),
    ],
    "laptop": [
        ("r", (6, 2, 26, 19), DARK), ("r", (8, 4, 24, 17), (130, 195, 245)),
        ("p", (5, 20, 27, 20, 32, 28, 0, 28), (150, 155, 168)),
    ],
    "keyboard": [
        ("r", (0, 9, 32, 24), (92, 96, 108)), ("r", (2, 11, 8, 14), WHITE), ("r", (10, 11, 16, 14), WHITE),
        ("r", (18, 11, 24, 14), WHITE), ("r", (26, 11, 30, 14), WHITE), ("r", (2, 16, 8, 18), WHITE),
        ("r", (10, 16, 16, 18), WHITE), ("r", (18, 16, 30, 18), WHITE), ("r", (8, 20, 24, 22), WHITE),
    ],
    "mouse": [
        ("l", (16, 9, 16, 0), INK), ("e", (8, 6, 24, 31), PAINT), ("r", (15, 9, 17, 15), INK),
    ],
    "book": [
        ("p", (2, 7, 16, 10, 16, 28, 2, 25), (200, 60, 80)), ("p", (30, 7, 16, 10, 16, 28, 30, 25), (200, 60, 80)),
        ("p", (4, 4, 16, 8, 16, 25, 4, 22), WHITE), ("p", (28, 4, 16, 8, 16, 25, 28, 22), WHITE),
        ("l", (7, 10, 14, 12), DARK), ("l", (7, 15, 14, 17), DARK), ("l", (18, 12, 25, 10), DARK),
        ("l", (18, 17, 25, 15), DARK),
    ],
    "dog": [
        ("r", (5, 20, 9, 30), (150, 98, 52)), ("r", (17, 20, 21, 30), (150, 98, 52)),
        ("e", (2, 11, 24, 25), (150, 98, 52)), ("l", (3, 14, 0, 6), (150, 98, 52)),
        ("e", (17, 3, 31, 17), (150, 98, 52)), ("e", (16, 3, 21, 14), (96, 60, 30)), ("e", (24, 7, 27, 10), INK),
        ("e", (28, 10, 32, 14), INK),
    ],
    "bench": [
        ("r", (3, 7, 6, 30), DARK), ("r", (26, 7, 29, 30), DARK), ("r", (0, 5, 32, 9), (176, 116, 62)),
        ("r", (0, 11, 32, 15), (176, 116, 62)), ("r", (0, 19, 32, 23), (176, 116, 62)),
    ],
    "frisbee": [
        ("e", (0, 8, 32, 25), PAINT), ("e", (5, 9, 27, 20), SHADE),
        ("e", (11, 11, 21, 17), PAINT),
    ],
    "bicycle": [
        ("o", (0, 15, 14, 29), INK), ("o", (18, 15, 32, 29), INK),
        ("l", (7, 22, 12, 10, 22, 10, 25, 22), PAINT), ("l", (7, 22, 16, 22, 22, 10), PAINT),
        ("l", (12, 10, 16, 22), PAINT), ("l", (20, 6, 26, 6), INK), ("r", (9, 6, 15, 9), INK),
    ],
    "toilet": [
        ("r", (7, 0, 25, 11), WHITE), ("r", (12, 20, 20, 32), WHITE), ("e", (4, 9, 28, 25), WHITE),
        ("e", (8, 11, 24, 21), (130, 190, 225)),
    ],
    "sink": [
        ("r", (13, 22, 19, 32), STEEL), ("c", (2, 0, 30, 26), WHITE), ("e", (2, 9, 30, 17), (150, 195, 220)),
        ("r", (14, 2, 18, 12), DARK), ("r", (14, 1, 24, 5), DARK),
    ],
    "toothbrush": [
        ("r", (13, 10, 18, 32), PAINT), ("r", (13, 0, 18, 11), PAINT),
        ("r", (6, 1, 13, 10), WHITE),
    ],
    "bottle": [
        ("r", (13, 0, 19, 4), (220, 180, 60)), ("r", (13, 3, 19, 11), (40, 150, 85)),
        ("r", (9, 10, 23, 32), (40, 150, 85)), ("r", (9, 16, 23, 25), WHITE),
    ],
    "cow": [
        ("r", (4, 18, 8, 30), WHITE), ("r", (18, 18, 22, 30), WHITE), ("e", (1, 9, 25, 24), WHITE),
        ("e", (5, 10, 12, 17), INK), ("e", (15, 14, 21, 21), INK), ("e", (20, 4, 31, 17), WHITE),
        ("e", (23, 11, 32, 18), (240, 165, 170)), ("l", (21, 6, 18, 2), DARK), ("l", (29, 5, 31, 1), DARK),
        ("e", (24, 7, 26, 9), INK),
    ],
    "horse": [
        ("r", (5, 18, 8, 31), (140, 78, 36)), ("r", (17, 18, 20, 31), (140, 78, 36)),
        ("e", (2, 10, 22, 22), (140, 78, 36)), ("p", (15, 15, 21, 2, 26, 2, 22, 19), (140, 78, 36)),
        ("p", (21, 2, 27, 2, 32, 10, 28, 12, 22, 8), (140, 78, 36)), ("l", (20, 2, 15, 13), INK),
        ("l", (3, 13, 0, 23), INK), ("e", (24, 4, 26, 6), INK),
    ],
    "sheep": [
        ("r", (8, 20, 11, 30), DARK), ("r", (18, 20, 21, 30), DARK), ("e", (2, 10, 14, 23), WHITE),
        ("e", (8, 6, 20, 20), WHITE), ("e", (13, 9, 25, 23), WHITE), ("e", (7, 13, 20, 25), WHITE),
        ("e", (21, 8, 31, 20), DARK), ("e", (25, 11, 28, 14), WHITE),
    ],
    "bird": [
        ("l", (13, 24, 12, 31), INK), ("l", (17, 24, 18, 31), INK), ("p", (0, 11, 10, 14, 7, 20), PAINT),
        ("e", (5, 9, 24, 26), PAINT), ("e", (17, 3, 28, 14), PAINT),
        ("p", (27, 7, 32, 9, 27, 11), (245, 175, 40)), ("e", (22, 6, 25, 9), INK),
        ("e", (8, 13, 18, 22), SHADE),
    ],
    "boat": [
        ("r", (15, 1, 17, 22), BROWN), ("p", (18, 2, 30, 19, 18, 19), WHITE),
        ("p", (14, 5, 14, 19, 5, 19), (250, 120, 60)), ("p", (1, 21, 31, 21, 26, 30, 6, 30), (176, 60, 50)),
    ],
    "umbrella": [
        ("r", (15, 12, 17, 31), BROWN), ("p", (0, 16, 5, 6, 16, 1, 27, 6, 32, 16), PAINT),
        ("p", (11, 16, 16, 1, 21, 16), SHADE),
    ],
    "kite": [
        ("l", (16, 20, 12, 26, 19, 29, 14, 32), INK), ("p", (16, 0, 27, 9, 16, 22, 5, 9), (70, 190, 90)),
        ("p", (16, 0, 27, 9, 16, 9), (250, 215, 60)), ("p", (5, 9, 16, 9, 16, 22), (240, 90, 60)),
    ],
    "surfboard": [
        ("e", (9, 0, 23, 32), PAINT), ("r", (15, 3, 17, 29), WHITE), ("r", (10, 13, 22, 17), SHADE),
    ],
}  # fmt: skip


@lru_cache(maxsize=2048)
def sprite(name: str, size: int, colour: str = "") -> Image.Image:
    """The object's drawing as a square RGBA image of `size` pixels, in its colour if it has one."""
    scale = OVERSAMPLING
    image = Image.new("RGBA", (CANVAS * scale, CANVAS * scale))
    draw = ImageDraw.Draw(image)
    paint = PAINTS.get(colour, WHITE)
    for kind, coordinates, colouring in DRAWINGS[name]:
        points = [scale * value for value in coordinates]
        fill = _mixed(colouring, paint)
        edge = tuple(value // 2 for value in fill)
        pairs = list(zip(points[::2], points[1::2], strict=True))
        if kind == "r":
            draw.rectangle(points, fill, edge, scale)
        elif kind == "e":
            draw.ellipse(points, fill, edge, scale)
        elif kind == "o":
            draw.ellipse(points, None, fill, 3 * scale)
        elif kind == "c":
            draw.pieslice(points, 0, 180, fill, edge, scale)
        elif kind == "p":
            draw.polygon(pairs, fill, edge, scale)
        else:
            draw.line(pairs, fill, 2 * scale, "curve")
    return image.resize((size, size), Image.Resampling.LANCZOS)


def _mixed(colouring: Colour | float, paint: Colour) -> Colour:
    """A colour of its own, or a shade of the object's paint."""
    if isinstance(colouring, tuple):
        return colouring
    red, green, blue = (int(colouring * level) for level in paint)
    return red, green, blue


def render(scene: Scene, world: World) -> Image.Image:
    """The image of a scene: backdrop, objects (the faint ones translucent), sensor grain."""
    rng = np.random.default_rng(scene.texture_seed)
    image = _backdrop(scene.kind, world.image_size, rng)
    for placed in scene.objects:
        _paste(image, placed)
    grain = rng.normal(0, world.grain, (world.image_size, world.image_size, 3))
    pixels = np.asarray(image, np.float32) + grain
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _paste(image: Image.Image, placed: Placed) -> None:
    x, y, size, _ = placed.box
    drawing = sprite(placed.name, size, placed.colour)
    mask = drawing.getchannel("A").point(lambda level: int(level * placed.opacity))
    image.paste(drawing.convert("RGB"), (x, y), mask)


def _backdrop(kind: str, size: int, rng: np.random.Generator) -> Image.Image:
    upper, lower, pattern = BACKDROPS[kind]
    shift = rng.integers(-JITTER, JITTER + 1, 3)
    upper, lower = (tuple(np.clip(np.add(c, shift), 0, 255).tolist()) for c in (upper, lower))
    horizon = int(size * rng.uniform(0.4, 0.7))
    image = Image.new("RGB", (size, size), upper)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, horizon, size, size), lower)
    line = tuple(int(value * 0.9) for value in lower)
    wall = tuple(int(value * 0.94) for value in upper)
    if pattern == "tiles":
        for at in range(0, size, size // 6):
            draw.line((at, 0, at, horizon), wall)
            if at < horizon:
                draw.line((0, at, size, at), wall)
        draw.rectangle((0, horizon, size, horizon + 2), line)
    elif pattern == "lane":
        for at in range(0, size, size // 4):
            draw.rectangle((at, horizon - size // 5, at + size // 6, horizon), wall)
            draw.rectangle((at, size - 8, at + size // 8, size - 6), (222, 222, 214))
    elif pattern == "rug":
        draw.ellipse((size // 8, horizon + 6, size - size // 8, size + size // 4), line)
    elif pattern == "boards":
        for at in range(horizon, size, size // 10):
            draw.line((0, at, size, at), line)
        draw.rectangle((size // 8, 4, size // 2, horizon // 2), wall)
    elif pattern == "tufts":
        for at in range(4, size, size // 8):
            draw.line((at, size - 3, at + 2, size - 8), line)
        draw.ellipse((size - 26, 4, size - 8, 20), (250, 240, 190))
    elif pattern == "furrows":
        for at in range(-size, size, size // 8):
            draw.line((size // 2 + at // 2, horizon, size // 2 + at, size), line, 2)
    else:
        for at in range(0, size, size // 8):
            draw.arc((at, horizon - 7, at + size // 8, horizon - 1), 0, 180, WHITE)
    return image
