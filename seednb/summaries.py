"""Frames about data and answers that the notebooks show."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from seednb.data.coco import CocoSplit
from seednb.data.instruct import Pair
from seednb.metrics.vocabulary import Vocabulary, find_mentions
from seednb.preparation import Prepared

Row = dict[str, Any]


def overview(data: Prepared) -> pd.DataFrame:
    """Sizes of everything that was prepared."""
    rows = [
        ("training pictures", len(data.train.images)),
        ("validation pictures", len(data.val.images)),
        ("pairs, replayed labels", len(data.pairs["replay"])),
        ("pairs, truthful labels", len(data.pairs["truthful"])),
        ("POPE probes, three splits", len(data.probes)),
        ("pictures to caption", len(data.to_caption)),
        ("inputs skipped", len(data.skipped)),
    ]
    return pd.DataFrame(rows, columns=["what", "count"]).set_index("what")


def co_occurrence(split: CocoSplit, n_largest: int = 32) -> pd.DataFrame:
    """How often two objects share a picture; the most frequent objects, partners side by side."""
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

    Columns: `absent` and `present` count captions whose picture lacks or holds the object,
    `invented` and `omitted` are shares of those. Pictures without a caption pair do not count.
    """
    file_names = dict(
        zip(data.train.images["file_name"], data.train.images["image_id"], strict=True)
    )
    captions = [pair for pair in data.pairs[labels] if not is_yes_no(pair)]
    tally: dict[str, Counter[str]] = {name: Counter() for name in data.train.categories}
    for pair in captions:
        present = set(data.train.objects[file_names[pair.image]])
        named = {mention.object for mention in find_mentions(pair.answer, data.vocabulary)}
        for name in tally:
            tally[name]["present" if name in present else "absent"] += 1
            tally[name]["omitted"] += name in present - named
            tally[name]["invented"] += name in named - present
    frame = pd.DataFrame.from_dict(tally, orient="index").fillna(0).rename_axis("object")
    for share, whole in (("invented", "absent"), ("omitted", "present")):
        frame[share] = frame.get(share, 0) / frame[whole].clip(lower=1)
    return frame[["present", "absent", "invented", "omitted"]].sort_values(
        "invented", ascending=False
    )


def is_yes_no(pair: Pair) -> bool:
    """Whether a pair asks for a yes or a no."""
    return pair.answer.strip().rstrip(".").lower() in ("yes", "no")


def hallucination_ranks(records: Sequence[Row], data: Prepared) -> pd.Series:
    """Where each hallucinated object stands among the picture's absent objects.

    Rank 1 is the absent object that most often shares training pictures with the objects present. If
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
            "present in those pictures": ", ".join(
                f"{other} ({share / count:.0%})" for other, share in partners[name].most_common(3)
            ),
        }
        for name, count in times.most_common(n_rows)
    ]
    return pd.DataFrame(rows, columns=["hallucinated", "times", "present in those pictures"])


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
    """Order objects so that each stands next to the one it shares most pictures with."""
    left = list(table.index)
    order = [left.pop(0)]
    while left:
        nearest = max(left, key=lambda name: table.loc[order[-4:], name].sum())
        left.remove(nearest)
        order.append(nearest)
    return order
