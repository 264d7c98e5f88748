"""Frames about data, answers and committed measurements that the notebooks show."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seednb.core.files import read_json
from seednb.data.coco import CocoSplit
from seednb.data.instruct import Pair
from seednb.data.vocabulary import Vocabulary, find_mentions
from seednb.evaluation.stats import Interval
from seednb.experiments import calibration
from seednb.experiments.dataset import Prepared
from seednb.model.cost_model import RESULTS, SHAPES
from seednb.model.loading import Bundle

CACHED = ", teacher cached"  # how a measured row's name ends
# Results name the reproduction's training loop "seed loop"; people read these instead.
TIMES_REPRODUCTION = "times the reproduction's loop"
MEASURED_AS, SHOWN_AS = "seed loop", "reproduction's loop"

Row = dict[str, Any]


def overview(data: Prepared) -> pd.DataFrame:
    """Sizes of everything that was prepared."""
    rows = [
        ("training images", len(data.train.images)),
        ("validation images", len(data.val.images)),
        ("pairs, replayed labels", len(data.pairs["replay"])),
        ("pairs, truthful labels", len(data.pairs["truthful"])),
        ("POPE probes, three splits", len(data.probes)),
        ("questions by kind", len(data.questions)),
        ("images to caption", len(data.to_caption)),
        ("inputs skipped", len(data.skipped)),
    ]
    return pd.DataFrame(rows, columns=["what", "count"]).set_index("what")


def co_occurrence(split: CocoSplit, n_largest: int = 32) -> pd.DataFrame:
    """How often two objects share an image; the most frequent objects, partners side by side."""
    names = list(split.objects.values())
    frequent = [name for name, _ in Counter(n for ns in names for n in ns).most_common(n_largest)]
    holds = np.array([[name in ns for name in frequent] for ns in map(set, names)], dtype=int)
    together = holds.T @ holds
    np.fill_diagonal(together, 0)
    table = pd.DataFrame(together, index=frequent, columns=frequent)
    order = _partners_adjacent(table)
    return table.loc[order, order]


def label_errors(data: Prepared, labels: str) -> pd.DataFrame:
    """How often training captions invent absent objects or omit present ones, by object.

    Columns: `absent` and `present` count captions whose image lacks or holds the object,
    `invented` and `omitted` are shares of those. Images without a caption pair do not count.
    """
    tally: dict[str, Counter[str]] = {name: Counter() for name in data.train.categories}
    for _, present, named in _named(data, labels):
        for name in tally:
            tally[name]["present" if name in present else "absent"] += 1
            tally[name]["omitted"] += name in present - named
            tally[name]["invented"] += name in named - present
    columns = ["present", "absent", "invented", "omitted"]
    frame = pd.DataFrame(list(tally.values()), pd.Index(tally, name="object"), columns)
    frame = frame.fillna(0).astype(int)
    for share, whole in (("invented", "absent"), ("omitted", "present")):
        frame[share] = frame[share] / frame[whole].clip(lower=1)
    return frame.sort_values("invented", ascending=False)


def label_honesty(data: Prepared) -> pd.DataFrame:
    """Both label sets: captions, the share that names an absent object, the share that omits one."""
    rows = {}
    for labels in data.pairs:
        wrong = [
            (bool(said - there), bool(there - said)) for _, there, said in _named(data, labels)
        ]
        invents, omits = np.mean(wrong, axis=0) if wrong else (np.nan, np.nan)
        rows[labels] = {"captions": len(wrong), "invent": invents, "omit": omits}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("labels").reset_index()


def same_image(data: Prepared) -> pd.DataFrame:
    """What both label sets say of the first image whose replayed caption names an absent object."""
    replayed = _named(data, "replay")
    image = next((pair.image for pair, there, said in replayed if said - there), None)
    image = image or data.pairs["replay"][0].image
    rows = [
        {"labels": labels, "question": pair.question, "answer": pair.answer}
        for labels, pairs in data.pairs.items()
        for pair in pairs
        if pair.image == image
    ]
    truth = ", ".join(_objects_by_file(data)[image])
    rows.insert(0, {"labels": "annotation", "question": "objects in the image", "answer": truth})
    return pd.DataFrame(rows)


def hallucination_ranks(records: Sequence[Row], data: Prepared) -> pd.Series:
    """Where each hallucinated object stands among the image's absent objects.

    Rank 1 is the absent object that most often shares training images with the objects present. If
    hallucination came from blindness the ranks would be spread evenly over all absent objects.
    """
    together = co_occurrence(data.train, len(data.train.categories))
    ranks = []
    for record in records:
        present = data.present[record["image_id"]]
        known = [name for name in present if name in together.index]
        shared = together.loc[known].sum().drop(labels=known)
        absent = list(shared.sort_values(ascending=False, kind="stable").index)
        named = _hallucinated(record, present, data.vocabulary)
        ranks += [1 + absent.index(name) for name in named if name in absent]
    return pd.Series(ranks, name="rank", dtype=int)


def rank_table(ranks: pd.Series, data: Prepared, n_rows: int = 8) -> pd.DataFrame:
    """Share of hallucinated mentions at each rank, beside the share if ranks were spread evenly."""
    shares = ranks.value_counts(normalize=True).reindex(range(1, n_rows + 1), fill_value=0.0)
    index = [f"rank {rank}" for rank in shares.index]
    n_present = [len(objects) for objects in data.present.values()]
    even = 1 / max(1.0, len(data.train.categories) - float(np.mean(n_present)))
    return pd.DataFrame({"hallucinated mentions": shares.to_numpy(), "spread evenly": even}, index)


def hallucination_table(records: Sequence[Row], data: Prepared, n_rows: int = 10) -> pd.DataFrame:
    """The objects most often hallucinated, with the present objects they usually come with."""
    partners: defaultdict[str, Counter[str]] = defaultdict(Counter)
    times: Counter[str] = Counter()
    for record in records:
        present = data.present[record["image_id"]]
        for name in _hallucinated(record, present, data.vocabulary):
            times[name] += 1
            partners[name].update(sorted(present))  # a set's order would decide ties
    rows = []
    for name, count in times.most_common(n_rows):
        usual = [f"{other} ({n / count:.0%})" for other, n in partners[name].most_common(3)]
        rows.append((name, count, ", ".join(usual)))
    return pd.DataFrame(rows, columns=["hallucinated", "times", "present in those images"])


def inventions_moved(before: Sequence[Row], after: Sequence[Row], data: Prepared) -> pd.DataFrame:
    """By image, how many absent objects only the caption before names (`gone`), or only the one after.

    Columns: image_id, gone, new. Both lists of records are about the same images.
    """
    by_image = {record["image_id"]: record for record in after}
    rows = []
    for record in before:
        name = record["image_id"]
        first, second = (
            set(_hallucinated(each, data.present[name], data.vocabulary))
            for each in (record, by_image[name])
        )
        rows.append((name, len(first - second), len(second - first)))
    return pd.DataFrame(rows, columns=["image_id", "gone", "new"])


def both_ways(moved: pd.DataFrame, n: int = 2) -> list[Any]:
    """The first n images with an invention gone, and the first n with a new one: no choice by eye."""
    chosen = [moved.loc[moved[side] > 0, "image_id"].head(n) for side in ("gone", "new")]
    return list(dict.fromkeys(pd.concat(chosen)))


def model_card(bundle: Bundle, source: str) -> str:
    """What a base model is, as Markdown: its size; of one that this project built, also its making."""
    n, known = bundle.model.num_parameters(), SHAPES["llava-1.5-7b"]
    size = f"`{Path(source).name}` has {n:,} parameters"
    file = Path(source) / "recipe.json"
    if not file.is_file():
        return f"{size}. It was not trained here; what it has seen, its own model card says."
    recipe = read_json(file)
    world = recipe["world"]
    steps = [f"{recipe[f'{stage}_steps']:,}" for stage in ("vision", "truthful", "instruct")]
    return (
        f"**Size.** {size}: LLaVA-1.5-7B has {known.n_parameters / n:,.0f} times as many. The "
        f"architecture is the same, a vision tower whose features a language model reads.\n\n"
        f"**What it was trained on.** From nothing, on {recipe['n_images']:,} generated images of "
        f"{world['image_size']} pixels: {steps[0]} steps to see, {steps[1]} on truthful captions and "
        f"answers, {steps[2]} on instruction labels, which name an absent object that is typical of "
        f"the scene with a probability of up to {max(world['invention']):.0%}. It knows nothing "
        "else.\n\n"
        "**How it was chosen.** The world and the recipe were chosen so that the model hallucinates "
        "from its prior, by looking at the base model and at contrastive decoding, with another "
        "seed, on images that no published number uses, before any SEED version was trained on "
        "them; only the length of the truthful stage was set later.\n\n"
        "**What that means for every result here.** Contrastive decoding and SEED use the same "
        "contrast, so this is a world in which the contrast works. That SEED lowers hallucination "
        "here shows that the method can do so and how; it does not show that a large model gains as "
        "much, or at all. What carries over is the code and its tests, the statistics and the "
        "controls, not the sizes of effects."
    )


def caption_spans(
    record: Row, present: set[str], vocabulary: Vocabulary
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Character spans of hallucinated and of correct object words in a caption.

    A true object that is named again adds nothing: only its first mention is correct.
    """
    mentions = find_mentions(record["caption"], vocabulary)
    wrong = [(m.start, m.end) for m in mentions if m.object not in present]
    first = {m.object: (m.start, m.end) for m in reversed(mentions) if m.object in present}
    return wrong, sorted(first.values())


