"""Right answers to ``most_popular_items``, written in other ways."""

from __future__ import annotations

import pandas as pd


def _with_sets(log: pd.DataFrame, seen: list[int], k: int) -> list[int]:
    takers: dict[int, set[int]] = {}
    for user, item in zip(log["user_id"], log["item_id"], strict=True):
        takers.setdefault(int(item), set()).add(int(user))
    order = sorted(takers, key=lambda item: (-len(takers[item]), item))
    return [item for item in order if item not in seen][:k]


CORRECT = (
    _with_sets,
    lambda log, seen, k: (
        log[~log["item_id"].isin(seen)]
        .drop_duplicates(["user_id", "item_id"])
        .groupby("item_id")
        .size()
        .sort_values(ascending=False, kind="stable")
        .index[:k]
        .tolist()
    ),
)

EQUIVALENT = {
    "return [item for item in ranked if item not in seen][:k]": "the set only saves time",
    "return [item for item in ranked if item not in list(seen)][:k]": "the set only saves time",
}
