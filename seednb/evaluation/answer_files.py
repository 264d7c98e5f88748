"""Answers of a model, chunk by chunk: kept as they come, so that a killed run resumes.

An answer file grows line by line, in the order of its questions; other results are kept in a journal
beside their file.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from itertools import compress
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from jaxtyping import Float, Int
from torch import Tensor
from tqdm import tqdm

from seednb.core.console import hides_progress
from seednb.core.devices import process_state
from seednb.core.errors import SeedError
from seednb.core.files import LOCK, Journal, append_lines, cut_torn_end, locked, write_lines
from seednb.core.params import EvaluationParams
from seednb.data.images import safe_path
from seednb.data.instruct import IMAGE_TAG
from seednb.data.readers import read_json_lines
from seednb.evaluation.records import ASKED_AS, Record, list_ids
from seednb.model.forward import AnswerLogits
from seednb.model.generation import Decoded, TextRule, generate
from seednb.model.inputs.collate import collate, in_chunks
from seednb.model.inputs.pixels import ImageReader
from seednb.model.inputs.prompts import encode
from seednb.model.loading import Bundle

Reply = Callable[[Sequence[Any]], list[Record]]
Replies = Callable[[Sequence[Sequence[Any]]], Iterable[list[Record]]]  # to chunks, in their order
NEEDED = ("question_id", "image", "text")


def check_questions(rows: Sequence[Record], file: Path, images: Path) -> None:
    """Raise SeedError for a missing key, an id that is given twice, and images that are not there."""
    if not rows:
        raise SeedError(f"{file} holds no question; check the path")
    for number, row in enumerate(rows, start=1):
        where = f"{file}, question {number}"
        missing = [key for key in NEEDED if key not in row]
        if missing:
            raise SeedError(f"{where} has no {' and no '.join(missing)}; add it")
        for key in ("image", "text"):
            if not isinstance(row[key], str) or not row[key].strip():
                found = f"{key!r} is {row[key]!r:.60}"
                raise SeedError(f"{where}: {found}, expected a text; correct it")
        if IMAGE_TAG in row["text"]:
            raise SeedError(f"{where} contains {IMAGE_TAG}; remove it, the prompt has its place")
    ids = [str(row["question_id"]) for row in rows]
    twice = sorted(key for key, times in Counter(ids).items() if times > 1)
    if twice:
        raise SeedError(f"{file}: question_id given twice: {list_ids(twice)}; number them anew")
    names = dict.fromkeys(row["image"] for row in rows)
    absent = [name for name in names if not safe_path(images, name).is_file()]
    if absent:
        raise SeedError(
            f"{file}: {len(absent)} images are not in {images}: {list_ids(absent)}; "
            "give their folder"
        )


def answer_file(
    bundle: Bundle,
    questions: Sequence[Record],
    reader: ImageReader,
    output: Path,
    params: EvaluationParams,
) -> int:
    """Answer greedily what `output` does not answer yet; returns how many that were.

    Each line has `question_id`, the `prompt` and the answer as `text`, as LLaVA writes it,
    `n_tokens`, whether it `finished` before the limit, and what the benchmark's own scorer asks
    for. A yes/no question also has its `margin`, logit(yes) - logit(no) of the first token. A run
    that was killed leaves whole lines and at most one torn one, which is removed; a run that resumes
    ends at the same bytes. Several processes share the questions. Raises SeedError if the file
    answers other questions, and if another run is writing it.
    """

    def reply(chunk: Sequence[Record]) -> list[Record]:
        first = FirstLogits()
        names, rows = bundle.layout.rows([row["image"] for row in chunk])
        decoded = generate(
            bundle,
            [row["text"] for row in chunk],
            reader.batch(names),
            params.max_new_tokens,
            processors=[first],
            rows=rows,
        )
        return [
            {"prompt": row["text"], "text": answer.text, "n_tokens": answer.n_tokens}
            | {"finished": answer.finished}
            | _margin(row, first.logits[number], bundle)
            | row.get("entry", {})
            | ({row["reply"]: answer.text} if "reply" in row else {})
            for number, (row, answer) in enumerate(zip(chunk, decoded, strict=True))
        ]

    return _append(questions, output, params.eval_batch_size, reply)


def rank_file(
    bundle: Bundle,
    questions: Sequence[Record],
    reader: ImageReader,
    output: Path,
    params: EvaluationParams,
) -> int:
    """Score each question's `choices` by their likelihood; resumes and returns as `answer_file`.

    Each line has `likelihoods`: of every choice the log-probability, in nats, that the model answers
    the bare question with its text and then ends, as SEED-Bench ranks choices. The choices of all
    questions about an image share its row of the batch. Raises SeedError for a question without
    choices.
    """
    for row in questions:
        if not isinstance(row.get("choices"), list) or len(row["choices"]) < 2:
            raise SeedError(f"question {row['question_id']} has no list of choices; add it")

    def reply(chunk: Sequence[Record]) -> list[Record]:
        likelihoods = choice_likelihoods(bundle, chunk, reader)
        return [
            {"prompt": row.get("question", row["text"]), "likelihoods": values}
            for row, values in zip(chunk, likelihoods, strict=True)
        ]

    return _append(questions, output, params.eval_batch_size, reply)


@torch.inference_mode()
def choice_likelihoods(
    bundle: Bundle, questions: Sequence[Record], reader: ImageReader
) -> list[list[float]]:
    """The log-probability (nats) of each choice of each question, end of text included."""
    texts, images = [], []
    for row in questions:
        tokens = reader.tokens(row["image"]) or bundle.image_tokens
        asked = str(row.get("question", row["text"]))
        texts += [
            encode(asked, c, bundle.tokenizer, tokens, bundle.template) for c in row["choices"]
        ]
        images += [row["image"]] * len(row["choices"])
    names, rows = bundle.layout.rows(images)
    pixels, extras = reader.batch(names), reader.extras(names)
    batch = collate(texts, rows, pixels, bundle.layout, extras).to(bundle.device)
    logprobs = AnswerLogits(bundle.model)(batch).float().log_softmax(-1)
    token_logprobs = logprobs.gather(-1, batch.answer_ids[:, None]).squeeze(-1)
    sums = torch.zeros(len(texts), device=bundle.device)
    values = iter(sums.index_add(0, batch.example_of_token, token_logprobs).tolist())
    return [[next(values) for _ in row["choices"]] for row in questions]


class FirstLogits(TextRule):
    """Remembers the logits of each answer's first token and changes nothing."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.logits: dict[int, Tensor] = {}  # [V] by the number of the text

    def __call__(
        self, input_ids: Int[Tensor, "B T"], scores: Float[Tensor, "B V"]
    ) -> Float[Tensor, "B V"]:
        """The scores, unchanged."""
        new = [row for row, text in enumerate(self.texts or ()) if text not in self.logits]
        for row, logits in zip(new, scores[new].float().cpu() if new else (), strict=True):
            self.logits[(self.texts or ())[row]] = logits
        return scores


