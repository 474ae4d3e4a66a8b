"""The parts of the reviews: for training, for known regions, and to be generated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from m6rec_lite.data import Split
from m6rec_lite.language.text.corpora import held_out
from m6rec_lite.language.text.document import clean

#: Parts: training reviews; reviews of the split's targets; reviews of held-out writers.
PARTS = ("train", "validation", "test", "writers")


def with_parts(
    reviews: pd.DataFrame, split: Split, share: float, seed: int
) -> list[dict[str, Any]]:
    """Return the reviews in the order of the events that they are about, each with its part.

    Args:
        reviews: the table; missing columns ``aspect`` or ``sentiment`` become None.
        split: its training rows and targets determine the parts.
        share: of held-out writers.
        seed: of the draw of these.

    Returns:
        A dict a review: the columns; ``part``, "" for none; ``at``, the time of the training event
        (0 for others); and ``said``, the text cleaned for quotation.
    """
    train = split.train
    event_times = {
        (user, item): at
        for user, item, at in zip(
            train.user_ids[train.users].tolist(),
            train.item_ids[train.items].tolist(),
            train.timestamps.tolist(),
            strict=True,
        )
    }
    targets: dict[tuple[Any, Any], str] = {}
    for name in ("validation", "test"):
        holdout = getattr(split, name)
        users = holdout.histories.user_ids[holdout.target_rows].tolist()
        items = holdout.histories.item_ids[holdout.targets].tolist()
        targets |= dict.fromkeys(zip(users, items, strict=True), name)
    pairs = list(zip(reviews["user_id"].tolist(), reviews["item_id"].tolist(), strict=True))
    is_held_out = held_out(reviews["user_id"], share, seed)
    parts = [
        ("writers" if out else "train") if pair in event_times else targets.get(pair, "")
        for pair, out in zip(pairs, is_held_out.tolist(), strict=True)
    ]
    table = reviews.assign(part=parts, at=[event_times.get(pair, 0) for pair in pairs])
    table["said"] = [clean(str(text), "reviews, text", quoted=True) for text in table["text"]]
    for name in ("aspect", "sentiment"):
        cells = reviews[name].astype(object) if name in reviews else [None] * len(reviews)
        table[name] = [None if pd.isna(cell) else clean(str(cell), name) for cell in cells]
        table[name] = table[name].astype(object).where(table[name].notna(), None)
    return table.sort_values("at", kind="stable").to_dict("records")


def shown(
    records: Sequence[dict[str, Any]],
) -> tuple[dict[int, list[dict[str, Any]]], dict[int, list[dict[str, Any]]]]:
    """Return the reviews that known regions may show, by user and by item.

    They are of training rows. Those of held-out writers are not in the lists by item.
    """
    own: dict[int, list[dict[str, Any]]] = {}  # by user
    others: dict[int, list[dict[str, Any]]] = {}  # by item
    for row in records:
        if row["part"] in ("train", "writers"):
            own.setdefault(row["user_id"], []).append(row)
        if row["part"] == "train":
            others.setdefault(row["item_id"], []).append(row)
    return own, others