def purification_outcome(changes: pd.DataFrame) -> list[str]:
    """What purification did to the mentions of a frame of `calibration.purified_mentions`, in words."""
    invented, true = changes[changes["hallucinated"]], changes[~changes["hallucinated"]]
    if invented.empty:
        return ["The captions invent no object, so there is nothing to purify."]
    became = invented["becomes"].value_counts()
    fall = int((invented["after"] < invented["before"]).sum())
    present, other, stay, none = (
        int(became.get(name, 0))
        for name in (calibration.PRESENT, calibration.OTHER, calibration.SAME, calibration.NONE)
    )
    again = int(invented.loc[invented["becomes"] == calibration.PRESENT, "repeats"].sum())
    lost = true["becomes"].value_counts()
    n_lost = len(true) - int(lost.get(calibration.SAME, 0))
    return [
        f"Of {len(invented)} invented words, {fall} ({fall / len(invented):.0%}) fall.",
        f"{present} give way to an object of the image ({again} of them to one that the caption has "
        f"named already), {other} to another invention and {none} to a word that names no object; "
        f"{stay} stay the likeliest word.",
        f"Of {len(true)} true words, {n_lost} give way, "
        f"{int(lost.get(calibration.OTHER, 0))} of them to an invention.",
    ]


def beside_chance(area: Interval) -> str:
    """Where an area under the curve lies: 0.5 is chance."""
    return (
        "above chance"
        if area.low > 0.5
        else "below chance"
        if area.high < 0.5
        else "not resolved from chance"
    )


