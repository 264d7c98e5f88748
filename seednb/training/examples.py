"""Training examples in the order, and in the micro-batches, in which a run meets them; prefetched."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from random import Random

import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from seednb.core.errors import SeedError
from seednb.core.params import TrainParams
from seednb.data.instruct import Pair
from seednb.method.perturbation import View, example_noise
from seednb.method.recipes import Recipe
from seednb.method.reference import Example
from seednb.model.inputs.collate import Batch, Layout, Movable, Noisy, in_chunks, n_shared
from seednb.model.inputs.corruption import Corruption
from seednb.model.inputs.packing import make_batch
from seednb.model.inputs.pixels import ImageReader
from seednb.model.inputs.prompts import Encoded, ImageTokens, check_length, encode
from seednb.model.loading import Bundle

GPU_READERS = 4  # processes that read images for one GPU, unless data_workers says otherwise


@dataclass(frozen=True)
class Examples:
    """Encoded training pairs and the images that they are about."""

    rows: Sequence[Encoded]
    images: Sequence[str]
    reader: ImageReader
    layout: Layout
    corruption: Corruption | None = None  # of questions; None: no tokenizer
    image_tokens: ImageTokens | None = None  # None: they differ from image to image
    packed: bool = False  # whether a batch is one packed sequence

    @classmethod
    def of(cls, pairs: Sequence[Pair], bundle: Bundle, reader: ImageReader) -> "Examples":
        """Tokenise instruction pairs; nothing is truncated.

        Raises SeedError, with the pair's number and image, for one that cannot be trained on.
        """
        rows, layout = [], bundle.layout
        for number, pair in enumerate(pairs):
            tokens = reader.tokens(pair.image) or bundle.image_tokens
            try:
                row = encode(pair.question, pair.answer, bundle.tokenizer, tokens, bundle.template)
                check_length(row.input_ids, layout.n_positions)
            except SeedError as problem:
                raise SeedError(f"pair {number} ({pair.image}): {problem}") from None
            rows.append(row)
        images = [pair.image for pair in pairs]
        common = None if bundle.is_sized else bundle.image_tokens
        corruption = Corruption.of(bundle.tokenizer, bundle.template)
        return cls(rows, images, reader, layout, corruption, common)

    def batch(self, numbers: Sequence[int]) -> Batch:
        """Some examples, those about one image in one row where the model allows it."""
        names, rows = self.layout.rows([self.images[n] for n in numbers])
        pixels, texts = self.reader.batch(names), [self.rows[n] for n in numbers]
        extras = self.reader.extras(names)
        return make_batch(self.packed, texts, rows, pixels, self.layout, extras)

    def corrupted(self, numbers: Sequence[int], share: float, when: str) -> Int[Tensor, "R T"]:
        """`input_ids` of `batch(numbers)` with a share of each question's tokens replaced.

        Which ones depends on `when` and the example alone. Raises SeedError for examples that were
        not made by `of`.
        """
        if self.corruption is None:
            raise SeedError("text_corruption needs examples with a tokenizer: use Examples.of")
        names, rows = self.layout.rows([self.images[n] for n in numbers])
        texts = []
        for n in numbers:
            image_tokens = self.reader.tokens(self.images[n]) or self.image_tokens
            assert image_tokens is not None  # a model has one of the two
            texts.append(
                self.corruption(self.rows[n], image_tokens, share, f"{when}-{self.key(n)}")
            )
        return make_batch(self.packed, texts, rows, self.reader.batch(names), self.layout).input_ids

    def names(self, numbers: Sequence[int]) -> list[str]:
        """The image of each row."""
        return self.layout.rows([self.images[n] for n in numbers])[0]

    def by_image(self, numbers: Sequence[int]) -> list[list[int]]:
        """Some examples, those about one image together."""
        groups: dict[str, list[int]] = {}
        for number in numbers:
            groups.setdefault(self.images[number], []).append(number)
        return list(groups.values())

    def n_tokens(self, numbers: Sequence[int]) -> int:
        """Tokens of some examples about one image."""
        if not self.layout.packs:
            return sum(len(self.rows[n].input_ids) for n in numbers)
        start = n_shared(self.rows[numbers[0]], self.layout.image_token)
        return start + sum(len(self.rows[n].input_ids) - start for n in numbers)

    def key(self, number: int) -> str:
        """Hash of the image's name and every token: the example's name in the teacher's cache."""
        text = f"{self.images[number]} {self.rows[number].input_ids}"
        return hashlib.sha256(text.encode()).hexdigest()[:24]


@dataclass(frozen=True)
class MicroBatch(Movable):
    """Examples that go through the model at once."""

    batch: Batch
    noisy: Noisy | None
    places: Sequence[int]  # of the examples in their group
    keys: list[str]  # of the examples
    counts: bool = True  # False: run only because another process, which has more, waits for it


@dataclass(frozen=True)
class Group(Movable):
    """This process's micro-batches of one optimiser step."""

    epoch: int
    n_examples: int  # of all processes
    micro_batches: list[MicroBatch]


