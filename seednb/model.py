"""Loads any Hugging Face image-text model directory; puts an adapter on it and takes it off."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from jaxtyping import Float
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors import safe_open
from torch import Tensor, nn
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    ProcessorMixin,
)

from seednb.core.params import ModelParams
from seednb.data.batches import Batch, Layout
from seednb.data.joined import PackedSequence
from seednb.data.pictures import Pictures, SizedPictures
from seednb.data.prompts import IMAGE_TAG, PLAIN, TEMPLATES, PictureTokens
from seednb.errors import SeedError, gist

ADAPTER_WEIGHTS = "adapter_model.safetensors"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
ONE_SIZE = ("llava",)  # model types that see every picture at one size
# patterns, since PEFT writes a list of names in another order at every run
PROJECTIONS = r".*\.(q|k|v|o)_proj"
LANGUAGE_PROJECTIONS = r".*language_model.*\.(q|k|v|o)_proj"


@dataclass(frozen=True)
class Bundle:
    """A model with what turns pictures and text into its input."""

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
        """Whether a picture's number of tokens depends on its size."""
        return self.model.config.model_type not in ONE_SIZE

    @property
    def picture_tokens(self) -> PictureTokens:
        """The tokens of every picture, for models that see all at one size.

        Raises SeedError for other models, whose captions are not written yet.
        """
        if self.is_sized:
            kind = self.model.config.model_type
            raise SeedError(
                f"{kind} reads pictures at their own size: it trains, but writes no captions"
            )
        vision = self.model.config.vision_config
        n = (vision.image_size // vision.patch_size) ** 2
        return PictureTokens(IMAGE_TAG, (self.tokenizer.convert_tokens_to_ids(IMAGE_TAG),) * n)

    @property
    def layout(self) -> Layout:
        """What laying out texts has to know of this model."""
        pad_id = self.tokenizer.pad_token_id
        text = self.model.config.get_text_config()
        n_positions = getattr(text, "max_position_embeddings", None)
        if not self.is_sized:
            tokens = self.picture_tokens.ids
            return Layout(pad_id, tokens[0], len(tokens), n_positions)
        rotation = (
            getattr(text, "rope_parameters", None) or getattr(text, "rope_scaling", None) or {}
        )
        image_token = self.tokenizer.convert_tokens_to_ids(self.processor.image_token)
        packs = "mrope_section" not in rotation
        return Layout(pad_id, image_token, None, n_positions, packs)

    def pictures(self, folder: Path, image_fit: str) -> Pictures:
        """Reader of a folder's pictures for this model."""
        kind = SizedPictures if self.is_sized else Pictures
        return kind(folder, self.processor, image_fit)


def default_device() -> torch.device:
    """CUDA (each process its own card), then Apple's GPU, then the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def one_card_each() -> PartialState:
    """The processes that `accelerate launch` started, or this one alone."""
    return PartialState(cpu=default_device().type == "cpu")


@contextmanager
def one_generator_aside(device: torch.device) -> Iterator[None]:
    """Whatever draws random numbers inside leaves the run's own as they were."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield


def load_bundle(
    source: str, params: ModelParams, device: torch.device | None = None, on_host: bool = False
) -> Bundle:
    """Load a checkpoint folder (or a hub name) in evaluation mode; `on_host` leaves it off the device.

    `precision: auto` means bfloat16 where the device computes in it, and float32 elsewhere. A folder
    never makes a request to the hub, and no code or pickle that comes with a checkpoint is run. Raises
    SeedError if the folder is absent, damaged or incomplete: a tensor that is missing would be filled
    with random numbers.
    """
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
        loading: Any = AutoModelForImageTextToText.from_pretrained(
            source,
            dtype=_dtype(params.precision, device),
            local_files_only=is_folder,
            use_safetensors=True,
            output_loading_info=True,
        )
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
    model = (model if on_host else model.to(device)).eval()
    return Bundle(model, processor, device, TEMPLATES[params.prompt_template])


def add_adapter(model: PreTrainedModel, params: ModelParams, seed: int) -> PeftModel:
    """Put a fresh LoRA adapter (Hu et al., 2022) on the attention projections.

    Scope `all` takes the projections wherever they are, the vision tower's q, k and v too: on
    LLaVA-1.5-7B with rank 64, 67,108,864 parameters in the language model and 9,437,184 in the tower.
    """
    torch.manual_seed(seed)
    scoped = params.lora_scope == "language_model"
    config = LoraConfig(
        r=params.lora_r,
        lora_alpha=params.lora_alpha,
        lora_dropout=params.lora_dropout,
        target_modules=LANGUAGE_PROJECTIONS if scoped else PROJECTIONS,
    )
    adapted = get_peft_model(model, config)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()  # small updates vanish in bfloat16
    return adapted


def check_adapter(folder: Path) -> None:
    """Raise SeedError unless the folder holds an adapter; to be asked before a model is loaded."""
    for name in (ADAPTER_WEIGHTS, "adapter_config.json"):
        if not (folder / name).is_file():
            raise SeedError(
                f"{folder} holds no {name}: not an adapter folder; give one that seednb train wrote"
            )


def load_adapter(model: PreTrainedModel, folder: Path) -> PeftModel:
    """Put a saved adapter on the model, in evaluation mode and the model's precision.

    Raises SeedError for a damaged adapter and for one of another model: every tensor of the file
    must find its place, and every place its tensor.
    """
    check_adapter(folder)
    try:
        adapted = PeftModel.from_pretrained(
            model, folder, local_files_only=True, autocast_adapter_dtype=False
        )
        with safe_open(folder / ADAPTER_WEIGHTS, framework="pt") as stored:
            saved = set(stored.keys())
    except Exception as error:  # of a damaged file: every library its own
        raise SeedError(
            f"the adapter {folder} does not fit this model: {gist(error, 2, 300)}; give the model "
            "that it was trained on"
        ) from error
    wanted = set(get_peft_model_state_dict(adapted))
    if odd := sorted(saved ^ wanted):
        raise SeedError(
            f"the adapter {folder} does not fit this model: {len(saved - wanted)} tensors are foreign "
            f"and {len(wanted - saved)} missing, among them {odd[0]}; give the model that it was "
            "trained on"
        )
    return adapted.eval()


def n_trainable(model: nn.Module) -> int:
    """Number of parameters that an optimiser would change."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def n_tower_layers(model: nn.Module) -> int | None:
    """How many layers of the vision tower are read; None if that is not said.

    LLaVA reads vision features before the tower's end: of layer -2, the one before the last.
    """
    config: Any = model.config
    feature_layer = getattr(config, "vision_feature_layer", None)
    if not isinstance(feature_layer, int):
        return None
    n_layers: int = config.vision_config.num_hidden_layers
    return feature_layer % (n_layers + 1)  # hidden state 0 is the embedding


def idle_adapters(model: nn.Module) -> list[nn.Parameter]:
    """Adapter weights that no loss reaches: those of tower layers that are not read.

    Under several processes a parameter without gradient is an error, so the trainer leaves these out.
    """
    n_read = n_tower_layers(model)
    if n_read is None:
        return []
    layer = re.compile(r"vision_tower\..*layers\.(\d+)\.")
    return [
        parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
        and (found := layer.search(name))
        and int(found.group(1)) >= n_read
    ]


def decoder_layers(model: nn.Module) -> list[nn.Module]:
    """The language model's layers, in order."""
    return list(base_model(model).model.language_model.layers)


def base_model(model: nn.Module) -> Any:
    """The Hugging Face model, without the wrapper that PEFT puts around it."""
    return model.get_base_model() if isinstance(model, PeftModel) else model


class TeacherMode:
    """The frozen teacher: same weights, adapter off, no dropout, no gradient.

    Leave the context before the student's forward pass and do not enter it again before backward:
    activation checkpointing recomputes with whatever adapter state it finds.

    Entered at every step: a walk through a 7B model's modules, as `model.eval()` and PEFT's
    `disable_adapter()` take it, leaves a GPU idle for a tenth of a second.
    """

    def __init__(self, model: PeftModel, adapter_on: bool = False) -> None:
        """`adapter_on` is the silent bug of v4: the "teacher" is the student, dropout included."""
        self._modules = [] if adapter_on else list(model.modules())
        self._adapters = [module for module in self._modules if isinstance(module, BaseTunerLayer)]
        self._no_grad = torch.no_grad()
        self._was_training: list[bool] = []

    def __enter__(self) -> None:
        self._no_grad.__enter__()
        self._was_training = [module.training for module in self._modules]
        self._set([False] * len(self._modules), adapter_off=True)

    def __exit__(self, *failure: object) -> None:
        self._set(self._was_training, adapter_off=False)
        self._no_grad.__exit__(*failure)

    def _set(self, training: list[bool], adapter_off: bool) -> None:
        for module, flag in zip(self._modules, training, strict=True):
            module.__dict__["training"] = flag  # past nn.Module's slow attribute setter
        for layer in self._adapters:
            layer._disable_adapters = adapter_off


class AnswerLogits(nn.Module):
    """The model, reduced to what SEED reads: logits at the positions that predict answer tokens."""

    def __init__(self, model: nn.Module) -> None:
        """Wrap a Hugging Face image-text model, with or without an adapter."""
        super().__init__()
        self.model = model

    @property
    def whole(self) -> Any:
        """The Hugging Face model, adapter layers inside."""
        return base_model(self.model)

    @property
    def head(self) -> nn.Linear:
        """Hidden states [N, H] -> logits [N, V]; no adapter touches it."""
        head: nn.Linear = self.whole.get_output_embeddings()
        return head

    def hidden(self, batch: Batch) -> Float[Tensor, "N H"]:
        """Last hidden states at the positions that predict the answer tokens.

        Adapters are float32; over bfloat16 weights they multiply in bfloat16, by autocast.
        """
        dtype = self.whole.dtype
        half = dtype in (torch.bfloat16, torch.float16)
        with torch.autocast(batch.input_ids.device.type, dtype if half else None, half):
            packed = isinstance(batch, PackedSequence)
            hidden = self.whole.model(
                **(self._embedded(batch) if packed else self._named(batch)),
                position_ids=batch.position_ids,
                attention_mask=batch.attention_mask,
                use_cache=False,
            ).last_hidden_state
        return hidden.flatten(0, 1)[batch.answer_positions]

    def _named(self, batch: Batch) -> dict[str, Tensor]:
        """Tokens and pictures as the model's own forward pass takes them."""
        pixels = batch.pixel_values.to(self.whole.dtype)
        ids = batch.input_ids
        return {"input_ids": ids, "pixel_values": pixels, **batch.extras, **self._kinds(batch)}

    def _embedded(self, batch: PackedSequence) -> dict[str, Tensor]:
        """Embeddings of the tokens, those of the pictures in their places.

        The model's own forward pass counts the image tokens on the device, and its backward pass
        looks for them, and the host waits each time. Here they were counted when the texts were packed.
        """
        model = self.whole.model
        pixels = batch.pixel_values.to(self.whole.dtype)
        features = model.get_image_features(pixels, return_dict=True).pooler_output
        embeddings = model.get_input_embeddings()(batch.input_ids)
        pictures = torch.cat(tuple(features)).to(embeddings.dtype)
        return {"inputs_embeds": embeddings.index_copy(1, batch.picture_positions, pictures[None])}

    def _kinds(self, batch: Batch) -> dict[str, Tensor]:
        """Where the picture stands, for models that number positions by it (Qwen2-VL)."""
        if "image_grid_thw" not in batch.extras:
            return {}
        is_picture = batch.input_ids == self.whole.config.image_token_id
        return {"mm_token_type_ids": is_picture.int()}

    def forward(self, batch: Batch) -> Float[Tensor, "N V"]:
        """Logits that predict the answer tokens; the head runs on these N positions only."""
        return self.head(self.hidden(batch))


def _dtype(precision: str, device: torch.device) -> torch.dtype:
    if precision != "auto":
        return DTYPES[precision]
    has_bfloat16 = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.bfloat16 if has_bfloat16 else torch.float32
