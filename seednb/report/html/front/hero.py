"""The hero: base and SEED on one image, and what became of all inventions; counted from the captions.

An invention is an object that a caption names and the image lacks, once for each caption. One is gone
if SEED's caption of the image no longer has it, and new if only SEED's has it. Where SEED's caption
names a true object more often than the base model's, an invention may have made room for that
repetition: it then counts as `repeated`, not as gone.
"""

import base64
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from seednb.core.profiles import Params
from seednb.data.images import load_image, resolve_image
from seednb.data.vocabulary import Vocabulary, find_mentions
from seednb.evaluation.records import Record
from seednb.experiments.experiment import Experiment
from seednb.model.cost_model import SHAPES

SEED = "v7"
SIDE = 480  # pixels, the longest side of the image; a smaller one stays as it is
Kind = Literal["wrong", "found", ""]
Segment = tuple[str, Kind]


@dataclass(frozen=True)
class Counts:
    """Inventions over all captions, and captions by which way they went."""

    n_captions: int
    gone: int
    new: int
    repeated: int
    n_better: int  # captions that lost inventions and have no new one
    n_worse: int  # captions with a new invention that lost none


@dataclass(frozen=True)
class CaptionPair:
    """Base's and SEED's caption of one image, read against what is there."""

    base: Record
    seed: Record
    gone: Set[str]
    new: Set[str]
    repeats: bool
    left: int  # inventions in SEED's caption
    lost: int  # true objects that only base names
    found: int  # true objects that only SEED names
    n_named: int  # true objects that SEED names
    n_omitted: int  # and does not name


def hero(lab: Experiment, model: str = SEED) -> dict[str, Any] | None:
    """All that the hero shows, ready for JSON; None without captions that differ in an invention."""
    data = lab.data
    base, seed = lab.answers("base").captions, lab.answers(model).captions
    read = read_pairs(base, seed, data.present, data.vocabulary)
    counts = count(read)
    shown = example(read, counts)
    if shown is None:
        return None
    present = data.present[shown.base["image_id"]]
    file = resolve_image(data.val.image_dir, shown.base["image"])
    return {
        "model": model,
        "image": _data_uri(load_image(file)),
        "name": shown.base["image"],
        "present": sorted(present),
        "captions": {
            name: segments(record["caption"], present, data.vocabulary, other["caption"])
            for name, record, other in (
                ("base", shown.base, shown.seed),
                (model, shown.seed, shown.base),
            )
        },
        "counts": asdict(counts),
    }


def read_pairs(
    base: Sequence[Record],
    seed: Sequence[Record],
    present: Mapping[Any, Set[str]],
    vocabulary: Vocabulary,
) -> list[CaptionPair]:
    """Both captions of each image that both models described."""
    others = {record["image_id"]: record for record in seed}
    return [
        _pair(record, others[record["image_id"]], present[record["image_id"]], vocabulary)
        for record in base
        if record["image_id"] in others
    ]


def count(pairs: Sequence[CaptionPair]) -> Counts:
    """Inventions gone, new, and given up for a repetition."""
    return Counts(
        n_captions=len(pairs),
        gone=sum(len(pair.gone) for pair in pairs if not pair.repeats),
        new=sum(len(pair.new) for pair in pairs),
        repeated=sum(len(pair.gone) for pair in pairs if pair.repeats),
        n_better=sum(bool(pair.gone) and not pair.new and not pair.repeats for pair in pairs),
        n_worse=sum(bool(pair.new) and not pair.gone for pair in pairs),
    )


def example(pairs: Sequence[CaptionPair], counts: Counts) -> CaptionPair | None:
    """The clearest caption of what happens more often: inventions go, or new ones come.

    Of inventions that go: SEED's caption repeats nothing and invents nothing, and the most true
    objects came instead, the most are named, the fewest left out; then the first. None if there is
    no such caption.
    """
    if counts.gone < counts.new:
        worse = [pair for pair in pairs if pair.new and not pair.gone]
        return max(worse, key=lambda pair: (len(pair.new), -pair.found), default=None)
    better = [p for p in pairs if p.gone and not (p.left or p.repeats or p.lost)]
    return max(better, key=lambda p: (p.found, p.n_named, -p.n_omitted), default=None)


def segments(caption: str, present: Set[str], vocabulary: Vocabulary, other: str) -> list[Segment]:
    """A caption cut at the objects that matter, beside the other model's caption.

    "wrong": the image lacks it. "found": the image holds it, and only this caption names it.
    """
    elsewhere = {mention.object for mention in find_mentions(other, vocabulary)}
    cut: list[Segment] = []
    at = 0
    for mention in find_mentions(caption, vocabulary):
        kind: Kind = "wrong" if mention.object not in present else "found"
        if kind == "wrong" or mention.object not in elsewhere:
            cut += [(caption[at : mention.start], ""), (caption[mention.start : mention.end], kind)]
            at = mention.end
    return [each for each in [*cut, (caption[at:], "")] if each[0]]


def model_facts(params: Params) -> dict[str, Any]:
    """The profile's base model: its name, parameters if they can be counted, and whether it is a toy.

    A toy's world is generated. Parameters are those of the checkpoint's files, whose headers tell
    them; of a model that is not on this disk, those of the listed shape of that name.
    """
    folder = params.path(params.model.model)
    files = sorted(folder.glob("*.safetensors"))
    listed = (s.n_parameters for s in SHAPES.values() if s.name in params.model.model.lower())
    n = sum(map(_n_parameters, files)) if files else next(listed, None)
    name = params.model.model.rstrip("/").rpartition("/")[2]
    return {"name": name, "size": in_words(n), "is_toy": params.data.generator == "pocket"}


def in_words(n: float | None) -> str:
    """ "1.4 million", "7.1 billion"; empty if unknown."""
    if n is None:
        return ""
    return f"{n / 1e9:.1f} billion" if n >= 1e9 else f"{n / 1e6:.1f} million"


def _pair(base: Record, seed: Record, present: Set[str], vocabulary: Vocabulary) -> CaptionPair:
    before, after = (
        Counter(mention.object for mention in find_mentions(record["caption"], vocabulary))
        for record in (base, seed)
    )
    named = after.keys() & present
    return CaptionPair(
        base=base,
        seed=seed,
        gone=before.keys() - after.keys() - present,
        new=after.keys() - before.keys() - present,
        repeats=any(after[name] > max(1, before[name]) for name in named),
        left=len(after.keys() - present),
        lost=len((before.keys() & present) - named),
        found=len(named - before.keys()),
        n_named=len(named),
        n_omitted=len(present - named),
    )


def _n_parameters(file: Path) -> int:
    """Of a safetensors file: eight bytes of length, then a JSON header with every tensor's shape."""
    with file.open("rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    total = 0
    for name, tensor in header.items():
        size = 1
        for side in tensor["shape"] if name != "__metadata__" else (0,):
            size *= side
        total += size
    return total


def _data_uri(image: Image.Image) -> str:
    """A small image without loss, a photograph as JPEG."""
    kind = "png" if max(image.size) <= SIDE // 2 else "jpeg"
    image = image.convert("RGB")
    image.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    image.save(buffer, kind, optimize=True)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
