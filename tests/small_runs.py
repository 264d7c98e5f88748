"""One small training run of the shipped model, on noise in place of images."""

from dataclasses import replace
from pathlib import Path

import torch
from noise_images import Noise

from seednb.method.recipes import RECIPES
from seednb.model.inputs.corruption import Corruption
from seednb.model.inputs.prompts import PLAIN, encode
from seednb.model.loading import load_bundle
from seednb.model.lora import add_adapter
from seednb.training.examples import Examples
from seednb.training.trainer import train

ROOT = Path(__file__).parents[1]
CHECKPOINT = ROOT / "seednb/assets/pocket-llava"
LINES = [
    ("Describe this image.", "The image shows a kitchen with a fork and a cup."),
    ("Is there a fork in the image?", "Yes"),
    ("Is there a bus in the image?", "No"),
    ("What is in the image?", "The image shows a farm with a cow, a horse and a bird."),
]


def make_run(
    params,
    folder,
    recipe="v5",
    dtype=torch.float64,
    images="01234567",
    lines=LINES * 2,
    reader=None,
    cache=None,
    watch=None,
    prepare=None,
    **changes,
):
    """Train on one line about each image; returns the adapter's weights and the curve.

    `images` are names of the reader's, `changes` are training parameters.
    """
    bundle = load_bundle(str(CHECKPOINT), params.model, torch.device("cpu"))
    plain = bundle.model.to(dtype) if dtype else bundle.model  # 4-bit weights take no other type
    model = add_adapter(plain, params.model, seed=1)
    model = model.to(dtype) if dtype else model
    tokens, reader = bundle.image_tokens, reader or Noise()
    rows = [encode(*line, bundle.tokenizer, tokens, PLAIN) for line in lines]
    corruption = Corruption.of(bundle.tokenizer, PLAIN)
    examples = Examples(rows, list(images), reader, bundle.layout, corruption, tokens)
    settings = replace(params.train, **changes)
    curve = train(model, bundle, examples, RECIPES[recipe], settings, folder, cache, watch, prepare)
    return {n: p.detach().clone() for n, p in model.named_parameters() if "lora_" in n}, curve
