"""4-bit weights: which layers, loaded how, trained and saved as any others."""

import json
from dataclasses import replace

import pytest
import torch
from noise_images import Noise
from small_runs import CHECKPOINT, LINES, ROOT, make_run

from seednb.core.errors import SeedError
from seednb.core.params import ModelParams
from seednb.core.profiles import load_params
from seednb.model.compile import CompiledLayers
from seednb.model.forward import AnswerLogits, TeacherMode
from seednb.model.inputs.collate import collate
from seednb.model.inputs.prompts import PLAIN, encode
from seednb.model.loading import load_bundle
from seednb.model.lora import add_adapter, load_adapter
from seednb.model.weights import nf4

CPU = torch.device("cpu")
FOUR = replace(ModelParams(), precision="nf4", lora_dropout=0.0)


@pytest.fixture
def bitsandbytes():
    return pytest.importorskip("bitsandbytes", reason=f"optional: {nf4.COMMAND}")


def test_without_the_library_a_sentence_names_the_command(monkeypatch):
    monkeypatch.setattr(nf4, "find_spec", lambda name: None)
    with pytest.raises(SeedError, match=r'needs bitsandbytes; run: pip install "seednb'):
        load_bundle(str(CHECKPOINT), FOUR, CPU)


def with_quantisation(folder, settings):
    """The shipped checkpoint, whose configuration says that it was quantised."""
    for file in CHECKPOINT.iterdir():
        (folder / file.name).symlink_to(file)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").unlink()
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": settings}))
    return str(folder)


@pytest.mark.parametrize(
    ("precision", "sentence"),
    [("nf4", "quantised already, by gptq and not as NF4"), ("auto", "set precision=nf4")],
)
def test_a_checkpoint_quantised_otherwise_is_a_sentence(tmp_path, monkeypatch, precision, sentence):
    monkeypatch.setattr(nf4, "find_spec", lambda name: True)
    source = with_quantisation(tmp_path, {"quant_method": "gptq", "bits": 4})
    with pytest.raises(SeedError, match=sentence):
        load_bundle(source, replace(FOUR, precision=precision), CPU)


def open_pocket(params, source=CHECKPOINT):
    bundle = load_bundle(str(source), params, CPU)
    rows = [encode(*line, bundle.tokenizer, bundle.image_tokens, PLAIN) for line in LINES]
    return bundle, collate(rows, range(4), Noise().batch("1234"), bundle.layout)


def test_the_decoder_lies_in_4_bits_and_nothing_else_does(bitsandbytes):
    bundle, batch = open_pocket(FOUR)
    kind = bitsandbytes.nn.Linear4bit
    fours = {name: m for name, m in bundle.model.named_modules() if isinstance(m, kind)}
    assert len(fours) == 3 * 7 and all("language_model.layers" in name for name in fours)
    assert {m.weight.quant_state.quant_type for m in fours.values()} == {"nf4"}
    assert all(m.weight.quant_state.nested for m in fours.values())
    plain, _ = open_pocket(replace(FOUR, precision="float32"))
    with torch.no_grad():
        found, exact = (AnswerLogits(b.model)(batch) for b in (bundle, plain))
    assert 0.001 < (found - exact).norm() / exact.norm() < 0.08


def test_the_teacher_s_pass_leaves_the_student_s_weights_and_gradients(bitsandbytes):
    """On some processors the library repacks weights for a kernel without gradient."""
    bundle, batch = open_pocket(FOUR)
    model = add_adapter(bundle.model, FOUR, seed=0).train()
    answers = AnswerLogits(model)
    before = answers(batch)
    with TeacherMode(model):
        teacher = answers(batch)
    after = answers(batch)
    assert torch.equal(before, after)
    torch.testing.assert_close(teacher, after, atol=1e-5, rtol=1e-5)
    after.square().mean().backward()
    assert all(
        p.grad is not None and p.grad.isfinite().all()
        for name, p in model.named_parameters()
        if "lora_B" in name and "language_model" in name
    )


@pytest.mark.slow
def test_compiled_layers_in_4_bits_say_what_layers_say(bitsandbytes):
    bundle, batch = open_pocket(FOUR)
    model, found = add_adapter(bundle.model, FOUR, seed=0), []
    torch._dynamo.reset()
    compiled = CompiledLayers(model, backend="aot_eager")
    for wanted in (False, True):
        compiled.use(wanted)
        model.zero_grad(set_to_none=True)
        AnswerLogits(model)(batch).square().mean().backward()
        found.append(
            torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        )
    torch.testing.assert_close(*found, atol=1e-6, rtol=1e-4)
    torch._dynamo.reset()


def test_a_checkpoint_saved_in_4_bits_loads_as_it_is(bitsandbytes, tmp_path):
    bundle, batch = open_pocket(FOUR)
    bundle.model.save_pretrained(tmp_path)
    bundle.processor.save_pretrained(tmp_path)
    again, _ = open_pocket(FOUR, tmp_path)
    with torch.no_grad():
        assert torch.equal(AnswerLogits(again.model)(batch), AnswerLogits(bundle.model)(batch))


def test_an_adapter_of_4_bits_is_that_of_any_run_and_loads_on_16(bitsandbytes, tmp_path):
    params = load_params(
        ROOT / "params/smoke.yaml",
        {"lora_dropout": 0.0, "batch_size": 8, "grad_accum": 1, "precision": "nf4"},
    )
    weights, curve = make_run(params, tmp_path, dtype=None)
    assert curve["loss"].notna().all() and curve["nan_count"].iloc[-1] == 0
    assert any(weight.abs().max() > 0 for name, weight in weights.items() if "lora_B" in name)
    answers = {}
    for precision in ("nf4", "float32"):
        bundle, batch = open_pocket(replace(FOUR, precision=precision))
        adapted = load_adapter(bundle.model, tmp_path / "adapter")
        with torch.no_grad():
            answers[precision] = AnswerLogits(adapted)(batch)
    difference = (answers["nf4"] - answers["float32"]).norm() / answers["float32"].norm()
    assert 0 < difference < 0.08
