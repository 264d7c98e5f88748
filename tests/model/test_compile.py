"""Layers are compiled a few times, whatever the sizes of the micro-batches."""

import sys
from dataclasses import replace
from functools import cache, partial

import pytest
import torch
from small_runs import LINES, ROOT, make_run
from torch._dynamo.exc import BackendCompilerFailed
from torch._dynamo.utils import counters
from torch.nn.attention import flex_attention as flex

from seednb.core.errors import SeedError
from seednb.core.params import ModelParams
from seednb.core.profiles import load_params
from seednb.method import objective
from seednb.model import attention
from seednb.model.attention import choose_attention
from seednb.model.compile import CompiledLayers, obstacle
from seednb.model.forward import AnswerLogits, TeacherMode
from seednb.model.lora import add_adapter
from seednb.training import fallback, trainer
from seednb.training.step import Step

sys.path.append(str(ROOT / "benchmarks"))


@pytest.fixture
def tiny(monkeypatch):
    """LLaVA in miniature with an adapter, and a maker of examples; kernels as on a GPU, not fused."""
    from llava_shapes import build_bundle, make_examples

    monkeypatch.setattr(flex, "_validate_device", lambda *tensors: None)
    monkeypatch.setattr(attention, "KERNEL_DEVICES", ("cuda", "cpu"))
    monkeypatch.setattr(attention, "_compiled_flex", lambda: attention._flex)
    monkeypatch.setattr(attention, "obstacle", lambda device_type: None)
    torch._dynamo.reset()
    counters.clear()
    bundle = build_bundle(torch.device("cpu"), "tiny")
    model = add_adapter(bundle.model, ModelParams(), seed=0)
    choose_attention("block_sparse", bundle)
    yield model, lambda *size: replace(make_examples(bundle, *size), packed=True)
    torch._dynamo.reset()


@pytest.mark.slow
def test_teacher_and_student_need_one_compilation_each_of_every_layer(tiny):
    """The decoder's layers and the tower's: four graphs, none of them broken."""
    model, make_examples = tiny
    compiled = CompiledLayers(model, backend="aot_eager")
    compiled.use(True)
    answers, teacher = AnswerLogits(model), TeacherMode(model)
    answers.train()
    for n_images, n_pairs, seed in ((4, 4, 0), (2, 4, 1), (3, 2, 2), (4, 1, 3), (5, 3, 4)):
        examples = make_examples(n_images, n_pairs, seed)
        batch = examples.batch(range(n_images * n_pairs))
        with teacher:
            answers.hidden(batch.seen_as([batch.pixel_values, batch.pixel_values]))
        answers.hidden(batch).float().square().mean().backward()
        assert counters["stats"]["unique_graphs"] == 4
    assert not counters["graph_break"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:flex_attention called without")
def test_compiled_layers_say_what_layers_say(tiny):
    model, make_examples = tiny
    model.double()
    batch = make_examples(2, 3, 0).batch(range(6))
    answers = AnswerLogits(model.eval())
    compiled, gradients = CompiledLayers(model, backend="aot_eager"), []
    for wanted in (False, True):
        compiled.use(wanted)
        model.zero_grad(set_to_none=True)
        answers.hidden(batch).square().mean().backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, atol=1e-12, rtol=1e-9)
    compiled.use(False)
    assert not any("forward" in vars(module) for module in model.modules())


@pytest.fixture
def run_on(tmp_path, monkeypatch):
    """Train the pocket model for two steps, in float64; returns its adapter and the remarks."""
    monkeypatch.setattr(
        "seednb.model.compile.CompiledLayers", partial(CompiledLayers, backend="aot_eager")
    )
    compiled = cache(partial(torch.compile, dynamic=True, backend="aot_eager"))
    monkeypatch.setattr(objective, "compiled", compiled)

    def run(**changes):
        params = load_params(
            ROOT / "params/smoke.yaml", {"lora_dropout": 0.0, "precision": "float32"}
        )
        remarks = []
        monkeypatch.setattr(trainer.tqdm, "write", staticmethod(remarks.append))
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        lines = LINES[1:] * 2
        changes = {"batch_size": 3, "grad_accum": 1} | changes
        weights, _ = make_run(params, folder, images="001122", lines=lines, **changes)
        return weights, remarks

    yield run
    torch._dynamo.reset()


def assert_same(left, right):
    for name, weight in left.items():
        torch.testing.assert_close(right[name], weight, atol=1e-9, rtol=0)


@pytest.mark.slow
def test_a_compiled_run_ends_at_the_same_adapter_and_says_what_compiling_took(run_on, monkeypatch):
    plain, _ = run_on()
    clock = iter([0.0, 12.4, 12.4, 12.4])
    monkeypatch.setattr(fallback, "seconds_compiling", lambda: next(clock))
    compiled, remarks = run_on(compile_layers=True)
    assert_same(plain, compiled)
    assert [remark for remark in remarks if "compil" in remark] == ["compiling took 12 s by step 1"]


def test_a_machine_without_a_compiler_trains_in_eager_mode(run_on, monkeypatch):
    plain, _ = run_on()
    monkeypatch.setattr(
        "seednb.model.compile.obstacle", lambda device_type: "Failed to find C compiler"
    )
    written, remarks = run_on(compile_layers=True)
    assert_same(plain, written)
    assert "layers run in eager mode, not compiled: Failed to find C compiler" in remarks


def test_what_does_not_compile_runs_in_eager_mode_from_then_on(run_on, monkeypatch):
    plain, _ = run_on()

    def broken(*_):
        raise BackendCompilerFailed(broken, RuntimeError("no such kernel"), None)

    monkeypatch.setattr(
        "seednb.model.compile.CompiledLayers", partial(CompiledLayers, backend=broken)
    )
    written, remarks = run_on(compile_layers=True)
    assert_same(plain, written)
    (remark,) = (remark for remark in remarks if "compil" in remark)
    assert "no such kernel" in remark


def test_an_attention_that_does_not_compile_is_a_sentence(run_on, monkeypatch):
    def fails(self, *_):
        raise BackendCompilerFailed(fails, RuntimeError("no such kernel"), None)

    monkeypatch.setattr(Step, "take", fails)
    with pytest.raises(SeedError, match=r"no such kernel.*set attention=dense"):
        run_on()


def test_an_obstacle_is_the_first_line_of_what_is_missing(monkeypatch):
    def missing(function):
        raise RuntimeError("\n  Failed to find C compiler. \nmore")

    obstacle.cache_clear()
    monkeypatch.setattr(torch, "compile", missing)
    assert obstacle("cpu") == "Failed to find C compiler"
    obstacle.cache_clear()
