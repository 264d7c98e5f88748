"""Packed sequences, whose forbidden blocks are skipped, have the results of padded rows."""

import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from noise_images import Noise
from torch.nn.attention import flex_attention as flex
from torch.nn.attention.flex_attention import BlockMask, create_block_mask

from seednb.core.errors import SeedError
from seednb.core.profiles import load_params
from seednb.evaluation import evaluator
from seednb.evaluation.evaluator import Contrast, answer_probes
from seednb.method.recipes import RECIPES
from seednb.model import attention
from seednb.model.attention import NAME, choose_attention
from seednb.model.compile import CompiledLayers
from seednb.model.forward import AnswerLogits
from seednb.model.inputs.packing import BLOCK, block_mask
from seednb.model.inputs.prompts import PLAIN, encode
from seednb.model.loading import load_bundle
from seednb.model.lora import add_adapter
from seednb.training.examples import Examples
from seednb.training.trainer import train

ROOT = Path(__file__).parents[2]
CHECKPOINT = ROOT / "seednb/assets/pocket-llava"
LINES = [
    ("Describe this image.", "The image shows a kitchen with a fork and a cup."),
    ("Is there a fork in the image?", "Yes"),
    ("What is in the image?", "The image shows a farm with a cow, a horse and a bird."),
]
IMAGES = "0001222"  # of each example: three, one and three texts about an image


@pytest.fixture
def params():
    return load_params(
        ROOT / "params/smoke.yaml",
        {"lora_dropout": 0.0, "batch_size": 7, "grad_accum": 1, "precision": "float32"},
    )


def open_pocket(params):
    """Bundle, a model whose adapter says something, and examples; all in float64."""
    bundle = load_bundle(str(CHECKPOINT), params.model, torch.device("cpu"))
    model = add_adapter(bundle.model.double(), params.model, seed=1)
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        parameter.data = parameter.data.double()
        if "lora_B" in name:
            parameter.data.normal_(0, 0.05, generator=generator)
    rows = [
        encode(*LINES[n % 3], bundle.tokenizer, bundle.image_tokens, PLAIN)
        for n in range(len(IMAGES))
    ]
    return bundle, model, Examples(rows, list(IMAGES), Noise(), bundle.layout)


UNCHANGED = """
from transformers import AttentionInterface, AttentionMaskInterface
import torch
known = [list(kind()) for kind in (AttentionInterface, AttentionMaskInterface)]
def refuse(*_, **__): raise AssertionError("compiled at import")
torch.compile = refuse
from seednb.model.attention import NAME
assert known == [list(kind()) for kind in (AttentionInterface, AttentionMaskInterface)]
assert NAME not in known[0]
"""


def test_importing_the_module_registers_and_compiles_nothing():
    subprocess.run([sys.executable, "-c", UNCHANGED], check=True)


@pytest.fixture
def kernel(monkeypatch):
    """FlexAttention itself, unfused: without a GPU it refuses gradients, though it has them."""
    monkeypatch.setattr(flex, "_validate_device", lambda *tensors: None)
    monkeypatch.setattr(attention, "_compiled_flex", lambda: attention._flex)
    monkeypatch.setattr(attention, "KERNEL_DEVICES", ("cuda", "cpu"))


def outcome(model, batch):
    """Logits of two views in one forward pass, and every gradient of a loss of them."""
    model.zero_grad(set_to_none=True)
    seen = batch.seen_as([batch.pixel_values, batch.pixel_values.flip(-1)])
    logits = AnswerLogits(model)(seen)
    logits.log_softmax(-1).square().mean().backward()
    gradients = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    return logits.detach(), gradients


def assert_packed_equals_dense(params):
    bundle, model, examples = open_pocket(params)
    numbers = range(len(IMAGES))
    logits, gradients = outcome(model, examples.batch(numbers))
    assert choose_attention("block_sparse", bundle) == (True, "")
    packed_logits, packed_gradients = outcome(model, replace(examples, packed=True).batch(numbers))
    torch.testing.assert_close(packed_logits, logits, atol=1e-9, rtol=0)
    assert packed_gradients.keys() == gradients.keys() and gradients
    for name, gradient in gradients.items():
        torch.testing.assert_close(packed_gradients[name], gradient, atol=1e-9, rtol=0)


@pytest.mark.slow
def test_a_packed_sequence_has_the_logits_and_gradients_of_padded_rows(params):
    assert_packed_equals_dense(params)


@pytest.mark.filterwarnings("ignore:flex_attention called without")
def test_the_kernel_has_them_too(params, kernel):
    assert_packed_equals_dense(params)


def random_segments(seed):
    """Segments and starts of rows with texts of random length, and a padded end."""
    generator = torch.Generator().manual_seed(seed)

    def some(high):
        return int(torch.randint(1, high, (), generator=generator))

    segments, starts, number = [], [], 0
    for _ in range(some(5)):
        start = number
        for length in [some(700), *(some(300) for _ in range(some(5)))]:
            segments += [number] * length
            starts += [start] * length
            number += 1
    n_padded = -len(segments) % BLOCK
    padded = ([*numbers, *[number] * n_padded] for numbers in (segments, starts))
    return tuple(torch.tensor(numbers, dtype=torch.int32) for numbers in padded)


