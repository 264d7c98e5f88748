"""Texts about images: greedy, sampled, contrastive or by beams.

`write` draws texts from a queue, `generate` and `contrastive_generate` answer a few questions.
"""

from seednb.model.generation.rules import ContrastiveLogits, MentionPenalty, Sampling, TextRule
from seednb.model.generation.search import Decoded
from seednb.model.generation.texts import contrastive_generate, generate, write

__all__ = [
    "ContrastiveLogits",
    "Decoded",
    "MentionPenalty",
    "Sampling",
    "TextRule",
    "contrastive_generate",
    "generate",
    "write",
]
