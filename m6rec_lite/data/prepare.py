"""What every split does first: order the rows, collapse repeats, drop the rare."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from m6rec_lite.data.interactions import Interactions
from m6rec_lite.data.tables import DataError, Dataset

#: What to do when too little is left.
HINT = "bring more rows, or lower the thresholds"


def prepare(dataset: Dataset, *, min_item_users: int = 5, min_user_items: int = 3) -> Interactions:
    """The rows that every split starts from: repeats collapsed, rare items and users dropped.

    Items with fewer than ``min_item_users`` users go first, then users with fewer than
    ``min_user_items`` items; once, in that order. The catalogue (``item_ids``) is what remains.

    Args:
        dataset: anything with ``name`` and ``interactions``.
        min_item_users: least number of different users of an item.
        min_user_items: least number of different items of a user.

    Raises:
        DataError: if no row is left, or ``dataset`` is no data set.
    """
    for name, least in (("min_item_users", min_item_users), ("min_user_items", min_user_items)):
        if least < 0:
            raise ValueError(f"{name} must be 0 or more, not {least}")
    rows = collapse(rows_of(dataset))
    kept = rows.select(
        np.bincount(rows.items, minlength=rows.n_items)[rows.items] >= min_item_users
    )
    after_items = len(kept)
    per_user = np.bincount(kept.users, minlength=rows.n_users)
    kept = kept.select(per_user[kept.users] >= min_user_items)
    if len(kept) == 0:
        raise DataError(
            f"{dataset.name}: no user is left to split. Of {rows.n_users} users and {rows.n_items} "
            f"items in {len(rows)} rows (repeats collapsed), {after_items} rows have an item with "
            f"at least {min_item_users} users, and no user keeps {min_user_items} such items; "
            f"{HINT} (min_item_users={min_item_users}, min_user_items={min_user_items})"
        )
    return reindex(kept)


def rows_of(dataset: Dataset) -> Interactions:
    """Return the interactions of a data set.

    Raises:
        DataError: if it is not a data set, saying how to make one of what it is.
    """
    if not isinstance(getattr(dataset, "interactions", None), pd.DataFrame):
        hint = "load_dataset(source) makes one of a name, a path or a DataFrame"
        if isinstance(dataset, pd.DataFrame):
            hint = "make one of the DataFrame with load_dataset(frame, columns={...})"
        raise DataError(f"a split wants a Dataset, got {type(dataset).__name__}; {hint}")
    rows = Interactions.from_frame(dataset.interactions)
    return replace(rows, has_time=getattr(dataset, "has_time", True))


def collapse(rows: Interactions, periods: np.ndarray | None = None) -> Interactions:
    """Keep one row for each user and item: the place and time of the first, the strongest event.

    The value is that of the strongest event (its first occurrence). With ``periods`` (an int a
    row) only rows of the first row's own period can lend their event, so that a purchase in the
    test weeks does not mark a click in the training weeks.
    """
    pair = rows.users.astype(np.int64) * max(rows.n_items, 1) + rows.items
    order = np.argsort(pair, kind="stable")  # within a pair: as in rows, that is by time
    ordered = pair[order]
    is_first = np.ones(len(rows), dtype=bool)
    is_first[1:] = ordered[1:] != ordered[:-1]
    if is_first.all():
        return rows
    starts, group = np.flatnonzero(is_first), np.cumsum(is_first) - 1
    strength = rows.events[order].astype(np.int64)
    if periods is not None:
        period = np.asarray(periods)[order]
        strength = np.where(period == period[starts][group], strength, -1)
    # strongest first within a pair, the earliest of equals: a stable sort on (pair, -strength)
    strongest = order[np.lexsort((-strength, group))][starts]
    first = order[starts]
    events, values = rows.events.copy(), rows.values.copy()
    events[first], values[first] = rows.events[strongest], rows.values[strongest]
    merged = replace(rows, events=events, values=values)
    return merged.select(np.sort(first))


def reindex(rows: Interactions) -> Interactions:
    """The same rows with only the users and items that occur."""
    users, items = np.unique(rows.users), np.unique(rows.items)
    user_place = np.zeros(rows.n_users, dtype=np.int32)
    item_place = np.zeros(rows.n_items, dtype=np.int32)
    user_place[users], item_place[items] = np.arange(len(users)), np.arange(len(items))
    return replace(
        rows,
        user_ids=rows.user_ids[users],
        item_ids=rows.item_ids[items],
        users=user_place[rows.users],
        items=item_place[rows.items],
    )
