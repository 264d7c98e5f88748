"""Figures as functions of summed counts, for `seednb.stats` to resample whole pictures."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import pandas as pd

from seednb.metrics.records import Row
from seednb.stats import Array, ratio

Statistic = Callable[[Array], Array]


def share_of(columns: Sequence[str], part: str, whole: str) -> Statistic:
    """summed `part` / summed `whole`, of counts in the order of `columns`."""
    top, bottom = columns.index(part), columns.index(whole)

    def share(sums: Array) -> Array:
        return ratio(sums[..., top], sums[..., bottom])

    return share


def summed(rows: Iterable[Mapping[str, float]], pictures: Iterable[object]) -> pd.DataFrame:
    """Rows of counts summed over each picture; index `picture`, sorted as text."""
    frame = pd.DataFrame(list(rows)).fillna(0)
    names = pd.Series([str(name) for name in pictures], name="picture")
    return frame.groupby(names).sum()


def picture_of(row: Row) -> str:
    """What a question is about: its picture's name, or the id that stands for it."""
    for key in ("image", "data_id", "image_id", "question_id"):
        if key in row:
            return str(row[key])
    raise KeyError("image")
