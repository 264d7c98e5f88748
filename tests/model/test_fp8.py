"""8-bit products are the plain formula on rounded numbers, forwards, backwards and compiled."""

from dataclasses import replace

import pytest
import torch
from noise_images import Noise
from small_runs import CHECKPOINT, LINES, ROOT, make_run
from torch import nn

from seednb.core.errors import SeedError
from seednb.core.params import ModelParams
from seednb.core.profiles import load_params
from seednb.model.compile import CompiledLayers
from seednb.model.forward import AnswerLogits, TeacherMode
from seednb.model.inputs.collate import collate
from seednb.model.inputs.prompts import PLAIN, encode
from seednb.model.loading import load_bundle
from seednb.model.lora import add_adapter, load_adapter
from seednb.model.weights import fp8
from seednb.model.weights.fp8 import LARGEST, Fp8Linear, obstacle, quantise, to_fp8

CPU = torch.device("cpu")
N_IN, N_OUT = 64, 48


def a_layer(teacher_only=False, keeps_transposed=False, bias=True):
    torch.manual_seed(0)
    linear = nn.Linear(N_IN, N_OUT, bias=bias).requires_grad_(False)
    return linear, Fp8Linear.of(linear, CPU, teacher_only, keeps_transposed)


def rounded(values):
    """Each row over its largest value, rounded to e4m3 at 448: written out, in float64."""
    scale = values.abs().amax(-1, keepdim=True) / 448
    return (values / scale).to(torch.float8_e4m3fn).double() * scale.double()


def test_a_product_is_the_formula_on_rounded_numbers_forwards_and_backwards():
    linear, eight = a_layer()
    x = torch.randn(2, 5, N_IN, requires_grad=True)
    y = eight(x)
    expected = rounded(x.detach()) @ rounded(linear.weight).T + linear.bias
    torch.testing.assert_close(y.double(), expected, atol=1e-5, rtol=1e-5)
    gradient = torch.randn_like(y)
    y.backward(gradient)
    scale = linear.weight.abs().amax(-1) / 448  # of the weights' rows: goes into the gradient
    bits = (linear.weight / scale[:, None]).to(torch.float8_e4m3fn).double()
    torch.testing.assert_close(
        x.grad.double(), rounded(gradient * scale) @ bits, atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("spread", [1e-12, 1.0, 1e6])
def test_rounding_errs_by_a_sixteenth_at_most_whatever_the_scale(spread):
    values = spread * torch.randn(200, 96)
    eights, scale = quantise(values)
    found = eights.float() * scale[:, None]
    bound = (values.abs() / 16).maximum(scale[:, None] * 2**-10)
    assert ((found - values).abs() <= bound * 1.001).all()
    assert (eights.float().abs().amax(1) == LARGEST).all()


def test_zeros_stay_zeros_and_small_gradients_reach_the_input():
    _, eight = a_layer()
    assert torch.equal(eight(torch.zeros(3, N_IN)), eight.bias.expand(3, -1))
    x = torch.randn(3, N_IN, requires_grad=True)
    small, large = (
        torch.autograd.grad(eight(x).sum() * factor, x)[0] / factor for factor in (2.0**-60, 1)
    )
    torch.testing.assert_close(small, large, atol=0, rtol=1e-6)


def test_a_second_copy_changes_no_number():
    x, found = torch.randn(7, N_IN), []
    for keeps in (False, True):
        _, eight = a_layer(keeps_transposed=keeps)
        assert (eight.transposed is not None) == keeps
        asked = x.clone().requires_grad_()
        eight(asked).square().sum().backward()
        found.append(asked.grad)
    assert torch.equal(*found)


def test_a_product_per_token_does_not_depend_on_what_shares_its_batch():
    _, eight = a_layer()
    x = torch.randn(6, N_IN)
    torch.testing.assert_close(eight(x)[2:3], eight(x[2:3]), atol=1e-6, rtol=1e-6)


def test_for_the_teacher_only_the_student_keeps_its_weights():
    linear, eight = a_layer(teacher_only=True)
    x = torch.randn(4, N_IN)
    assert torch.equal(eight(x), linear(x))
    eight.is_teacher = True
    assert torch.equal(eight(x), a_layer()[1](x)) and not torch.equal(eight(x), linear(x))


def test_layers_of_odd_widths_stay_and_the_others_are_counted():
    layers = nn.ModuleList([nn.Sequential(nn.Linear(32, 32), nn.Linear(32, 24)), nn.Linear(8, 16)])
    assert to_fp8(layers, CPU) == 1
    assert [type(m) for m in layers.modules() if isinstance(m, nn.Linear)] == [
        Fp8Linear, nn.Linear, nn.Linear,
    ]  # fmt: skip


def open_pocket(precision):
    params = replace(ModelParams(), precision=precision, lora_dropout=0.0)
    bundle = load_bundle(str(CHECKPOINT), params, CPU)
    rows = [encode(*line, bundle.tokenizer, bundle.image_tokens, PLAIN) for line in LINES]
    batch = collate(rows, range(4), Noise().batch("1234"), bundle.layout)
    return add_adapter(bundle.model, params, seed=0), batch


def gradients(model, batch):
    model.zero_grad(set_to_none=True)
    AnswerLogits(model)(batch).square().mean().backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def test_the_decoder_multiplies_in_8_bits_and_adapter_head_and_tower_do_not():
    model, batch = open_pocket("fp8")
    eights = [name for name, module in model.named_modules() if isinstance(module, Fp8Linear)]
    assert len(eights) == 3 * 7 and all("language_model.layers" in name for name in eights)
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}
    plain, _ = open_pocket("float32")
    with torch.no_grad():
        found, expected = AnswerLogits(model)(batch), AnswerLogits(plain)(batch)
    error = (found - expected).norm() / expected.norm()
    assert 0.001 < error < 0.06
    ours, exact = gradients(model, batch), gradients(plain, batch)
    assert len(ours) == len(exact)
    assert 0.001 < (ours - exact).norm() / exact.norm() < 0.35


