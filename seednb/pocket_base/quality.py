"""How well a pocket checkpoint sees and how it hallucinates, on pictures that nothing else uses."""

from seednb.data.pocket.art import render
from seednb.data.pocket.language import CAPTION_QUESTIONS
from seednb.data.pocket.scenes import CATEGORIES, SCENE_OF, Scene, World, make_scene
from seednb.data.prompts import PLAIN
from seednb.decoding import generate
from seednb.metrics.vocabulary import Vocabulary, find_mentions
from seednb.model import Bundle
from seednb.pocket_base.material import through_jpeg

FIRST_ID = 900_001  # neither training nor validation pictures
CLEAR = 0.6  # opacity from which an object is clear
MAX_NEW_TOKENS = 64
VOCABULARY = Vocabulary(CATEGORIES, {name: name for name in CATEGORIES})


def measure(
    bundle: Bundle, seed: int, n: int = 200, world: World | None = None
) -> dict[str, float]:
    """Shares in percent, from greedy captions of n fresh pictures.

    `recall_clear`: present objects of opacity 0.6 or more that are named. `hallucinated_in_scene`:
    hallucinated mentions of objects that belong to the picture's kind of scene (a blind model would
    reach 4 of 32 categories, about 11%).
    """
    world = world or World()
    scenes = [make_scene(FIRST_ID + number, seed, world) for number in range(n)]
    processor = bundle.processor.image_processor
    images = [through_jpeg(render(scene, world)) for scene in scenes]
    pixels = processor(images, return_tensors="pt").pixel_values
    decoded = generate(bundle, CAPTION_QUESTIONS[0], pixels, PLAIN, MAX_NEW_TOKENS)
    named = [_named(item.text) for item in decoded]
    wrong = [
        [o for o in objects if o not in s.names] for objects, s in zip(named, scenes, strict=True)
    ]
    clear = [_clear(scene) for scene in scenes]
    n_wrong = sum(map(len, wrong))
    in_scene = sum(SCENE_OF[o] == s.kind for os, s in zip(wrong, scenes, strict=True) for o in os)
    return {
        "CHAIRi": _percent(n_wrong, sum(map(len, named))),
        "CHAIRs": _percent(sum(map(bool, wrong)), n),
        "recall": _percent(
            _n_found(named, [s.names for s in scenes]), sum(len(s.names) for s in scenes)
        ),
        "recall_clear": _percent(_n_found(named, clear), sum(map(len, clear))),
        "hallucinated_in_scene": _percent(in_scene, n_wrong),
        "n_pictures": n,
    }


def _named(caption: str) -> list[str]:
    return [mention.object for mention in find_mentions(caption, VOCABULARY)]


def _clear(scene: Scene) -> list[str]:
    return [placed.name for placed in scene.objects if placed.opacity >= CLEAR]


def _n_found(named: list[list[str]], present: list[list[str]]) -> int:
    return sum(len(set(a) & set(b)) for a, b in zip(named, present, strict=True))


def _percent(part: int, whole: int) -> float:
    return round(100 * part / max(1, whole), 1)
