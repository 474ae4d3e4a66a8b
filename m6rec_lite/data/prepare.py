"""Preparation of rows for splits: sort, merge repeated pairs, drop rare items and users."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from m6rec_lite.data.interactions import Interactions
from m6rec_lite.data.tables import DataError, Dataset

#: Advice for error messages about too few rows.
HINT = "bring more rows, or lower the thresholds"


def prepare(dataset: Dataset, *, min_item_users: int = 5, min_user_items: int = 3) -> Interactions:
    """Return the rows of a data set with repeated pairs merged and rare items and users dropped.

    Items with fewer than ``min_item_users`` users are dropped first, then users with fewer than
    ``min_user_items`` of the remaining items; both only once. The catalogue (``item_ids``) is the
    items that remain.

    Args:
        dataset: a data set.
        min_item_users: least number of users of an item.
        min_user_items: least number of items of a user.

    Raises:
        DataError: if no row is left, or ``dataset`` is not a data set.
        ValueError: if a threshold is negative.
    """
    for name, least in (("min_item_users", min_item_users), ("min_user_items", min_user_items)):
        if least < 0:
            raise ValueError(f"{name} must be 0 or more, not {least}")
    rows = collapse(rows_of(dataset))
    item_counts = np.bincount(rows.items, minlength=rows.n_items)
    frequent = rows.select(item_counts[rows.items] >= min_item_users)
    user_counts = np.bincount(frequent.users, minlength=rows.n_users)
    selected = frequent.select(user_counts[frequent.users] >= min_user_items)
    if len(selected) == 0:
        raise DataError(
            f"{dataset.name}: no user is left to split. Of {rows.n_users} users and {rows.n_items} "
            f"items in {len(rows)} rows (repeats collapsed), {len(frequent)} rows have an item "
            f"with at least {min_item_users} users, and no user keeps {min_user_items} such items; "
            f"{HINT} (min_item_users={min_item_users}, min_user_items={min_user_items})"
        )
    return reindex(selected)


def rows_of(dataset: Dataset) -> Interactions:
    """Return the interactions of a data set.

    Raises:
        DataError: if ``dataset`` is not a data set.
    """
    if not isinstance(getattr(dataset, "interactions", None), pd.DataFrame):
        hint = "load_dataset(source) makes one of a name, a path or a DataFrame"
        if isinstance(dataset, pd.DataFrame):
            hint = "make one of the DataFrame with load_dataset(frame, columns={...})"
        raise DataError(f"a split wants a Dataset, got {type(dataset).__name__}; {hint}")
    rows = Interactions.from_frame(dataset.interactions)
    return replace(rows, has_time=getattr(dataset, "has_time", True))


def collapse(rows: Interactions, periods: np.ndarray | None = None) -> Interactions:
    """Merge the rows of each pair of user and item.

    The merged row has the time of the first row, and the event and value of the row with the
    strongest event (the first such row).

    Args:
        rows: sorted by user, then time.
        periods: ``(n,)`` integers; if given, the event and value come from rows of the first row's
            period, so that a purchase in the test period does not change a training row.
    """
    pair = rows.users.astype(np.int64) * max(rows.n_items, 1) + rows.items
    order = np.argsort(pair, kind="stable")  # stable: by time within a pair
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
    # a stable sort by (pair, -strength): the first row of a pair has the strongest event
    strongest = order[np.lexsort((-strength, group))][starts]
    first = order[starts]
    events, values = rows.events.copy(), rows.values.copy()
    events[first], values[first] = rows.events[strongest], rows.values[strongest]
    merged = replace(rows, events=events, values=values)
    return merged.select(np.sort(first))


def reindex(rows: Interactions) -> Interactions:
    """Return the same rows without the users and items that have no row."""
    users, items = np.unique(rows.users), np.unique(rows.items)
    user_index = np.zeros(rows.n_users, dtype=np.int32)
    item_index = np.zeros(rows.n_items, dtype=np.int32)
    user_index[users], item_index[items] = np.arange(len(users)), np.arange(len(items))
    return replace(
        rows,
        user_ids=rows.user_ids[users],
        item_ids=rows.item_ids[items],
        users=user_index[rows.users],
        items=item_index[rows.items],
    )