class Groups(Dataset[Group]):
    """The groups of a whole run. Order and noise depend on seed, epoch and image alone.

    Images are shuffled in every epoch; the examples about one image stay together, so that a row
    holds them all.
    """

    def __init__(
        self,
        examples: Examples,
        recipe: Recipe,
        params: TrainParams,
        noisy: bool,
        process: tuple[int, int] = (0, 1),
    ) -> None:
        """`noisy`: whether micro-batches hold a noisy view; `process`: (rank, number of processes)."""
        self.examples, self.recipe, self.params, self.noisy = examples, recipe, params, noisy
        self.view = View(
            recipe.perturbation, params.noise_alpha, params.ddpm_step, params.view_cells
        )
        self.rank, self.n_processes = process
        self.size = params.batch_size * params.grad_accum
        self.plan = [
            (epoch, order[start : start + self.size])
            for epoch in range(recipe.epochs)
            for order in [self._order(epoch)]
            for start in range(0, len(order), self.size)
        ]

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, step: int) -> Group:
        epoch, numbers = self.plan[step]
        cuts = self._cuts(numbers, self.rank)
        micro_batches = [self._micro_batch(epoch, numbers, places) for places in cuts]
        if self.params.shard_layers:  # every process takes part in every forward pass
            ranks = range(self.n_processes)
            n_largest = max(len(self._cuts(numbers, rank)) for rank in ranks)
            idle = replace(self._micro_batch(epoch, numbers, [0]), counts=False)
            micro_batches += [idle] * (n_largest - len(micro_batches))
        return Group(epoch, len(numbers), micro_batches)

    def one_by_one(self, step: int, device: torch.device | str = "cpu") -> list[Example]:
        """A step's examples as the reference takes them, for Gaussian noise and images of one size."""
        epoch, numbers = self.plan[step]
        found = []
        for number in numbers:
            row, name = self.examples.rows[number], self.examples.images[number]
            pixels = self.examples.reader.batch([name])
            noise = example_noise(self._noise_keys(epoch, [name]), tuple(pixels.shape[1:]))
            ids = torch.tensor([row.input_ids], device=device)
            found.append(Example(ids, row.n_prompt, pixels.to(device), noise.to(device)))
        return found

    def from_step(self, step: int, device: torch.device) -> Iterator[tuple[Group, Group | None]]:
        """The groups after the first `step`, each with the one that follows it.

        Beside a GPU other processes prefetch them.
        """
        on_gpu = device.type == "cuda"
        n_readers = self.params.data_workers
        loader = DataLoader(
            Subset(self, range(step, len(self))),
            batch_size=None,
            num_workers=GPU_READERS * on_gpu if n_readers is None else n_readers,
            pin_memory=on_gpu,
            generator=torch.Generator(),  # its own: the run's random numbers are for dropout
        )
        for group, following in pairwise(chain[Group | None](loader, [None])):
            assert group is not None  # only the last has no successor
            yield group, following

    def _order(self, epoch: int) -> list[int]:
        images = self.examples.by_image(range(len(self.examples.rows)))
        Random(f"order-{self.params.seed}-{epoch}").shuffle(images)
        return [number for numbers in images for number in numbers]

    def _cuts(self, numbers: list[int], rank: int) -> list[Sequence[int]]:
        """Places of each micro-batch of one process's share of a group."""
        n = len(numbers)
        share = range(rank * n // self.n_processes, (rank + 1) * n // self.n_processes)
        return list(self._cut([(place, numbers[place]) for place in share]))

    def _cut(self, share: list[tuple[int, int]]) -> Iterator[Sequence[int]]:
        """Places of each: `batch_size` examples, or as many rows as `tokens_per_pass` holds."""
        if self.params.tokens_per_pass is None:
            yield from in_chunks([place for place, _ in share], self.params.batch_size)
            return
        place_of = {number: place for place, number in share}
        rows = self.examples.by_image([number for _, number in share])
        rows.sort(key=self.examples.n_tokens, reverse=True)  # like lengths together
        while rows:
            n = max(1, self.params.tokens_per_pass // self.examples.n_tokens(rows[0]))
            chosen, rows = rows[:n], rows[n:]
            yield [place_of[number] for numbers in chosen for number in numbers]

    def _micro_batch(self, epoch: int, numbers: list[int], places: Sequence[int]) -> MicroBatch:
        chosen = [numbers[place] for place in places]
        batch = self.examples.batch(chosen)
        noisy = self._noisy(epoch, chosen) if self.noisy else None
        return MicroBatch(batch, noisy, places, [self.examples.key(number) for number in chosen])

    def _noisy(self, epoch: int, chosen: list[int]) -> Noisy:
        names = self.examples.names(chosen)
        pixels = self.examples.reader.noisy(self._noise_keys(epoch, names), names, self.view)
        share, ids = self.recipe.text_corruption, None
        if share:
            ids = self.examples.corrupted(
                chosen, share, f"text-{self.params.seed}-{self._when(epoch)}"
            )
        return Noisy(pixels, ids)

    def _noise_keys(self, epoch: int, names: Sequence[str]) -> list[str]:
        return [f"noise-{self.params.seed}-{self._when(epoch)}{name}" for name in names]

    def _when(self, epoch: int) -> str:
        """What tells the noise of an epoch from that of the others, where it changes."""
        return f"{epoch}-" if self.params.noise == "per_epoch" else ""
