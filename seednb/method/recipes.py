"""The eight historical training scripts as data: each is the one before, with what it changed."""

from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING

from seednb.core.params import TrainParams

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Recipe:
    """What one version trains; sizes in units of n, the profile's `n_pairs` (the reproduction: 50K)."""

    name: str
    reason: str  # why it differs from the version before
    symptom: str  # what the reproduction reports of it
    data_share: float = 1.0  # pairs, in units of n
    epochs: int = 1
    distill_weight: float = 0.7
    temperature: float = 1.0
    divergence: str = "forward"
    purified: bool = False  # is purify() called?
    teacher_adapter: bool = True  # does the teacher keep the student's adapter on?
    normalised: bool = False  # is the divergence a mean over answer tokens?
    rate_factor: float = 10.0  # learning rate over the profile's
    quantised: bool = False  # 4-bit weights
    truncation: bool = True  # does the tokenizer cut long prompts?
    # What the reproduction lists as future work; the defaults are what it did.
    perturbation: str = "gaussian"
    text_corruption: float = 0.0  # share of the question's tokens replaced in the noisy view
    confidence: str = "max_logprob"
    pooling: str = "mean"  # of the tokens' confidences
    beta_rule: str = "quantiles"
    beta_per_token: bool = False
    purified_space: str = "logits"
    noisy_share: float = 1.0  # least confident share that is shown the noisy view


simple_train = Recipe("simple_train", "first script", "loss is NaN at step ~1640", quantised=True)
fixed_train = replace(
    simple_train,
    name="fixed_train",
    reason="restarts after the NaN, still on 4-bit weights",
    symptom="distillation loss stuck at ~50",
)
v3 = replace(
    fixed_train,
    name="v3",
    reason="bf16 instead of 4-bit weights; a fifth of the data",
    symptom="marginal",
    quantised=False,
    normalised=True,
    data_share=0.2,
)
final = replace(
    v3,
    name="final",
    reason="all data again",
    symptom="repeats itself at inference: the learning rate is ten times too large",
    data_share=1.0,
)
v4 = replace(
    final,
    name="v4",
    reason="no truncation of image tokens, a tenth of the learning rate",
    symptom="no effect: purify() is never called, the teacher keeps the adapter on",
    truncation=False,
    rate_factor=1.0,
)
v5 = replace(
    v4,
    name="v5",
    reason="frozen teacher, purified target, reverse KL, T = 2",
    symptom="first correct version",
    teacher_adapter=False,
    purified=True,
    divergence="reverse",
    temperature=2.0,
)
v6 = replace(
    v5,
    name="v6",
    reason="three times the data and a larger distillation weight (two changes at once)",
    symptom="worse than the base model",
    data_share=3.0,
    distill_weight=0.85,
)
v7 = replace(
    v6,
    name="v7",
    reason="weight and data as in v5, three epochs",
    symptom="final version",
    data_share=1.0,
    distill_weight=0.7,
    epochs=3,
)
REPORTED: tuple[Recipe, ...] = (v4, v5, v6, v7)  # those that a report trains
HISTORY: tuple[Recipe, ...] = (simple_train, fixed_train, v3, final, *REPORTED)

sft = replace(v7, name="sft", reason="control: supervision alone", symptom="", distill_weight=0.0)
distill_only = replace(
    v7, name="distill_only", reason="control: distillation alone", symptom="", distill_weight=1.0
)
CONTROLS: tuple[Recipe, ...] = (sft, distill_only)

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in HISTORY + CONTROLS}

LABELS = ("replay", "truthful")  # answers to learn: LLaVA-Instruct's, or built from annotations
SELF = "self"  # a third kind: the base model's own answers


SET_BY_PARAMETERS = tuple(item.name for item in fields(Recipe) if hasattr(TrainParams, item.name))


def with_overrides(recipe: Recipe, params: TrainParams) -> Recipe:
    """The recipe with those fields replaced that the parameters of the same name set.

    A control's weight, 0 or 1, is what it is made of and stays.
    """
    changes = {
        name: value for name in SET_BY_PARAMETERS if (value := getattr(params, name)) is not None
    }
    if recipe.distill_weight in (0, 1):
        changes.pop("distill_weight", None)
    return replace(recipe, **changes)


def diff(older: Recipe, newer: Recipe) -> "pd.DataFrame":
    """What changed between two recipes: one row a field, indexed by the field's name."""
    import pandas as pd  # here, so that the command line lists the versions without it

    before, after = asdict(older), asdict(newer)
    changed = [
        key
        for key in before
        if before[key] != after[key] and key not in ("name", "reason", "symptom")
    ]
    return pd.DataFrame(
        {older.name: [before[key] for key in changed], newer.name: [after[key] for key in changed]},
        index=pd.Index(changed, name="what changed"),
    )
