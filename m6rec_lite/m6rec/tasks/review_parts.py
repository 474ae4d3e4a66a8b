"""Which reviews may be learned from, which may be shown, and which are to be written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from m6rec_lite.data import Split
from m6rec_lite.language.text.corpora import held_out
from m6rec_lite.language.text.document import clean

#: Which reviews: to learn from; of the split's targets; and of writers held out.
PARTS = ("train", "validation", "test", "writers")


def with_parts(
    reviews: pd.DataFrame, split: Split, share: float, seed: int
) -> list[dict[str, Any]]:
    """Return the reviews in the order in which their writers met the items, each with its part.

    Args:
        reviews: the table; without ``aspect`` or ``sentiment``, these are None.
        split: says what was met in training rows, and what is a target.
        share: of writers held out.
        seed: of that draw.

    Returns:
        A dict a review: the columns; ``part``, "" for those of none; ``at``, when the item was met
        (0 outside of the training rows); and ``said``, the text fit to stand between quotes.
    """
    train = split.train
    met = {
        (user, item): at
        for user, item, at in zip(
            train.user_ids[train.users].tolist(),
            train.item_ids[train.items].tolist(),
            train.timestamps.tolist(),
            strict=True,
        )
    }
    targets = {}
    for name in ("validation", "test"):
        holdout = getattr(split, name)
        users = holdout.histories.user_ids[holdout.target_rows].tolist()
        items = holdout.histories.item_ids[holdout.targets].tolist()
        targets |= dict.fromkeys(zip(users, items, strict=True), name)
    pairs = list(zip(reviews["user_id"].tolist(), reviews["item_id"].tolist(), strict=True))
    away = held_out(reviews["user_id"], share, seed)
    parts = [
        ("writers" if out else "train") if pair in met else targets.get(pair, "")
        for pair, out in zip(pairs, away.tolist(), strict=True)
    ]
    table = reviews.assign(part=parts, at=[met.get(pair, 0) for pair in pairs])
    table["said"] = [clean(str(text), "reviews, text", quoted=True) for text in table["text"]]
    for name in ("aspect", "sentiment"):
        cells = reviews[name].astype(object) if name in reviews else [None] * len(reviews)
        table[name] = [None if pd.isna(cell) else clean(str(cell), name) for cell in cells]
        table[name] = table[name].astype(object).where(table[name].notna(), None)
    return table.sort_values("at", kind="stable").to_dict("records")


def shown(
    records: Sequence[dict[str, Any]],
) -> tuple[dict[int, list[dict[str, Any]]], dict[int, list[dict[str, Any]]]]:
    """Return what may stand in a known region: by user what they wrote, by item what was written.

    Of training rows only. Writers held out are shown for themselves, and not among others.
    """
    own: dict[int, list[dict[str, Any]]] = {}  # by user
    others: dict[int, list[dict[str, Any]]] = {}  # by item
    for row in records:
        if row["part"] in ("train", "writers"):
            own.setdefault(row["user_id"], []).append(row)
        if row["part"] == "train":
            others.setdefault(row["item_id"], []).append(row)
    return own, others
