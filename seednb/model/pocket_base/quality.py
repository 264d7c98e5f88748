"""How well a pocket checkpoint sees and how it hallucinates, on images that nothing else uses."""

from collections import Counter

import torch
from jaxtyping import Float
from torch import Tensor

from seednb.data.instruct import CAPTION_QUESTIONS
from seednb.data.pocket.art import render
from seednb.data.pocket.quiz import KINDS, quiz
from seednb.data.pocket.scenes import CATEGORIES, SCENE_OF, Scene, World, make_scene
from seednb.data.vocabulary import Vocabulary, find_mentions
from seednb.model.forward import AnswerLogits
from seednb.model.generation import generate
from seednb.model.inputs.collate import collate
from seednb.model.inputs.prompts import PLAIN, Encoded, encode_prompt
from seednb.model.loading import Bundle
from seednb.model.pocket_base.material import through_jpeg

FIRST_ID = 900_001  # neither training nor validation images
CLEAR = 0.6  # opacity from which an object is clear
MAX_NEW_TOKENS = 64
YES_NO = ("Yes", "No")
VOCABULARY = Vocabulary(CATEGORIES, {name: name for name in CATEGORIES})


def measure(
    bundle: Bundle, seed: int, n: int = 400, world: World | None = None
) -> dict[str, float]:
    """Shares in percent, from greedy captions of n fresh images.

    `recall_clear`: present objects of opacity 0.6 or more that are named. `hallucinated_in_scene`:
    hallucinated mentions of objects that belong to the image's kind of scene (a blind model would
    reach 4 of 32 categories, about 11%). `accuracy_*`: of yes/no questions by kind, as many yes as no;
    `typical_*`: of the wrong answers, those that tell what is typical.
    """
    world = world or World()
    scenes = [make_scene(FIRST_ID + number, seed, world) for number in range(n)]
    processor = bundle.processor.image_processor
    images = [through_jpeg(render(scene, world)) for scene in scenes]
    pixels = processor(images, return_tensors="pt").pixel_values
    decoded = generate(bundle, CAPTION_QUESTIONS[0], pixels, MAX_NEW_TOKENS)
    named = [_named(item.text) for item in decoded]
    wrong = [
        [o for o in objects if o not in s.names] for objects, s in zip(named, scenes, strict=True)
    ]
    present, clear = [scene.names for scene in scenes], [_clear(scene) for scene in scenes]
    n_wrong = sum(map(len, wrong))
    in_scene = sum(SCENE_OF[o] == s.kind for os, s in zip(wrong, scenes, strict=True) for o in os)
    return {
        "CHAIRi": _percent(n_wrong, sum(map(len, named))),
        "CHAIRs": _percent(sum(map(bool, wrong)), n),
        "recall": _percent(_n_found(named, present), sum(map(len, present))),
        "recall_clear": _percent(_n_found(named, clear), sum(map(len, clear))),
        "hallucinated_in_scene": _percent(in_scene, n_wrong),
        **_by_kind(bundle, scenes, pixels, seed),
        "n_images": n,
    }


@torch.inference_mode()
def _by_kind(
    bundle: Bundle, scenes: list[Scene], pixels: Float[Tensor, "R C H W"], seed: int
) -> dict[str, float]:
    """Accuracy of each kind of question, and how many of its wrong answers are the typical ones."""
    questions = list(quiz(scenes, seed))
    row_of = {scene.image_id: row for row, scene in enumerate(scenes)}
    yes, no = (bundle.next_token(word) for word in YES_NO)
    texts = []
    for question in questions:
        ids = encode_prompt(question["text"], bundle.tokenizer, bundle.image_tokens, PLAIN)
        texts.append(Encoded(tuple(ids), len(ids)))
    rows = [row_of[question["image_id"]] for question in questions]
    batch = collate(texts, rows, pixels, bundle.layout).to(bundle.device)
    logits = AnswerLogits(bundle.model)(batch)
    answers = ["yes" if is_yes else "no" for is_yes in (logits[:, yes] > logits[:, no]).tolist()]
    asked, wrong, typical = Counter[str](), Counter[str](), Counter[str]()
    for question, answer in zip(questions, answers, strict=True):
        kind = question["kind"]
        asked[kind] += 1
        wrong[kind] += answer != question["label"]
        typical[kind] += answer != question["label"] and answer == question["typical"]
    accuracy = {f"accuracy_{k}": _percent(asked[k] - wrong[k], asked[k]) for k in KINDS}
    return accuracy | {f"typical_{k}": _percent(typical[k], wrong[k]) for k in KINDS}


def _named(caption: str) -> list[str]:
    return [mention.object for mention in find_mentions(caption, VOCABULARY)]


def _clear(scene: Scene) -> list[str]:
    return list({placed.name for placed in scene.objects if placed.opacity >= CLEAR})


def _n_found(named: list[list[str]], present: list[list[str]]) -> int:
    return sum(len(set(a) & set(b)) for a, b in zip(named, present, strict=True))


def _percent(part: int, whole: int) -> float:
    return round(100 * part / max(1, whole), 1)
