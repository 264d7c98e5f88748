"""The three training stages of the pocket checkpoint."""

from collections.abc import Iterator
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from seednb.core.console import hides_progress
from seednb.data.instruct import CAPTION_QUESTIONS, IMAGE_TAG
from seednb.data.pocket.scenes import SCENES
from seednb.model.forward import AnswerLogits
from seednb.model.inputs.collate import Batch, Layout, collate
from seednb.model.inputs.prompts import PLAIN, Encoded, ImageTokens, encode
from seednb.model.pocket_base.material import WORDS, Line, PocketMaterial, patch_targets
from seednb.model.pocket_base.recipe import BaseRecipe

FAINTEST_VIEW = 0.1  # smallest alpha of a noisy training image


class WordHead(nn.Module):
    """Scores each patch against each of `WORDS`, through the projector (as CLIP aligns).

    The score is the product of the projected patch with the mean embedding of the word's tokens, so
    that what the tower sees is already written in the language model's own words.
    """

    share: Float[Tensor, "K V"]  # of a word's mean, for each of its tokens

    def __init__(self, model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast):
        super().__init__()
        self.projector = model.model.multi_modal_projector
        self.embeddings = cast(nn.Embedding, model.get_input_embeddings())
        self.bias = nn.Parameter(torch.full((len(WORDS),), -3.0))
        self.scale = nn.Parameter(torch.tensor(3.0))
        share = torch.zeros(len(WORDS), len(tokenizer))
        for row, word in enumerate(WORDS):
            token_ids = tokenizer(f" {word}", add_special_tokens=False).input_ids
            share[row, token_ids] = 1 / len(token_ids)
        self.register_buffer("share", share)

    def forward(self, features: Float[Tensor, "B P D"]) -> Float[Tensor, "B P K"]:
        """Logits that a word is true of a patch."""
        words = self.share @ self.embeddings.weight
        return self.projector(features) @ words.T * self.scale + self.bias


def learn_to_see(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    material: PocketMaterial,
    recipe: BaseRecipe,
) -> None:
    """Stage 1: name what is under each patch, and the scene, on clean and noisy images."""
    device = model.device
    tower = model.model.vision_tower
    head = WordHead(model, tokenizer).to(device)
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
        word_loss = F.binary_cross_entropy_with_logits(head(hidden), targets[rows].to(device))
        scene_loss = F.cross_entropy(scene_head(hidden.mean(1)), kinds[rows].to(device))
        optimiser_step(len(WORDS) * word_loss + 0.3 * scene_loss)


def learn_to_speak(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    material: PocketMaterial,
    lines: list[Line],
    recipe: BaseRecipe,
    *,
    steps: int,
    learning_rate: float,
    seed: int,
) -> None:
    """Stages 2 and 3: language model and projector learn `lines`; the vision tower stays as it is.

    A row holds an image once and all its lines. How much captions count is the recipe's choice,
    however many tokens and lines there are of each.
    """
    device = model.device
    model.model.vision_tower.requires_grad_(False)
    parameters = [p for p in model.parameters() if p.requires_grad]
    generator = torch.Generator().manual_seed(seed)
    texts = _texts(lines, tokenizer, model.config.image_seq_length)
    logits_of = AnswerLogits(model)
    config = model.config
    layout = Layout(tokenizer.pad_token_id, config.image_token_index, config.image_seq_length)
    model.train()
    for optimiser_step in _schedule(parameters, learning_rate, steps, "learn to speak"):
        rows = torch.randint(len(material.pixels), (recipe.text_batch,), generator=generator)
        pixels = _some_noisy(material.pixels[rows], recipe.noisy_share_text, generator)
        numbered = [(n, *text) for n, row in enumerate(rows.tolist()) for text in texts[row]]
        in_row, is_caption, encoded = zip(*numbered, strict=True)
        batch = collate(encoded, in_row, pixels, layout).to(device)
        of_caption = torch.tensor(is_caption)
        optimiser_step(_loss(logits_of(batch), batch, of_caption, recipe.caption_weight))
    model.eval()
    model.requires_grad_(True)


def _loss(
    logits: Float[Tensor, "N V"], batch: Batch, is_caption: Bool[Tensor, "B"], caption_weight: float
) -> Float[Tensor, ""]:
    """Weighted mean of two mean losses: of a caption's token and of a yes/no answer's."""
    losses = F.cross_entropy(logits, batch.answer_ids, reduction="none")
    of_caption = is_caption.to(losses.device)[batch.example_of_token]
    return (
        caption_weight * losses[of_caption].mean()
        + (1 - caption_weight) * losses[~of_caption].mean()
    )


def _texts(
    lines: list[Line], tokenizer: PreTrainedTokenizerFast, n_image_tokens: int
) -> dict[int, list[tuple[bool, Encoded]]]:
    """By image, its lines as tokens and whether each is a caption."""
    image_token = tokenizer.get_vocab()[IMAGE_TAG]
    image = ImageTokens(IMAGE_TAG, (image_token,) * n_image_tokens)
    texts: dict[int, list[tuple[bool, Encoded]]] = {}
    for line in lines:
        encoded = encode(line.question, line.answer, tokenizer, image, PLAIN)
        of_caption = line.question in CAPTION_QUESTIONS
        texts.setdefault(line.row, []).append((of_caption, encoded))
    return texts


def _schedule(
    parameters: list[nn.Parameter], learning_rate: float, steps: int, title: str
) -> Iterator:
    """Yield, `steps` times, a function that takes the loss and does one AdamW step (one-cycle)."""
    optimiser = torch.optim.AdamW(parameters, learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, learning_rate, total_steps=steps, pct_start=0.08
    )
    bar = tqdm(range(steps), desc=title, unit="step", disable=hides_progress())

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
    """Show a share of the images under Gaussian noise with alpha between FAINTEST_VIEW and 1."""
    n = len(pixels)
    chosen = torch.rand(n, generator=generator) < share
    alpha = FAINTEST_VIEW + (1 - FAINTEST_VIEW) * torch.rand(n, generator=generator)
    alpha = torch.where(chosen, alpha, 1.0).view(-1, 1, 1, 1)
    noise = torch.randn(pixels.shape, generator=generator)
    return alpha.sqrt() * pixels + (1 - alpha).sqrt() * noise
