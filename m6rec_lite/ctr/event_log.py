"""What a log had said by a moment: counts, sums, latest times and histories, never the future.

A feature of an impression may use only what happened *before* it. Counts over the whole log know
how the story ends: an item that is about to become popular looks popular already, and a user's
click rate contains the click to be predicted. Here every question carries its moment, and answers
look at rows strictly earlier: rows of the same second (other places of the same slate) stay out.
"""

from __future__ import annotations

import numpy as np

from m6rec_lite.data.ids import as_ids, find_ids
from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.data.ragged import offsets_of, ranges
from m6rec_lite.data.tables import DataError


class EventLog:
    """Rows of ``(key, moment, weight)``, asked how many, how much and when last before a moment.

    The rows are sorted once by key, then moment, so that one key's past is a run of neighbours:
    two binary searches find it, whatever its length, and a running sum answers for all of it.

    Args:
        keys: ``(n,)`` whole numbers or texts, such as item ids; repeats are the point.
        timestamps: ``(n,)`` unix seconds.
        weights: ``(n,)`` numbers to add up; 1 each when left out.

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
        self.order = np.lexsort((rank, code))  # stable: rows of one moment keep their order
        code, rank = code[self.order], rank[self.order]
        self._width = len(self.moments) + 1  # ranks run from 0 to the number of moments
        self._places = code * self._width + rank  # (n,) ascending: key first, then moment
        self._first = np.searchsorted(code, np.arange(len(self.keys)))
        self._sums = np.concatenate(([0.0], np.cumsum(weights[self.order])))
        self.timestamps, self.weights = timestamps[self.order], weights[self.order]

    def __len__(self) -> int:
        return len(self._places)

    def runs(self, keys: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where each key's rows before a moment lie: from ``start`` up to ``stop`` in ``order``.

        Args:
            keys: ``(m,)``; a key without rows has an empty run.
            at: ``(m,)`` unix seconds; rows of this very second are not before it.

        Returns:
            ``start`` and ``stop``, ``(m,)`` int64.
        """
        keys, at = _keys(keys), np.asarray(at)
        if not len(self):
            return np.zeros(len(keys), dtype=np.int64), np.zeros(len(keys), dtype=np.int64)
        code = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        earlier = np.searchsorted(self.moments, at)  # how many moments lie before
        start = self._first[code]
        stop = np.searchsorted(self._places, code * self._width + earlier)
        return start, np.where(self.keys[code] == keys, stop, start)

    def count(self, keys: np.ndarray, at: np.ndarray, *, within: float | None = None) -> np.ndarray:
        """``(m,)`` int64: rows of each key before ``at``; with ``within``, of the last seconds."""
        start, stop = self.runs(keys, at)
        if within is not None:
            _, start = self.runs(keys, np.asarray(at) - within)
        return stop - start

    def total(self, keys: np.ndarray, at: np.ndarray) -> np.ndarray:
        """``(m,)`` float64: the sum of the weights of each key's rows before ``at``."""
        start, stop = self.runs(keys, at)
        return self._sums[stop] - self._sums[start]

    def since(self, keys: np.ndarray, at: np.ndarray) -> np.ndarray:
        """``(m,)`` float64: seconds from each key's latest row before ``at``; inf where none is."""
        start, stop = self.runs(keys, at)
        latest = self.timestamps[np.maximum(stop - 1, 0)] if len(self) else np.zeros(len(stop))
        return np.where(stop > start, np.asarray(at) - latest, np.inf)


def _keys(keys: np.ndarray) -> np.ndarray:
    """Keys in a form that numpy sorts fast: texts of a pandas column have a fixed width."""
    keys = np.asarray(keys)
    return keys.astype(np.str_) if keys.dtype == object else keys


def histories_before(
    log: Interactions, user_ids: np.ndarray, at: np.ndarray, *, latest: int | None = None
) -> tuple[Histories, np.ndarray]:
    """What each user had done before a moment, and the values (ratings) of those events.

    Args:
        log: all that happened, earlier and later.
        user_ids: ``(n,)``, one a question; a user the log lacks has an empty history.
        at: ``(n,)`` unix seconds; events of this very second are left out.
        latest: keep at most so many events of each, the last ones.

    Returns:
        Histories of ``n`` rows, and ``(total,)`` float32, the events' values.

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
    offsets, take = offsets_of(lengths), ranges(start, lengths)
    histories = Histories(
        item_ids=log.item_ids,
        user_ids=user_ids,
        at=at,
        offsets=offsets,
        items=log.items[take],
        events=log.events[take],
        timestamps=log.timestamps[take],
        has_time=log.has_time,
    )
    return histories, log.values[take]


def places(ids: np.ndarray, asked: np.ndarray, kind: str) -> np.ndarray:
    """Place of each asked id among ascending ``ids``.

    Raises:
        DataError: naming the first ids that are not among them.
    """
    ids, asked = as_ids(ids, f"{kind}_id"), as_ids(asked, f"{kind}_id")
    index, there = find_ids(asked, ids, f"{kind}_id")
    if not there.all():
        raise DataError(
            f"{int((~there).sum())} impressions name an unknown {kind}, first "
            f"{np.unique(asked[~there])[:5].tolist()}; the data set's {kind}s table "
            f"has {len(ids)} ids. Add them there, or leave those impressions out"
        )
    return index