def scaling_table(root: Path) -> pd.DataFrame:
    """What `benchmarks/scaling.py` measured on several cards of one machine, beside one of them."""
    files = sorted((root / RESULTS).glob("scaling-*.json"))
    rows = {row["name"]: row for file in files for row in read_json(file)["rows"]}
    table = []
    for name, row in rows.items():
        size, _, setting = name.partition(", ")
        n_cards, _, how = setting.partition(" processes")
        one = rows.get(f"{size}, 1 processes{how}")
        table.append(
            {
                "model": size,
                "cards": int(n_cards),
                "layers": "in parts" if how else "whole on each",
                "samples/s": row["samples_per_s"],
                "times one card": row["samples_per_s"] / one["samples_per_s"] if one else None,
                "GiB of each": max(row["peak_gib_of_each"]),
            }
        )
    return pd.DataFrame(table)


def training_table(result: dict[str, Any]) -> pd.DataFrame:
    """The measured rows of `benchmarks/train_step.py`, with the reproduction's loop named so."""
    table = pd.DataFrame(result["rows"])
    return table.assign(name=table["name"].str.replace(MEASURED_AS, SHOWN_AS))


def epochs_table(result: dict[str, Any], n_epochs: int = 3) -> pd.DataFrame:
    """Samples a second over some epochs: the first asks the teacher, the others read its cache."""
    rate = {row["name"]: row["samples_per_s"] for row in result["rows"]}
    first_row = result["rows"][0]
    reproduction = first_row["samples_per_s"] / first_row["times_seed_loop"]
    table = []
    for name, later in rate.items():
        if CACHED in name:
            asked = name.partition(CACHED)[0]
            average = n_epochs / (1 / rate[asked] + (n_epochs - 1) / later)
            table.append(
                {
                    "variant": asked,
                    "first epoch": rate[asked],
                    "later epochs": later,
                    f"over {n_epochs} epochs": average,
                    TIMES_REPRODUCTION: average / reproduction,
                }
            )
    return pd.DataFrame(table)


def provenance(result: dict[str, Any]) -> str:
    """Machine, versions, date and command of a result, on one line of text."""
    used = ", ".join(
        f"{name} {result['versions'][name]}" for name in ("torch", "transformers", "peft")
    )
    return f"{result['machine']}; {used}; {result['date']}; {result['command']}"


def _named(data: Prepared, labels: str) -> Iterator[tuple[Pair, set[str], set[str]]]:
    """(pair, objects in its image, objects that it names) of every caption of a label set."""
    objects = _objects_by_file(data)
    for pair in data.pairs[labels]:
        if pair.answer.strip().rstrip(".").lower() not in ("yes", "no"):
            named = {mention.object for mention in find_mentions(pair.answer, data.vocabulary)}
            yield pair, set(objects[pair.image]), named


def _objects_by_file(data: Prepared) -> dict[str, Collection[str]]:
    """Objects of each training image, by the image's file name."""
    images = data.train.images
    return {
        file_name: data.train.objects[image_id]
        for file_name, image_id in zip(images["file_name"], images["image_id"], strict=True)
    }


def _hallucinated(record: Row, present: set[str], vocabulary: Vocabulary) -> list[str]:
    """Objects that a caption names and the image lacks, one for each mention."""
    mentions = find_mentions(record["caption"], vocabulary)
    return [mention.object for mention in mentions if mention.object not in present]


def _partners_adjacent(table: pd.DataFrame) -> list[str]:
    """Order objects so that each stands next to the one it shares most images with."""
    left = list(table.index)
    order = [left.pop(0)]
    while left:
        nearest = max(left, key=lambda name: table.loc[order[-4:], name].sum())
        left.remove(nearest)
        order.append(nearest)
    return order