def test_only_the_teacher_changes_where_only_the_teacher_is_asked():
    model, batch = open_pocket("fp8_teacher")
    plain, _ = open_pocket("float32")
    whole, _ = open_pocket("fp8")
    answers = AnswerLogits(model)
    with torch.no_grad():
        assert torch.equal(answers(batch), AnswerLogits(plain)(batch))
        with TeacherMode(model):
            assert torch.equal(answers(batch), AnswerLogits(whole)(batch))
        assert torch.equal(answers(batch), AnswerLogits(plain)(batch))
    assert torch.equal(gradients(model, batch), gradients(plain, batch))


@pytest.mark.slow
def test_compiled_layers_in_8_bits_say_what_layers_say():
    model, batch = open_pocket("fp8")
    torch._dynamo.reset()
    compiled = CompiledLayers(model, backend="aot_eager")
    plain = gradients(model, batch)
    with compiled.used():
        torch.testing.assert_close(gradients(model, batch), plain, atol=1e-6, rtol=1e-4)
    torch._dynamo.reset()


def test_a_run_in_8_bits_resumes_recomputes_and_loads_on_16_bits(tmp_path):
    """Recomputed activations are rounded alike; the adapter is that of any run."""
    params = load_params(
        ROOT / "params/smoke.yaml",
        {"lora_dropout": 0.0, "batch_size": 8, "grad_accum": 1, "precision": "fp8"},
    )
    kept, curve = make_run(params, tmp_path / "a", dtype=torch.float32)
    again, _ = make_run(
        params, tmp_path / "b", dtype=torch.float32, gradient_checkpointing="always"
    )
    assert curve["loss"].notna().all()
    for name in kept:
        torch.testing.assert_close(kept[name], again[name], atol=1e-7, rtol=0)
    plain = load_bundle(str(CHECKPOINT), replace(params.model, precision="bfloat16"), CPU)
    adapted = load_adapter(plain.model, tmp_path / "a" / "adapter")
    assert {p.dtype for n, p in adapted.named_parameters() if "lora_" in n} == {torch.bfloat16}
    eight = load_bundle(str(CHECKPOINT), params.model, CPU)
    adapted = load_adapter(eight.model, tmp_path / "a" / "adapter")
    assert {p.dtype for n, p in adapted.named_parameters() if "lora_" in n} == {torch.float32}


@pytest.fixture
def card(monkeypatch):
    """A CUDA card of some capability, on which products are refused or not."""

    def of(capability, refusal=None):
        def product(*_):
            if refusal:
                raise RuntimeError(refusal)
            return torch.ones(1)

        obstacle.cache_clear()
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "A100")
        monkeypatch.setattr(fp8, "quantise", lambda _: (torch.ones(1), torch.ones(1)))
        monkeypatch.setattr(torch, "ones", lambda *size, **_: torch.zeros(*size) + 1)
        monkeypatch.setattr(fp8, "scaled_product", product)
        return obstacle("cuda")

    yield of
    obstacle.cache_clear()


def test_a_card_or_library_that_cannot_is_a_sentence(card, monkeypatch):
    assert "A100 has compute capability 8.0, 8-bit floats need 8.9" in card((8, 0))
    assert "no such kernel" in card((9, 0), "no such kernel\nmore")
    assert card((8, 9)) is None
    assert "this device is mps" in obstacle("mps")
    monkeypatch.setattr(fp8, "obstacle", lambda kind: "too old")
    with pytest.raises(SeedError, match="too old; set precision=bfloat16"):
        to_fp8([], CPU)


def test_weights_in_parts_on_several_cards_are_16_bit_ones():
    params = replace(ModelParams(), precision="fp8")
    with pytest.raises(SeedError, match="set shard_layers=false"):
        load_bundle(str(CHECKPOINT), params, CPU, on_host=True)
