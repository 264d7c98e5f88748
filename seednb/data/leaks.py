"""Leakage: evaluation images that were trained on, found under every name of COCO's."""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from seednb.core.errors import SeedError

LISTED = 5  # images that an error message spells out
NUMBERED = re.compile(r"^(?P<prefix>.*?)_?(?P<id>\d{12})$")
COCO_PREFIX = re.compile(r"^((COCO_)?(train|val|test)\d{4})?$", re.IGNORECASE)


def image_key(name: str) -> tuple[str, int] | None:
    """What identifies an image: the data set and its number there; None if the name tells neither.

    COCO renamed its images between years: `COCO_train2014_000000000042.jpg`,
    `COCO_val2014_000000000042.jpg` and train2017's `000000000042.jpg` are one image. Another
    prefix is another data set.
    """
    match = NUMBERED.match(PurePosixPath(name).stem)
    if not match:
        return None
    prefix = match["prefix"]
    return "COCO" if COCO_PREFIX.match(prefix) else prefix, int(match["id"])


def leaked_images(training: Iterable[str], evaluation: Iterable[str]) -> list[str]:
    """The evaluation images that are training images too, each once, in the order given.

    A name without a number of twelve digits cannot be compared and never counts as leaked.
    """
    trained = {image_key(name) for name in training} - {None}
    return [name for name in dict.fromkeys(evaluation) if image_key(name) in trained]


def refuse_leaks(training: Iterable[str], evaluation: Iterable[str], benchmark: str) -> None:
    """Raise SeedError if a benchmark asks about images that were trained on."""
    leaked = leaked_images(training, evaluation)
    if leaked:
        more = f" and {len(leaked) - LISTED} more" if len(leaked) > LISTED else ""
        raise SeedError(
            f"{benchmark}: {len(leaked)} of its images were trained on "
            f"({', '.join(leaked[:LISTED])}{more}), so its score would count memory as sight; train "
            "without them or leave the benchmark out"
        )
