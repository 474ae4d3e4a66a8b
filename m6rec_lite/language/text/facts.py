"""Tables of a data set, cleaned for verbalization.

Each class reads one table once: items, users, weather, searches, ratings, and the popularity of
items.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from m6rec_lite.data import EVENTS, DataError, Dataset, Histories, Interactions
from m6rec_lite.data.ids import Id, as_ids, find_ids
from m6rec_lite.data.ragged import ranges
from m6rec_lite.language.text.document import clean
from m6rec_lite.language.text.templates import Templates

#: Columns that distinguish items in text.
_TEXTS = ("title", "category", "creator", "description", "tags")


class Items:
    """Text fields of each item.

    Args:
        dataset: provides ``items``.
        templates: provides the nouns.
        max_chars: see ``document.clean``.

    Attributes:
        ids: item ids, ascending.
        fields: for each item its text fields by name; missing values have no entry.
    """

    def __init__(self, dataset: Dataset, templates: Templates, max_chars: int) -> None:
        table = dataset.items.sort_values("item_id")
        self.name = dataset.name
        self.ids = as_ids(table["item_id"], "item_id")
        self.fields: list[dict[str, str]] = []
        columns = [c for c in ("category", "title", "creator", "description") if c in table]
        for row in table.to_dict("records"):
            where = f"{dataset.name}: items, item {row['item_id']}, column"
            texts = {c: row[c] for c in columns if not pd.isna(row[c])}
            if isinstance(tags := row.get("tags"), (list, tuple, np.ndarray)) and len(tags):
                texts["tags"] = ", ".join(map(str, tags))
            cleaned = {
                name: clean(str(text), f"{where} {name}", quoted=True, max_chars=max_chars)
                for name, text in texts.items()
            }
            if not pd.isna(price := row.get("price")):
                cleaned["price"] = f"{price:.2f}"
            domain = row.get("domain")
            known = None if pd.isna(domain) else clean(str(domain), f"{where} domain", quoted=True)
            cleaned["noun"] = templates.noun(known)
            self.fields.append({name: text for name, text in cleaned.items() if text})

    def require_text(self) -> None:
        """Raise ``DataError`` if no item has any text that distinguishes it."""
        if self.fields and not any(field.keys() & set(_TEXTS) for field in self.fields):
            raise DataError(
                f"{self.name}: none of the {len(self.fields):,} items has any text, so a model "
                f"that reads text cannot tell them apart. Give a table of items with "
                f"{', '.join(_TEXTS)}; or name such a column of the interactions, as in "
                'load_dataset(source, columns={"title": "product_name"})'
            )

    def indices(self, item_ids: np.ndarray) -> np.ndarray:
        """Return the index of each item in ``fields``.

        Raises:
            DataError: if an item is not in the table.
        """
        item_ids = as_ids(item_ids, "item_id")
        indices, known = find_ids(item_ids, self.ids, "item_id")
        unknown = np.unique(item_ids[~known])
        if len(unknown):
            raise DataError(
                f"items {unknown[:5].tolist()} ({len(unknown)} in all) are not among the "
                f"{len(self.ids):,} items of {self.name!r}: make the text from the data set that "
                "the histories come from"
            )
        return indices


class People:
    """A sentence about each user, and each user's city."""

    def __init__(self, dataset: Dataset, templates: Templates, columns: tuple[str, ...]) -> None:
        table = dataset.users
        shown = [name for name in columns if name in table and name in templates.user]
        ids = table["user_id"].tolist()
        cells = {
            name: [
                None if pd.isna(value) else clean(str(value), f"users, {name}", quoted=True)
                for value in table[name].astype(object)
            ]
            for name in {*shown, "city"}
            if name in table
        }
        self._city = dict(zip(ids, cells.get("city", [None] * len(ids)), strict=True))
        sentences: dict[tuple[str | None, ...], str] = {}
        self._words: dict[Id, str] = {}
        for n, user in enumerate(ids):
            key = tuple(cells[name][n] for name in shown)
            if key not in sentences:
                sentences[key] = templates.person(dict(zip(shown, key, strict=True)))
            self._words[user] = sentences[key]

    def words(self, user_id: Id | None) -> str:
        """Return a user's sentence; "" if nothing is known of the user."""
        return "" if user_id is None else self._words.get(user_id, "")

    def city(self, user_id: Id | None) -> str | None:
        """Return a user's city, or None if it is not known."""
        return None if user_id is None else self._city.get(user_id)


