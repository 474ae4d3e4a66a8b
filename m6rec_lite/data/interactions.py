"""Arrays that models read: interactions, histories, and splits of them.

Tables are for people; models want indices. ``Interactions`` holds rows as index arrays in the one
order of this project: by user, then time, ties in file order (a stable sort). ``Histories`` holds
what is known of some users at some moment, as ragged arrays. ``Split`` is one way to cut a data
set into what a model may learn from and what it is asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import pandas as pd
from scipy import sparse

from m6rec_lite.data.tables import EVENTS, DataError


def _lookup(ids: np.ndarray, vocabulary: np.ndarray, what: str) -> np.ndarray:
    """Place of each id in ``vocabulary`` (sorted, unique); unknown ids raise ``DataError``."""
    ids = np.asarray(ids, dtype=np.int64)
    if (vocabulary[1:] <= vocabulary[:-1]).any():
        raise DataError(f"{what}_ids must ascend and not repeat; sort them with np.unique")
    if len(vocabulary) == 0:
        if len(ids):
            raise DataError(f"unknown {what} {ids[:5].tolist()}: there are no {what}s at all")
        return np.zeros(0, dtype=np.int32)
    places = np.searchsorted(vocabulary, ids)
    places[places == len(vocabulary)] = 0
    unknown = vocabulary[places] != ids
    if unknown.any():
        first = np.unique(ids[unknown])[:5].tolist()
        raise DataError(
            f"unknown {what}: {first} (of {int(unknown.sum())} such entries) are not among the "
            f"{len(vocabulary)} known ids; leave them out, or fit on data that has them"
        )
    return places.astype(np.int32)


def _places(rows: slice | int | np.ndarray | Sequence[int], n: int) -> np.ndarray:
    """The places of some of ``n`` rows; an empty list is no row."""
    if not isinstance(rows, slice):
        rows = np.asarray(rows)
        rows = rows.astype(np.int64) if rows.size == 0 and rows.dtype != bool else rows
    return np.atleast_1d(np.arange(n)[rows])


@dataclass(frozen=True, eq=False, repr=False)
class Interactions:
    """Rows of users and items as index arrays, sorted by user, then time, ties in file order.

    Attributes:
        user_ids: ``(n_users,)`` int64, ascending; ``users`` holds places in it.
        item_ids: ``(n_items,)`` int64, ascending; ``items`` holds places in it.
        users: ``(n,)`` int32.
        items: ``(n,)`` int32.
        timestamps: ``(n,)`` int64, unix seconds.
        events: ``(n,)`` int8, codes into ``EVENTS``.
        values: ``(n,)`` float32: the rating where there is one, else 1.
    """

    user_ids: np.ndarray
    item_ids: np.ndarray
    users: np.ndarray
    items: np.ndarray
    timestamps: np.ndarray
    events: np.ndarray
    values: np.ndarray

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        user_ids: np.ndarray | None = None,
        item_ids: np.ndarray | None = None,
    ) -> Self:
        """Build from an interactions table; the ids default to those that occur, ascending.

        Raises:
            DataError: if a column is missing, a row names a user or item that the given ids lack,
                or an event is not one of ``EVENTS``.
        """
        missing = [c for c in ("user_id", "item_id", "timestamp") if c not in frame]
        if missing:
            raise DataError(
                f"interactions need the columns user_id, item_id and timestamp; {missing} missing "
                f"among {list(frame.columns)}"
            )
        users, items = frame["user_id"].to_numpy(np.int64), frame["item_id"].to_numpy(np.int64)
        user_ids = np.unique(users) if user_ids is None else np.unique(user_ids)
        item_ids = np.unique(items) if item_ids is None else np.unique(item_ids)
        timestamps = frame["timestamp"].to_numpy(np.int64)
        order = np.lexsort((timestamps, users))  # lexsort is stable: ties keep file order
        if "event" in frame:
            named = frame["event"].astype("category")
            codes = pd.Index(EVENTS).get_indexer(named.cat.categories)
            events = np.append(codes, -1)[named.cat.codes].astype(np.int8)
            if (events < 0).any():
                odd = frame["event"][events < 0].unique()[:5].tolist()
                raise DataError(f"unknown events {odd}; the events are {list(EVENTS)}")
        else:
            events = np.zeros(len(frame), dtype=np.int8)
        values = frame["value"].to_numpy(np.float32) if "value" in frame else np.ones(len(frame))
        return cls(
            user_ids=user_ids,
            item_ids=item_ids,
            users=_lookup(users, user_ids, "user")[order],
            items=_lookup(items, item_ids, "item")[order],
            timestamps=timestamps[order],
            events=events[order],
            values=values.astype(np.float32)[order],
        )

    def __len__(self) -> int:
        return len(self.users)

    def __repr__(self) -> str:
        return f"Interactions({len(self):,} rows, {self.n_users:,} users, {self.n_items:,} items)"

    @property
    def n_users(self) -> int:
        """Number of users in ``user_ids``, those without a row included."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """Number of items in ``item_ids``, those without a row included."""
        return len(self.item_ids)

    def select(self, rows: np.ndarray) -> Self:
        """The same users and items with only the given rows (a mask, or ascending places)."""
        names = ("users", "items", "timestamps", "events", "values")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    def matrix(self, weights: np.ndarray | None = None) -> sparse.csr_array:
        """``(n_users, n_items)`` float64: 1 where a user met an item, or the given row weights.

        Rows that repeat a pair are summed when weights are given, and count once when not.
        """
        data = np.ones(len(self)) if weights is None else np.asarray(weights, dtype=np.float64)
        shape = (self.n_users, self.n_items)
        matrix = sparse.coo_array((data, (self.users, self.items)), shape=shape).tocsr()
        if weights is None:
            matrix.data[:] = 1.0
        return matrix

    def histories(self, at: np.ndarray | int | None = None) -> Histories:
        """One history a user, in the order of ``user_ids``; see ``Histories`` for ``at``.

        Without ``at`` now is the second after the user's last event (0 where there is none).
        """
        counts = np.bincount(self.users, minlength=self.n_users)
        offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        if at is None:
            at = np.zeros(self.n_users, dtype=np.int64)
            filled = counts > 0
            at[filled] = self.timestamps[offsets[1:][filled] - 1] + 1
        return Histories(
            item_ids=self.item_ids,
            user_ids=self.user_ids,
            at=np.broadcast_to(np.asarray(at, dtype=np.int64), self.n_users).copy(),
            offsets=offsets,
            items=self.items,
            events=self.events,
            timestamps=self.timestamps,
        )


@dataclass(frozen=True, eq=False, repr=False)
class Histories:
    """What is known of some users at some moment: ragged arrays, oldest event first.

    A user may have several rows (several moments), and a row may be empty (a new user).

    Attributes:
        item_ids: ``(n_items,)`` int64, the catalogue that ``items`` points into.
        user_ids: ``(n,)`` int64, one a row.
        at: ``(n,)`` int64 unix seconds: now, the moment at which the next item is asked for. In a
            split it is the target's own timestamp; a model that reads it is *time-aware* and must
            be compared with its like.
        offsets: ``(n + 1,)`` int64; row ``i`` is ``items[offsets[i]:offsets[i + 1]]``.
        items: ``(total,)`` int32.
        events: ``(total,)`` int8, codes into ``EVENTS``.
        timestamps: ``(total,)`` int64, unix seconds.
    """

    item_ids: np.ndarray
    user_ids: np.ndarray
    at: np.ndarray
    offsets: np.ndarray
    items: np.ndarray
    events: np.ndarray
    timestamps: np.ndarray

    @classmethod
    def from_lists(
        cls,
        lists: Sequence[Sequence[int]],
        item_ids: np.ndarray,
        *,
        user_ids: Sequence[int] | None = None,
        timestamps: Sequence[Sequence[int]] | None = None,
        at: Sequence[int] | int | None = None,
        event: str = "click",
    ) -> Self:
        """Build from lists of item ids (ids, not places), oldest first.

        Users are numbered from 0 unless named. Without timestamps the events lie a second apart
        and end at second 0 of the epoch plus the length of the list.

        Raises:
            DataError: if a list names an item that ``item_ids`` lacks, or lengths differ.
        """
        if event not in EVENTS:
            raise ValueError(f"event must be one of {EVENTS}, not {event!r}")
        item_ids = np.asarray(item_ids, dtype=np.int64)
        lengths = np.array([len(row) for row in lists], dtype=np.int64)
        offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
        flat = np.array([i for row in lists for i in row], dtype=np.int64)
        if timestamps is None:
            times = np.arange(len(flat), dtype=np.int64) - np.repeat(offsets[:-1], lengths)
        else:
            if [len(row) for row in timestamps] != lengths.tolist():
                raise DataError("timestamps and lists must have the same lengths, row by row")
            times = np.array([t for row in timestamps for t in row], dtype=np.int64)
        now = np.zeros(len(lists), dtype=np.int64) if at is None else np.asarray(at)
        if at is None:
            now[lengths > 0] = times[offsets[1:][lengths > 0] - 1] + 1
        users = np.arange(len(lists)) if user_ids is None else np.asarray(user_ids)
        if len(users) != len(lists):
            raise DataError(f"{len(users)} user_ids for {len(lists)} lists; give one for each")
        return cls(
            item_ids=item_ids,
            user_ids=users.astype(np.int64),
            at=np.broadcast_to(now.astype(np.int64), len(lists)).copy(),
            offsets=offsets,
            items=_lookup(flat, item_ids, "item"),
            events=np.full(len(flat), EVENTS.index(event), dtype=np.int8),
            timestamps=times,
        )

    def __len__(self) -> int:
        return len(self.user_ids)

    def __repr__(self) -> str:
        return f"Histories({len(self):,} rows, {len(self.items):,} events, {self.n_items:,} items)"

    def __getitem__(self, rows: slice | int | np.ndarray | Sequence[int]) -> Self:
        """Some of the rows: a slice, a mask, places, or one place."""
        rows = _places(rows, len(self))
        lengths = self.lengths[rows]
        offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
        take = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1][rows] - offsets[:-1], lengths)
        return replace(
            self,
            user_ids=self.user_ids[rows],
            at=self.at[rows],
            offsets=offsets,
            items=self.items[take],
            events=self.events[take],
            timestamps=self.timestamps[take],
        )

    @property
    def n_items(self) -> int:
        """Size of the catalogue."""
        return len(self.item_ids)

    @cached_property
    def lengths(self) -> np.ndarray:
        """``(n,)`` int64: the number of events of each row."""
        return np.diff(self.offsets)

    @cached_property
    def rows(self) -> np.ndarray:
        """``(total,)`` int64: the row that each event belongs to."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @cached_property
    def steps_back(self) -> np.ndarray:
        """``(total,)`` int64: 0 at the latest event of a row, 1 at the one before, and so on."""
        return np.repeat(self.offsets[1:], self.lengths) - 1 - np.arange(len(self.items))

    def matrix(self, weights: np.ndarray | None = None) -> sparse.csr_array:
        """``(n, n_items)`` float64: 1 where the row holds the item, or the sum of its weights."""
        data = np.ones(len(self.items)) if weights is None else np.asarray(weights, np.float64)
        shape = (len(self), self.n_items)
        matrix = sparse.coo_array((data, (self.rows, self.items)), shape=shape).tocsr()
        if weights is None:
            matrix.data[:] = 1.0
        return matrix

    def last(self, n: int) -> Self:
        """The same rows with only their latest ``n`` events."""
        if n < 0:
            raise ValueError(f"n must be 0 or more, not {n}")
        keep = self.steps_back < n
        lengths = np.minimum(self.lengths, n)
        return replace(
            self,
            offsets=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
            items=self.items[keep],
            events=self.events[keep],
            timestamps=self.timestamps[keep],
        )


