"""Counts, sums, latest times and histories of a log before given timestamps.

A feature of an impression may only use rows *before* its timestamp. Counts over the whole log leak
the future: an item that will become popular looks popular already, and the click rate of a user
includes the click to predict. All queries here have a timestamp and use strictly earlier rows; rows
of the same second (other positions of the same slate) are excluded.
"""

from __future__ import annotations

import numpy as np

from m6rec_lite.data.ids import as_ids, find_ids
from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.data.ragged import offsets_of, ranges
from m6rec_lite.data.tables import DataError


class EventLog:
    """Rows of ``(key, timestamp, weight)``, with queries about the rows of a key before a time.

    The rows are sorted by key, then timestamp. The rows of a key before a time are a contiguous
    range, found by two binary searches; sums over the range come from cumulative sums.

    Args:
        keys: ``(n,)`` whole numbers or texts, such as item ids; may repeat.
        timestamps: ``(n,)`` unix seconds.
        weights: ``(n,)`` weights to add up; None is 1 for each row.

    Raises:
        ValueError: if the lengths differ.
    """

    def __init__(
        self, keys: np.ndarray, timestamps: np.ndarray, weights: np.ndarray | None = None
    ) -> None:
        keys, timestamps = _keys(keys), np.asarray(timestamps)
        weights = np.ones(len(keys)) if weights is None else np.asarray(weights, dtype=np.float64)
        if not len(keys) == len(timestamps) == len(weights):
            raise ValueError(
                f"keys, timestamps and weights must be of one length; got {len(keys)}, "
                f"{len(timestamps)} and {len(weights)}"
            )
        self.keys, code = np.unique(keys, return_inverse=True)
        self.moments, rank = np.unique(timestamps, return_inverse=True)
        self.order = np.lexsort((rank, code))  # stable: rows of equal timestamps keep their order
        code, rank = code[self.order], rank[self.order]
        self._width = len(self.moments) + 1  # ranks are from 0 to the number of moments
        self._sort_keys = code * self._width + rank  # (n,) ascending: key first, then moment
        self._first = np.searchsorted(code, np.arange(len(self.keys)))
        self._sums = np.concatenate(([0.0], np.cumsum(weights[self.order])))
        self.timestamps, self.weights = timestamps[self.order], weights[self.order]

    def __len__(self) -> int:
        return len(self._sort_keys)

    def runs(self, keys: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the range of each key's rows before a time, as indices into ``order``.

        Args:
            keys: ``(m,)`` keys; a key without rows has an empty range.
            at: ``(m,)`` unix seconds; rows of the same second are excluded.

        Returns:
            ``start`` (inclusive) and ``stop`` (exclusive), both ``(m,)`` int64.
        """
        keys, at = _keys(keys), np.asarray(at)
        if not len(self):
            return np.zeros(len(keys), dtype=np.int64), np.zeros(len(keys), dtype=np.int64)
        code = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        earlier = np.searchsorted(self.moments, at)  # number of earlier moments
        start = self._first[code]
        stop = np.searchsorted(self._sort_keys, code * self._width + earlier)
        return start, np.where(self.keys[code] == keys, stop, start)

    def count(self, keys: np.ndarray, at: np.ndarray, *, within: float | None = None) -> np.ndarray:
        """Return ``(m,)`` counts of rows before ``at``, at most ``within`` seconds earlier."""
        start, stop = self.runs(keys, at)
        if within is not None:
            _, start = self.runs(keys, np.asarray(at) - within)
        return stop - start

    def total(self, keys: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Return ``(m,)`` float64 sums of the weights of each key's rows before ``at``."""
        start, stop = self.runs(keys, at)
        return self._sums[stop] - self._sums[start]

    def since(self, keys: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Return ``(m,)`` seconds since each key's latest row before ``at``, inf without one."""
        start, stop = self.runs(keys, at)
        latest = self.timestamps[np.maximum(stop - 1, 0)] if len(self) else np.zeros(len(stop))
        return np.where(stop > start, np.asarray(at) - latest, np.inf)


def _keys(keys: np.ndarray) -> np.ndarray:
    """Convert texts from objects to numpy strings of fixed width, which sort faster."""
    keys = np.asarray(keys)
    return keys.astype(np.str_) if keys.dtype == object else keys


def histories_before(
    log: Interactions, user_ids: np.ndarray, at: np.ndarray, *, latest: int | None = None
) -> tuple[Histories, np.ndarray]:
    """Return the history of each user before a time, and the values (ratings) of its events.

    Args:
        log: all events, earlier and later.
        user_ids: ``(n,)`` users of the queries; a user without events has an empty history.
        at: ``(n,)`` unix seconds; events of the same second are excluded.
        latest: maximum number of latest events of each history; None for all.

    Returns:
        ``n`` histories, and ``(total,)`` float32 values of their events.

    Raises:
        ValueError: if ``latest`` is below 1.
    """
    if latest is not None and latest < 1:
        raise ValueError(f"latest must be at least 1 event (or None for all), got {latest!r}")
    user_ids, at = as_ids(user_ids, "user_id"), np.asarray(at, dtype=np.int64)
    start, stop = EventLog(log.user_ids[log.users], log.timestamps).runs(user_ids, at)
    if latest is not None:
        start = np.maximum(start, stop - latest)
    lengths = stop - start
    offsets, rows = offsets_of(lengths), ranges(start, lengths)
    histories = Histories(
        item_ids=log.item_ids,
        user_ids=user_ids,
        at=at,
        offsets=offsets,
        items=log.items[rows],
        events=log.events[rows],
        timestamps=log.timestamps[rows],
        has_time=log.has_time,
    )
    return histories, log.values[rows]


def indices_of(known: np.ndarray, ids: np.ndarray, kind: str) -> np.ndarray:
    """Return the index of each id in the ascending ids ``known``.

    Args:
        known: ``(m,)`` ascending ids.
        ids: ``(n,)`` ids of impressions.
        kind: ``"user"`` or ``"item"``, for messages.

    Raises:
        DataError: naming the first ids that are not known.
    """
    known, ids = as_ids(known, f"{kind}_id"), as_ids(ids, f"{kind}_id")
    index, is_known = find_ids(ids, known, f"{kind}_id")
    if not is_known.all():
        raise DataError(
            f"{int((~is_known).sum())} impressions name an unknown {kind}, first "
            f"{np.unique(ids[~is_known])[:5].tolist()}; the data set's {kind}s table "
            f"has {len(known)} ids. Add them there, or leave those impressions out"
        )
    return index
