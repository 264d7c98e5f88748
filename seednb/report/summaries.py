"""Frames about data, answers and committed measurements that the notebooks show."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seednb.core.files import read_json
from seednb.data.coco import CocoSplit
from seednb.data.instruct import Pair
from seednb.data.vocabulary import Vocabulary, find_mentions
from seednb.experiments.dataset import Prepared
from seednb.model.cost_model import RESULTS

CACHED = ", teacher cached"  # how a measured row's name ends

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
    indicator = pd.DataFrame(
        [[name in ns for name in frequent] for ns in map(set, names)], dtype=int
    )
    together = indicator.to_numpy().T @ indicator.to_numpy()
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
    frame = pd.DataFrame.from_dict(tally, orient="index").fillna(0).rename_axis("object")
    counts = ["present", "absent"]
    frame = frame.reindex(columns=[*counts, "invented", "omitted"], fill_value=0)
    frame[counts] = frame[counts].astype(int)
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
    image_ids = dict(
        zip(data.train.images["file_name"], data.train.images["image_id"], strict=True)
    )
    truth = ", ".join(data.train.objects[image_ids[image]])
    rows.insert(0, {"labels": "annotation", "question": "objects in the image", "answer": truth})
    return pd.DataFrame(rows)


def _named(data: Prepared, labels: str) -> Iterator[tuple[Pair, set[str], set[str]]]:
    """(pair, objects in its image, objects that it names) of every caption of a label set."""
    image_ids = dict(
        zip(data.train.images["file_name"], data.train.images["image_id"], strict=True)
    )
    for pair in data.pairs[labels]:
        if not is_yes_no(pair):
            named = {mention.object for mention in find_mentions(pair.answer, data.vocabulary)}
            yield pair, set(data.train.objects[image_ids[pair.image]]), named


def is_yes_no(pair: Pair) -> bool:
    """Whether a pair asks for a yes or a no."""
    return pair.answer.strip().rstrip(".").lower() in ("yes", "no")


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
        absent = (
            together.loc[known].sum().drop(labels=known).sort_values(ascending=False, kind="stable")
        )
        position = {name: rank for rank, name in enumerate(absent.index, start=1)}
        for name in _hallucinated(record, present, data.vocabulary):
            if name in position:
                ranks.append(position[name])
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
    partners: dict[str, Counter[str]] = {}
    times: Counter[str] = Counter()
    for record in records:
        present = data.present[record["image_id"]]
        for name in _hallucinated(record, present, data.vocabulary):
            times[name] += 1
            partners.setdefault(name, Counter()).update(present)
    rows = [
        {
            "hallucinated": name,
            "times": count,
            "present in those images": ", ".join(
                f"{other} ({share / count:.0%})" for other, share in partners[name].most_common(3)
            ),
        }
        for name, count in times.most_common(n_rows)
    ]
    return pd.DataFrame(rows, columns=["hallucinated", "times", "present in those images"])


def caption_spans(
    record: Row, present: set[str], vocabulary: Vocabulary
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Character spans of hallucinated and of correct object words in a caption."""
    mentions = find_mentions(record["caption"], vocabulary)
    wrong = [(m.start, m.end) for m in mentions if m.object not in present]
    right = [(m.start, m.end) for m in mentions if m.object in present]
    return wrong, right


def _hallucinated(record: Row, present: set[str], vocabulary: Vocabulary) -> list[str]:
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


def scaling_table(root: Path) -> pd.DataFrame:
    """What `benchmarks/scaling.py` measured on several cards of one machine, beside one of them."""
    files = sorted((root / RESULTS).glob("scaling-*.json"))
    rows = {row["name"]: row for file in files for row in read_json(file)["rows"]}
    table = []
    for name, row in rows.items():
        size, _, form = name.partition(", ")
        n_cards, _, how = form.partition(" processes")
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


def epochs_table(result: dict[str, Any], n_epochs: int = 3) -> pd.DataFrame:
    """Samples a second over some epochs: the teacher is asked in the first, and remembered then."""
    rate = {row["name"]: row["samples_per_s"] for row in result["rows"]}
    seed = next(row["samples_per_s"] / row["times_seed_loop"] for row in result["rows"])
    table = []
    for name, later in rate.items():
        asked, cached, _ = name.partition(CACHED)
        if not cached:
            continue
        average = n_epochs / (1 / rate[asked] + (n_epochs - 1) / later)
        table.append(
            {
                "variant": asked,
                "first epoch": rate[asked],
                "later epochs": later,
                f"over {n_epochs} epochs": average,
                "times the seed's loop": average / seed,
            }
        )
    return pd.DataFrame(table)


def provenance(result: dict[str, Any]) -> str:
    """Where a result comes from, in one line."""
    used = ", ".join(
        f"{name} {result['versions'][name]}" for name in ("torch", "transformers", "peft")
    )
    return f"{result['machine']}; {used}; {result['date']}; {result['command']}"
