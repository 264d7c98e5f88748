"""Building POPE's questions from the objects of each image."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from seednb.core.errors import SeedError
from seednb.data.readers import read_json

SPLITS = ("random", "popular", "adversarial")
ObjectsByImage = Mapping[Any, Sequence[str]]  # by image, whatever names it


def build_probes(
    objects_by_image: ObjectsByImage,
    split: str,
    seed: int,
    n_images: int | None = None,
    positives: int = 3,
    co_occurrence_source: ObjectsByImage | None = None,
    min_objects: int | None = None,
) -> list[dict[str, Any]]:
    """Probes by POPE's own algorithm: after each object that is there, one that is not.

    The first `positives` listed objects are asked (not random ones), so the three splits share
    them. A negative is in neither the image nor its history of questions: drawn uniformly
    (random), the most frequent object (popular), or the one seen most often together with the
    object just asked (adversarial). Where no object of the ranking is left, the draw is uniform.
    Ties keep the order of first appearance.

    Images with fewer than `min_objects` objects are left out (default: `positives`, as
    published; below that, an image gives min(objects, positives) pairs). `n_images` of the rest
    are sampled with `seed`; None takes all, in order. Frequencies and partners are counted over
    those images, or over `co_occurrence_source`. Raises SeedError where the images do not
    suffice or an image leaves no object to deny.
    """
    if split not in SPLITS:
        raise SeedError(f"POPE split {split!r} is unknown; use one of {', '.join(SPLITS)}")
    rng = Random(seed)
    kept = _choose_images(objects_by_image, n_images, min_objects or positives, rng)
    counted = [list(names) for names in (co_occurrence_source or kept).values()]
    popular = _by_frequency(name for names in counted for name in names)
    partners = _partners(counted)
    probes: list[dict[str, Any]] = []
    for image, names in kept.items():
        excluded = set(names)
        for present in names[:positives]:
            ranking = {"random": [], "popular": popular, "adversarial": partners.get(present, [])}
            absent = _negative(ranking[split], popular, excluded, rng, image)
            excluded.add(absent)
            for name, label in ((present, "yes"), (absent, "no")):
                asked = {"image": image, "text": probe_question(name), "label": label}
                number = len(probes) + 1
                probes.append({"question_id": number, **asked, "split": split, "object": name})
    return probes


def read_objects(path: Path) -> dict[str | int, list[str]]:
    """Objects by image, from a JSON object: image -> list of its objects' names.

    Raises SeedError for another form, and for an image that is named twice.
    """
    objects = read_json(path, unique_keys=True)
    lists = objects.values() if isinstance(objects, dict) else [None]
    if not all(isinstance(names, list) and all(map(_is_name, names)) for names in lists):
        raise SeedError(f"{path}: write one JSON object, image -> list of its objects' names")
    return objects


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def probe_question(name: str) -> str:
    """POPE's question about one object."""
    return f"Is there {with_article(name)} in the image?"


def with_article(name: str) -> str:
    """The name after "a", or "an" before a, e, i, o, u, by letter as POPE writes it."""
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _choose_images(
    objects_by_image: ObjectsByImage, n_images: int | None, min_objects: int, rng: Random
) -> dict[str | int, list[str]]:
    distinct = {image: list(dict.fromkeys(names)) for image, names in objects_by_image.items()}
    rich = {image: names for image, names in distinct.items() if len(names) >= min_objects}
    wanted = len(rich) if n_images is None else n_images
    if not rich or wanted > len(rich):
        raise SeedError(
            f"{len(rich)} of {len(objects_by_image)} images have {min_objects} objects or more, "
            f"{max(wanted, 1)} are needed; lower n_images or min_objects"
        )
    chosen = list(rich) if n_images is None else rng.sample(list(rich), n_images)
    return {image: rich[image] for image in chosen}


def _by_frequency(names: Iterable[str]) -> list[str]:
    return [name for name, _ in Counter(names).most_common()]


def _partners(counted: list[list[str]]) -> dict[str, list[str]]:
    """Each object's companions, most frequent first."""
    together: dict[str, list[str]] = {}
    for names in counted:
        for name in names:
            together.setdefault(name, []).extend(other for other in names if other != name)
    return {name: _by_frequency(others) for name, others in together.items()}


def _negative(
    ranking: list[str], vocabulary: list[str], excluded: set[str], rng: Random, image: str | int
) -> str:
    ranked = next((name for name in ranking if name not in excluded), None)
    if ranked is not None:
        return ranked
    allowed = [name for name in vocabulary if name not in excluded]
    if not allowed:
        raise SeedError(f"image {image}: no object is left to deny; ask fewer positives")
    return rng.choice(allowed)
