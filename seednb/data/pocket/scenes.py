"""What a pocket image contains: eight kinds of scene, each with objects that belong together."""

from dataclasses import dataclass, field, replace
from random import Random

from seednb.data.pocket.traits import draw_colour, draw_number

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
    """The world's parameters. Chosen once, before the first SEED run (see the model card)."""

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
    typical_colour: float = 0.55  # P(an object has the usual colour of its kind)
    typical_number: float = 0.55  # P(there are as many as usual | present)
    tidy: float = 0.5  # P(the scene's own objects stand from left to right by typicality)
    unlooked: float = 0.4  # P(label tells the usual colour, number or side, whatever is true)


@dataclass(frozen=True)
class Placed:
    """One object in one image."""

    name: str
    box: tuple[int, int, int, int]  # x, y, width, height in pixels
    opacity: float
    colour: str = ""  # "" for objects that come in one only


@dataclass(frozen=True)
class Scene:
    """One image before it is drawn. Objects of one name are as many as the image shows."""

    image_id: int
    kind: str
    objects: tuple[Placed, ...]
    texture_seed: int = field(repr=False)

    @property
    def names(self) -> list[str]:
        """Names of the objects present, each once, in the order in which people mention them."""
        return list(dict.fromkeys(placed.name for placed in self.objects))

    @property
    def single(self) -> dict[str, Placed]:
        """The objects of which there is one only, by name: "the cup" means one cup."""
        return {o.name: o for o in self.objects if self.number(o.name) == 1}

    def number(self, name: str) -> int:
        """How many objects have this name."""
        return sum(placed.name == name for placed in self.objects)


def make_scene(image_id: int, seed: int, world: World) -> Scene:
    """Draw a scene's content; the same id and seed always give the same scene.

    Colours, copies and order have a stream of their own: which objects there are and how faint they
    are depends on the first stream alone.
    """
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
    texture_seed = rng.getrandbits(32)
    traits = Random(f"traits-{seed}-{image_id}")
    placed = _in_order(placed, kind, traits, world)
    placed = [replace(o, colour=draw_colour(o.name, world.typical_colour, traits)) for o in placed]
    free = [cell for cell in range(GRID * GRID) if cell not in cells]
    return Scene(
        image_id, kind, (*placed, *_copies(placed, kind, free, traits, world)), texture_seed
    )


def _place(name: str, cell: int, rng: Random, world: World) -> Placed:
    size = rng.randint(*world.object_size)
    box = _box(cell, size, rng, world)
    return Placed(name, box, world.faintest + (1 - world.faintest) * rng.random())


def _box(cell: int, size: int, rng: Random, world: World) -> tuple[int, int, int, int]:
    """A place for an object within a cell of the lattice."""
    row, column = divmod(cell, GRID)
    pitch = world.image_size // GRID
    x = column * pitch + rng.randint(0, pitch - size)
    return x, row * pitch + rng.randint(0, pitch - size), size, size


def _in_order(placed: list[Placed], kind: str, rng: Random, world: World) -> list[Placed]:
    """Now and then the scene's own objects swap places, so that the typical ones stand left."""
    own = [number for number, o in enumerate(placed) if SCENE_OF[o.name] == kind]
    if rng.random() >= world.tidy:
        return placed
    pitch = world.image_size // GRID
    boxes = sorted((placed[number].box for number in own), key=lambda box: box[0] // pitch)
    moved = dict(zip(own, boxes, strict=True))
    return [replace(o, box=moved.get(number, o.box)) for number, o in enumerate(placed)]


def _copies(
    placed: list[Placed], kind: str, free: list[int], rng: Random, world: World
) -> list[Placed]:
    """More of the objects that come in groups, alike in size, colour and opacity."""
    copies = []
    for original in placed:
        if SCENE_OF[original.name] != kind:
            continue
        for _ in range(draw_number(original.name, world.typical_number, rng) - 1):
            cell = free.pop(rng.randrange(len(free)))
            copies.append(replace(original, box=_box(cell, original.box[2], rng, world)))
    return copies