@dataclass(frozen=True, eq=False, repr=False)
class Holdout:
    """Questions and their answers: histories, and the items that each user chose next.

    Attributes:
        histories: ``n`` rows; what a model is shown.
        targets: ``(total,)`` int32 places in ``histories.item_ids``.
        target_offsets: ``(n + 1,)`` int64; row ``i`` has ``targets[o[i]:o[i + 1]]``. Under
            leave-one-out every row has exactly one.
    """

    histories: Histories
    targets: np.ndarray
    target_offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.histories)

    def __repr__(self) -> str:
        return f"Holdout({len(self):,} questions, {len(self.targets):,} targets)"

    @cached_property
    def target_rows(self) -> np.ndarray:
        """``(total,)`` int64: the row that each target belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.target_offsets))

    def __getitem__(self, rows: slice | int | np.ndarray | Sequence[int]) -> Self:
        """Some of the questions: a slice, a mask, places, or one place."""
        rows = _places(rows, len(self))
        lengths = np.diff(self.target_offsets)[rows]
        offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
        starts = self.target_offsets[:-1][rows] - offsets[:-1]
        take = np.arange(offsets[-1]) + np.repeat(starts, lengths)
        return type(self)(self.histories[rows], self.targets[take], offsets)


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """A data set cut into what models learn from, are tuned on, and are judged by.

    Models fit on ``train``. At validation the history is ``train``; at test it is ``train`` plus
    the validation targets. Items of the history are excluded from the ranking unless a split
    says otherwise.

    Attributes:
        name: the rule, such as ``leave-one-out``.
        dataset: the data set's name.
        train: what models fit on. Its ``item_ids`` are the catalogue of the whole split.
        validation: questions to tune on.
        test: questions to report on.
        candidates: ``(n_items,)`` bool, the items that may be ranked; None means all of them.
    """

    name: str
    dataset: str
    train: Interactions
    validation: Holdout
    test: Holdout
    candidates: np.ndarray | None = None

    def __repr__(self) -> str:
        return (
            f"Split({self.name!r} of {self.dataset!r}: train {self.train!r}, validation "
            f"{len(self.validation):,}, test {len(self.test):,}, hash {self.hash})"
        )

    @property
    def item_ids(self) -> np.ndarray:
        """``(n_items,)`` int64: the catalogue, in the order of every score matrix."""
        return self.train.item_ids

    @cached_property
    def hash(self) -> str:
        """Twelve hex digits that name the test questions: their (user, item) pairs in order."""
        users = self.test.histories.user_ids[self.test.target_rows]
        pairs = np.stack([users, self.item_ids[self.test.targets]], axis=1).astype("<i8")
        return hashlib.sha256(pairs.tobytes()).hexdigest()[:12]
