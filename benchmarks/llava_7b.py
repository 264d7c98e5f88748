"""LLaVA-1.5-7B's exact architecture with random weights, and pairs of realistic length.

Speed and memory do not depend on the values of the weights.
"""

from types import SimpleNamespace
from typing import Any

import torch
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
)

from seednb.data.batches import Layout
from seednb.data.pictures import Pictures
from seednb.data.prompts import Encoded
from seednb.examples import Examples
from seednb.model import Bundle

IMAGE_TOKEN = 32000
N_IMAGE_TOKENS = 576
N_SYSTEM = 35  # tokens before the picture


def build_bundle(device: torch.device) -> Bundle:
    """The model in bfloat16, with as much of a processor as training reads."""
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16,
            image_size=336, patch_size=14, projection_dim=768,
        ),
        text_config=LlamaConfig(
            hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32,
            vocab_size=32064, max_position_embeddings=4096, rms_norm_eps=1e-5,
        ),
        image_token_index=IMAGE_TOKEN, vision_feature_layer=-2,
        vision_feature_select_strategy="default", image_seq_length=N_IMAGE_TOKENS,
    )  # fmt: skip
    torch.set_default_dtype(torch.bfloat16)
    with device:
        model = LlavaForConditionalGeneration(config)
    torch.set_default_dtype(torch.float32)
    generator = torch.Generator(device).manual_seed(0)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
        if parameter.dim() > 1:
            parameter.data.normal_(0, 0.02, generator=generator)
    tokenizer: Any = SimpleNamespace(
        pad_token_id=0, convert_tokens_to_ids=lambda token: IMAGE_TOKEN
    )
    processor: Any = SimpleNamespace(tokenizer=tokenizer)
    return Bundle(model.eval(), processor, device)


class RandomPictures(Pictures):
    """Noise in place of photographs, already on the host as pixel_values."""

    def __init__(self) -> None:
        """There is no folder to read."""

    def pixels(self, name: str) -> torch.Tensor:
        """A picture by name."""
        return torch.randn(3, 336, 336, generator=torch.Generator().manual_seed(int(name)))


def make_examples(n_pictures: int, n_pairs: int, seed: int = 0) -> Examples:
    """Pairs with questions of 8-40 tokens and answers of 20-200, `n_pairs` a picture."""
    generator = torch.Generator().manual_seed(seed)

    def tokens(low: int, high: int) -> list[int]:
        n = int(torch.randint(low, high, (1,), generator=generator))
        return torch.randint(5, 31000, (n,), generator=generator).tolist()

    system = tokens(N_SYSTEM, N_SYSTEM + 1)
    rows, images = [], []
    for picture in range(n_pictures):
        for _ in range(n_pairs):
            prompt = [*system, *[IMAGE_TOKEN] * N_IMAGE_TOKENS, *tokens(8, 40)]
            rows.append(Encoded((*prompt, *tokens(20, 200)), len(prompt)))
            images.append(str(picture))
    return Examples(rows, images, RandomPictures(), Layout(0, IMAGE_TOKEN, N_IMAGE_TOKENS))


def matmul_tflops(device: torch.device, size: int = 8192, repeats: int = 20) -> float:
    """Rate of a plain bfloat16 matrix product: the ceiling of this card, now."""
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        left @ right
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(repeats):
        left @ right
    end.record()
    torch.cuda.synchronize()
    return repeats * 2 * size**3 / (start.elapsed_time(end) * 1e-3) / 1e12
