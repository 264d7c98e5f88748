"""Colours, numbers and sides of pocket objects: what is typical, and so what a prior says."""

from random import Random

COLOURS = ("red", "blue", "green", "yellow")
NUMBERS = {1: "one", 2: "two", 3: "three"}

# The usual colour of objects that come in several.
TYPICAL_COLOUR: dict[str, str] = {
    "cup": "red", "bowl": "blue", "car": "red", "bus": "yellow", "couch": "blue", "mouse": "green",
    "bicycle": "blue", "frisbee": "red", "toothbrush": "green", "bird": "blue", "umbrella": "red",
    "surfboard": "yellow",
}  # fmt: skip
# How many there usually are of objects that come in groups, where they are present at all.
TYPICAL_NUMBER: dict[str, int] = {
    "fork": 2, "traffic light": 3, "remote": 2, "cat": 1, "book": 3, "dog": 2, "bench": 1,
    "bottle": 3, "sink": 1, "sheep": 3, "cow": 2, "kite": 2, "boat": 1,
}  # fmt: skip
PLURALS = {"bench": "benches", "sheep": "sheep"}  # of the others, the name and an s


def draw_colour(name: str, typical: float, rng: Random) -> str:
    """An object's colour, with chance `typical` its usual one; "" for objects without."""
    usual = TYPICAL_COLOUR.get(name, "")
    others = [colour for colour in COLOURS if colour != usual]
    return usual if not usual or rng.random() < typical else rng.choice(others)


def draw_number(name: str, typical: float, rng: Random) -> int:
    """How many there are of a present object, with chance `typical` the usual number."""
    usual = TYPICAL_NUMBER.get(name, 1)
    others = [number for number in NUMBERS if number != usual]
    is_usual = name not in TYPICAL_NUMBER or rng.random() < typical
    return usual if is_usual else rng.choice(others)


def plural(name: str) -> str:
    """The name of several such objects."""
    return PLURALS.get(name, f"{name}s")
