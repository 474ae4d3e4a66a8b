"""Right answers to ``leak_free_split``, written in other ways."""

from __future__ import annotations

import pandas as pd


def _cut_by_loop(rows: pd.DataFrame) -> dict:
    history: dict[int, list[int]] = {}
    target: dict[int, int] = {}
    popularity: dict[int, int] = {}
    for row in rows.sort_values("timestamp", kind="stable").itertuples():
        history.setdefault(row.user_id, [])
        if row.user_id in target:
            before = target[row.user_id]
            history[row.user_id].append(before)
            popularity[before] = popularity.get(before, 0) + 1
        target[row.user_id] = row.item_id
    return {"history": history, "target": target, "popularity": popularity}


def _cut_by_tail(rows: pd.DataFrame) -> dict:
    ordered = rows.sort_values(["user_id", "timestamp"], kind="stable")
    last = ordered.groupby("user_id").tail(1)
    before = ordered.drop(last.index)
    history = {user: [] for user in last["user_id"]}
    return {
        "history": history | before.groupby("user_id")["item_id"].agg(list).to_dict(),
        "target": last.set_index("user_id")["item_id"],
        "popularity": before["item_id"].value_counts(),
    }


CORRECT = (_cut_by_loop, _cut_by_tail)

EQUIVALENT = {
    "rows = rows.sort_values(['user_id', 'timestamp'])": (
        "pandas sorts by two columns stably, whatever the kind"
    ),
}
