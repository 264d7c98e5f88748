"""Every extension of the method, chosen by a parameter, through the whole training loop."""

from dataclasses import replace

import pytest
import torch
from noise_images import Noise
from small_runs import LINES, ROOT
from small_runs import make_run as train_small

from seednb.core.profiles import load_params
from seednb.method.beta import BetaSelector
from seednb.training.teacher import Teacher

BOX = [(20.0, 30.0, 40.0, 30.0)]


class BoxedNoise(Noise):
    """Noise in place of images, with an object in each."""

    def _boxes(self, name):
        boxes = torch.zeros(96, 96, dtype=torch.bool)
        boxes[30:60, 20:60] = True
        return boxes


@pytest.fixture
def params():
    overrides = {"lora_dropout": 0.0, "batch_size": 4, "precision": "float32"}
    return load_params(ROOT / "params/smoke.yaml", overrides)


def make_run(params, folder, recipe="v5", **changes):
    """Train in float64 on four pairs about two images; the adapter's weights and the curve.

    With plain gradient descent at rate 1 the change of a weight is its gradient.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim, "AdamW", torch.optim.SGD)
        weights, curve = train_small(
            params, folder, recipe, images="0101", lines=LINES, reader=BoxedNoise(),
            learning_rate=1.0, max_grad_norm=1e9, **changes,
        )  # fmt: skip
    return {name: weight for name, weight in weights.items() if "lora_B" in name}, curve


def largest_change(one, other):
    return max((one[name] - other[name]).abs().max().item() for name in one)


CHANGES = [
    {"perturbation": "ddpm", "pooling": "lowest", "beta_rule": "tanh"},
    {"perturbation": "mask", "confidence": "entropy", "beta_rule": "sigmoid"},
    {"perturbation": "objects", "divergence": "skew_reverse"},
    {"perturbation": "blur", "purified_space": "probabilities"},
    {"perturbation": "downsample", "beta_rule": "curriculum"},
    {"perturbation": "blank", "purified_space": "plausible", "text_corruption": 0.5},
    {"perturbation": "none", "text_corruption": 0.5},
    {"beta_per_token": True, "confidence": "mc_dropout", "beta_rule": "tanh"},
]


@pytest.fixture(scope="module")
def default(tmp_path_factory):
    overrides = {"lora_dropout": 0.0, "batch_size": 4, "precision": "float32"}
    params = load_params(ROOT / "params/smoke.yaml", overrides)
    return make_run(params, tmp_path_factory.mktemp("default"))[0]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: "-".join(map(str, change.values())))
def test_packed_texts_learn_what_texts_alone_learn_with_every_extension(
    params, tmp_path, default, change
):
    packed, curve = make_run(params, tmp_path / "packed", **change)
    alone, other = make_run(params, tmp_path / "alone", **change, batch_size=1, grad_accum=4)
    assert largest_change(packed, alone) < 1e-8
    assert curve["loss"].iloc[0] == pytest.approx(other["loss"].iloc[0], abs=1e-9)
    assert largest_change(packed, default) > 1e-6  # the extension did something
    assert curve["gradient_norm"].min() > 0


def test_examples_without_a_noisy_view_learn_from_the_clean_view(params, tmp_path, monkeypatch):
    """Which they are, the history decides; packed or alone, they are the same."""
    halves = [True, False, True, False]
    monkeypatch.setattr(BetaSelector, "is_low", lambda self, values, share: halves[: len(values)])
    some, _ = make_run(params, tmp_path / "some", noisy_share=0.5)
    purify = BetaSelector.select

    def only_for_the_unsure(self, values, progress):
        return purify(self, values, progress) * torch.tensor(halves)

    monkeypatch.setattr(BetaSelector, "select", only_for_the_unsure)
    zeroed, _ = make_run(params, tmp_path / "zeroed")
    assert largest_change(some, zeroed) < 1e-8


def test_a_share_of_noisy_views_does_not_depend_on_the_batch(params, tmp_path):
    settings = {"noisy_share": 0.5, "beta_window": 20}
    monkey_history = [-0.2] * 10 + [-0.1] * 10
    with pytest.MonkeyPatch.context() as patch:
        start = BetaSelector.__init__

        def with_history(self, *arguments):
            start(self, *arguments)
            self.history.extend(monkey_history)

        patch.setattr(BetaSelector, "__init__", with_history)
        packed, _ = make_run(params, tmp_path / "a", **settings)
        alone, _ = make_run(params, tmp_path / "b", **settings, batch_size=1, grad_accum=4)
        everyone, _ = make_run(params, tmp_path / "c", noisy_share=1.0, beta_window=20)
    assert largest_change(packed, alone) < 1e-8 < largest_change(packed, everyone)


def test_the_attack_makes_the_answers_less_likely(params, tmp_path, monkeypatch):
    seen = []
    original = Teacher._attacked

    def watch(self, batch, noisy):
        moved = original(self, batch, noisy)
        with self.mode:
            for pixels in (batch.pixel_values, moved):
                logits = self.answers(replace(batch, pixel_values=pixels))
                seen.append(torch.nn.functional.cross_entropy(logits, batch.answer_ids).item())
        assert (moved - batch.pixel_values).abs().max() <= 0.3 + 1e-6
        return moved

    monkeypatch.setattr(Teacher, "_attacked", watch)
    make_run(params, tmp_path, perturbation="fgsm", fgsm_step=0.3)
    assert seen[1] > seen[0] + 0.01
