"""Arrays that models read: interactions and histories.

Tables are for people; models want indices. ``Interactions`` holds rows as index arrays in the one
order of this project: by user, then time, ties in file order (a stable sort). ``Histories`` holds
what is known of some users at some moment, as ragged arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, Self

import numpy as np
import pandas as pd
from scipy import sparse

from m6rec_lite.data.columns import read_times
from m6rec_lite.data.ids import Id, as_ids, index_of_ids, known_ids, unique_ids
from m6rec_lite.data.ragged import offsets_of, positions_in_rows, ranges, row_indices
from m6rec_lite.data.tables import EVENTS, DataError

#: What to do with ids that are not among those wanted.
Unknown = Literal["raise", "drop"]


@dataclass(frozen=True, eq=False, repr=False)
class Interactions:
    """Rows of users and items as index arrays, sorted by user, then time, ties in file order.

    Attributes:
        user_ids: ``(n_users,)`` int64 or text, ascending, as the data set writes them; ``users``
            holds indices into it.
        item_ids: ``(n_items,)`` int64 or text, ascending; ``items`` holds indices into it.
        users: ``(n,)`` int32.
        items: ``(n,)`` int32.
        timestamps: ``(n,)`` int64, unix seconds.
        events: ``(n,)`` int8, codes into ``EVENTS``.
        values: ``(n,)`` float32: the rating where there is one, else 1.
        has_time: False where the timestamps only tell the order (``Dataset.has_time``).
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
        """Build from an interactions table; the ids default to those that occur, ascending.

        Args:
            frame: columns ``user_id``, ``item_id`` and ``timestamp`` (unix seconds, or
                ``datetime64`` of any unit or time zone, which is converted), perhaps ``event`` and
                ``value``. Ids may be whole numbers or text.
            user_ids: the users to index into, such as those of another month.
            item_ids: the items to index into, such as a fitted model's.
            unknown: what to do with rows whose user or item those ids lack: ``"raise"``, or
                ``"drop"`` them and log which.

        Raises:
            DataError: if a column is missing, an id is missing or a fraction, a timestamp is
                missing or cannot be in seconds, a row names an unknown user or item, or an event
                is not one of ``EVENTS``.
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
        _check_unknown(unknown)
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
        offsets = offsets_of(counts)
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
            has_time=self.has_time,
        )


@dataclass(frozen=True, eq=False, repr=False)
class Histories:
    """What is known of some users at some moment: ragged arrays, oldest event first.

    A user may have several rows (several moments), and a row may be empty (a new user).

    Attributes:
        item_ids: ``(n_items,)`` int64 or text, ascending: the catalogue that ``items`` indexes.
        user_ids: ``(n,)`` int64 or text, one a row.
        at: ``(n,)`` int64 unix seconds: now, the moment at which the next item is asked for. In a
            split it is the target's own timestamp; a model that reads it is *time-aware* and must
            be compared with its like.
        offsets: ``(n + 1,)`` int64; row ``i`` is ``items[offsets[i]:offsets[i + 1]]``.
        items: ``(total,)`` int32.
        events: ``(total,)`` int8, codes into ``EVENTS``.
        timestamps: ``(total,)`` int64, unix seconds.
        has_time: False where the timestamps and ``at`` only tell the order.
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
        """Build from lists of item ids (ids, not indices), oldest first.

        Users are numbered from 0 unless named. Without timestamps the events lie a second apart
        and end at second 0 of the epoch plus the length of the list.

        Raises:
            DataError: if a list names an item that ``item_ids`` lacks, or lengths differ.
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
        now = np.zeros(len(lists), dtype=np.int64) if at is None else np.asarray(at)
        if at is None:
            now[lengths > 0] = times[offsets[1:][lengths > 0] - 1] + 1
        users = np.arange(len(lists)) if user_ids is None else as_ids(user_ids, "user_id")
        if len(users) != len(lists):
            raise DataError(f"{len(users)} user_ids for {len(lists)} lists; give one for each")
        return cls(
            item_ids=item_ids,
            user_ids=users,
            at=np.broadcast_to(now.astype(np.int64), len(lists)).copy(),
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
        """Some of the rows: a slice, a mask, places, or one place."""
        rows = row_indices(rows, len(self))
        lengths = self.lengths[rows]
        take = ranges(self.offsets[:-1][rows], lengths)
        return replace(
            self,
            user_ids=self.user_ids[rows],
            at=self.at[rows],
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
            offsets=offsets_of(lengths),
            items=self.items[keep],
            events=self.events[keep],
            timestamps=self.timestamps[keep],
        )

    def align(self, item_ids: np.ndarray, *, unknown: Unknown = "raise") -> Self:
        """Return the same histories over another catalogue, items matched by their ids.

        A model that was fitted on one file reads the histories of another like this.

        Args:
            item_ids: ``(m,)`` ascending ids, such as a fitted model's ``item_ids``.
            unknown: what to do with events of items that it lacks: ``"raise"``, or ``"drop"`` them
                and log which.

        Raises:
            DataError: if an event's item is not among ``item_ids`` and ``unknown`` is ``"raise"``;
                or if one side's ids are text and the other's numbers.
        """
        _check_unknown(unknown)
        item_ids = as_ids(item_ids, "item_id")
        met = self.item_ids[self.items]
        keep = np.ones(len(met), dtype=bool)
        if unknown == "drop":
            keep = known_ids(met, item_ids, "item_id")
        lengths = np.bincount(self.rows[keep], minlength=len(self))
        return replace(
            self,
            item_ids=item_ids,
            offsets=offsets_of(lengths),
            items=index_of_ids(met[keep], item_ids, "item_id").astype(np.int32),
            events=self.events[keep],
            timestamps=self.timestamps[keep],
        )


def _check_unknown(unknown: str) -> None:
    if unknown not in ("raise", "drop"):
        raise ValueError(f"unknown must be 'raise' or 'drop', not {unknown!r}")
