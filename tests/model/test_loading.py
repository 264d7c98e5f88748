"""Tiny random models of other families go through the same trainer."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import (
    AutoModelForImageTextToText,
    AutoTokenizer,
    CLIPVisionConfig,
    InternVLConfig,
    InternVLVisionConfig,
    LlamaConfig,
    LlavaNextConfig,
    Qwen2_5_VLConfig,
    Qwen2Config,
    Qwen2VLConfig,
)
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import (
    LlavaNextImageProcessorPil,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from seednb.core.errors import SeedError
from seednb.core.profiles import load_params
from seednb.data.instruct import Pair
from seednb.evaluation.evaluator import Contrast, answer_probes, write_captions
from seednb.method.perturbation import View
from seednb.method.recipes import RECIPES
from seednb.model.forward import AnswerLogits
from seednb.model.loading import Bundle
from seednb.model.lora import add_adapter
from seednb.training.examples import Examples
from seednb.training.trainer import train

ROOT = Path(__file__).parents[2]
TAG = "<image>"
SIZES = {"a.png": (100, 60), "b.png": (56, 56), "c.png": (40, 120)}
TEXT = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 2048,
}  # fmt: skip
CLIP = CLIPVisionConfig(
    hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4,
    image_size=28, patch_size=14, projection_dim=32,
)  # fmt: skip


class Processor:
    """What a family's processor does, without the video part that needs more packages."""

    image_token = TAG

    def __init__(self, tokenizer, image_processor, n_tokens):
        self.tokenizer, self.image_processor, self.n_tokens = tokenizer, image_processor, n_tokens

    def __call__(self, images, text, return_tensors, add_special_tokens):
        inputs = dict(self.image_processor(images=images, return_tensors=return_tensors))
        tag = self.tokenizer.convert_tokens_to_ids(TAG)
        inputs["input_ids"] = torch.full((1, self.n_tokens(inputs)), tag)
        return inputs


def llava_next(tokenizer, ids):
    config = LlavaNextConfig(
        vision_config=CLIP, text_config=LlamaConfig(**TEXT, **ids),
        image_grid_pinpoints=[[28, 56], [56, 28], [56, 56]],
    )  # fmt: skip
    reader = LlavaNextImageProcessorPil(
        size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28},
        image_grid_pinpoints=config.image_grid_pinpoints,
    )  # fmt: skip

    def n_tokens(inputs):
        from transformers import LlavaNextProcessor

        whole = LlavaNextProcessor.__new__(LlavaNextProcessor)
        whole.image_processor, whole.patch_size = reader, 14
        whole.num_additional_image_tokens, whole.vision_feature_select_strategy = 1, "default"
        height, width = inputs["image_sizes"][0].tolist()
        return whole._get_number_of_features(height, width, 28, 28) - 1

    return config, reader, n_tokens


def qwen(config_class):
    def build(tokenizer, ids):
        vision = {"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 4, "mlp_ratio": 2,
                  "in_channels": 3, "patch_size": 14, "spatial_merge_size": 2}  # fmt: skip
        if config_class is Qwen2_5_VLConfig:
            vision |= {"out_hidden_size": 32, "intermediate_size": 48, "fullatt_block_indexes": [1]}
        rotation = {"type": "mrope", "rope_type": "default", "mrope_section": [1, 1, 2],
                    "rope_theta": 10000.0}  # fmt: skip
        text = TEXT | ids | {"rope_scaling": rotation, "rope_parameters": rotation}
        tag = tokenizer.convert_tokens_to_ids(TAG)
        config = config_class(vision_config=vision, text_config=text, image_token_id=tag)
        reader = Qwen2VLImageProcessorPil(
            min_pixels=28 * 28, max_pixels=56 * 56 * 2, patch_size=14, merge_size=2
        )
        return config, reader, lambda inputs: int(inputs["image_grid_thw"].prod()) // 4

    return build


def internvl(tokenizer, ids):
    vision = InternVLVisionConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        image_size=[28, 28], patch_size=[14, 14],
    )  # fmt: skip
    config = InternVLConfig(vision_config=vision, text_config=Qwen2Config(**TEXT, **ids))
    reader = GotOcr2ImageProcessorPil(
        size={"height": 28, "width": 28}, crop_to_patches=True, min_patches=1, max_patches=4
    )
    return config, reader, lambda inputs: len(inputs["pixel_values"])  # one token a tile, pooled