def _margin(row: Record, logits: Float[Tensor, "V"], bundle: Bundle) -> Record:
    """The margin of a yes/no question; nothing where both words begin with the same token."""
    tokens = [bundle.next_token(word) for word in row.get("yes_no", ())]
    if len(set(tokens)) < 2:
        return {}
    yes, no = tokens
    return {"margin": float(logits[yes] - logits[no])}


def answer_chunks(
    chunks: Sequence[Sequence[Any]],
    replies: Replies,
    n_left: Callable[[int], int],
    keep: Callable[[int, list[Record]], None],
    title: str,
    unit: str,
) -> None:
    """Reply to the chunks that are not done, each process to its share, and keep what comes.

    `n_left` tells how many items of a chunk are not done. What a chunk holds depends neither on the
    number of processes nor on where a run was killed, because numbers depend, in the last bits, on
    what else is in the batch: a chunk that is done in part is asked whole. Texts may be drawn from
    one queue of all chunks: they do not show the last bits, apart from ties.
    """
    state = process_state()
    left = {number: n for number in range(len(chunks)) if (n := n_left(number))}
    mine = list(left)[state.process_index :: state.num_processes]
    n = sum(left[number] for number in mine)
    with tqdm(total=n, desc=title, unit=unit, disable=hides_progress(state.is_main_process)) as bar:
        answered = replies([chunks[number] for number in mine])
        for number, records in zip(mine, answered, strict=True):
            keep(number, records)
            bar.update(left[number])


