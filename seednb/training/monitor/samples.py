"""Short texts that the student writes while it trains, and how far they repeat themselves."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from peft import PeftModel

from seednb.core.devices import preserved_generator
from seednb.model.loading import Bundle
from seednb.training.examples import Examples

N_SAMPLES = 2
N_TOKENS = 32
N_TIMES = 20  # a run, unless sample_every says otherwise
FEWEST = 10  # steps between two
RUN = 4  # words; shorter runs recur in healthy captions, too


class Samples:
    """The student's greedy answers to the prompts with the longest labels."""

    def __init__(self, model: PeftModel, bundle: Bundle, examples: Examples) -> None:
        """Models that read images at their own size write no samples."""
        self.model, self.bundle, self.examples = model, bundle, examples
        numbers = range(len(examples.rows))
        by_length = sorted(numbers, key=lambda n: (-len(examples.rows[n].predicted), n))
        self.chosen = [] if bundle.is_sized else by_length[:N_SAMPLES]

    def figures(self) -> dict[str, float]:
        """`repeats` and `distinct_2` of what it writes now; the run's random numbers stay."""
        texts = self.write()
        if not texts:
            return {}
        return {"repeats": max(map(repeats, texts)), "distinct_2": min(map(distinct_2, texts))}

    def write(self) -> list[list[int]]:
        """The tokens of each sample, without the one that ends it."""
        was_training = self.model.training
        self.model.eval()
        with preserved_generator(self.bundle.device), torch.no_grad():
            texts = [self._continue(number) for number in self.chosen]
        self.model.train(was_training)
        return texts

    def _continue(self, number: int) -> list[int]:
        row, device = self.examples.rows[number], self.bundle.device
        tokenizer = self.bundle.tokenizer
        ids = torch.tensor([row.input_ids[: row.n_prompt]], device=device)
        pixels = self.examples.reader.batch([self.examples.images[number]])
        whole: Any = self.bundle.model
        written = whole.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            pixel_values=pixels.to(device, whole.dtype),
            do_sample=False,
            max_new_tokens=N_TOKENS,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )[0, ids.shape[1] :].tolist()
        end = tokenizer.eos_token_id
        return written[: written.index(end)] if end in written else written


def is_due(step: int, n_steps: int, every: int | None) -> bool:
    """Whether samples are written after a step: after the first, and then at equal distances."""
    if every == 0:
        return False
    distance = every or max(FEWEST, n_steps // N_TIMES)
    return step == 1 or step % distance == 0


def repeats(tokens: Sequence[int], size: int = RUN) -> float:
    """Share of runs of `size` tokens that stood in the text before; 0 of a text without two."""
    runs = [tuple(tokens[n : n + size]) for n in range(len(tokens) - size + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def distinct_2(tokens: Sequence[int]) -> float:
    """Distinct pairs of neighbours over all pairs (Li et al., 2016); 1 of a text without a pair."""
    pairs = list(pairwise(tokens))
    return len(set(pairs)) / len(pairs) if pairs else 1.0
