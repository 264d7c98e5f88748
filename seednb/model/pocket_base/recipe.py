"""Everything that decides the pocket checkpoint, in one record that ships beside its weights."""

from dataclasses import dataclass, field

from seednb.data.pocket.scenes import World


@dataclass(frozen=True)
class Shape:
    """Sizes of the two towers."""

    patch: int = 16  # pixels; 96 / 16 = 6, so 36 image tokens
    vision_width: int = 128
    vision_layers: int = 5  # LLaVA reads layer -2, so four of them are used
    text_width: int = 128
    text_layers: int = 3
    text_mlp: int = 320
    heads: int = 4
    vocabulary: int = 512  # byte-level BPE: any text can be encoded
    context: int = 512  # tokens


@dataclass(frozen=True)
class BaseRecipe:
    """Three stages: see (words at patches), tell the truth, then learn the instruction labels."""

    seed: int = 0
    n_images: int = 8000
    vision_steps: int = 1100
    vision_batch: int = 128
    vision_learning_rate: float = 1.5e-3
    truthful_steps: int = 1300
    truthful_learning_rate: float = 2e-3
    instruct_steps: int = 300
    instruct_learning_rate: float = 1e-3
    caption_weight: float = 0.67  # share of captions in the loss; the rest is of yes/no answers
    text_batch: int = 32  # images, each with all its lines
    noisy_share_vision: float = 0.5  # share of images shown noisy while learning to see
    noisy_share_text: float = 0.15  # share shown noisy while learning to speak
    world: World = field(default_factory=World)
    shape: Shape = field(default_factory=Shape)
