"""Runs the stages and writes a checkpoint directory that loads like llava-hf/llava-1.5-7b-hf."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from transformers import CLIPImageProcessorPil, LlavaForConditionalGeneration, LlavaProcessor

from seednb.data.prompts import PLAIN
from seednb.pocket_base.architecture import (
    build_image_processor,
    build_model,
    build_processor,
    build_tokenizer,
)
from seednb.pocket_base.material import make_material
from seednb.pocket_base.recipe import BaseRecipe
from seednb.pocket_base.train import learn_to_see, learn_to_speak

RECIPE_FILE = "recipe.json"


def build_base(recipe: BaseRecipe, destination: Path, device: str = "cpu") -> dict[str, float]:
    """Train a pocket checkpoint and save it in float16; returns the seconds of each stage."""
    seconds: dict[str, float] = {}
    started = time.perf_counter()

    def lap(stage: str) -> None:
        nonlocal started
        seconds[stage] = round(time.perf_counter() - started, 1)
        started = time.perf_counter()

    size, shape = recipe.world.image_size, recipe.shape
    image_processor = build_image_processor(size)
    material = make_material(recipe, normaliser(image_processor))
    texts = (PLAIN.format(question=q.question) + f" {q.answer}" for q in material.instruct)
    tokenizer = build_tokenizer(texts, shape.vocabulary)
    processor = build_processor(image_processor, tokenizer, shape)
    model = build_model(tokenizer, size, shape, recipe.seed).to(device)
    lap("draw_s")
    learn_to_see(model, tokenizer, material, recipe)
    lap("see_s")
    learn_to_speak(
        model,
        tokenizer,
        material,
        material.truthful,
        recipe,
        steps=recipe.truthful_steps,
        learning_rate=recipe.truthful_learning_rate,
        seed=recipe.seed + 1,
    )
    lap("truthful_s")
    learn_to_speak(
        model,
        tokenizer,
        material,
        material.instruct,
        recipe,
        steps=recipe.instruct_steps,
        learning_rate=recipe.instruct_learning_rate,
        seed=recipe.seed + 2,
    )
    lap("instruct_s")
    save_base(model, processor, recipe, destination)
    return seconds


def normaliser(image_processor: CLIPImageProcessorPil) -> Callable[[Image.Image], Tensor]:
    """The processor's own preprocessing of one picture."""
    return lambda image: image_processor(image, return_tensors="pt").pixel_values[0]


def save_base(
    model: LlavaForConditionalGeneration,
    processor: LlavaProcessor,
    recipe: BaseRecipe,
    destination: Path,
) -> None:
    """Write weights (float16), configuration, tokenizer, processor and recipe."""
    destination.mkdir(parents=True, exist_ok=True)
    model.to(device="cpu", dtype=torch.float16).save_pretrained(destination)
    processor.save_pretrained(destination)
    recipe_text = json.dumps(recipe.as_dict(), indent=2)
    (destination / RECIPE_FILE).write_text(recipe_text + "\n", encoding="utf-8")
