"""The three training stages of the pocket checkpoint."""

import random
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from seednb.data.pocket.language import CAPTION_QUESTIONS
from seednb.data.pocket.scenes import CATEGORIES, SCENES
from seednb.data.prompts import IMAGE_TAG, PLAIN, PictureTokens, encode
from seednb.pocket_base.material import Line, Material, patch_targets
from seednb.pocket_base.recipe import BaseRecipe

FAINTEST_VIEW = 0.1  # smallest alpha of a noisy training picture
IGNORED = -100  # the label that cross entropy skips


class NameHead(nn.Module):
    """Scores each patch against each category's name, through the projector (as CLIP aligns).

    The score is the product of the projected patch with the mean embedding of the name's tokens, so
    that what the tower sees is already written in the language model's own words.
    """

    def __init__(self, model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast):
        super().__init__()
        self.projector = model.model.multi_modal_projector
        self.embeddings = model.get_input_embeddings()
        self.bias = nn.Parameter(torch.full((len(CATEGORIES),), -3.0))
        self.scale = nn.Parameter(torch.tensor(3.0))
        share = torch.zeros(len(CATEGORIES), len(tokenizer))
        for row, name in enumerate(CATEGORIES):
            token_ids = tokenizer(f" {name}", add_special_tokens=False).input_ids
            share[row, token_ids] = 1 / len(token_ids)
        self.register_buffer("share", share)

    def forward(self, features: Float[Tensor, "B P D"]) -> Float[Tensor, "B P K"]:
        """Logits that a patch shows a category."""
        names = self.share @ self.embeddings.weight
        return self.projector(features) @ names.T * self.scale + self.bias


def learn_to_see(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    material: Material,
    recipe: BaseRecipe,
) -> None:
    """Stage 1: name the object under each patch, and the scene, on clean and noisy pictures."""
    device = model.device
    tower = model.model.vision_tower
    head = NameHead(model, tokenizer).to(device)
    scene_head = nn.Linear(recipe.shape.vision_width, len(SCENES)).to(device)
    targets = patch_targets(material.scenes, recipe.world.image_size, recipe.shape.patch)
    kinds = torch.tensor([list(SCENES).index(scene.kind) for scene in material.scenes])
    parameters = [*tower.parameters(), *head.parameters(), *scene_head.parameters()]
    generator = torch.Generator().manual_seed(recipe.seed)
    for optimiser_step in _schedule(
        parameters, recipe.vision_learning_rate, recipe.vision_steps, "learn to see"
    ):
        rows = torch.randint(len(material.pixels), (recipe.vision_batch,), generator=generator)
        pixels = _some_noisy(material.pixels[rows], recipe.noisy_share_vision, generator)
        hidden = tower(pixels.to(device), output_hidden_states=True).hidden_states[-2][:, 1:]
        name_loss = F.binary_cross_entropy_with_logits(head(hidden), targets[rows].to(device))
        scene_loss = F.cross_entropy(scene_head(hidden.mean(1)), kinds[rows].to(device))
        optimiser_step(len(CATEGORIES) * name_loss + 0.3 * scene_loss)


def learn_to_speak(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    material: Material,
    lines: list[Line],
    recipe: BaseRecipe,
    *,
    steps: int,
    learning_rate: float,
    seed: int,
) -> None:
    """Stages 2 and 3: language model and projector learn `lines`; the vision tower stays as it is.

    Batches hold captions or yes/no answers, not both, so that little is padded.
    """
    device = model.device
    model.model.vision_tower.requires_grad_(False)
    parameters = [p for p in model.parameters() if p.requires_grad]
    generator, rng = torch.Generator().manual_seed(seed), random.Random(seed)
    captions = [line for line in lines if line.question in CAPTION_QUESTIONS]
    answers = [line for line in lines if line.question not in CAPTION_QUESTIONS]
    model.train()
    schedule = _schedule(parameters, learning_rate, steps, "learn to speak")
    for number, optimiser_step in enumerate(schedule):
        batch = rng.sample(answers if number % 2 else captions, recipe.text_batch)
        ids, labels = _collate(batch, tokenizer, model.config.image_seq_length)
        pixels = material.pixels[[line.row for line in batch]]
        pixels = _some_noisy(pixels, recipe.noisy_share_text, generator)
        loss = model(
            input_ids=ids.to(device),
            attention_mask=(ids != tokenizer.pad_token_id).to(device),
            pixel_values=pixels.to(device),
            labels=labels.to(device),
        ).loss
        optimiser_step(loss)
    model.eval()
    model.requires_grad_(True)


def _schedule(
    parameters: list[nn.Parameter], learning_rate: float, steps: int, title: str
) -> Iterator:
    """Yield, `steps` times, a function that takes the loss and does one AdamW step (one-cycle)."""
    optimiser = torch.optim.AdamW(parameters, learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, learning_rate, total_steps=steps, pct_start=0.08
    )
    bar = tqdm(range(steps), desc=title, unit="step")

    def step(loss: Tensor) -> None:
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        cycle.step()
        bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)

    for _ in bar:
        yield step


def _some_noisy(
    pixels: Float[Tensor, "B C H W"], share: float, generator: torch.Generator
) -> Float[Tensor, "B C H W"]:
    """Show a share of the pictures under Gaussian noise with alpha between FAINTEST_VIEW and 1."""
    n = len(pixels)
    chosen = torch.rand(n, generator=generator) < share
    alpha = FAINTEST_VIEW + (1 - FAINTEST_VIEW) * torch.rand(n, generator=generator)
    alpha = torch.where(chosen, alpha, 1.0).view(-1, 1, 1, 1)
    noise = torch.randn(pixels.shape, generator=generator)
    return alpha.sqrt() * pixels + (1 - alpha).sqrt() * noise


def _collate(
    batch: list[Line], tokenizer: PreTrainedTokenizerFast, n_image_tokens: int
) -> tuple[Tensor, Tensor]:
    """Right-padded token ids and labels; prompt and padding are ignored."""
    image_token = tokenizer.convert_tokens_to_ids(IMAGE_TAG)
    picture = PictureTokens(IMAGE_TAG, (image_token,) * n_image_tokens)
    rows = [encode(line.question, line.answer, tokenizer, picture, PLAIN) for line in batch]
    length = max(len(row.input_ids) for row in rows)
    ids = torch.full((len(rows), length), tokenizer.pad_token_id)
    labels = torch.full((len(rows), length), IGNORED)
    for number, row in enumerate(rows):
        n, n_prompt = len(row.input_ids), row.n_prompt
        ids[number, :n] = torch.tensor(row.input_ids)
        labels[number, n_prompt:n] = torch.tensor(row.input_ids[n_prompt:])
    return ids, labels
