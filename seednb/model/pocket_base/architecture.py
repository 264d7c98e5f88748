"""Builds tokenizer, processor and an untrained model: the classes that load LLaVA-1.5."""

import math
from collections.abc import Iterable

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import nn
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from seednb.model.pocket_base.recipe import Shape

SPECIAL = ["<unk>", "<s>", "</s>", "<pad>", "<image>"]


def build_tokenizer(texts: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE trained on the pocket world's texts; every byte has a token."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    bos = tokenizer.token_to_id("<s>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", bos)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens={"image_token": "<image>"},
        padding_side="left",
    )


def build_image_processor(image_size: int) -> CLIPImageProcessorPil:
    """CLIP's resizing and normalisation at the pocket size."""
    return CLIPImageProcessorPil(
        size={"shortest_edge": image_size}, crop_size={"height": image_size, "width": image_size}
    )


def build_processor(
    image_processor: CLIPImageProcessorPil, tokenizer: PreTrainedTokenizerFast, shape: Shape
) -> LlavaProcessor:
    """LLaVA's processor around both halves."""
    return LlavaProcessor(
        image_processor,
        tokenizer,
        patch_size=shape.patch,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )


def build_model(
    tokenizer: PreTrainedTokenizerFast, image_size: int, shape: Shape, seed: int
) -> LlavaForConditionalGeneration:
    """An untrained `LlavaForConditionalGeneration` with initial scales that suit its small width."""
    torch.manual_seed(seed)
    vision = CLIPVisionConfig(
        hidden_size=shape.vision_width,
        intermediate_size=2 * shape.vision_width,
        num_hidden_layers=shape.vision_layers,
        num_attention_heads=shape.heads,
        image_size=image_size,
        patch_size=shape.patch,
        projection_dim=shape.vision_width,
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.text_width,
        intermediate_size=shape.text_mlp,
        num_hidden_layers=shape.text_layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=shape.context,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    config = LlavaConfig(  # type: ignore[call-arg]  # every configuration takes pad_token_id
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.get_vocab()["<image>"],
        image_seq_length=(image_size // shape.patch) ** 2,
        vision_feature_layer=-2,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlavaForConditionalGeneration(config)
    _initialise(model, shape)
    return model


@torch.no_grad()
def _initialise(model: LlavaForConditionalGeneration, shape: Shape) -> None:
    """CLIP's own initial scale (.02) is too small for a narrow tower that starts from nothing."""
    parts = model.model
    for tower in (parts.vision_tower, parts.multi_modal_projector):
        for module in tower.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
            elif isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=1 / math.sqrt(3 * shape.patch**2))
    for module in parts.language_model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.7 * shape.text_width**-0.5)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=shape.text_width**-0.5)
