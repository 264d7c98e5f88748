"""LLaVA-Instruct records -> instruction pairs, with a reason for each turn that is left out."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd

from seednb.core.errors import SeedError
from seednb.core.files import write_json
from seednb.data.coco import CocoSplit
from seednb.data.images import image_problem, missing_problem, name_in_folder
from seednb.data.probes import probe_question
from seednb.data.readers import Skipped, read_json

IMAGE_TAG = "<image>"
CAPTION_QUESTIONS = ("Describe this image.", "What is in the image?", "Please describe the photo.")
Conversation = dict[str, Any]
TAG = re.compile(rf"\s*{re.escape(IMAGE_TAG)}\s*")
WORD = re.compile(r"[a-z]+")
NOTHING_MORE: Mapping[str, tuple[str, str]] = {}
MAKE_PAIRS = "make pairs with: seednb prepare-data"


@dataclass(frozen=True)
class Pair:
    """One training example: a question about an image and the answer to learn."""

    image: str  # file name in the folder of images
    question: str
    answer: str


Refuse = Callable[[Pair], str]  # why a pair is left out, "" if it is not


def to_pairs(
    conversations: Sequence[Conversation],
    image_dir: Path,
    max_samples: int | None = None,
    refuse: Refuse = lambda pair: "",
) -> tuple[list[Pair], list[Skipped]]:
    """Each human turn with the gpt turn right after it is one pair; the order is kept.

    Reading stops after `max_samples` pairs. What cannot be used (a text-only record, a missing,
    unsafe or damaged image, an empty or unpaired turn) is returned with its reason, and so is a
    pair that `refuse` has a reason against ("" for none; see `seednb.data.curation`). An image may
    lie under another of COCO's names; the pair then has that name.
    """
    if not isinstance(conversations, list):
        kind = type(conversations).__name__
        raise SeedError(f"expected LLaVA-Instruct's JSON list of records, not a {kind}")
    if max_samples is not None and max_samples < 1:
        raise SeedError(f"max_samples={max_samples}: must be at least 1")
    pairs: list[Pair] = []
    skipped: list[Skipped] = []
    find = lru_cache(maxsize=None)(partial(_find_image, Path(image_dir)))
    for number, record in enumerate(conversations):
        for item in _read_record(record, f"record {number}", find, refuse):
            if isinstance(item, Skipped):
                skipped.append(item)
                continue
            pairs.append(item)
            if len(pairs) == max_samples:
                return pairs, skipped
    return pairs, skipped


def pairs_of_file(
    file: Path, image_dir: Path, max_samples: int | None, refuse: Refuse
) -> tuple[list[Pair], list[Skipped], int]:
    """As `to_pairs`, from a LLaVA-Instruct file, and its number of records; errors name the file."""
    conversations = read_json(file)
    try:
        pairs, skipped = to_pairs(conversations, image_dir, max_samples, refuse)
    except SeedError as problem:
        raise SeedError(f"{file}: {problem}") from None
    return pairs, skipped, len(conversations)


def build_conversations(
    split: CocoSplit, seed: int, k: int = 1, further: Mapping[str, tuple[str, str]] = NOTHING_MORE
) -> list[Conversation]:
    """LLaVA-Instruct records made from annotations, so that their labels are truthful.

    An image's first turn asks for a description and answers with its longest caption. Then up to
    `k` present and equally many absent categories are asked about, in random order. Annotators miss
    objects: a category is not asked about as absent if a caption has one of its words. The
    questions are those of the generated labels, so the two differ in their answers only. `further`
    holds, by file name, one more question with its answer. A record depends on its own image and
    the seed, not on the other images.
    """

    conversations = []
    for image_id, name in zip(split.images["image_id"], split.images["file_name"], strict=True):
        turns = _turns(split, image_id, Random(f"{seed}-{image_id}"), k)
        turns += [further[name]] if name in further else []
        conversations.append(conversation_of(image_id, name, turns))
    return conversations


def conversation_of(
    image_id: int, file_name: str, turns: Iterable[tuple[str, str]]
) -> Conversation:
    """Questions and answers as a record of LLaVA-Instruct; the first question has the image tag."""
    messages = []
    for number, (question, answer) in enumerate(turns):
        tag = "" if number else f"{IMAGE_TAG}\n"
        messages.append({"from": "human", "value": tag + question})
        messages.append({"from": "gpt", "value": answer})
    return {"id": f"{image_id:012d}", "image": file_name, "conversations": messages}


def read_pairs(path: Path) -> list[Pair]:
    """Read `[{"image", "question", "answer"}, …]`; further keys are ignored.

    Image tags are dropped from the texts, as `to_pairs` drops them. Raises SeedError that names the
    entry and the key that is missing, empty or not a text.
    """
    entries = read_json(path)
    if not isinstance(entries, list) or not entries:
        raise SeedError(f"{path}: expected a JSON list with at least one pair; {MAKE_PAIRS}")
    return [_pair(entry, f"{path}, pair {number}") for number, entry in enumerate(entries)]


def write_pairs(path: Path, pairs: Sequence[Pair]) -> None:
    """Write pairs as `read_pairs` reads them, whole or not at all.

    Raises SeedError, before anything is written, for what `read_pairs` would refuse.
    """
    entries = [asdict(pair) for pair in pairs]
    if not entries:
        raise SeedError(f"{path}: there is no pair to write; {MAKE_PAIRS}")
    for number, entry in enumerate(entries):
        _pair(entry, f"{path}, pair {number}")
    write_json(Path(path), entries)


def summarise(skipped: Sequence[Skipped]) -> pd.DataFrame:
    """How many inputs were left out for each `reason`, as `count`, the largest first."""
    counts = Counter(item.reason for item in skipped).most_common()
    return pd.DataFrame(counts, columns=["reason", "count"])


def prepare_data(
    input: Path,
    image_dir: Path,
    output: Path,
    max_samples: int | None = None,
    refuse: Refuse = lambda pair: "",
) -> dict[str, Any]:
    """Convert a LLaVA-Instruct file to a file of pairs; returns what was written and left out.

    Raises SeedError, and writes nothing, if no pair is left.
    """
    if not Path(image_dir).is_dir():
        raise SeedError(f"there is no folder of images {image_dir}; run: seednb doctor")
    pairs, skipped, n_records = pairs_of_file(input, image_dir, max_samples, refuse)
    counts = dict(Counter(item.reason for item in skipped).most_common())
    if not pairs:
        reasons = ", ".join(f"{reason}: {n}" for reason, n in counts.items()) or "it is empty"
        raise SeedError(f"{input} has no usable pair ({reasons}); put its images in {image_dir}")
    write_pairs(output, pairs)
    return {
        "records": n_records,
        "pairs": len(pairs),
        "images": len({pair.image for pair in pairs}),
        "skipped": len(skipped),
        **{f"skipped, {reason}": n for reason, n in counts.items()},
        "output": str(output),
    }


def _read_record(
    record: Any, where: str, find: Callable[[str], tuple[str, str]], refuse: Refuse
) -> Iterator[Pair | Skipped]:
    if not isinstance(record, dict):
        yield Skipped(where, "not a record")
        return
    where = f"{where} (id {record['id']})" if "id" in record else where
    image, messages = record.get("image"), record.get("conversations")
    if image is None:
        yield Skipped(where, "text-only record, no image")
    elif not isinstance(image, str):
        yield Skipped(where, "image is not a file name")
    elif not isinstance(messages, list) or not messages:
        yield Skipped(where, "no conversation")
    else:
        name, problem = find(image)
        if problem:
            yield Skipped(f"{where}, {image}", problem)
        else:
            yield from _read_messages(messages, where, name, refuse)


def _read_messages(
    messages: list[Any], where: str, image: str, refuse: Refuse
) -> Iterator[Pair | Skipped]:
    """Pair each question with the answer right after it; each message is used or skipped."""
    question: str | None = None
    for number, message in enumerate(messages):
        here = f"{where}, turn {number}"
        speaker, text = _said(message)
        if speaker != "gpt" and question is not None:
            yield Skipped(f"{where}, turn {number - 1}", "question without an answer")
            question = None
        if speaker == "human":
            question = text
        elif speaker != "gpt":
            yield Skipped(here, "neither a human nor a gpt turn")
        elif question is None:
            yield Skipped(here, "answer without a question")
        else:
            pair = Pair(image, question, text)
            empty = "empty question" if not question else "empty answer" if not text else ""
            reason = empty or refuse(pair)
            yield Skipped(here, reason) if reason else pair
            question = None
    if question is not None:
        yield Skipped(f"{where}, turn {len(messages) - 1}", "question without an answer")


def _said(message: Any) -> tuple[str, str]:
    """Who speaks and what, without image tags; ("", "") for anything that is not a turn."""
    if not isinstance(message, dict) or not isinstance(message.get("value"), str):
        return "", ""
    return str(message.get("from", "")), untagged(message["value"])


def untagged(text: str) -> str:
    """A text without image tags: the prompt's template has the image's place."""
    return TAG.sub(" ", text).strip()


def _find_image(folder: Path, file_name: str) -> tuple[str, str]:
    """The image's name in the folder, and why it cannot be used ("" if it can)."""
    try:
        name = name_in_folder(folder, file_name)
    except SeedError:
        return file_name, "image name leaves its folder"
    return name, missing_problem(folder / name) or image_problem(folder / name)


