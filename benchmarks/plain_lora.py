"""Plain LoRA fine-tuning of the same pairs, as a user would otherwise run it: transformers.Trainer."""

import statistics
import tempfile
import time
from itertools import pairwise
from typing import Any

import torch
from llava_shapes import PAD
from peft import PeftModel
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import Trainer, TrainerCallback, TrainingArguments

from seednb.training.examples import Examples

IGNORED = -100
N_SKIPPED, N_TIMED = 2, 6  # steps


def plain_lora_rate(model: PeftModel, examples: Examples, batch_size: int) -> float:
    """Samples a second, the median of steady steps; 0 if the batch does not fit.

    One text a row, labels on the answer alone.
    """
    rows = [_features(examples, number) for number in range(len(examples.rows))]
    n_steps = N_SKIPPED + N_TIMED
    rows = (rows * (n_steps * batch_size // len(rows) + 1))[: n_steps * batch_size]
    clock = Clock()
    arguments = TrainingArguments(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=batch_size, max_steps=n_steps,
        learning_rate=2e-6, bf16=model.device.type == "cuda", use_cpu=model.device.type == "cpu",
        report_to=[], save_strategy="no", logging_strategy="no", remove_unused_columns=False,
        disable_tqdm=True, dataloader_num_workers=4 * (model.device.type == "cuda"),
    )  # fmt: skip
    dataset: Any = rows
    trainer = Trainer(
        model=model, args=arguments, train_dataset=dataset, data_collator=_collate,
        callbacks=[clock],
    )  # fmt: skip
    try:
        trainer.train()
    except torch.OutOfMemoryError:
        return 0.0
    return batch_size / statistics.median(b - a for a, b in pairwise(clock.ends[N_SKIPPED - 1 :]))


class Clock(TrainerCallback):
    """When each step ended."""

    def __init__(self) -> None:
        """Nothing has ended yet."""
        self.ends: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Wait for the device and look at the clock."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())


def _features(examples: Examples, number: int) -> dict[str, Tensor]:
    row = examples.rows[number]
    ids = torch.tensor(row.input_ids)
    labels = ids.clone()
    labels[: row.n_prompt] = IGNORED
    pixels = examples.reader.pixels(examples.images[number])
    return {"ids": ids, "labels": labels, "pixels": pixels}


def _collate(features: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    ids = pad_sequence([f["ids"] for f in features], batch_first=True, padding_value=PAD)
    labels = pad_sequence([f["labels"] for f in features], batch_first=True, padding_value=IGNORED)
    return {
        "input_ids": ids,
        "attention_mask": (ids != PAD).long(),
        "labels": labels,
        "pixel_values": torch.stack([f["pixels"] for f in features]).bfloat16(),
    }