FAMILIES = {
    "llava_next": llava_next,
    "qwen2_vl": qwen(Qwen2VLConfig),
    "qwen2_5_vl": qwen(Qwen2_5_VLConfig),
    "internvl": internvl,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for number, (name, size) in enumerate(SIZES.items()):
        image = Image.linear_gradient("L").resize(size).rotate(90 * number)
        image.convert("RGB").resize(size).save(folder / name)
    return folder


def open_family(family):
    tokenizer = AutoTokenizer.from_pretrained(ROOT / "seednb/assets/pocket-llava")
    ids = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    config, reader, n_tokens = FAMILIES[family](tokenizer, ids)
    config.image_token_index = config.image_token_id = tokenizer.convert_tokens_to_ids(TAG)
    torch.manual_seed(0)
    model = AutoModelForImageTextToText.from_config(config).double().eval()
    for parameter in model.parameters():  # some families start at zero
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.1)
    processor = Processor(tokenizer, reader, n_tokens)
    return Bundle(model, processor, torch.device("cpu"))


def examples_of(bundle, folder):
    pairs = [
        Pair(image, question, answer)
        for image in SIZES
        for question, answer in (
            ("Is there a fork in the image?", "Yes"),
            ("What is it?", "A cup."),
        )
    ]
    return Examples.of(pairs, bundle, bundle.image_reader(folder, "pad"))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_trains_and_its_batches_equal_its_examples_one_by_one(family, folder, tmp_path):
    bundle = open_family(family)
    examples = examples_of(bundle, folder)
    params = load_params(ROOT / "params/smoke.yaml", {"lora_dropout": 0.0, "batch_size": 6})
    numbers = range(len(examples.rows))
    answers = AnswerLogits(bundle.model)
    with torch.no_grad():
        together = answers(examples.batch(numbers))
        alone = torch.cat([answers(examples.batch([number])) for number in numbers])
    torch.testing.assert_close(together, alone, atol=1e-9, rtol=0)
    assert examples.layout.packs == (not family.startswith("qwen"))
    assert len(examples.batch(numbers).input_ids) == (3 if examples.layout.packs else 6)

    model = add_adapter(bundle.model, params.model, seed=1)
    for parameter in model.parameters():
        parameter.data = parameter.data.double()
    settings = replace(params.train, learning_rate=0.01)
    curve = train(model, bundle, examples, RECIPES["v7"], settings, tmp_path / "run")
    assert len(curve) == 3 and curve["gradient_norm"].min() > 0
    assert (curve["distillation"] > 0).all()
    assert curve["supervision"].iloc[-1] < curve["supervision"].iloc[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_noise_belongs_to_the_image_and_not_to_its_batch(family, folder):
    reader = open_family(family).image_reader(folder, "pad")
    names = list(SIZES)
    keys = [f"noise-{name}" for name in names]
    whole = reader.noisy(keys, names, View())
    assert whole.shape == reader.batch(names).shape
    one = reader.noisy(keys[1:2], names[1:2], View())
    alone = reader.pixels(names[1])
    start = sum(len(reader.pixels(name)) for name in names[:1])
    rows = whole[start : start + len(alone)]
    assert torch.equal(rows[:, : one.shape[1]], one)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_answers_probes_together_as_alone_and_refuses_captions_by_name(family, folder):
    bundle = open_family(family)
    reader = bundle.image_reader(folder, "pad")
    probes = [
        {"image": name, "text": f"Is there a {word} in the image?"}
        for name in SIZES
        for word in ("fork", "bus")
    ]
    params = load_params(ROOT / "params/smoke.yaml").evaluation
    for contrast in (None, Contrast(beta=0.7, alpha=0.3)):
        together, alone = (
            answer_probes(bundle, probes, reader, replace(params, eval_batch_size=size), contrast)
            for size in (6, 1)
        )
        assert [r["margin"] for r in together] == pytest.approx(
            [r["margin"] for r in alone], abs=1e-9
        )
    with pytest.raises(
        SeedError, match=f"{bundle.model.config.model_type} reads images at their own"
    ):
        write_captions(bundle, [{"image_id": 1, "file_name": "a.png"}], reader, params)
