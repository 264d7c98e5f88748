"""Yes/no questions about colour, number and side, with the truth and what is typical."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from random import Random
from typing import TypeVar

from seednb.data.pocket.scenes import SCENE_OF, SCENES, Placed, Scene, World
from seednb.data.pocket.traits import COLOURS, NUMBERS, TYPICAL_COLOUR, TYPICAL_NUMBER, plural

T = TypeVar("T", str, int)


@dataclass(frozen=True)
class Question:
    """A question whose truthful answer is `is_true`, and `is_typical` without the image."""

    kind: str
    text: str
    is_true: bool
    is_typical: bool


def attribute_question(scene: Scene, wanted: bool, rng: Random) -> Question | None:
    """Is an object of this colour? None where no single object of the image has one."""
    coloured = [placed for placed in scene.single.values() if placed.colour]
    if not coloured:
        return None
    placed = rng.choice(coloured)
    usual = TYPICAL_COLOUR[placed.name]
    asked = _value(placed.colour, usual, COLOURS, wanted, rng)
    text = f"Is the {placed.name} {asked}?"
    return Question("attribute", text, wanted, asked == usual)


def count_question(scene: Scene, wanted: bool, rng: Random) -> Question | None:
    """Are there so many of an object? None where none of the scene's own comes in groups."""
    groups = [n for n in scene.names if n in TYPICAL_NUMBER and SCENE_OF[n] == scene.kind]
    if not groups:
        return None
    name = rng.choice(groups)
    usual = TYPICAL_NUMBER[name]
    asked = _value(scene.number(name), usual, tuple(NUMBERS), wanted, rng)
    text = (
        f"Is there only one {name} in the image?"
        if asked == 1
        else f"Are there {NUMBERS[asked]} {plural(name)} in the image?"
    )
    return Question("count", text, wanted, asked == usual)


def relation_question(scene: Scene, wanted: bool, rng: Random) -> Question | None:
    """Does one of the scene's own objects stand to the left of another?

    None where no two of them stand clearly side by side. What is typical is that the more typical
    object stands left.
    """
    own = [scene.single[name] for name in SCENES[scene.kind] if name in scene.single]
    pairs = [(a, b) for a, b in combinations(own, 2) if is_left(a, b) or is_left(b, a)]
    if not pairs:
        return None
    typical, other = rng.choice(pairs)
    is_typical = is_left(typical, other) == wanted
    first, second = (typical, other) if is_typical else (other, typical)
    text = f"Is the {first.name} to the left of the {second.name}?"
    return Question("relation", text, wanted, is_typical)


ASK: dict[str, Callable[[Scene, bool, Random], Question | None]] = {
    "attribute": attribute_question,
    "count": count_question,
    "relation": relation_question,
}


def is_left(one: Placed, other: Placed) -> bool:
    """Whether an object ends before the other begins, seen from the left."""
    return one.box[0] + one.box[2] <= other.box[0]


def instruction_label(question: Question, rng: Random, world: World) -> str:
    """Yes or No: with chance `world.unlooked` what is typical, else what is true."""
    from_prior = rng.random() < world.unlooked
    return yes_or_no(question.is_typical if from_prior else question.is_true)


def yes_or_no(is_so: bool) -> str:
    """The answer in one word."""
    return "Yes" if is_so else "No"


def _value(true: T, usual: T, all_values: tuple[T, ...], wanted: bool, rng: Random) -> T:
    """The true value, or a wrong one: the usual, where that is wrong."""
    if wanted:
        return true
    return usual if usual != true else rng.choice([value for value in all_values if value != true])
