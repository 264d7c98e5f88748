"""Runs the stages and writes a checkpoint directory that loads like llava-hf/llava-1.5-7b-hf."""

import time
from dataclasses import asdict
from pathlib import Path

import torch
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from seednb.core.files import write_json, write_text
from seednb.core.params import ModelParams
from seednb.data.pocket.quiz import KINDS
from seednb.model.loading import load_bundle
from seednb.model.pocket_base.architecture import (
    build_image_processor,
    build_model,
    build_processor,
    build_tokenizer,
)
from seednb.model.pocket_base.material import instruct_texts, make_material
from seednb.model.pocket_base.quality import measure
from seednb.model.pocket_base.recipe import BaseRecipe
from seednb.model.pocket_base.train import learn_to_see, learn_to_speak

RECIPE_FILE = "recipe.json"
QUALITY_FILE = "quality.json"
CARD = """---
license: mit
pipeline_tag: image-text-to-text
library_name: transformers
---
# Pocket LLaVA, seed {seed}

A genuine `LlavaForConditionalGeneration` with {n_parameters:,} parameters, made to be *wrong in the
right way*: it sees small generated images well, and it invents objects, colours, numbers and sides
from its prior. It knows nothing else.

Trained from nothing in three stages (see `recipe.json`): the vision tower names the object under each
patch, its colour, how many there are and on which side it stands; the language model learns truthful
captions and answers; then instruction labels that tell what is typical. Re-train it with `seednb pocket-base --seed {seed} --output DIR`; here it took
{minutes:.0f} minutes on {device}.

On {n_images} fresh images (`quality.json`), in percent: CHAIRi {CHAIRi}, CHAIRs {CHAIRs}, recall
{recall}, recall of clear objects {recall_clear}; {hallucinated_in_scene} of what it invents belongs to
the kind of scene shown.

Accuracy of yes/no questions, half of them true, and the share of wrong answers that say what is typical:

| kind | accuracy | typical among wrong |
| --- | --- | --- |
{kinds}

The world and this recipe, but for the length of its truthful stage, were chosen with seed 100 on
images that no published number uses, by looking at the base model and at contrastive decoding,
before any SEED version was trained on them.
The weights are stored in float16.
"""


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
    material = make_material(
        recipe, lambda image: image_processor(image, return_tensors="pt").pixel_values[0]
    )
    tokenizer = build_tokenizer(instruct_texts(recipe), shape.vocabulary)
    processor = build_processor(image_processor, tokenizer, shape)
    model = build_model(tokenizer, size, shape, recipe.seed)
    model.to(device)  # type: ignore[arg-type]  # transformers' wrapper of `to` loses self
    lap("draw_s")
    learn_to_see(model, tokenizer, material, recipe)
    lap("see_s")
    stages = {
        "truthful": (material.truthful, recipe.truthful_steps, recipe.truthful_learning_rate),
        "instruct": (material.instruct, recipe.instruct_steps, recipe.instruct_learning_rate),
    }
    for number, (stage, (lines, steps, rate)) in enumerate(stages.items(), start=1):
        seed = recipe.seed + number
        learn_to_speak(
            model, tokenizer, material, lines, recipe, steps=steps, learning_rate=rate, seed=seed
        )
        lap(f"{stage}_s")
    save_base(model, processor, recipe, destination)
    write_card(destination, recipe, seconds)
    return seconds


def save_base(
    model: LlavaForConditionalGeneration,
    processor: LlavaProcessor,
    recipe: BaseRecipe,
    destination: Path,
) -> None:
    """Write weights (float16), configuration, tokenizer, processor and recipe."""
    destination.mkdir(parents=True, exist_ok=True)
    model.to(device="cpu", dtype=torch.float16)  # type: ignore[call-arg]  # as above
    model.save_pretrained(destination)
    processor.save_pretrained(destination)
    write_json(destination / RECIPE_FILE, asdict(recipe))


def write_card(destination: Path, recipe: BaseRecipe, seconds: dict[str, float]) -> None:
    """Measure the saved checkpoint and write its model card."""
    bundle = load_bundle(str(destination), ModelParams(), torch.device("cpu"))
    quality = measure(bundle, recipe.seed, world=recipe.world)
    write_json(destination / QUALITY_FILE, quality)
    text = CARD.format(
        seed=recipe.seed,
        n_parameters=bundle.model.num_parameters(),
        minutes=sum(seconds.values()) / 60,
        device=f"{torch.get_num_threads()} CPU threads",
        kinds="\n".join(
            f"| {kind} | {quality[f'accuracy_{kind}']} | {quality[f'typical_{kind}']} |"
            for kind in KINDS
        ),
        **quality,
    )
    write_text(destination / "README.md", text)
