"""Compiled layers come in few forms, whatever the sizes of the passes."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch._dynamo.utils import counters
from torch.nn.attention import flex_attention as flex

from seednb import attention
from seednb.attention import skips_blocks
from seednb.compiling import Compiled
from seednb.config import ModelParams
from seednb.model import AnswerLogits, TeacherMode, add_adapter

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))


@pytest.fixture
def tiny(monkeypatch):
    """LLaVA in miniature with an adapter, and makers of passes; kernels as on a GPU, not fused."""
    from llava_shapes import build_bundle, make_examples

    monkeypatch.setattr(flex, "_validate_device", lambda *tensors: None)
    monkeypatch.setattr(attention, "KERNEL_DEVICES", ("cuda", "cpu"))
    monkeypatch.setattr(attention, "_flex_alone", attention._flex)
    torch._dynamo.reset()
    counters.clear()
    bundle = build_bundle(torch.device("cpu"), "tiny")
    model = add_adapter(bundle.model, ModelParams(), seed=0)
    skips_blocks("block_sparse", bundle)
    yield model, lambda *size: replace(make_examples(bundle, *size), joined=True)
    torch._dynamo.reset()


def test_teacher_and_student_need_one_form_each_of_every_layer(tiny):
    """The decoder's layers and the tower's: four graphs, none of them broken."""
    model, make_examples = tiny
    compiled = Compiled(model, backend="aot_eager")
    compiled.use(True)
    answers, teacher = AnswerLogits(model), TeacherMode(model)
    answers.train()
    for n_pictures, n_pairs, seed in ((4, 4, 0), (2, 4, 1), (3, 2, 2), (4, 1, 3), (5, 3, 4)):
        examples = make_examples(n_pictures, n_pairs, seed)
        batch = examples.batch(range(n_pictures * n_pairs))
        with teacher:
            answers.hidden(batch.seen_as([batch.pixel_values, batch.pixel_values]))
        answers.hidden(batch).float().square().mean().backward()
        assert counters["stats"]["unique_graphs"] == 4
    assert not counters["graph_break"]


@pytest.mark.filterwarnings("ignore:flex_attention called without")
def test_compiled_layers_say_what_layers_say(tiny):
    model, make_examples = tiny
    model.double()
    batch = make_examples(2, 3, 0).batch(range(6))
    answers = AnswerLogits(model.eval())
    compiled, gradients = Compiled(model, backend="aot_eager"), []
    for wanted in (False, True):
        compiled.use(wanted)
        model.zero_grad(set_to_none=True)
        answers.hidden(batch).square().mean().backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, atol=1e-12, rtol=1e-9)
    compiled.use(False)
    assert not any("forward" in vars(module) for module in model.modules())
