"""Histories of users in an SQLite file, with a cache of those that were read last.

``add`` returns after the event is on the disk (``synchronous=FULL``), so that a killed process
loses no event that a client was told is stored. The cache belongs to one process: start one server
a file, or send each user always to the same server.
"""

from __future__ import annotations

import errno
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from m6rec_lite.data.files import DiskFullError
from m6rec_lite.data.ids import Id, as_ids, check_same_kind
from m6rec_lite.data.tables import EVENTS, DataError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
  user NOT NULL, item NOT NULL, time INTEGER NOT NULL, event INTEGER NOT NULL,
  UNIQUE (user, time, item, event)
)"""

#: Errors of a disk that is full, or a file that may not grow.
_NO_ROOM = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_IOERR_TRUNCATE,
)


@dataclass(frozen=True)
class UserEvents:
    """Events of one user, oldest first, ties in order of arrival.

    Attributes:
        items: item ids.
        times: unix seconds.
        events: codes into ``EVENTS``.
    """

    items: tuple[Id, ...] = ()
    times: tuple[int, ...] = ()
    events: tuple[int, ...] = ()


class EventStore:
    """Events of users, on disk.

    Args:
        path: an SQLite file, created if missing; ``":memory:"`` keeps nothing.
        cached_users: number of histories in the cache, the least recently read leave first.
        length: maximum number of latest events of a history.

    Attributes:
        path: the SQLite file.
        hits: number of histories that the cache had.
        misses: number of histories that were read from the file.

    Raises:
        DataError: from each method that reads or writes, if the file is damaged, no store of
            events, or locked by another process.
        DiskFullError: from each method that writes, if the disk is full; nothing of what was to
            be stored is in the file.
    """

    def __init__(
        self, path: str | Path = ":memory:", *, cached_users: int = 10_000, length: int = 200
    ) -> None:
        self._lock = threading.Lock()  # one connection, used by several threads
        self._cache: OrderedDict[Id, UserEvents] = OrderedDict()
        self.path, self.cached_users, self.length = path, cached_users, length
        self.hits = self.misses = 0
        with self._named_errors():
            self._connection = sqlite3.connect(path, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            with self._connection:
                self._connection.execute(_SCHEMA)

    def add(self, user: Id, item: Id, time: int, event: str = "click") -> bool:
        """Store an event; return False if the same event is already there.

        A client that got no answer may send its event again.

        Raises:
            DataError: if the event is unknown, or the user's id is not of the kind of the others.
        """
        if event not in EVENTS:
            raise DataError(f"unknown event {event!r}; the events are {list(EVENTS)}")
        return self._insert([(user, item, time, EVENTS.index(event))]) > 0

    def add_frame(self, interactions: pd.DataFrame) -> int:
        """Store the rows of a table of interactions; return how many were new.

        Args:
            interactions: columns ``user_id item_id timestamp event``, as in a ``Dataset``.
        """
        frame = interactions.sort_values("timestamp", kind="stable")
        codes = pd.Index(EVENTS).get_indexer(frame["event"])
        columns = (frame[name].tolist() for name in ("user_id", "item_id", "timestamp"))
        return self._insert(zip(*columns, codes.tolist(), strict=True))

    def history(self, user: Id) -> UserEvents:
        """Return the latest events of a user; an unknown user has none."""
        with self._lock, self._named_errors():
            if user in self._cache:
                self.hits += 1
                self._cache.move_to_end(user)
                return self._cache[user]
            self.misses += 1
            rows = self._connection.execute(
                "SELECT item, time, event FROM events WHERE user = ? "
                "ORDER BY time DESC, rowid DESC LIMIT ?",
                (user, self.length),
            ).fetchall()
            found = UserEvents(*zip(*reversed(rows), strict=True)) if rows else UserEvents()
            self._cache[user] = found
            if len(self._cache) > self.cached_users:
                self._cache.popitem(last=False)
            return found

    def users(self, limit: int) -> list[Id]:
        """Return the ids of at most ``limit`` users, in ascending order."""
        with self._lock, self._named_errors():
            query = "SELECT DISTINCT user FROM events ORDER BY user LIMIT ?"
            return [user for (user,) in self._connection.execute(query, (limit,))]

    def __len__(self) -> int:
        with self._lock, self._named_errors():
            return int(self._connection.execute("SELECT count(*) FROM events").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _insert(self, rows: Iterable[tuple[Id, Id, int, int]]) -> int:
        rows = list(rows)
        if rows and (known := self.users(1)):
            check_same_kind(as_ids([rows[0][0]], "user_id"), as_ids(known, "user_id"), "user_id")
        with self._lock, self._named_errors(), self._connection:  # commits, or rolls back
            before = self._connection.total_changes
            self._connection.executemany("INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?)", rows)
            for user in {row[0] for row in rows}:
                self._cache.pop(user, None)
            return self._connection.total_changes - before

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        """Name the file, and what to do, in errors of SQLite."""
        try:
            yield
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            code = getattr(error, "sqlite_errorcode", None)
            if code in _NO_ROOM:
                raise DiskFullError(
                    errno.ENOSPC,
                    f"{self.path} could not be written ({error}). The events that were there "
                    f"before are unchanged: free some room there, and send the new ones again",
                ) from error
            raise DataError(
                f"{self.path} cannot be used as a store of events ({error}); close other programs "
                f"that write to it, restore it from a backup, or name another file"
            ) from error
