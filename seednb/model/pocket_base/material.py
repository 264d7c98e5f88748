"""Training material of the pocket checkpoint: images as they come out of their JPEG, and texts."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from seednb.data.instruct import CAPTION_QUESTIONS
from seednb.data.pocket import language
from seednb.data.pocket.art import render
from seednb.data.pocket.files import JPEG_QUALITY
from seednb.data.pocket.questions import ASK, yes_or_no
from seednb.data.pocket.scenes import CATEGORIES, SCENES, Scene, World, make_scene
from seednb.data.pocket.traits import COLOURS, NUMBERS
from seednb.data.probes import probe_question
from seednb.model.inputs.prompts import PLAIN
from seednb.model.pocket_base.recipe import BaseRecipe

SIDES = ("left", "right")
WORDS = (*CATEGORIES, *COLOURS, *NUMBERS.values(), *SIDES)  # what can be said of a patch


@dataclass(frozen=True)
class Line:
    """One question and answer about the image at `row`."""

    row: int
    question: str
    answer: str


@dataclass(frozen=True)
class PocketMaterial:
    """All that the three stages read."""

    scenes: list[Scene]
    pixels: Float[Tensor, "images C H W"]  # normalised as the processor does it
    truthful: list[Line]
    instruct: list[Line]


def make_material(recipe: BaseRecipe, normalise: Callable[[Image.Image], Tensor]) -> PocketMaterial:
    """Draw the images and write both label sets, from the recipe's seed."""
    world = recipe.world
    scenes = [make_scene(number, recipe.seed, world) for number in range(1, recipe.n_images + 1)]
    pixels = torch.stack([normalise(through_jpeg(render(scene, world))) for scene in scenes])
    truthful, instruct = [], []
    for row, scene in enumerate(scenes):
        truthful += _truthful_lines(row, scene, recipe.seed)
        instruct += _instruct_lines(row, scene, recipe.seed, world)
    return PocketMaterial(scenes, pixels, truthful, instruct)


def instruct_texts(recipe: BaseRecipe) -> Iterator[str]:
    """The texts that the tokenizer is trained on: all instruction turns in their prompt."""
    for number in range(1, recipe.n_images + 1):
        scene = make_scene(number, recipe.seed, recipe.world)
        for line in _instruct_lines(number - 1, scene, recipe.seed, recipe.world):
            yield f"{PLAIN.format(question=line.question)} {line.answer}"


def through_jpeg(image: Image.Image) -> Image.Image:
    """The image as a reader of the data set's files sees it."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return Image.open(buffer).convert("RGB")


def _truthful_lines(row: int, scene: Scene, seed: int) -> list[Line]:
    full_caption = language.reference_captions(scene)[0]
    present, absent = scene.names[row % len(scene.names)], _absent(row, scene)
    rng = Random(f"truth-{seed}-{scene.image_id}")
    asked = [ask(scene, wanted, rng) for ask in ASK.values() for wanted in (True, False)]
    return [
        Line(row, CAPTION_QUESTIONS[row % 3], full_caption),
        Line(row, probe_question(present), "Yes"),
        Line(row, probe_question(absent), "No"),
        *(Line(row, q.text, yes_or_no(q.is_true)) for q in asked if q),
    ]


def _absent(row: int, scene: Scene) -> str:
    """An absent object; every other time one that belongs to the scene, where there is one."""
    pool = [name for name in SCENES[scene.kind] if name not in scene.names] if row % 2 else []
    pool = pool or [name for name in CATEGORIES if name not in scene.names]
    return pool[(7 * row) % len(pool)]


def _instruct_lines(row: int, scene: Scene, seed: int, world: World) -> list[Line]:
    """The record of the scene, and what it leaves out: one turn of each kind, not one of all."""
    messages = language.conversation(scene, "", seed, world)["conversations"]
    values = [message["value"].removeprefix("<image>\n") for message in messages]
    turns = list(zip(values[::2], values[1::2], strict=True))
    turns += language.instruction_traits(scene, seed, world)[language.N_TRAITS :]
    return [Line(row, question, answer) for question, answer in turns]


def patch_targets(
    scenes: list[Scene], image_size: int, patch: int
) -> Float[Tensor, "images patches words"]:
    """Which words are true of which patch: what covers it, in which colour, how many, on which side.

    An object covers a patch with at least a fifth of itself or of the patch. "left" and "right" are
    the outer thirds of the image, where the patch shows an object.
    """
    side = image_size // patch
    edges = np.arange(side) * patch
    third = np.minimum(3 * np.arange(side) // side, 2)  # of each column
    targets = torch.zeros(len(scenes), side * side, len(WORDS))
    for row, scene in enumerate(scenes):
        for placed in scene.objects:
            x, y, width, height = placed.box
            across = np.clip(np.minimum(x + width, edges + patch) - np.maximum(x, edges), 0, None)
            down = np.clip(np.minimum(y + height, edges + patch) - np.maximum(y, edges), 0, None)
            covered = np.outer(down, across) >= 0.2 * min(width * height, patch * patch)
            cells = torch.from_numpy(covered.reshape(-1))
            said = [placed.name, NUMBERS[scene.number(placed.name)], placed.colour]
            for word in filter(None, said):
                targets[row, cells, WORDS.index(word)] = 1
            for word, column in zip(SIDES, (0, 2), strict=True):
                outer = covered & (third == column)
                targets[row, torch.from_numpy(outer.reshape(-1)), WORDS.index(word)] = 1
    return targets