@pytest.mark.parametrize("seed", range(12))
def test_the_blocks_are_those_that_hold_an_allowed_pair(seed):
    """torch finds the blocks by laying out every query-key pair."""
    mask = block_mask(*random_segments(seed))
    length = mask.shape[-1]
    laid_out = create_block_mask(mask.mask_mod, 1, 1, length, length, device="cpu")
    assert torch.equal(mask.to_dense(), laid_out.to_dense())
    same = BlockMask.from_kv_blocks(*mask.as_tuple()[2:6], BLOCK, mask.mask_mod, mask.shape[-2:])
    for name in ("q_num_blocks", "q_indices", "full_q_num_blocks", "full_q_indices"):
        assert torch.equal(getattr(mask, name), getattr(same, name))
    assert mask.full_kv_num_blocks.sum() <= laid_out.full_kv_num_blocks.sum()
    for n, (count, blocks) in enumerate(
        zip(mask.full_kv_num_blocks[0, 0], mask.full_kv_indices[0, 0], strict=True)
    ):
        wanted = laid_out.full_kv_indices[0, 0, n, : laid_out.full_kv_num_blocks[0, 0, n]]
        assert set(blocks[:count].tolist()) <= set(wanted.tolist())


def test_lists_of_blocks_lie_row_behind_row_as_the_kernels_backward_pass_reads_them():
    mask = block_mask(*random_segments(0))
    names = ("kv_indices", "full_kv_indices", "q_indices", "full_q_indices")
    assert all(getattr(mask, name).is_contiguous() for name in names)


def test_whole_blocks_are_known_as_such():
    """A start of 700 tokens, two texts behind it: whole blocks are not checked pair by pair."""
    segments = torch.tensor([0] * 700 + [1] * 300 + [2] * 280, dtype=torch.int32)
    mask = block_mask(segments, torch.zeros(1280, dtype=torch.int32))
    assert mask.full_kv_num_blocks.sum() > 20


@pytest.mark.parametrize("change", [{}, {"text_corruption": 0.3}, {"perturbation": "fgsm"}])
def test_a_run_on_packed_sequences_ends_at_the_adapter_of_padded_rows(params, tmp_path, change):
    adapters = {}
    for choice in ("dense", "block_sparse"):
        bundle, model, examples = open_pocket(params)
        if change:
            from seednb.model.inputs.corruption import Corruption

            corruption = Corruption.of(bundle.tokenizer, PLAIN)
            examples = replace(examples, corruption=corruption, image_tokens=bundle.image_tokens)
        settings = replace(params.train, attention=choice, **change)
        curve = train(model, bundle, examples, RECIPES["v7"], settings, tmp_path / choice)
        weights = {n: p.detach() for n, p in model.named_parameters() if "lora_" in n}
        adapters[choice] = weights, list(curve["loss"])
    (weights, losses), (packed_weights, packed_losses) = adapters.values()
    assert packed_losses == pytest.approx(losses, abs=1e-6)
    for name, weight in weights.items():
        torch.testing.assert_close(packed_weights[name], weight, atol=1e-7, rtol=0)


def test_what_cannot_skip_blocks_is_said_in_one_line(params, monkeypatch):
    bundle, _, _ = open_pocket(params)
    monkeypatch.setattr(attention, "obstacle", lambda device_type: None)
    assert choose_attention("auto", bundle) == (False, "")  # there is no GPU
    some_rows = 0.5  # of the noisy views
    on_gpu = replace(bundle, device=torch.device("cuda"))
    assert choose_attention("dense", on_gpu) == (False, "")
    assert choose_attention("auto", on_gpu) == (True, "")
    skips, remark = choose_attention("auto", on_gpu, some_rows)
    assert not skips and remark.startswith("dense attention: noisy_share")
    with pytest.raises(SeedError, match="set attention=auto"):
        choose_attention("block_sparse", on_gpu, some_rows)
    monkeypatch.setattr(attention, "obstacle", lambda device_type: "no compiler")
    skips, remark = choose_attention("auto", on_gpu)
    assert not skips and remark.endswith("its kernel cannot be compiled here (no compiler)")
    config = bundle.model.model.language_model.config
    assert config._attn_implementation == NAME
    assert bundle.model.model.vision_tower.config._attn_implementation != NAME


@pytest.mark.filterwarnings("ignore:flex_attention called without")
def test_probes_on_compiled_layers_have_the_margins_of_layers_as_written(
    params, kernel, monkeypatch
):
    bundle, model, _ = open_pocket(params)
    student = replace(bundle, model=model.eval())
    probes = [
        {"image": str(n % 3), "text": f"Is there a {word} in the image?"}
        for n, word in enumerate(("fork", "bus", "dog", "potted plant"))
    ]
    monkeypatch.setattr(
        "seednb.model.compile.CompiledLayers", partial(CompiledLayers, backend="aot_eager")
    )
    monkeypatch.setattr(
        evaluator, "choose_attention", lambda _, b: choose_attention("block_sparse", b)
    )
    for contrast in (None, Contrast(beta=0.7, alpha=0.3)):
        found = [
            answer_probes(student, probes, Noise(), replace(params.evaluation, **how), contrast)
            for how in ({}, {"compile_probes": True})
        ]
        for plain, compiled in zip(*found, strict=True):
            assert compiled["answer"] == plain["answer"]
            assert compiled["margin"] == pytest.approx(plain["margin"], abs=1e-5)
    assert not any("forward" in vars(module) for module in model.modules())
