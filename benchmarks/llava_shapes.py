"""LLaVA-1.5's exact architectures with random weights, and pairs of realistic length.

Speed and memory do not depend on the values of the weights. `tiny` has the same layers in miniature,
to try a script without a GPU, and `small` its numbers a head and its images, to try a kernel.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, ClassVar

import torch
from torch import nn
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
)
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from seednb.model.inputs.collate import Layout
from seednb.model.inputs.pixels import ImageReader
from seednb.model.inputs.prompts import Encoded
from seednb.model.loading import Bundle
from seednb.model.weights.fp8 import to_fp8
from seednb.model.weights.nf4 import keep_gradients
from seednb.training.examples import Examples

PAD, EOS, IMAGE_TOKEN = 0, 2, 450  # words are the tokens between
N_SYSTEM = 35  # tokens before the image
TOWER = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
         "num_attention_heads": 16, "image_size": 336, "patch_size": 14, "projection_dim": 768}  # fmt: skip
TINY_TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 5,
              "num_attention_heads": 2, "image_size": 56, "patch_size": 14, "projection_dim": 32}  # fmt: skip
TEXT = {  # hidden, intermediate, layers, heads, heads of keys and values, vocabulary
    "tiny": (32, 64, 2, 2, 2, 512),
    "small": (1024, 2816, 4, 8, 8, 32064),  # the 7b model's heads, in few layers
    "7b": (4096, 11008, 32, 32, 32, 32064),
    "13b": (5120, 13824, 40, 40, 40, 32064),
    "34b": (7168, 20480, 60, 56, 8, 64064),  # LLaVA-NeXT-34B's Yi, here behind LLaVA-1.5's tower
}


def build_bundle(device: torch.device, size: str = "7b", precision: str = "bfloat16") -> Bundle:
    """The model, with as much of a processor as training and captioning read.

    Its decoder is built layer by layer, and each layer quantised where `precision` asks for it, so
    that no more than one lies there in 16 bits: `fp8_copy` is fp8 with a second, transposed copy.
    """
    hidden, intermediate, layers, heads, key_heads, vocabulary = TEXT[size]
    tower = TINY_TOWER if size == "tiny" else TOWER
    if size == "small":
        tower = TOWER | {"num_hidden_layers": 4}
    n_image_tokens = (tower["image_size"] // tower["patch_size"]) ** 2
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**tower),
        text_config=LlamaConfig(
            hidden_size=hidden, intermediate_size=intermediate, num_hidden_layers=0,
            num_attention_heads=heads, num_key_value_heads=key_heads, vocab_size=vocabulary,
            max_position_embeddings=4096, rms_norm_eps=1e-5,
        ),
        image_token_index=IMAGE_TOKEN, vision_feature_layer=-2,
        vision_feature_select_strategy="default", image_seq_length=n_image_tokens,
    )  # fmt: skip
    generator = torch.Generator(device).manual_seed(0)
    with _bfloat16_on(device):
        model = LlavaForConditionalGeneration(config)
    _randomise(model, generator)
    text, decoder = model.config.text_config, model.model.language_model
    for number in range(layers):
        with _bfloat16_on(device):
            layer = LlamaDecoderLayer(text, number)
        _randomise(layer, generator)
        decoder.layers.append(quantised(layer, precision, device).eval())
    text.num_hidden_layers = decoder.config.num_hidden_layers = layers
    model.is_loaded_in_4bit = precision == "nf4"  # as PEFT asks
    tokenizer: Any = Tokenizer()
    processor: Any = SimpleNamespace(tokenizer=tokenizer)
    return Bundle(model.eval(), processor, device)


def quantised(layer: nn.Module, precision: str, device: torch.device) -> nn.Module:
    """A layer with its linear layers in a precision, as `load_bundle` leaves them."""
    if precision.startswith("fp8"):
        to_fp8([layer], device, precision == "fp8_teacher", precision == "fp8_copy")
    if precision == "nf4":
        from bitsandbytes.nn import Linear4bit, Params4bit

        for parent in list(layer.modules()):
            for name, child in list(parent.named_children()):
                if type(child) is nn.Linear:
                    four = Linear4bit(
                        child.in_features, child.out_features, bias=False,
                        compute_dtype=torch.bfloat16, quant_type="nf4", device="meta",
                    )  # fmt: skip
                    four.weight = Params4bit(child.weight.data, False, quant_type="nf4").to(device)
                    setattr(parent, name, four)
        keep_gradients(layer)
    return layer


@contextmanager
def _bfloat16_on(device: torch.device) -> Iterator[None]:
    torch.set_default_dtype(torch.bfloat16)
    with device:
        yield
    torch.set_default_dtype(torch.float32)


def _randomise(module: nn.Module, generator: torch.Generator) -> None:
    """Freeze everything, and draw its matrices."""
    for parameter in module.parameters():
        parameter.requires_grad_(False)
        if parameter.dim() > 1:
            parameter.data.normal_(0, 0.02, generator=generator)


class Tokenizer:
    """Random words in place of a vocabulary."""

    pad_token_id, eos_token_id = PAD, EOS
    added_tokens_decoder: ClassVar[dict[int, Any]] = {}  # no names that a question could hold

    def __call__(self, text: str, **_: Any) -> Any:
        """The system prompt, the image tag and a question of fifteen tokens, whatever the text."""
        words = random_tokens(N_SYSTEM + 15, torch.Generator().manual_seed(0))
        return SimpleNamespace(input_ids=[*words[:N_SYSTEM], IMAGE_TOKEN, *words[N_SYSTEM:]])

    def convert_tokens_to_ids(self, token: str) -> int:
        """The only token that has a name."""
        return IMAGE_TOKEN

    def decode(self, ids: list[int]) -> str:
        """Numbers in place of words."""
        return " ".join(map(str, ids))


class RandomImages(ImageReader):
    """Noise in place of photographs, already on the host as pixel_values."""

    def __init__(self, bundle: Bundle) -> None:
        """There is no folder to read."""
        self.image_size = bundle.model.config.vision_config.image_size

    def pixels(self, name: str) -> torch.Tensor:
        """An image by name."""
        generator = torch.Generator().manual_seed(int(name))
        return torch.randn(3, self.image_size, self.image_size, generator=generator)


def make_examples(
    bundle: Bundle, n_images: int, n_pairs: int, seed: int = 0, longest: int = 200
) -> Examples:
    """Pairs with questions of 8-40 tokens and answers of 20 to `longest`, `n_pairs` an image."""
    generator = torch.Generator().manual_seed(seed)

    def some(low: int, high: int) -> list[int]:
        return random_tokens(int(torch.randint(low, high, (1,), generator=generator)), generator)

    layout: Layout = bundle.layout
    system, image_ids = random_tokens(N_SYSTEM, generator), bundle.image_tokens.ids
    rows, images = [], []
    for image in range(n_images):
        for _ in range(n_pairs):
            prompt = [*system, *image_ids, *some(8, 40)]
            rows.append(Encoded((*prompt, *some(20, longest)), len(prompt)))
            images.append(str(image))
    return Examples(rows, images, RandomImages(bundle), layout)


def random_tokens(n: int, generator: torch.Generator) -> list[int]:
    """Some token ids."""
    return torch.randint(EOS + 1, IMAGE_TOKEN, (n,), generator=generator).tolist()
