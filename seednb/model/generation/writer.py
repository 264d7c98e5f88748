"""Texts drawn from a queue: a row whose text ended makes room for the next one.

A text does not depend on what else is written beside it, apart from rounding: each row sees its own
keys and values only, at positions that are counted from its own prompt.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import LogitsProcessor

from seednb.model.forward import base_model
from seednb.model.generation.rules import ContrastiveLogits, TextRule
from seednb.model.generation.search import Decoded, decoded
from seednb.model.generation.slots import SlotPlace, Slots, slot_attention
from seednb.model.inputs.collate import n_shared
from seednb.model.inputs.prompts import Encoded
from seednb.model.loading import Bundle

REFILL = 8  # new texts are read once this share of the rows, one in 8, is free
READ_AT_ONCE = 64  # images of one forward pass


@dataclass(frozen=True)
class Prompt:
    """A prompt's tokens and the name of its image."""

    ids: Sequence[int]
    image: Hashable


Views = Callable[[Sequence[Any]], Sequence[Float[Tensor, "k C H W"]]]
"""Pixels of some images, by name: the image as it is and, for a contrast, its noisy view."""


@dataclass
class Seat:
    """A text that is being written."""

    text: int  # its number
    n_prompt: int
    tokens: list[int] = field(default_factory=list)

    @property
    def place(self) -> int:
        """The position of its last token, which is the next to be read."""
        return self.n_prompt + len(self.tokens) - 1