def answers_to(
    chunks: Sequence[Sequence[Any]],
    replies: Replies,
    title: str,
    unit: str,
    kept: Path | None = None,
) -> list[Record]:
    """The replies to all items, in order, in every process.

    With `kept`, a file name, chunks that are done are kept in a journal of that name.
    """
    state = process_state()
    journal = Journal(kept, state.process_index)
    done = journal.read()
    state.wait_for_everyone()  # all have read what is done before one adds to it

    def keep(number: int, replies: list[Record]) -> None:
        done[number] = replies
        journal.add(number, replies)

    answer_chunks(chunks, replies, lambda n: 0 if n in done else len(chunks[n]), keep, title, unit)
    for others in gather_object([done]):
        done |= others
    return [one for number in range(len(chunks)) for one in done[number]]


def by_chunk(
    chunks: Sequence[Sequence[Any]], texts: Iterable[tuple[int, Decoded]]
) -> Iterator[list[Record]]:
    """The answers to each chunk, in order, from (number of the item, its text) in any order."""
    found, texts, start = dict[int, Decoded](), iter(texts), 0
    for chunk in chunks:
        wanted = range(start, start + len(chunk))
        while not found.keys() >= set(wanted):
            number, text = next(texts)
            found[number] = text
        yield [asdict(found.pop(number)) for number in wanted]
        start = wanted.stop


def _append(questions: Sequence[Record], output: Path, size: int, reply: Reply) -> int:
    """Write the replies to what is not answered yet; each process its share of the chunks."""
    state = process_state()
    with ExitStack() as held:
        if state.is_main_process:
            held.enter_context(locked(output.with_name(f".{output.name}{LOCK}"), str(output)))
            _gather(output, questions)
        state.wait_for_everyone()
        answered = _answered(output)
        foreign = answered - {str(row["question_id"]) for row in questions}
        if foreign:
            raise SeedError(
                f"{output} answers other questions: {list_ids(sorted(foreign))}; name another file"
            )
        several = state.num_processes > 1
        file = output.with_name(f"{output.name}.part{state.process_index}") if several else output
        chunks = in_chunks(questions, size)
        is_left = [[str(row["question_id"]) not in answered for row in chunk] for chunk in chunks]

        def keep(number: int, replies: list[Record]) -> None:
            rows = zip(chunks[number], replies, strict=True)
            lines = [{"question_id": row["question_id"]} | line for row, line in rows]
            append_lines(file, compress(lines, is_left[number]))

        replies, left = partial(map, reply), [sum(flags) for flags in is_left]
        answer_chunks(chunks, replies, left.__getitem__, keep, "answer questions", "question")
        state.wait_for_everyone()
        if state.is_main_process:
            _gather(output, questions)
        state.wait_for_everyone()
    return len(questions) - len(answered)


def _gather(output: Path, questions: Sequence[Record]) -> None:
    """Join what several processes wrote, in the questions' order; also after they were killed."""
    parts = sorted(output.parent.glob(f"{output.name}.part*"))
    if not parts:
        return
    rows: dict[str, Record] = {}
    for file in (output, *parts):
        _answered(file)  # removes a torn line
        rows |= {_id(row): dict(row) for row in (read_json_lines(file) if file.is_file() else [])}
    place = {str(row["question_id"]): number for number, row in enumerate(questions)}
    write_lines(output, sorted(rows.values(), key=lambda row: place.get(_id(row), len(place))))
    for file in parts:
        file.unlink()


def _answered(output: Path) -> set[str]:
    """Ids of the answers so far, after the end of a killed run was removed."""
    if not output.is_file():
        return set()
    content = output.read_bytes()
    if content and content.lstrip()[:1] != b"{":
        raise SeedError(f"{output} holds something else than answers; name another file")
    cut_torn_end(output)
    return {_id(row) for row in read_json_lines(output)}


def _id(row: Mapping[str, Any]) -> str:
    return str(row.get(ASKED_AS, row.get("question_id")))
