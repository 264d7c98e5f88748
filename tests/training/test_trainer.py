"""Laws of the model, the teacher and the training loop, on the shipped checkpoint."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace

import pytest
import torch
from noise_images import Noise
from peft import LoraConfig, get_peft_model
from small_runs import CHECKPOINT, LINES, ROOT, make_run
from transformers import (
    AutoModelForImageTextToText,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
)

from seednb.core.errors import SeedError
from seednb.core.profiles import load_params
from seednb.data.pocket.quiz import KINDS
from seednb.evaluation.evaluator import Contrast, answer_probes
from seednb.method.objective import Objective
from seednb.method.recipes import RECIPES
from seednb.model.forward import AnswerLogits, TeacherMode, decoder_layers
from seednb.model.inputs import packing
from seednb.model.inputs.collate import collate
from seednb.model.inputs.prompts import PLAIN, encode
from seednb.model.loading import load_bundle
from seednb.model.lora import PROJECTIONS, add_adapter, idle_adapters, load_adapter, n_trainable
from seednb.model.pocket_base.architecture import build_tokenizer
from seednb.model.pocket_base.material import instruct_texts
from seednb.model.pocket_base.quality import measure
from seednb.model.pocket_base.recipe import BaseRecipe
from seednb.training import history, monitor
from seednb.training.checkpoint import Checkpoint
from seednb.training.examples import Examples, Groups
from seednb.training.history import GROWING, read_curve
from seednb.training.step import Step
from seednb.training.targets import TargetMaker
from seednb.training.teacher_cache import TeacherCache


@pytest.fixture
def params():
    return load_params(
        ROOT / "params/smoke.yaml",
        {"lora_dropout": 0.0, "batch_size": 8, "grad_accum": 1, "precision": "float32"},
    )


def test_a_batch_of_eight_equals_eight_accumulated_steps_of_one(params, tmp_path):
    whole, curve = make_run(params, tmp_path / "a")
    ones, other = make_run(params, tmp_path / "b", batch_size=1, grad_accum=8)
    for name in whole:
        torch.testing.assert_close(whole[name], ones[name], atol=1e-10, rtol=0)
    assert abs(curve["loss"].iloc[0] - other["loss"].iloc[0]) < 1e-5


def test_four_texts_in_one_row_have_the_gradients_of_four_rows(params, tmp_path, monkeypatch):
    """With plain gradient descent at rate 1 the change of a weight is its gradient."""
    monkeypatch.setattr(torch.optim, "AdamW", torch.optim.SGD)
    settings = {"images": "01" * 4, "learning_rate": 1.0, "max_grad_norm": 1e9}
    packed, curve = make_run(params, tmp_path / "a", **settings)
    alone, other = make_run(params, tmp_path / "b", **settings, batch_size=1, grad_accum=8)
    for name in packed:
        torch.testing.assert_close(packed[name], alone[name], atol=1e-9, rtol=0)
    assert curve["loss"].iloc[0] == pytest.approx(other["loss"].iloc[0], abs=1e-9)
    assert curve["beta"].iloc[0] == other["beta"].iloc[0]


def test_recomputed_activations_give_the_same_adapter(params, tmp_path):
    kept, _ = make_run(params, tmp_path / "a")
    recomputed, _ = make_run(params, tmp_path / "b", gradient_checkpointing="always")
    for name in kept:
        torch.testing.assert_close(kept[name], recomputed[name], atol=1e-9, rtol=0)


def test_probes_in_one_row_have_the_margins_of_probes_alone(params):
    bundle = load_bundle(str(CHECKPOINT), params.model, torch.device("cpu"))
    bundle.model.double()
    probes = [
        {"image": str(n % 2), "text": f"Is there a {word} in the image?"}
        for n, word in enumerate(("fork", "bus", "dog", "cup", "horse", "potted plant"))
    ]
    settings = (Noise(), params.evaluation)
    for contrast in (None, Contrast(beta=0.7, alpha=0.3)):
        packed = answer_probes(bundle, probes, *settings, contrast)
        alone = [answer_probes(bundle, [probe], *settings, contrast)[0] for probe in probes]
        assert [row["answer"] for row in packed] == [row["answer"] for row in alone]
        margins = [[row["margin"] for row in rows] for rows in (packed, alone)]
        assert margins[0] == pytest.approx(margins[1], abs=1e-5)


def test_training_moves_the_adapter_and_the_same_seed_moves_it_alike(params, tmp_path):
    first, _ = make_run(params, tmp_path / "a", recipe="v7", dtype=torch.float32)
    again, _ = make_run(params, tmp_path / "b", recipe="v7", dtype=torch.float32)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(weight.abs().max() > 0 for name, weight in first.items() if "lora_B" in name)


def test_an_interrupted_run_ends_at_the_same_adapter(params, tmp_path, monkeypatch):
    whole, _ = make_run(params, tmp_path / "a", "v7", torch.float32, checkpoint_every=1)
    save = Checkpoint.save

    def die_after_saving(self, *arguments):
        save(self, *arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "save", die_after_saving)
    with pytest.raises(KeyboardInterrupt):
        make_run(params, tmp_path / "b", "v7", torch.float32, checkpoint_every=1)
    monkeypatch.undo()
    resumed, curve = make_run(params, tmp_path / "b", "v7", torch.float32, checkpoint_every=1)
    assert list(curve["step"]) == [1, 2, 3]
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_v4_distils_nothing_and_the_monitor_says_so(params, tmp_path):
    _, curve = make_run(params, tmp_path, recipe="v4", dtype=torch.float32, batch_size=2)
    curve["distillation"] = curve["distillation"].clip(lower=1e-6)  # dropout is off in this test
    assert (curve["beta"] == 0).all()
    assert "distillation signal absent" in {f.failure for f in monitor.check(curve)}


def test_a_healthy_run_has_no_finding(params, tmp_path):
    _, curve = make_run(params, tmp_path, recipe="v7", dtype=torch.float32)
    assert monitor.check(curve) == []
    assert (curve["distillation"] > 0).all()


def test_the_teacher_is_the_base_model_and_the_student_comes_back(params):
    bundle = load_bundle(str(CHECKPOINT), params.model, torch.device("cpu"))
    rows = [encode(q, a, bundle.tokenizer, bundle.image_tokens, PLAIN) for q, a in LINES]
    batch = collate(
        rows,
        range(4),
        Noise().batch("1234"),
        bundle.layout,
    )
    with torch.no_grad():
        base = AnswerLogits(bundle.model)(batch)
    model = add_adapter(bundle.model, params.model, seed=1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    with torch.no_grad():
        student = AnswerLogits(model)(batch)
        with TeacherMode(model):
            torch.testing.assert_close(AnswerLogits(model)(batch), base)
        torch.testing.assert_close(AnswerLogits(model)(batch), student)
    assert (student - base).abs().max() > 0.1
    # the head ran on answer positions alone; the full logits there are the same
    whole = bundle.model(input_ids=batch.input_ids, pixel_values=batch.pixel_values).logits
    expected = whole.flatten(0, 1)[batch.answer_positions]
    torch.testing.assert_close(expected, student, atol=1e-4, rtol=1e-4)
    assert len(expected) == len(batch.answer_ids) == sum(len(row.predicted) for row in rows)


def test_a_prompt_whose_image_tokens_were_cut_is_named():
    bundle = load_bundle(str(CHECKPOINT), load_params(ROOT / "params/smoke.yaml").model)
    row = encode(*LINES[0], bundle.tokenizer, bundle.image_tokens, PLAIN)
    cut = replace(row, input_ids=row.input_ids[:8] + row.input_ids[20:])
    with pytest.raises(SeedError, match="24 image tokens where the image needs 36"):
        collate([cut], [0], Noise().batch("1"), bundle.layout)
    with pytest.raises(SeedError, match="no tokens"):
        encode("Is it?", "  ", bundle.tokenizer, bundle.image_tokens, PLAIN)


@pytest.mark.parametrize(
    ("scope", "expected"), [("all", 76_546_048), ("language_model", 67_108_864)]
)
def test_trainable_parameters_of_the_7b_model(scope, expected):
    from seednb.model.lora import LANGUAGE_PROJECTIONS

    vision = CLIPVisionConfig(
        hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16,
        image_size=336, patch_size=14,
    )  # fmt: skip
    text = LlamaConfig(
        vocab_size=32064, hidden_size=4096, intermediate_size=11008, num_hidden_layers=32,
        num_attention_heads=32,
    )  # fmt: skip
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(
            LlavaConfig(vision_config=vision, text_config=text, vision_feature_layer=-2)
        )
        targets = PROJECTIONS if scope == "all" else LANGUAGE_PROJECTIONS
        adapted = get_peft_model(
            model, LoraConfig(r=64, lora_alpha=128, target_modules=targets), low_cpu_mem_usage=True
        )
    assert n_trainable(adapted) == expected
    n_idle = sum(parameter.numel() for parameter in idle_adapters(adapted))
    assert n_idle == (393_216 if scope == "all" else 0)  # the tower's last layer: q, k and v


SAVING = """
import sys
from peft import LoraConfig
from seednb.model.lora import PROJECTIONS
LoraConfig(target_modules=PROJECTIONS).save_pretrained(sys.argv[1])
"""


@pytest.mark.slow
def test_an_adapters_settings_are_the_same_bytes_in_every_process(tmp_path):
    """A run that was killed goes on in another process, where sets have another order."""
    written = []
    for number in ("1", "2", "3"):
        process = [sys.executable, "-c", SAVING, str(tmp_path / number)]
        subprocess.run(process, env=os.environ | {"PYTHONHASHSEED": number}, check=True)
        written.append((tmp_path / number / "adapter_config.json").read_bytes())
    assert written[0] == written[1] == written[2]


def test_the_shipped_checkpoint_is_what_its_recipe_describes():
    recipe = BaseRecipe()
    recorded = json.loads((CHECKPOINT / "recipe.json").read_text())
    assert recorded == json.loads(json.dumps(asdict(recipe)))
    rebuilt = build_tokenizer(instruct_texts(recipe), recipe.shape.vocabulary)
    shipped = json.loads((CHECKPOINT / "tokenizer.json").read_text())
    assert json.loads(rebuilt.backend_tokenizer.to_str())["model"] == shipped["model"]
    size = sum(path.stat().st_size for path in CHECKPOINT.iterdir())
    assert size < 4_000_000


@pytest.mark.slow
def test_the_shipped_checkpoint_sees_and_invents_as_its_card_says():
    bundle = load_bundle(
        str(CHECKPOINT), load_params(ROOT / "params/smoke.yaml").model, torch.device("cpu")
    )
    quality = measure(bundle, BaseRecipe().seed)
    recorded = json.loads((CHECKPOINT / "quality.json").read_text())
    assert quality == pytest.approx(recorded, abs=1.0)
    assert quality["recall_clear"] >= 85
    assert quality["hallucinated_in_scene"] > 50
    for kind in KINDS:  # it sees, and where it errs it tells what is typical
        assert 65 <= quality[f"accuracy_{kind}"] <= 95
        assert quality[f"typical_{kind}"] > 60


@pytest.mark.slow
def test_a_remembered_teacher_gives_the_adapter_of_one_that_is_asked(params, tmp_path):
    for noise in ("per_epoch", "per_image_seed"):
        asked, curve = make_run(params, tmp_path / noise / "a", "v7", noise=noise)
        cache = TeacherCache(tmp_path / noise / "cache", 2**30)
        first, _ = make_run(params, tmp_path / noise / "b", "v7", noise=noise, cache=cache)
        views = {key.split("-")[0] for key in cache.shard_of}
        assert views == {"clean"} | ({"noisy"} if noise == "per_image_seed" else set())
        again, other = make_run(params, tmp_path / noise / "c", "v7", noise=noise, cache=cache)
        for name in asked:
            torch.testing.assert_close(first[name], asked[name], atol=1e-9, rtol=0)
            torch.testing.assert_close(again[name], asked[name], atol=1e-9, rtol=0)
        assert list(other["beta"]) == list(curve["beta"])


def test_a_damaged_cache_costs_time_only(params, tmp_path):
    asked, _ = make_run(params, tmp_path / "a", "v7")
    cache = TeacherCache(tmp_path / "cache", 2**30)
    make_run(params, tmp_path / "b", "v7", cache=cache)
    for shard in (tmp_path / "cache").iterdir():
        shard.write_bytes(shard.read_bytes()[:-20])
    cache = TeacherCache(tmp_path / "cache", 2**30)
    again, _ = make_run(params, tmp_path / "c", "v7", cache=cache)
    assert cache.damaged
    for name in asked:
        torch.testing.assert_close(again[name], asked[name], atol=1e-9, rtol=0)


def test_v4s_teacher_is_never_remembered(params, tmp_path):
    cache = TeacherCache(tmp_path / "cache", 2**30)
    make_run(params, tmp_path / "a", "v4", cache=cache)
    assert not cache.shard_of


def test_micro_batches_cut_by_tokens_hold_everything_and_change_nothing(params, tmp_path):
    whole, curve = make_run(params, tmp_path / "a", "v7", images="01201201")
    cut, other = make_run(params, tmp_path / "b", "v7", images="01201201", tokens_per_pass=200)
    for name in whole:
        torch.testing.assert_close(cut[name], whole[name], atol=1e-9, rtol=0)
    assert list(other["beta"]) == list(curve["beta"])


@pytest.mark.parametrize("tokens", [1, 100, 150, 10_000])
def test_a_micro_batch_keeps_to_its_tokens_unless_one_row_is_longer(params, tokens):
    bundle = load_bundle(str(CHECKPOINT), params.model, torch.device("cpu"))
    rows = [
        encode(question, answer, bundle.tokenizer, bundle.image_tokens, PLAIN)
        for question, answer in LINES * 3
    ]
    examples = Examples(rows, [str(n % 5) for n in range(12)], Noise(), bundle.layout)
    for process in ((0, 1), (0, 2), (1, 2)):
        settings = replace(params.train, batch_size=12, tokens_per_pass=tokens)
        (group,) = Groups(examples, RECIPES["v5"], settings, True, process)
        places = [place for micro in group.micro_batches for place in micro.places]
        assert sorted(places) == list(
            range(process[0] * 12 // process[1], (process[0] + 1) * 12 // process[1])
        )
        for micro in group.micro_batches:
            n_rows, length = micro.batch.input_ids.shape
            assert n_rows == 1 or n_rows * (length - 8) < tokens  # rows are padded to steps of 8


def test_prefetched_images_are_the_same(params, tmp_path):
    here, _ = make_run(params, tmp_path / "a", "v7")
    ahead, _ = make_run(params, tmp_path / "b", "v7", data_workers=2)
    assert all(torch.equal(here[name], ahead[name]) for name in here)


@pytest.mark.parametrize("version", ["v4", "v7"])  # v4's teacher has the adapter on
def test_prefetched_targets_change_nothing(params, tmp_path, monkeypatch, version):
    prefetched, _ = make_run(params, tmp_path / "a", version)
    take, make = Step.take, TargetMaker.of
    monkeypatch.setattr(TargetMaker, "of", lambda self, group: None)

    def take_in_time(self, *arguments):
        with monkeypatch.context() as patch:
            patch.setattr(TargetMaker, "of", make)
            return take(self, *arguments)

    monkeypatch.setattr(Step, "take", take_in_time)
    in_time, _ = make_run(params, tmp_path / "b", version)
    assert all(torch.equal(prefetched[name], in_time[name]) for name in prefetched)


def run_out_of_memory(monkeypatch, always=False):
    """The student's forward pass raises what a full GPU raises, unless activations are recomputed.

    It does once beta is chosen, as a step that had come that far.
    """
    token_losses, layers = Objective.token_losses, []

    def full(self, *tensors):
        if always or not any(layer.gradient_checkpointing for layer in layers):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return token_losses(self, *tensors)

    monkeypatch.setattr(Objective, "token_losses", full)
    return lambda run: layers.extend(decoder_layers(run.step.student.model))


@pytest.mark.parametrize("choice", ["auto", "never", "always"])
def test_a_gpu_that_stays_full_is_a_sentence(params, tmp_path, monkeypatch, choice):
    run_out_of_memory(monkeypatch, always=True)
    with pytest.raises(SeedError, match="memory ran out with 8 examples a micro-batch"):
        make_run(params, tmp_path, "v7", gradient_checkpointing=choice)


def test_a_run_can_be_watched_row_by_row_and_leaves_only_the_whole_curve(
    params, tmp_path, monkeypatch
):
    seen = []

    def watched(folder, row):
        append_row(folder, row)
        seen.append(len(read_curve(folder)[0]))

    append_row = history.append_row
    monkeypatch.setattr(history, "append_row", watched)
    _, curve = make_run(params, tmp_path, batch_size=2)
    assert seen == list(range(1, len(curve) + 1)) and len(seen) > 1
    assert not (tmp_path / GROWING).exists()
    assert len(read_curve(tmp_path)[0]) == len(curve)


def asynchronous(run):
    """Wait for nothing in a step, as beside a GPU."""
    run.step.asynchronous = True


@pytest.mark.parametrize("remembers", [False, True])
def test_an_asynchronous_host_ends_at_the_same_adapter_and_curve(params, tmp_path, remembers):
    def run(name, prepare=None):
        cache = TeacherCache(tmp_path / name / "cache", 2**30) if remembers else None
        settings = {"batch_size": 2, "checkpoint_every": 3, "cache": cache, "prepare": prepare}
        return make_run(params, tmp_path / name, "v7", torch.float32, **settings)

    waited, curve = run("a")
    unawaited, other = run("b", asynchronous)
    assert all(torch.equal(unawaited[name], waited[name]) for name in waited)
    clocks = ["examples_per_s", "eta_s", "waiting_s"]
    assert other.drop(columns=clocks).equals(curve.drop(columns=clocks)) and len(curve) == 12


def test_a_micro_batch_without_a_finite_loss_is_left_out_awaited_or_not(
    params, tmp_path, monkeypatch
):
    token_losses = Objective.token_losses

    def losses(self, student, answer_ids, *rest):
        divergence, cross_entropy = token_losses(self, student, answer_ids, *rest)
        is_bad = answer_ids[0] == bad_token
        return divergence, cross_entropy * float("nan") if is_bad else cross_entropy

    bundle = load_bundle(str(CHECKPOINT), params.model, torch.device("cpu"))
    bad_token = encode(*LINES[1], bundle.tokenizer, bundle.image_tokens, PLAIN).predicted[0]
    monkeypatch.setattr(Objective, "token_losses", losses)
    cut = {"batch_size": 1, "grad_accum": 4}
    waited, curve = make_run(params, tmp_path / "a", **cut)
    unawaited, other = make_run(params, tmp_path / "b", **cut, prepare=asynchronous)
    assert list(curve["nan_count"]) == list(other["nan_count"]) and curve["nan_count"].iloc[-1] > 0
    for name in waited:
        assert waited[name].isfinite().all()
        torch.testing.assert_close(unawaited[name], waited[name], atol=1e-12, rtol=0)


def test_an_adapter_that_is_evaluated_has_the_models_precision_and_says_the_same(params, tmp_path):
    settings = replace(params.model, precision="bfloat16")
    trained = load_bundle(str(CHECKPOINT), settings, torch.device("cpu"))
    student = add_adapter(trained.model, settings, seed=0).eval()
    generator = torch.Generator().manual_seed(0)
    for name, parameter in student.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.05, generator=generator)
    student.save_pretrained(str(tmp_path))
    bundle = load_bundle(str(CHECKPOINT), settings, torch.device("cpu"))
    loaded = load_adapter(bundle.model, tmp_path)
    kinds = [
        {p.dtype for n, p in model.named_parameters() if "lora" in n} for model in (student, loaded)
    ]
    assert kinds == [{torch.float32}, {torch.bfloat16}]
    probes = [
        {"image": "0", "text": f"Is there a {word} in the image?"} for word in ("fork", "bus")
    ]
    margins = [
        [row["margin"] for row in answer_probes(each, probes, Noise(), params.evaluation)]
        for each in (replace(trained, model=student), replace(bundle, model=loaded))
    ]
    assert margins[0] == margins[1]


def test_a_micro_batch_holds_some_images_with_all_of_their_probes(params, monkeypatch):
    bundle = load_bundle(str(CHECKPOINT), params.model, torch.device("cpu"))
    probes = [
        {"image": str(n % 5), "text": f"Is there a {word} in the image?"}
        for word in ("fork", "bus", "dog")
        for n in range(5)
    ]
    sizes = []

    def counted(texts, rows, pixels, *rest):
        sizes.append((len(texts), len(pixels)))
        return collate(texts, rows, pixels, *rest)

    monkeypatch.setattr(packing, "collate", counted)
    settings = replace(params.evaluation, eval_batch_size=2)
    answers = answer_probes(bundle, probes, Noise(), settings)
    assert sizes == [(6, 2), (6, 2), (3, 1)]
    assert [(row["image"], row["text"]) for row in answers] == [
        (row["image"], row["text"]) for row in probes
    ]
