"""Forward passes as SEED reads them: logits at answer positions, of student or frozen teacher."""

from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from seednb.model.inputs.collate import Batch
from seednb.model.inputs.packing import PackedSequence
from seednb.model.weights.fp8 import Fp8Linear


def decoder_layers(model: nn.Module) -> list[nn.Module]:
    """The language model's layers, in order."""
    return list(base_model(model).model.language_model.layers)


def base_model(model: nn.Module) -> Any:
    """The Hugging Face model, without the wrapper that PEFT puts around it."""
    return model.get_base_model() if isinstance(model, PeftModel) else model


def in_float64(model: PeftModel) -> PeftModel:
    """The model with all that it computes in float64, to compare results; float32 on Apple's GPU.

    transformers' norms cast to float32 whatever they are given, which rounds gradients to 1e-7; those
    of a Llama are replaced.
    """
    if model.device.type == "mps":  # has no float64
        return model
    for module in model.modules():
        if isinstance(module, LlamaRMSNorm):
            module.forward = partial(_rms_norm, module)  # type: ignore[method-assign]
    return model.double()


def _rms_norm(norm: LlamaRMSNorm, hidden: Float[Tensor, "R T H"]) -> Float[Tensor, "R T H"]:
    square = hidden.pow(2).mean(-1, keepdim=True)
    return norm.weight * hidden * torch.rsqrt(square + norm.variance_epsilon)


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
        self._eights = [module for module in self._modules if isinstance(module, Fp8Linear)]
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
        for linear in self._eights:  # some multiply in 8 bits for the teacher only
            linear.__dict__["is_teacher"] = adapter_off


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
            inputs = (
                self._embedded(batch) if isinstance(batch, PackedSequence) else self._named(batch)
            )
            hidden = self.whole.model(
                **inputs,
                position_ids=batch.position_ids,
                attention_mask=batch.attention_mask,
                use_cache=False,
            ).last_hidden_state
        return hidden.flatten(0, 1)[batch.answer_positions]

    def _named(self, batch: Batch) -> dict[str, Tensor]:
        """Tokens and images as the model's own forward pass takes them."""
        pixels = batch.pixel_values.to(self.whole.dtype)
        inputs = {"input_ids": batch.input_ids, "pixel_values": pixels, **batch.extras}
        if "image_grid_thw" in batch.extras:  # Qwen2-VL numbers positions by where the image stands
            is_image = batch.input_ids == self.whole.config.image_token_id
            inputs["mm_token_type_ids"] = is_image.int()
        return inputs

    def _embedded(self, batch: PackedSequence) -> dict[str, Tensor]:
        """Embeddings of the tokens, those of the images in their places.

        The model's own forward pass counts the image tokens on the device, and its backward pass
        looks for them, and the host waits each time. Here they were counted when the texts were packed.
        """
        model = self.whole.model
        pixels = batch.pixel_values.to(self.whole.dtype)
        features = model.get_image_features(pixels, return_dict=True).pooler_output
        embeddings = model.get_input_embeddings()(batch.input_ids)
        images = torch.cat(tuple(features)).to(embeddings.dtype)
        return {"inputs_embeds": embeddings.index_copy(1, batch.image_positions, images[None])}

    def forward(self, batch: Batch) -> Float[Tensor, "N V"]:
        """Logits that predict the answer tokens; the head runs on these N positions only."""
        return self.head(self.hidden(batch))