class Weather:
    """Sentences about the weather by city and day."""

    def __init__(self, dataset: Dataset, templates: Templates) -> None:
        self._words: dict[tuple[str, int], str] = {}
        if dataset.weather is None:
            return
        table = dataset.weather
        days = table["date"].to_numpy("datetime64[D]").astype(np.int64).tolist()
        cities, skies = table["city"].astype(str), table["condition"].astype(str)
        rows = zip(cities, days, skies, table["temperature"].tolist(), strict=True)
        for city, day, sky, degrees in rows:
            self._words[clean(city, "weather, city", quoted=True), day] = templates.sky(
                clean(sky, "weather, condition", quoted=True), degrees
            )

    def words(self, city: str | None, timestamp: int) -> str:
        """Return the sentence for a city at a timestamp (UTC); "" if it is not known."""
        return "" if city is None else self._words.get((city, int(timestamp) // 86_400), "")


class Searches:
    """The searches of each user, in the order of time.

    Args:
        dataset: provides ``queries``, which may be missing.
        templates: provides the sentence for a search.
        max_chars: see ``document.clean``.
    """

    def __init__(self, dataset: Dataset, templates: Templates, max_chars: int) -> None:
        table = dataset.queries
        if table is None:
            table = pd.DataFrame({"user_id": [], "timestamp": [], "text": []})
        users, when = as_ids(table["user_id"], "user_id"), table["timestamp"].to_numpy(np.int64)
        order = np.lexsort((when, users))
        self._users, self._times = users[order], when[order]
        say = templates.events["search"].format
        texts = {
            text: say(query=clean(text, "queries, text", quoted=True, max_chars=max_chars))
            for text in table["text"].unique()
        }
        self._words = np.array([texts[text] for text in table["text"]], dtype=object)[order]

    def until(self, user_ids: np.ndarray, limits: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return the searches of users up to a time limit each.

        Args:
            user_ids: ``(n,)`` user ids, one per row.
            limits: ``(n,)`` unix seconds, inclusive.

        Returns:
            Row, timestamp and sentence of each search, ``(total,)`` each.
        """
        if not len(self._users):
            empty = np.zeros(0, dtype=np.int64)
            return empty, empty, self._words
        start = np.searchsorted(self._users, user_ids, side="left")
        stop = np.searchsorted(self._users, user_ids, side="right")
        rows = np.repeat(np.arange(len(user_ids)), stop - start)
        take = ranges(start, stop - start)
        keep = self._times[take] <= np.asarray(limits)[rows]
        return rows[keep], self._times[take[keep]], self._words[take[keep]]


class Ratings:
    """The first rating of each item by each user; a later one would leak future information."""

    def __init__(self, dataset: Dataset) -> None:
        table = dataset.interactions
        rows = Interactions.from_frame(table[(table["event"] == "rate").to_numpy()])
        self._users, self._items = rows.user_ids, rows.item_ids
        pairs = rows.users.astype(np.int64) * max(1, rows.n_items) + rows.items
        order = np.argsort(pairs, kind="stable")
        self._pairs, self._values = pairs[order], rows.values[order].astype(np.float64)

    def of(self, histories: Histories) -> np.ndarray:
        """Return the rating of each ``rate`` event, ``(total,)`` float64; NaN for other events."""
        values = np.full(len(histories.items), np.nan)
        rated = np.flatnonzero(histories.events == EVENTS.index("rate"))
        if len(self._pairs) == 0 or len(rated) == 0:
            return values
        user_ids = histories.user_ids[histories.rows[rated]]
        users, known_users = find_ids(user_ids, self._users, "user_id")
        item_ids = histories.item_ids[histories.items[rated]]
        items, known_items = find_ids(item_ids, self._items, "item_id")
        pairs = users * len(self._items) + items
        index = np.minimum(np.searchsorted(self._pairs, pairs), len(self._pairs) - 1)
        known = known_users & known_items & (self._pairs[index] == pairs)
        values[rated[known]] = self._values[index[known]]
        return values


class Popularity:
    """The popularity of items by the number of their users in training rows."""

    def __init__(self, train: Interactions) -> None:
        self._ids = train.item_ids
        self._counts: dict[str, np.ndarray] = {}
        for code, event in ((None, "any"), *enumerate(EVENTS)):
            rows = train if code is None else train.select(train.events == code)
            self._counts[event] = np.bincount(rows.matrix().indices, minlength=len(self._ids))

    def share(self, item_id: Id, event: str = "any") -> float | None:
        """Return the share of items with at least as many users, in (0, 1].

        None for an item without users. Ties count against the item, so that at most 5 % of the
        items are "among the top 5 %".
        """
        index, known = find_ids([item_id], self._ids, "item_id")
        if not known[0]:
            return None
        item = int(index[0])
        counts = self._counts[event]
        return float((counts >= counts[item]).mean()) if counts[item] else None
