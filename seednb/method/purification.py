"""Purified logits: the clean view contrasted with the noisy one, in one of several spaces.

Log-probabilities are no space of their own: they differ from logits by a constant a row, which the
contrast keeps a constant and softmax removes (notebook 03 shows it, a test proves it).
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from seednb.method.losses import precise

PLAUSIBILITY = 0.1  # VCD's cut-off, as a share of the largest probability
PROBABILITY_FLOOR = 1e-6  # the reverse divergence from a target of 0 would be infinite
Purification = Callable[
    [Float[Tensor, "N V"], Float[Tensor, "N V"], Float[Tensor, "N"]], Float[Tensor, "N V"]
]


def purify_logits(
    clean_logits: Float[Tensor, "N V"],
    noisy_logits: Float[Tensor, "N V"],
    beta: Float[Tensor, "N"] | float,
) -> Float[Tensor, "N V"]:
    """Purified logits (1 + beta) clean - beta noisy (SEED, Eq. 6-7 as in the reproduction).

    Adding a constant to a row of either input changes nothing after softmax, so purifying
    log-probabilities gives the same distribution. float16 overflows above 65504: float32 inside.
    """
    if isinstance(beta, Tensor):
        beta = beta.unsqueeze(-1)
    clean_logits, noisy_logits = precise(clean_logits), precise(noisy_logits)
    return clean_logits + beta * (clean_logits - noisy_logits)


def effective_sharpness(beta: float, temperature: float, overlap: float) -> float:
    """How many times the clean logits the target's logits are: (1 + beta (1 - overlap)) / T.

    Split the noisy logits into their projection on the clean ones, `overlap` times clean, and a rest.
    Then (1 + beta) clean - beta noisy = (1 + beta (1 - overlap)) clean - beta rest. A temperature
    divides both, so T undoes what beta sharpens, and leaves beta / T of the contrast proper.
    """
    return (1 + beta * (1 - overlap)) / temperature


def purify_probabilities(
    clean_logits: Float[Tensor, "N V"], noisy_logits: Float[Tensor, "N V"], beta: Float[Tensor, "N"]
) -> Float[Tensor, "N V"]:
    """log of max((1 + beta) p_clean - beta p_noisy, floor): the contrast of probabilities.

    A difference of probabilities can be negative, so it is clipped at `PROBABILITY_FLOOR`. Unlike
    logits, it hardly moves words that both views find unlikely.
    """
    clean, noisy = precise(clean_logits).softmax(-1), precise(noisy_logits).softmax(-1)
    contrast = clean + beta.unsqueeze(-1) * (clean - noisy)
    return contrast.clamp(min=PROBABILITY_FLOOR).log()


def purify_plausible(
    clean_logits: Float[Tensor, "N V"], noisy_logits: Float[Tensor, "N V"], beta: Float[Tensor, "N"]
) -> Float[Tensor, "N V"]:
    """Contrast among words that the clean view finds plausible; the others keep their clean logit.

    Plausible: p_clean >= 0.1 max p_clean (adaptive plausibility; Li et al., 2023; Leng et al.,
    2024). Decoding forbids the other words; a target for distillation must leave them some mass.
    Here log-probabilities do matter: a constant would shift the two groups against each other.
    """
    clean = precise(clean_logits).log_softmax(-1)
    purified = purify_logits(clean, precise(noisy_logits).log_softmax(-1), beta)
    return torch.where(is_plausible(clean, PLAUSIBILITY), purified, clean)


def is_plausible(logits: Float[Tensor, "N V"], cut_off: float) -> Tensor:
    """Where a probability is at least `cut_off` times the largest; shape (N, V)."""
    if cut_off == 0:
        return torch.ones_like(logits, dtype=torch.bool)
    logits = precise(logits)
    floor = torch.log(torch.tensor(cut_off, dtype=logits.dtype, device=logits.device))
    return logits >= logits.amax(-1, keepdim=True) + floor


SPACES: dict[str, Purification] = {
    "logits": purify_logits,
    "probabilities": purify_probabilities,
    "plausible": purify_plausible,
}
