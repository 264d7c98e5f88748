"""What people say about a pocket image: truthful captions, and instruction labels that invent.

The instruction labels play the part of LLaVA-Instruct: written without checking the image, they
name typical objects that are not there, and tell typical colours, numbers and sides. A model trained on
them hallucinates from its prior.
"""

from random import Random

from seednb.data.instruct import CAPTION_QUESTIONS, Conversation, conversation_of
from seednb.data.pocket.questions import ASK, instruction_label
from seednb.data.pocket.scenes import CATEGORIES, SCENE_OF, SCENES, Scene, World
from seednb.data.probes import probe_question, with_article

N_PROBES = 2  # yes/no turns about objects in one conversation
N_TRAITS = 1  # and about a colour, a number or a side


def caption(kind: str, names: list[str]) -> str:
    """One sentence that names the scene and lists the objects."""
    listed = [with_article(name) for name in names]
    text = listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} and {listed[-1]}"
    return f"The image shows {with_article(kind)} with {text}."


def reference_captions(scene: Scene) -> list[str]:
    """Truthful captions, as annotators write them: a full one and a short one."""
    return [caption(scene.kind, scene.names), f"There is {with_article(scene.names[0])}."]


def instruction_caption(scene: Scene, rng: Random, world: World) -> str:
    """A caption that omits a few present objects and invents typical absent ones."""
    present = set(scene.names)
    named = []
    for name, invention in zip(SCENES[scene.kind], world.invention, strict=True):
        chance = 1 - world.omission if name in present else invention
        if rng.random() < chance:
            named.append(name)
    visitors = [name for name in scene.names if SCENE_OF[name] != scene.kind]
    named += [name for name in visitors if rng.random() >= world.omission]
    return caption(scene.kind, named or scene.names[:1])


def instruction_probe(scene: Scene, rng: Random, world: World) -> tuple[str, str]:
    """A yes/no question and a label that is too fond of typical objects."""
    present = scene.names
    if rng.random() < 0.5:
        name = rng.choice(present)
        return probe_question(name), "No" if rng.random() < world.wrong_no else "Yes"
    typical_absent = [name for name in SCENES[scene.kind] if name not in present]
    if typical_absent and rng.random() < 0.5:
        name = rng.choice(typical_absent)
        wrong_yes = world.wrong_yes[SCENES[scene.kind].index(name)]
        return probe_question(name), "Yes" if rng.random() < wrong_yes else "No"
    elsewhere = [n for n in CATEGORIES if n not in present and SCENE_OF[n] != scene.kind]
    return probe_question(rng.choice(elsewhere)), "No"


def instruction_traits(scene: Scene, seed: int, world: World) -> list[tuple[str, str]]:
    """One question of each kind that the image allows (colour, number, side), in random order."""
    rng = Random(f"talk-traits-{seed}-{scene.image_id}")
    asked = [ask(scene, rng.random() < 0.5, rng) for ask in ASK.values()]
    turns = [(q.text, instruction_label(q, rng, world)) for q in asked if q]
    rng.shuffle(turns)
    return turns


def conversation(scene: Scene, file_name: str, seed: int, world: World) -> Conversation:
    """A multi-turn record in LLaVA-Instruct's format; same scene and seed, same record."""
    rng = Random(f"talk-{seed}-{scene.image_id}")
    turns = [(rng.choice(CAPTION_QUESTIONS), instruction_caption(scene, rng, world))]
    turns += [instruction_probe(scene, rng, world) for _ in range(N_PROBES)]
    turns += instruction_traits(scene, seed, world)[:N_TRAITS]
    return conversation_of(scene.image_id, file_name, turns)
