"""Loads any Hugging Face image-text model directory, with its processor."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoProcessor,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    ProcessorMixin,
)

from seednb.core.devices import default_device
from seednb.core.errors import SeedError, gist
from seednb.core.params import ModelParams
from seednb.data.instruct import IMAGE_TAG
from seednb.model.forward import decoder_layers
from seednb.model.inputs.collate import Layout
from seednb.model.inputs.pixels import ImageReader, SizedImageReader
from seednb.model.inputs.prompts import (
    PLAIN,
    TEMPLATES,
    ImageTokens,
    check_tokenizer,
    next_token,
)
from seednb.model.weights.fp8 import to_fp8
from seednb.model.weights.nf4 import keep_gradients, nf4_options, quantisation_of

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
FP8 = ("fp8", "fp8_teacher")
WITHOUT_CLASS_TOKEN = ("siglip_vision_model", "siglip2_vision_model")
ONE_SIZE = ("llava",)  # model types that see every image at one size


@dataclass(frozen=True)
class Bundle:
    """A model, its processor, its device and its prompt template."""

    model: PreTrainedModel
    processor: ProcessorMixin
    device: torch.device
    template: str = PLAIN  # prompt around a question

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The processor's tokenizer."""
        return self.processor.tokenizer

    @property
    def is_sized(self) -> bool:
        """Whether an image's number of tokens depends on its size."""
        return self.model.config.model_type not in ONE_SIZE

    @property
    def image_tokens(self) -> ImageTokens:
        """The tokens of every image, for models that see all at one size.

        Raises SeedError for other models, whose captions are not written yet.
        """
        if self.is_sized:
            kind = self.model.config.model_type
            raise SeedError(
                f"{kind} reads images at their own size: it trains, but writes no captions"
            )
        token = self.tokenizer.convert_tokens_to_ids(IMAGE_TAG)
        return ImageTokens(IMAGE_TAG, (token,) * _n_features(self.model.config))

    @property
    def image_tag(self) -> str:
        """What stands for an image in the model's text."""
        return str(self.processor.image_token) if self.is_sized else IMAGE_TAG

    def next_token(self, text: str, after: str = "") -> int:
        """The token with which an answer that begins with `after` goes on to `text`."""
        return next_token(text, self.tokenizer, self.image_tag, self.template, after)

    @property
    def layout(self) -> Layout:
        """How texts are laid out for this model."""
        pad_id = self.tokenizer.pad_token_id
        text = self.model.config.get_text_config()
        n_positions = getattr(text, "max_position_embeddings", None)
        if not self.is_sized:
            tokens = self.image_tokens.ids
            return Layout(pad_id, tokens[0], len(tokens), n_positions)
        rotation = (
            getattr(text, "rope_parameters", None) or getattr(text, "rope_scaling", None) or {}
        )
        image_token = self.tokenizer.convert_tokens_to_ids(self.image_tag)
        packs = "mrope_section" not in rotation
        return Layout(pad_id, image_token, None, n_positions, packs)

    def image_reader(self, folder: Path, image_fit: str) -> ImageReader:
        """Reader of a folder's images for this model."""
        kind = SizedImageReader if self.is_sized else ImageReader
        return kind(folder, self.processor, image_fit)


def load_bundle(
    source: str, params: ModelParams, device: torch.device | None = None, on_host: bool = False
) -> Bundle:
    """Load a checkpoint folder (or a hub name) in evaluation mode; `on_host` leaves it off the device.

    `precision: auto` means bfloat16 where the device computes in it, and float32 elsewhere; `fp8` and
    `nf4` quantise the decoder's linear layers as they are loaded. A folder never makes a request to
    the hub, and no code or pickle that comes with a checkpoint is run. Raises SeedError if the folder
    is absent, damaged or incomplete, since a tensor that is missing would be filled with random
    numbers, and if the device or a library cannot do what `precision` asks.
    """
    if on_host and params.precision in (*FP8, "nf4"):
        raise SeedError(
            f"shard_layers lays 16-bit weights in parts, not those of precision={params.precision}; "
            "set shard_layers=false"
        )
    device = device or default_device()
    is_folder = Path(source).is_dir()
    if not is_folder and not re.fullmatch(r"[\w.-]+/[\w.-]+", source):
        raise SeedError(f"model folder {source} does not exist; run: seednb doctor")
    if is_folder and not (Path(source) / "config.json").is_file():
        raise SeedError(f"{source} holds no config.json: not a checkpoint folder")
    try:
        processor = AutoProcessor.from_pretrained(
            source, local_files_only=is_folder, use_fast=False
        )
        dtype = _dtype(params.precision, device)
        loading: Any = AutoModelForImageTextToText.from_pretrained(
            source,
            dtype=dtype,
            local_files_only=is_folder,
            use_safetensors=True,
            output_loading_info=True,
            **_quantised(source, is_folder, params.precision, dtype, device),
        )
    except SeedError:
        raise
    except Exception as error:  # of a damaged file: tokenizers raises a bare Exception
        raise SeedError(
            f"cannot load the model {source}: {gist(error, 2, 300)}; run: seednb doctor"
        ) from error
    model, loaded = loading
    if missing := sorted(loaded["missing_keys"]):
        raise SeedError(
            f"the model {source} lacks {len(missing)} tensors, among them {missing[0]}; "
            "download it again"
        )
    if params.precision in FP8:  # layer by layer: a card need not hold the 16-bit weights
        teacher_only = params.precision == "fp8_teacher"
        to_fp8(decoder_layers(model), device, teacher_only)
    if params.precision == "nf4":
        keep_gradients(model)
    elif not on_host:
        model.to(device)
    tokenizer = processor.tokenizer
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token  # padding is masked wherever it stands
    bundle = Bundle(model.eval(), processor, device, TEMPLATES[params.prompt_template])
    try:
        check_tokenizer(tokenizer, bundle.image_tag, bundle.template)
    except SeedError as problem:
        raise SeedError(f"the model {source} cannot be used: {problem}") from None
    return bundle


def _n_features(config: PretrainedConfig) -> int:
    """Image features of a model that sees every image at one size.

    CLIP's tower adds a class token to the patches, SigLIP's has none; strategy "default" leaves the
    first feature out, "full" takes all.
    """
    vision = config.vision_config
    n = (vision.image_size // vision.patch_size) ** 2
    n += vision.model_type not in WITHOUT_CLASS_TOKEN
    return int(n - (config.vision_feature_select_strategy == "default"))


def _quantised(
    source: str, is_folder: bool, precision: str, dtype: torch.dtype, device: torch.device
) -> dict[str, Any]:
    """Options of `from_pretrained` for 4-bit weights. Raises SeedError where they are not asked for."""
    if precision == "nf4":
        return nf4_options(source, is_folder, dtype, device)
    if quantisation_of(AutoConfig.from_pretrained(source, local_files_only=is_folder)):
        raise SeedError(f"{source} was saved with quantised weights; set precision=nf4")
    return {}


def _dtype(precision: str, device: torch.device) -> torch.dtype:
    """Of the weights; where they are quantised, of the others and of what lies between layers."""
    if precision in DTYPES:
        return DTYPES[precision]
    has_bfloat16 = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.bfloat16 if has_bfloat16 else torch.float32
