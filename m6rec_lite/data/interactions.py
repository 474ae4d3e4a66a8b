"""Arrays of interactions and of histories, the input of models.

``Interactions`` holds rows as arrays of indices, sorted by user, then time, with ties in file order
(a stable sort). ``Histories`` holds the events of some users before some moment as ragged arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import pandas as pd
from scipy import sparse

from m6rec_lite.data.columns import read_times
from m6rec_lite.data.ids import (
    Id,
    Unknown,
    as_ids,
    check_unknown,
    index_of_ids,
    known_ids,
    unique_ids,
)
from m6rec_lite.data.ragged import (
    after_last,
    offsets_of,
    positions_in_rows,
    ranges,
    row_indices,
    sparse_sums,
)
from m6rec_lite.data.tables import EVENTS, DataError


@dataclass(frozen=True, eq=False, repr=False)
class Interactions:
    """Rows of users and items as index arrays, sorted by user, then time, ties in file order.

    Attributes:
        user_ids: ``(n_users,)`` int64 or text, ascending, as in the data set; ``users`` holds
            indices into it.
        item_ids: ``(n_items,)`` int64 or text, ascending; ``items`` holds indices into it.
        users: ``(n,)`` int32.
        items: ``(n,)`` int32.
        timestamps: ``(n,)`` int64, unix seconds.
        events: ``(n,)`` int8, codes into ``EVENTS``.
        values: ``(n,)`` float32: the rating if there is one, else 1.
        has_time: False if the timestamps are only row numbers (``Dataset.has_time``).
    """

    user_ids: np.ndarray
    item_ids: np.ndarray
    users: np.ndarray
    items: np.ndarray
    timestamps: np.ndarray
    events: np.ndarray
    values: np.ndarray
    has_time: bool = True

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        user_ids: np.ndarray | None = None,
        item_ids: np.ndarray | None = None,
        unknown: Unknown = "raise",
    ) -> Self:
        """Build from a table of interactions.

        Args:
            frame: columns ``user_id``, ``item_id`` and ``timestamp`` (unix seconds, or
                ``datetime64`` of any unit or time zone), and optionally ``event`` and ``value``.
                Ids may be whole numbers or text.
            user_ids: all users, such as those of another month; by default those of the table.
            item_ids: all items, such as a fitted model's; by default those of the table.
            unknown: what to do with rows whose user or item is not among these ids: ``"raise"``,
                or ``"drop"`` them and log the ids.

        Raises:
            DataError: if a column is missing, or an id, a timestamp or an event is missing, invalid
                or unknown.
        """
        if not isinstance(frame, pd.DataFrame):
            raise DataError(
                f"from_frame wants a DataFrame of interactions, got {type(frame).__name__}; of a "
                "data set give dataset.interactions"
            )
        missing = [c for c in ("user_id", "item_id", "timestamp") if c not in frame]
        if missing:
            raise DataError(
                f"interactions need the columns user_id, item_id and timestamp; {missing} missing "
                f"among {list(frame.columns)}"
            )
        check_unknown(unknown)
        raw_users, raw_items = (as_ids(frame[c], c) for c in ("user_id", "item_id"))
        user_ids = np.unique(raw_users) if user_ids is None else unique_ids(user_ids, "user_id")
        item_ids = np.unique(raw_items) if item_ids is None else unique_ids(item_ids, "item_id")
        timestamps = read_times(frame["timestamp"], "timestamp")
        if unknown == "drop":
            known = known_ids(raw_users, user_ids, "user_id")
            known &= known_ids(raw_items, item_ids, "item_id")
            frame, timestamps = frame[known], timestamps[known]
            raw_users, raw_items = raw_users[known], raw_items[known]
        users = index_of_ids(raw_users, user_ids, "user_id").astype(np.int32)
        items = index_of_ids(raw_items, item_ids, "item_id").astype(np.int32)
        order = np.lexsort((timestamps, users))  # lexsort is stable: ties keep file order
        if "event" in frame:
            names = frame["event"].astype("category")
            codes = pd.Index(EVENTS).get_indexer(names.cat.categories)
            events = np.append(codes, -1)[names.cat.codes].astype(np.int8)
            if (events < 0).any():
                unknown_events = frame["event"][events < 0].unique()[:5].tolist()
                raise DataError(f"unknown events {unknown_events}; the events are {list(EVENTS)}")
        else:
            events = np.zeros(len(frame), dtype=np.int8)
        values = frame["value"].to_numpy(np.float32) if "value" in frame else np.ones(len(frame))
        return cls(
            user_ids=user_ids,
            item_ids=item_ids,
            users=users[order],
            items=items[order],
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
        """Number of users in ``user_ids``, including those without a row."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """Number of items in ``item_ids``, including those without a row."""
        return len(self.item_ids)

    def select(self, rows: np.ndarray) -> Self:
        """Return some of the rows (a mask, or ascending indices), with all users and items."""
        names = ("users", "items", "timestamps", "events", "values")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    def matrix(self, weights: np.ndarray | None = None) -> sparse.csr_array:
        """Return ``(n_users, n_items)`` float64: 1 where a user has the item, or its weight.

        The ``(n,)`` weights of rows that repeat a pair of user and item are summed.
        """
        return sparse_sums(self.users, self.items, (self.n_users, self.n_items), weights)

    def histories(self, at: np.ndarray | int | None = None) -> Histories:
        """Return one history per user, in the order of ``user_ids``.

        Args:
            at: ``(n_users,)`` or scalar unix seconds, see ``Histories``; by default the second
                after the user's last event, or 0 if there is none.
        """
        offsets = offsets_of(np.bincount(self.users, minlength=self.n_users))
        if at is None:
            at = after_last(self.timestamps, offsets)
        return Histories(
            item_ids=self.item_ids,
            user_ids=self.user_ids,
            at=np.broadcast_to(np.asarray(at, dtype=np.int64), self.n_users).copy(),
            offsets=offsets,
            items=self.items,
            events=self.events,
            timestamps=self.timestamps,
            has_time=self.has_time,
        )


@dataclass(frozen=True, eq=False, repr=False)
class Histories:
    """Events of users before given moments, as ragged arrays, oldest event first.

    A user may have several rows (several moments), and a row may be empty (a new user).

    Attributes:
        item_ids: ``(n_items,)`` int64 or text, ascending: the catalogue that ``items`` indexes.
        user_ids: ``(n,)`` int64 or text, one per row.
        at: ``(n,)`` int64 unix seconds: the query time, at which the next item is predicted. In a
            split it is the target's own timestamp; a model that reads it is *time-aware* and must
            be compared with other time-aware models only.
        offsets: ``(n + 1,)`` int64; row ``i`` is ``items[offsets[i]:offsets[i + 1]]``.
        items: ``(total,)`` int32.
        events: ``(total,)`` int8, codes into ``EVENTS``.
        timestamps: ``(total,)`` int64, unix seconds.
        has_time: False if the timestamps and ``at`` are only row numbers.
    """

    item_ids: np.ndarray
    user_ids: np.ndarray
    at: np.ndarray
    offsets: np.ndarray
    items: np.ndarray
    events: np.ndarray
    timestamps: np.ndarray
    has_time: bool = True

    @classmethod
    def from_lists(
        cls,
        lists: Sequence[Sequence[Id]],
        item_ids: np.ndarray,
        *,
        user_ids: Sequence[Id] | None = None,
        timestamps: Sequence[Sequence[int]] | None = None,
        at: Sequence[int] | int | None = None,
        event: str = "click",
    ) -> Self:
        """Build from lists of item ids.

        Args:
            lists: item ids (not indices) of each history, oldest first.
            item_ids: ``(n_items,)`` ascending ids of the catalogue.
            user_ids: one id for each list; by default numbers from 0.
            timestamps: unix seconds of all events; by default 0, 1, 2, … in each list.
            at: one moment for each list or for all; by default as in ``Interactions.histories``.
            event: event of all entries.

        Raises:
            DataError: if an item is not in ``item_ids``, or lengths differ.
            ValueError: if the event is not one of ``EVENTS``.
        """
        if event not in EVENTS:
            raise ValueError(f"event must be one of {EVENTS}, not {event!r}")
        item_ids = as_ids(item_ids, "item_id")
        lengths = np.array([len(row) for row in lists], dtype=np.int64)
        offsets = offsets_of(lengths)
        flat = as_ids([i for row in lists for i in row], "item_id")
        if timestamps is None:
            times = positions_in_rows(lengths)
        else:
            if [len(row) for row in timestamps] != lengths.tolist():
                raise DataError("timestamps and lists must have the same lengths, row by row")
            times = np.array([t for row in timestamps for t in row], dtype=np.int64)
        query_times = after_last(times, offsets) if at is None else np.asarray(at)
        users = np.arange(len(lists)) if user_ids is None else as_ids(user_ids, "user_id")
        if len(users) != len(lists):
            raise DataError(f"{len(users)} user_ids for {len(lists)} lists; give one for each")
        return cls(
            item_ids=item_ids,
            user_ids=users,
            at=np.broadcast_to(query_times.astype(np.int64), len(lists)).copy(),
            offsets=offsets,
            items=index_of_ids(flat, item_ids, "item_id").astype(np.int32),
            events=np.full(len(flat), EVENTS.index(event), dtype=np.int8),
            timestamps=times,
        )

    def __len__(self) -> int:
        return len(self.user_ids)

    def __repr__(self) -> str:
        return f"Histories({len(self):,} rows, {len(self.items):,} events, {self.n_items:,} items)"

    def __getitem__(self, rows: slice | int | np.ndarray | Sequence[int]) -> Self:
        """Return some of the rows, by a slice, a mask, indices, or one index."""
        rows = row_indices(rows, len(self))
        return self.first_events(rows, self.lengths[rows], self.at[rows])

    def first_events(self, rows: np.ndarray, lengths: np.ndarray, at: np.ndarray) -> Self:
        """Return rows as they were at earlier moments.

        Args:
            rows: ``(m,)`` indices of rows, repeats allowed.
            lengths: ``(m,)`` number of events of each row, from the oldest.
            at: ``(m,)`` int64 unix seconds: the query time of each row.
        """
        take = ranges(self.offsets[:-1][rows], lengths)
        return replace(
            self,
            user_ids=self.user_ids[rows],
            at=at,
            offsets=offsets_of(lengths),
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
        """``(total,)`` int64: 0 for the latest event of a row, 1 for the one before, and so on."""
        return np.repeat(self.offsets[1:], self.lengths) - 1 - np.arange(len(self.items))

    def matrix(self, weights: np.ndarray | None = None) -> sparse.csr_array:
        """Return ``(n, n_items)`` float64: 1 where a row has the item, or its summed weights."""
        return sparse_sums(self.rows, self.items, (len(self), self.n_items), weights)

    def last(self, n: int) -> Self:
        """Return the same rows with only their latest ``n`` events."""
        if n < 0:
            raise ValueError(f"n must be 0 or more, not {n}")
        return self._keep(self.steps_back < n)

    def align(self, item_ids: np.ndarray, *, unknown: Unknown = "raise") -> Self:
        """Return the same histories with indices into another catalogue.

        Args:
            item_ids: ``(m,)`` ascending ids, such as a fitted model's ``item_ids``.
            unknown: what to do with events of other items: ``"raise"``, or ``"drop"`` them and log
                the ids.

        Raises:
            DataError: if an event's item is not in ``item_ids`` and ``unknown`` is ``"raise"``, or
                if the ids of one catalogue are text and those of the other whole numbers.
        """
        check_unknown(unknown)
        item_ids = as_ids(item_ids, "item_id")
        ids = self.item_ids[self.items]
        keep = np.ones(len(ids), dtype=bool)
        if unknown == "drop":
            keep = known_ids(ids, item_ids, "item_id")
        items = index_of_ids(ids[keep], item_ids, "item_id").astype(np.int32)
        return replace(self._keep(keep), item_ids=item_ids, items=items)

    def _keep(self, events: np.ndarray) -> Self:
        """Return the same rows with only some events, a ``(total,)`` mask."""
        return replace(
            self,
            offsets=offsets_of(np.bincount(self.rows[events], minlength=len(self))),
            items=self.items[events],
            events=self.events[events],
            timestamps=self.timestamps[events],
        )