class Writer:
    """Writes texts in a fixed number of seats; with a contrast a seat has two rows, one a view."""

    def __init__(
        self,
        bundle: Bundle,
        prompts: Sequence[Prompt],
        views: Views,
        n_seats: int,
        max_new_tokens: int,
        rules: Sequence[LogitsProcessor] = (),
        contrast: ContrastiveLogits | None = None,
    ) -> None:
        """`rules` see scores of one row a seat, after the contrast; not the tokens before them."""
        self.bundle, self.prompts, self.views = bundle, prompts, views
        self.rules, self.contrast = rules, contrast
        self.max_new_tokens, self.n_views = max_new_tokens, 2 if contrast else 1
        self.n_seats = min(n_seats, len(prompts))
        n_columns = max(len(prompt.ids) for prompt in prompts) + max_new_tokens
        self.slots = Slots(bundle, self.n_seats * self.n_views, n_columns)
        self.waiting, self.seats = deque(range(len(prompts))), dict[int, Seat]()
        whole = base_model(bundle.model)
        self.language_model, self.head = whole.model.language_model, whole.get_output_embeddings()

    def texts(self) -> Iterator[tuple[int, Decoded]]:
        """(number of a prompt, its text), as they end."""
        while self.waiting or self.seats:
            free = [seat for seat in range(self.n_seats) if seat not in self.seats]
            if self.waiting and (len(free) * REFILL >= self.n_seats or not self.seats):
                yield from self._take(free[:READ_AT_ONCE])
                continue
            if free and not self.waiting:
                self._close_up(free)
            yield from self._step()

    def _take(self, free: Sequence[int]) -> Iterator[tuple[int, Decoded]]:
        """Seat the next texts and choose their first tokens."""
        taken = free[: len(self.waiting)]
        for seat in taken:
            text = self.waiting.popleft()
            self.seats[seat] = Seat(text, len(self.prompts[text].ids))
        yield from self._choose(taken, self._read(taken))

    def _read(self, seats: Sequence[int]) -> Float[Tensor, "k V"]:
        """Read the prompts of some seats into their rows; returns the scores of the first tokens.

        Of an image of several seats what is alike in their prompts is read once.
        """
        prompts = [self.prompts[self.seats[seat].text] for seat in seats]
        images = list(dict.fromkeys(prompt.image for prompt in prompts))
        longest = max((prompt.ids for prompt in prompts), key=len)
        n_alike = 0
        if len(images) < len(seats):
            n_alike = n_shared(Encoded(tuple(longest), len(longest)), self._image_token)
        features: Tensor | None = self._features(images)
        if n_alike:
            first = {p.image: seat for p, seat in reversed(list(zip(prompts, seats, strict=True)))}
            rows = self._rows([first[image] for image in images])
            self._forward([longest[:n_alike]] * len(rows), rows, 0, features)
            owners = self._rows([first[prompt.image] for prompt in prompts])
            self.slots.copy(owners, self._rows(seats), n_alike)
            features = None
        ids = [prompt.ids[n_alike:] for prompt in prompts for _ in range(self.n_views)]
        hidden = self._forward(ids, self._rows(seats), n_alike, features)
        last = torch.tensor([len(row) - 1 for row in ids], device=hidden.device)
        return self.head(hidden[torch.arange(len(ids), device=hidden.device), last])

    def _forward(
        self,
        ids: Sequence[Sequence[int]],
        rows: Sequence[int],
        start: int,
        features: Float[Tensor, "k n H"] | None,
    ) -> Float[Tensor, "k T H"]:
        """Hidden states of tokens from position `start` on; shorter rows are padded on the right."""
        device, longest = self.bundle.device, max(map(len, ids))
        padding = self.bundle.tokenizer.pad_token_id
        padded = torch.tensor([[*row, *[padding] * (longest - len(row))] for row in ids])
        embedded = self.language_model.get_input_embeddings()(padded.to(device))
        if features is not None:
            where = [n for n, token in enumerate(ids[0]) if token == self._image_token]
            embedded = embedded.index_copy(1, torch.tensor(where, device=device), features)
        positions = torch.arange(start, start + longest, device=device).expand(len(ids), -1)
        place = SlotPlace(torch.tensor(rows, device=device)[:, None], positions, "own")
        seen = None
        if start:
            place.reads, place.width = "cache", start + longest
            columns = torch.arange(place.width, device=device)
            seen = (columns <= positions[..., None])[:, None]
        return self._decoder(place, seen, inputs_embeds=embedded)

    def _step(self) -> Iterator[tuple[int, Decoded]]:
        """One more token of each seat."""
        taken, n = sorted(self.seats), self.n_views * (max(self.seats) + 1)
        inputs = torch.zeros(n, 2, dtype=torch.long)
        for seat in taken:
            for row in self._rows([seat]):
                inputs[row] = torch.tensor([self.seats[seat].tokens[-1], self.seats[seat].place])
        tokens, positions = inputs.to(self.bundle.device).split(1, 1)
        rows = torch.arange(n, device=self.bundle.device)[:, None]
        place = SlotPlace(rows, positions, "leading", int(inputs[:, 1].max()) + 1)
        columns = torch.arange(place.width, device=self.bundle.device)
        seen = (columns <= positions)[:, None, None]
        scores = self.head(self._decoder(place, seen, input_ids=tokens)[:, 0])
        if len(taken) * self.n_views < n:
            scores = scores[torch.tensor(self._rows(taken), device=scores.device)]
        yield from self._choose(taken, scores)

    def _decoder(self, place: SlotPlace, seen: Tensor | None, **inputs: Tensor) -> Tensor:
        self.slots.put(place)
        with slot_attention(self.bundle):
            states: Tensor = self.language_model(
                **inputs,
                position_ids=place.positions,
                past_key_values=self.slots.cache,
                use_cache=True,
                seen=seen,
            ).last_hidden_state
        return states

    def _choose(
        self, seats: Sequence[int], scores: Float[Tensor, "k V"]
    ) -> Iterator[tuple[int, Decoded]]:
        """Give each seat its next token; returns the texts that ended with it."""
        scores = scores.float()
        texts, none = [self.seats[seat].text for seat in seats], torch.empty(0)
        if self.contrast:
            self.contrast.texts = texts
            halves = scores.unflatten(0, (-1, 2)).transpose(0, 1).flatten(0, 1)
            scores = self.contrast(none, halves)[: len(seats)]
        for rule in self.rules:
            if isinstance(rule, TextRule):
                rule.texts = texts
            scores = rule(none, scores)
        end = self.bundle.tokenizer.eos_token_id
        for seat, token in zip(seats, scores.argmax(-1).tolist(), strict=True):
            tokens = self.seats[seat].tokens
            tokens.append(token)
            if token == end or len(tokens) == self.max_new_tokens:
                yield self.seats.pop(seat).text, decoded(tokens, self.bundle)

    def _close_up(self, free: Sequence[int]) -> None:
        """Move the last seats to free ones before them, so that fewer rows are computed."""
        moves = []
        for target in free:
            last = max(self.seats)
            if last < target:
                break
            self.seats[target] = self.seats.pop(last)
            moves.append((last, target))
        if moves:
            sources, targets = zip(*moves, strict=True)
            n_columns = max(self.seats[target].place for target in targets)
            self.slots.copy(self._rows(sources), self._rows(targets), n_columns)

    def _features(self, images: Sequence[Hashable]) -> Float[Tensor, "k n H"]:
        """What the decoder sees of the images, a view a row."""
        whole, device = base_model(self.bundle.model), self.bundle.device
        pixels = torch.stack(list(self.views(images)), 1).flatten(0, 1).to(device, whole.dtype)
        features = whole.model.get_image_features(pixels, return_dict=True).pooler_output
        return torch.stack(tuple(features)).to(whole.dtype)

    def _rows(self, seats: Sequence[int]) -> list[int]:
        return [seat * self.n_views + view for seat in seats for view in range(self.n_views)]

    @property
    def _image_token(self) -> int:
        return self.bundle.layout.image_token
