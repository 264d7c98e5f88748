"""Questions of four kinds about validation images: at most one a kind and image, half of them yes."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from random import Random
from typing import Any

from seednb.data.pocket.questions import ASK, Question, yes_or_no
from seednb.data.pocket.scenes import CATEGORIES, SCENE_OF, SCENES, Scene
from seednb.data.probes import probe_question


def existence_question(scene: Scene, wanted: bool, rng: Random) -> Question:
    """Is there such an object? If not, one that belongs to the scene, where one is missing."""
    missing = [name for name in SCENES[scene.kind] if name not in scene.names]
    elsewhere = [name for name in CATEGORIES if SCENE_OF[name] != scene.kind]
    absent = missing or [name for name in elsewhere if name not in scene.names]
    name = rng.choice(scene.names if wanted else absent)
    return Question("existence", probe_question(name), wanted, SCENE_OF[name] == scene.kind)


KINDS: dict[str, Callable[[Scene, bool, Random], Question | None]] = {
    "existence": existence_question,
    **ASK,
}


def quiz(scenes: Iterable[Scene], seed: int) -> Iterator[dict[str, Any]]:
    """Rows as AMBER's discriminative part asks them, one after the other; a longer quiz begins alike.

    `label` is the truth and `typical` what the scene makes likely, "yes" or "no". Within a kind the
    labels take turns.
    """
    asked: Counter[str] = Counter()
    for scene in scenes:
        rng = Random(f"quiz-{seed}-{scene.image_id}")
        for kind, ask in KINDS.items():
            question = ask(scene, asked[kind] % 2 == 0, rng)
            if question is None:
                continue
            asked[kind] += 1
            yield {
                "question_id": asked.total(),
                "image_id": scene.image_id,
                "text": question.text,
                "label": yes_or_no(question.is_true).lower(),
                "typical": yes_or_no(question.is_typical).lower(),
                "kind": kind,
            }
