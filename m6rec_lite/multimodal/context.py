"""The context of an event as codes: season, weekday, place, weather, and session.

A model that reads the context of the query is *time-aware*: it knows when the next event happens.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from m6rec_lite.data.ids import as_ids, find_ids
from m6rec_lite.data.interactions import Histories
from m6rec_lite.data.tables import DataError

#: Parts of the context: month; day of the week; the user's city; the weather there on that day;
#: the class of the time since the user's last event (``GAPS``).
CONTEXT_PARTS: tuple[str, ...] = ("season", "weekday", "place", "weather", "session")
#: Boundaries of the classes of the time since the last event, in seconds: those of M6-Rec's
#: retriever, whose module is not imported: it needs transformers.
GAPS = (0, 5, 15, 60, 600, 3600, 21_600, 86_400, 604_800, 2_592_000)
DAY = 86_400


@dataclass(frozen=True, eq=False)
class ContextTable:
    """What is needed to look up the context of an event.

    Code 0 of each part stands for an unknown value, such as that of a new city; the code of
    ``cities[i]`` and of ``conditions[i]`` is ``i + 1``.

    Attributes:
        parts: names, of ``CONTEXT_PARTS``.
        first_day: number of the first day of ``weather``, counted from 1970.
        user_ids: ``(n_users,)`` ids, ascending; ``city`` are the codes of their cities.
        weather: ``(1 + n_cities, n_days)`` int64 code of the weather; row 0 is that of no city.
    """

    parts: tuple[str, ...]
    cities: tuple[str, ...]
    conditions: tuple[str, ...]
    first_day: int
    user_ids: np.ndarray
    city: np.ndarray
    weather: np.ndarray

    @classmethod
    def fit(
        cls,
        parts: Sequence[str],
        users: pd.DataFrame | None = None,
        weather: pd.DataFrame | None = None,
    ) -> Self:
        """Read users with ``city`` and the weather by city and date; ``DataError`` if missing."""
        cities: tuple[str, ...] = ()
        user_ids = city = np.zeros(0, dtype=np.int64)
        if {"place", "weather"} & {*parts}:
            table = _require(users, ("user_id", "city"), "users", "users=dataset.users")
            table = table.drop_duplicates("user_id").sort_values("user_id")
            user_ids = as_ids(table["user_id"], "user_id")
            cities = tuple(sorted(table["city"].dropna().astype(str).unique()))
            city = _codes(table["city"], cities)
        conditions: tuple[str, ...] = ()
        first_day, grid = 0, np.zeros((1 + len(cities), 1), dtype=np.int64)
        if "weather" in parts:
            columns = ("city", "date", "condition")
            table = _require(weather, columns, "weather", "weather=dataset.weather")
            conditions = tuple(sorted(table["condition"].dropna().astype(str).unique()))
            days = pd.to_datetime(table["date"]).to_numpy().astype("datetime64[D]").astype(int)
            first_day = int(days.min())
            grid = np.zeros((1 + len(cities), int(days.max()) - first_day + 1), dtype=np.int64)
            grid[_codes(table["city"], cities), days - first_day] = _codes(
                table["condition"], conditions
            )
            grid[0] = 0  # cities without users
        return cls(tuple(parts), cities, conditions, first_day, user_ids, city, grid)

    @property
    def sizes(self) -> dict[str, int]:
        """Number of codes of each part, with code 0."""
        values = (12, 7, len(self.cities), len(self.conditions), 1 + len(GAPS))
        sizes = dict(zip(CONTEXT_PARTS, values, strict=True))
        return {part: 1 + sizes[part] for part in self.parts}

    def codes(self, user_ids: np.ndarray, at: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Return the codes of some moments.

        Args:
            user_ids: ``(n,)`` ids; a user outside the table has an unknown city.
            at: ``(n,)`` int64 unix seconds.
            last: ``(n,)`` int64 unix seconds of the event before; negative for none.

        Returns:
            ``(n, len(parts))`` int64. Months count from January = 1, weekdays from Monday = 1.
        """
        day, city = at // DAY, np.zeros(len(at), dtype=np.int64)
        if self.cities:
            row, known = find_ids(user_ids, self.user_ids, "user_id")
            city = np.where(known, self.city[row], 0)
        inside = (day >= self.first_day) & (day < self.first_day + self.weather.shape[1])
        column = np.where(inside, day - self.first_day, 0)
        all_codes = {
            "season": at.astype("datetime64[s]").astype("datetime64[M]").astype(int) % 12 + 1,
            "weekday": (day + 3) % 7 + 1,  # 1970-01-01 was a Thursday
            "place": city,
            "weather": np.where(inside, self.weather[city, column], 0),
            "session": np.where(last < 0, 0, 1 + np.searchsorted(GAPS, at - last)),
        }
        return np.stack([all_codes[part] for part in self.parts], axis=1).astype(np.int64)

    def of_events(self, histories: Histories) -> np.ndarray:
        """Return the codes of each event of histories with times, ``(total, len(parts))``."""
        rows, when = histories.rows, _times(histories)
        last = np.concatenate([[-1], when])[: len(when)]
        last[histories.offsets[:-1][histories.lengths > 0]] = -1  # the first event of each row
        return self.codes(histories.user_ids[rows], when, last)

    def of_queries(self, histories: Histories) -> np.ndarray:
        """Return the codes of the query of each history with times, ``(n, len(parts))``."""
        last = np.full(len(histories), -1, dtype=np.int64)
        some = histories.lengths > 0
        last[some] = _times(histories)[histories.offsets[1:][some] - 1]
        return self.codes(histories.user_ids, histories.at, last)

    def state(self) -> dict[str, np.ndarray]:
        """Return arrays for ``from_state``."""
        names = [self.parts, self.cities, self.conditions, self.first_day]
        arrays = {"user_ids": self.user_ids, "city": self.city, "weather": self.weather}
        arrays["names"] = np.array(json.dumps(names))
        return {f"context_{name}": array for name, array in arrays.items()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Return what ``state`` returned."""
        parts, cities, conditions, first_day = json.loads(str(state["context_names"]))
        ids, city, grid = (state[f"context_{name}"] for name in ("user_ids", "city", "weather"))
        return cls(tuple(parts), tuple(cities), tuple(conditions), first_day, ids, city, grid)


def _times(histories: Histories) -> np.ndarray:
    """Return the timestamps; raise ``DataError`` if they are only row numbers."""
    if not histories.has_time:
        raise DataError(
            "the context needs times, and these histories have only row numbers: read the "
            "data with a timestamp column, or pass context=()"
        )
    return histories.timestamps


def _codes(values: pd.Series, names: Sequence[str]) -> np.ndarray:
    """Return the code of each value, 0 for a value that is not among the names."""
    return (1 + pd.Index(list(names)).get_indexer(values.astype(str))).astype(np.int64)


def _require(
    table: pd.DataFrame | None, columns: Sequence[str], name: str, argument: str
) -> pd.DataFrame:
    """Return a table, or raise ``DataError`` if it or one of its columns is missing."""
    if table is None:
        raise DataError(f"this context reads {name}: call fit(train, {argument})")
    missing = [column for column in columns if column not in table]
    if missing:
        raise DataError(f"the table of {name} has no {missing[0]!r}; it has {list(table.columns)}")
    return table
