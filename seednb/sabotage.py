"""Bugs to plant: each does to a model, its examples or a run what a script of the seed did wrong."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor

from seednb.data.batches import Batch
from seednb.data.pictures import Pictures
from seednb.model import Bundle
from seednb.tokens import precise
from seednb.training.examples import Examples
from seednb.training.trainer import Run

BLOCK = 64  # weights that share a scale, as in 4-bit training
N_LEVELS = 7  # on each side of zero, in 4 bits
N_LEFT = 24  # tokens of a prompt that a tokenizer leaves with a small max_length
N_BEFORE_HANG = 24  # batches that are read before the reader hangs


def four_bits(bundle: Bundle) -> None:
    """Round every matrix of the language model to 4 bits, each block of weights on its own scale."""
    for parameter in bundle.model.model.language_model.parameters():
        if parameter.dim() == 2 and parameter.numel() % BLOCK == 0:
            blocks = parameter.data.view(-1, BLOCK)
            scale = blocks.abs().amax(1, keepdim=True).clamp(min=1e-8) / N_LEVELS
            parameter.data = ((blocks / scale).round() * scale).view_as(parameter)


def half_precision(run: Run) -> None:
    """Take the divergence from float16 probabilities, as a script does that never leaves half.

    A probability below 6e-8 becomes 0 there, and its logarithm minus infinity.
    """

    def divergence(
        student_logits: Float[Tensor, "N V"], target_logits: Float[Tensor, "N V"], t: float
    ) -> Float[Tensor, "N"]:
        p, q = ((logits.half() / t).softmax(-1) for logits in (student_logits, target_logits))
        return precise((p * (p.log() - q.log())).sum(-1))

    run.step.objective.divergence = divergence


def sum_over_tokens(run: Run) -> None:
    """Add an answer's divergences up instead of taking their mean."""

    def sums(tokens: Tensor, example_of_token: Tensor, n_examples: int) -> Tensor:
        return tokens.new_zeros(n_examples).index_add(0, example_of_token, tokens)

    run.step.reduction = sums


def checkpoint_without_inputs(run: Run) -> None:
    """Re-entrant checkpointing over frozen embeddings: no input of a layer asks for a gradient.

    transformers 5 makes the embeddings ask for one by itself; older versions did not.
    """
    model = run.step.student.whole
    model.gradient_checkpointing_enable({"use_reentrant": True})
    model.disable_input_require_grads()


def shift_labels(examples: Examples) -> Examples:
    """Compare each position's logits with the token after the one that it predicts."""
    return _Shifted(**vars(examples))


def cut_prompts(examples: Examples) -> Examples:
    """Truncate prompts as a tokenizer with a small max_length does, image tokens and all."""
    rows = [
        replace(row, input_ids=row.input_ids[:N_LEFT] + row.predicted, n_prompt=N_LEFT)
        for row in examples.rows
    ]
    return replace(examples, rows=rows)


def hang(examples: Examples) -> Examples:
    """Pictures whose reader never returns, after some batches."""
    return replace(examples, pictures=_Hanging(examples.pictures))


@dataclass(frozen=True)
class _Shifted(Examples):
    def batch(self, numbers: Sequence[int]) -> Batch:
        batch = super().batch(numbers)
        return replace(batch, answer_ids=batch.answer_ids.roll(-1))


class _Hanging(Pictures):
    """Another reader, until it waits for a lock that nobody will release."""

    def __init__(self, reader: Pictures) -> None:
        self.__dict__ |= vars(reader)
        self._n_read = 0

    def batch(self, names: Sequence[str]) -> Float[Tensor, "R ..."]:
        self._n_read += 1
        while self._n_read > N_BEFORE_HANG:
            time.sleep(0.1)
        return super().batch(names)
