"""What chapters 10 and 11 try. Sizes are relative to the profile, so the plans hold for any."""

from collections.abc import Sequence
from typing import Any

from seednb.core.profiles import Params
from seednb.experiments.sweep.variants import Variant

BASE = Variant("base", version="base")
V7 = Variant("v7")
ALPHAS = (0.1, 0.3, 0.5, 0.7)
WEIGHTS = (0.5, 0.7, 0.85)
DATA = (1.0, 3.0)  # in short trainings
TEMPERATURES = (1.0, 2.0, 4.0)
FIXED_BETAS = (0.4, 1.1)
RATES = (0.1, 10.0)  # times the profile's
RANKS = (0.5, 2.0)
NOISY_SHARES = (0.25, 0.5, 0.75)
CURVE_DATA = (0.5, 1.0, 2.0)  # in short trainings
DIVERGENCES = ("forward", "js", "skew_reverse", "skew_forward")


def hyper_parameters(params: Params) -> list[Variant]:
    """Chapter 10: one parameter at a time around v7, temperature by beta, weight by data."""
    own = {"alpha": params.train.noise_alpha, "weight": 0.7}
    tried = [BASE, V7]
    tried += [_variant(f"alpha_{a:g}", "alpha", noise_alpha=a) for a in ALPHAS if a != own["alpha"]]
    tried += [
        _variant(
            f"T_{t:g}_beta_{b:g}", "temperature and beta",
            temperature=t, beta_rule="fixed", beta_values=(b,), beta_quantiles=(),
        )
        for t in TEMPERATURES
        for b in FIXED_BETAS
    ]  # fmt: skip
    tried.append(_variant("T_1", "temperature", temperature=1.0))
    tried += [
        Variant(f"weight_{w:g}_data_{d:g}", "weight and data", "v7", {"distill_weight": w}, data=d)
        for d in DATA
        for w in WEIGHTS
        if (w, d) != (own["weight"], 1.0)
    ]
    rate, model = params.train.learning_rate, params.model
    tried += [_variant(f"rate_x{x:g}", "rate", learning_rate=rate * x) for x in RATES]
    tried += [
        _variant(
            f"rank_x{x:g}", "rank and scope",
            lora_r=max(1, round(model.lora_r * x)), lora_alpha=max(1, round(model.lora_alpha * x)),
        )
        for x in RANKS
    ]  # fmt: skip
    tried.append(_variant("language_model_only", "rank and scope", lora_scope="language_model"))
    return tried + divergences()


def divergences() -> list[Variant]:
    """The divergences beside the reverse one."""
    return [_variant(name, "divergence", divergence=name) for name in DIVERGENCES]


def extensions() -> list[Variant]:
    """Chapter 11: what the report under test lists as future work, each alone."""
    family = "noisy view"
    tried = [BASE, V7]
    names = ("ddpm", "mask", "objects", "blur", "downsample", "blank", "fgsm")
    tried += [_variant(name, family, perturbation=name) for name in names]
    tried.append(_variant("text", family, perturbation="none", text_corruption=0.5))
    tried.append(_variant("gaussian + text", family, text_corruption=0.5))
    family = "confidence"
    tried += [_variant(n, family, confidence=n) for n in ("entropy", "margin", "mc_dropout")]
    tried += [_variant(n, family, pooling=n) for n in ("trimmed", "lowest")]
    family = "beta"
    rules = ("rank", "sigmoid", "tanh", "fixed", "curriculum")
    tried += [_variant(f"beta {name}", family, beta_rule=name) for name in rules]
    tried.append(_variant("beta per token", family, beta_per_token=True))
    spaces = ("probabilities", "plausible")
    tried += [_variant(name, "purified space", purified_space=name) for name in spaces]
    tried += divergences()
    family = "cheaper"
    tried.append(_variant("noisy view if unsure", family, noisy_share=0.5))
    tried.append(
        _variant("same noise, remembered", family, noise="per_image_seed", teacher_cache_gib=1.0)
    )
    tried.append(_variant("no answers of one word", "data", drop_trivial_answers=True))
    tried.append(Variant("own labels", "self-supervised", "distill_only", labels="self"))
    tried.append(Variant("distillation only", "self-supervised", "distill_only"))
    return tried + decodings()


def noisy_shares() -> list[Variant]:
    """Quality against cost: the noisy view for the least sure examples only; v7 asks for all."""
    return [_variant(f"noisy share {s:g}", "cheaper", noisy_share=s) for s in NOISY_SHARES]


def data_amounts() -> list[Variant]:
    """Quality against quantity: some numbers of pairs, of all kinds or without trivial answers."""
    kinds: dict[str, dict[str, Any]] = {
        "all pairs": {},
        "longer answers": {"drop_trivial_answers": True},
    }
    return [
        Variant(f"{kind} x{d:g}", kind, changes=changes, data=d)
        for kind, changes in kinds.items()
        for d in CURVE_DATA
    ]


def confirmation(winners: Sequence[Variant]) -> list[Variant]:
    """What is trained in full on fresh seeds: v7, and the winners of the search."""
    return [BASE, V7, *winners]


def decodings() -> list[Variant]:
    """Ways to decode: what a contrast adds without training, and on top of it."""
    family, plausible = "decoding", {"contrast_plausibility": 0.1}
    return [
        Variant("contrast", family, "base", contrast=True),
        Variant("contrast, plausible words", family, "base", plausible, contrast=True),
        Variant("v7 + contrast (dual)", family, contrast=True),
        Variant("v7 + contrast, plausible words", family, "v7", plausible, contrast=True),
        Variant("v7, 3 beams", family, "v7", {"caption_beams": 3}),
        Variant("v7 + contrast, 3 beams", family, "v7", {"caption_beams": 3}, contrast=True),
    ]


def _variant(name: str, family: str, **changes: Any) -> Variant:
    return Variant(name, family, changes=changes)