def _turns(split: CocoSplit, image_id: int, rng: Random, k: int) -> list[tuple[str, str]]:
    """Questions and truthful answers about one image."""
    captions = [text.strip() for text in split.captions[image_id]]
    longest = max(captions, key=len, default="")
    question = rng.choice(CAPTION_QUESTIONS)
    present = split.objects[image_id]
    caption_words = " " + " ".join(WORD.findall(" ".join(captions).lower()))
    absent = [
        name
        for name in split.categories
        if name not in present and not any(f" {word}" in caption_words for word in name.split())
    ]
    n_each = min(k, len(present), len(absent))
    probes = [(probe_question(name), "Yes") for name in rng.sample(present, n_each)]
    probes += [(probe_question(name), "No") for name in rng.sample(absent, n_each)]
    rng.shuffle(probes)
    return [(question, longest), *probes] if longest else probes


def _pair(entry: Any, where: str) -> Pair:
    if not isinstance(entry, dict):
        raise SeedError(f"{where}: a {type(entry).__name__}, not an object; {MAKE_PAIRS}")
    if "conversations" in entry:
        raise SeedError(f"{where}: this is a LLaVA-Instruct file; {MAKE_PAIRS}")
    texts: list[str] = []
    for key in ("image", "question", "answer"):
        text = entry.get(key)
        if not isinstance(text, str) or not untagged(text):
            found = f"is {text!r:.60}" if key in entry else "is missing"
            raise SeedError(f"{where}: {key!r} {found}, expected a text; {MAKE_PAIRS}")
        texts.append(untagged(text) if key != "image" and IMAGE_TAG in text else text)
    return Pair(*texts)
