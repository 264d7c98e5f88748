"""What a pocket picture contains: eight kinds of scene, each with objects that belong together."""

from dataclasses import dataclass, field
from random import Random

# Objects that belong to a scene, most typical first. Names and ids are COCO's.
SCENES: dict[str, tuple[str, ...]] = {
    "kitchen": ("fork", "knife", "cup", "bowl"),
    "street": ("car", "traffic light", "stop sign", "bus"),
    "living room": ("couch", "tv", "remote", "cat"),
    "office": ("laptop", "keyboard", "mouse", "book"),
    "park": ("dog", "bench", "frisbee", "bicycle"),
    "bathroom": ("toilet", "sink", "toothbrush", "bottle"),
    "farm": ("cow", "horse", "sheep", "bird"),
    "beach": ("boat", "umbrella", "kite", "surfboard"),
}
COCO_IDS: dict[str, int] = {
    "bicycle": 2, "car": 3, "bus": 6, "boat": 9, "traffic light": 10, "stop sign": 13, "bench": 15,
    "bird": 16, "cat": 17, "dog": 18, "horse": 19, "sheep": 20, "cow": 21, "umbrella": 28,
    "frisbee": 34, "kite": 38, "surfboard": 42, "bottle": 44, "cup": 47, "fork": 48, "knife": 49,
    "bowl": 51, "couch": 63, "toilet": 70, "tv": 72, "laptop": 73, "mouse": 74, "remote": 75,
    "keyboard": 76, "sink": 81, "book": 84, "toothbrush": 90,
}  # fmt: skip
CATEGORIES: tuple[str, ...] = tuple(name for names in SCENES.values() for name in names)
SCENE_OF: dict[str, str] = {name: scene for scene, names in SCENES.items() for name in names}
GRID = 3  # objects stand on a GRID x GRID lattice, so that none hides another


@dataclass(frozen=True)
class World:
    """The world's knobs. Chosen once, before any SEED run was looked at (see the model card)."""

    image_size: int = 96  # pixels
    object_size: tuple[int, int] = (20, 30)  # pixels, smallest and largest
    faintest: float = 0.3  # opacity of the faintest object; 1 is solid
    grain: float = 6.0  # standard deviation of the sensor grain, 8-bit levels
    presence: tuple[float, ...] = (0.70, 0.62, 0.55, 0.45)  # P(object | scene), by typicality
    visitor: float = 0.4  # P(one object from another scene)
    invention: tuple[float, ...] = (0.42, 0.42, 0.12, 0.12)  # P(label invents it | absent)
    omission: float = 0.05  # P(label omits a present object)
    wrong_yes: tuple[float, ...] = (0.40, 0.40, 0.15, 0.15)  # P(label says Yes | absent)
    wrong_no: float = 0.03  # P(label says No | present)


@dataclass(frozen=True)
class Placed:
    """One object in one picture."""

    name: str
    box: tuple[int, int, int, int]  # x, y, width, height in pixels
    opacity: float


@dataclass(frozen=True)
class Scene:
    """One picture before it is drawn."""

    image_id: int
    kind: str
    objects: tuple[Placed, ...]
    texture_seed: int = field(repr=False)

    @property
    def names(self) -> list[str]:
        """Names of the objects present, in the order in which people mention them."""
        return [placed.name for placed in self.objects]


def make_scene(image_id: int, seed: int, world: World) -> Scene:
    """Draw a scene's content; the same id and seed always give the same scene."""
    rng = Random(f"scene-{seed}-{image_id}")
    kind = rng.choice(tuple(SCENES))
    names: list[str] = []
    while not names:
        names = [
            name
            for name, chance in zip(SCENES[kind], world.presence, strict=True)
            if rng.random() < chance
        ]
    if rng.random() < world.visitor:
        names.append(rng.choice([name for name in CATEGORIES if SCENE_OF[name] != kind]))
    cells = rng.sample(range(GRID * GRID), len(names))
    placed = [_place(name, cell, rng, world) for name, cell in zip(names, cells, strict=True)]
    return Scene(image_id, kind, tuple(placed), rng.getrandbits(32))


def _place(name: str, cell: int, rng: Random, world: World) -> Placed:
    row, column = divmod(cell, GRID)
    pitch = world.image_size // GRID
    size = rng.randint(*world.object_size)
    x = column * pitch + rng.randint(0, pitch - size)
    y = row * pitch + rng.randint(0, pitch - size)
    return Placed(name, (x, y, size, size), world.faintest + (1 - world.faintest) * rng.random())
