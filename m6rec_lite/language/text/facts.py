"""What the tables of a data set know, cleaned and ready to be put into words.

Each class reads one table once and answers in arrays or words: items, people, the weather,
searches, ratings, and how an item stands among all.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from m6rec_lite.data import EVENTS, DataError, Dataset, Histories, Interactions
from m6rec_lite.data.ids import Id, as_ids, find_ids
from m6rec_lite.data.ragged import ranges
from m6rec_lite.language.text.document import clean
from m6rec_lite.language.text.templates import Templates

#: What tells one item from another in words.
_TEXTS = ("title", "category", "creator", "description", "tags")


class Items:
    """The fields of each item, as a dict of text; a field that an item lacks is not in its dict.

    Args:
        dataset: its ``items``.
        templates: their nouns.
        max_chars: see ``document.clean``.
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
            found = {
                name: clean(str(text), f"{where} {name}", quoted=True, max_chars=max_chars)
                for name, text in texts.items()
            }
            if not pd.isna(price := row.get("price")):
                found["price"] = f"{price:.2f}"
            domain = row.get("domain")
            known = None if pd.isna(domain) else clean(str(domain), f"{where} domain", quoted=True)
            found["noun"] = templates.noun(known)
            self.fields.append({name: text for name, text in found.items() if text})

    def require_text(self) -> None:
        """Raise ``DataError`` if no item has any text: there is nothing that tells them apart."""
        if self.fields and not any(field.keys() & set(_TEXTS) for field in self.fields):
            raise DataError(
                f"{self.name}: none of the {len(self.fields):,} items has any text, so a model "
                f"that reads text cannot tell them apart. Give a table of items with "
                f"{', '.join(_TEXTS)}; or name such a column of the interactions, as in "
                'load_dataset(source, columns={"title": "product_name"})'
            )

    def places(self, item_ids: np.ndarray) -> np.ndarray:
        """The place of each item in ``fields``.

        Raises:
            DataError: if an item is not in the table.
        """
        item_ids = as_ids(item_ids, "item_id")
        places, there = find_ids(item_ids, self.ids, "item_id")
        strange = np.unique(item_ids[~there])
        if len(strange):
            raise DataError(
                f"items {strange[:5].tolist()} ({len(strange)} in all) are not among the "
                f"{len(self.ids):,} items of {self.name!r}: make the text from the data set that "
                "the histories come from"
            )
        return places


class People:
    """A sentence about each user, and the city they live in."""

    def __init__(self, dataset: Dataset, templates: Templates, columns: tuple[str, ...]) -> None:
        table = dataset.users
        there = [name for name in columns if name in table and name in templates.user]
        ids = table["user_id"].tolist()
        cells = {
            name: [
                None if pd.isna(value) else clean(str(value), f"users, {name}", quoted=True)
                for value in table[name].astype(object)
            ]
            for name in {*there, "city"}
            if name in table
        }
        self._city = dict(zip(ids, cells.get("city", [None] * len(ids)), strict=True))
        kinds: dict[tuple[str | None, ...], str] = {}
        self._words: dict[Id, str] = {}
        for n, user in enumerate(ids):
            key = tuple(cells[name][n] for name in there)
            if key not in kinds:
                kinds[key] = templates.person(dict(zip(there, key, strict=True)))
            self._words[user] = kinds[key]

    def words(self, user_id: Id | None) -> str:
        """A sentence; "" for somebody of whom the table says nothing."""
        return self._words.get(user_id, "")

    def city(self, user_id: Id | None) -> str | None:
        """Where somebody lives, if that is known."""
        return self._city.get(user_id)


class Weather:
    """A sentence about the weather of a city on a day; "" where it is not known."""

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
        """The sentence for the day (in UTC) of a moment in unix seconds."""
        return self._words.get((city, int(timestamp) // 86_400), "")


class Searches:
    """What each user searched for, in the order of time.

    Args:
        dataset: its ``queries``; none at all is fine.
        templates: their sentence for a search.
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
        """All searches of some users up to a moment each.

        Args:
            user_ids: ``(n,)`` users, one a row.
            limits: ``(n,)`` unix seconds; a search at that very second is taken in.

        Returns:
            ``(total,)`` the row, the timestamp and the sentence of each search.
        """
        if not len(self._users):
            nothing = np.zeros(0, dtype=np.int64)
            return nothing, nothing, self._words
        start = np.searchsorted(self._users, user_ids, side="left")
        stop = np.searchsorted(self._users, user_ids, side="right")
        rows = np.repeat(np.arange(len(user_ids)), stop - start)
        take = ranges(start, stop - start)
        keep = self._times[take] <= np.asarray(limits)[rows]
        return rows[keep], self._times[take[keep]], self._words[take[keep]]


class Ratings:
    """How each user rated each item the first time.

    The first time, so that a history never tells a rating that lies in its future.
    """

    def __init__(self, dataset: Dataset) -> None:
        table = dataset.interactions
        rows = Interactions.from_frame(table[(table["event"] == "rate").to_numpy()])
        self._users, self._items = rows.user_ids, rows.item_ids
        pairs = rows.users.astype(np.int64) * max(1, rows.n_items) + rows.items
        order = np.argsort(pairs, kind="stable")
        self._pairs, self._values = pairs[order], rows.values[order].astype(np.float64)

    def of(self, histories: Histories) -> np.ndarray:
        """``(total,)`` float64: the rating of each ``rate`` event; NaN where there is none."""
        values = np.full(len(histories.items), np.nan)
        rated = np.flatnonzero(histories.events == EVENTS.index("rate"))
        if len(self._pairs) == 0 or len(rated) == 0:
            return values
        who, what = histories.user_ids[histories.rows[rated]], histories.items[rated]
        u, known = find_ids(who, self._users, "user_id")
        i, there = find_ids(histories.item_ids[what], self._items, "item_id")
        place, paired = _find(self._pairs, u * len(self._items) + i)
        known &= there & paired
        values[rated[known]] = self._values[place[known]]
        return values


class Standing:
    """How an item stands among all items of some training rows, by how many users met it."""

    def __init__(self, train: Interactions) -> None:
        self._ids = train.item_ids
        self._counts: dict[str, np.ndarray] = {}
        for code, event in ((None, "any"), *enumerate(EVENTS)):
            rows = train if code is None else train.select(train.events == code)
            self._counts[event] = np.bincount(rows.matrix().indices, minlength=len(self._ids))

    def share(self, item_id: Id, event: str = "any") -> float | None:
        """The share of items that stand as high or higher, in (0, 1].

        None for an item that nobody met so. Items with as many users stand equally, and each
        counts as higher than the other, so that "among the top 5 %" is never said of more than 5 %.
        """
        index, there = find_ids([item_id], self._ids, "item_id")
        if not there[0]:
            return None
        place = int(index[0])
        counts = self._counts[event]
        return float((counts >= counts[place]).mean()) if counts[place] else None


def _find(known: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first place of each id among those known (ascending), and whether it is there."""
    places = np.minimum(np.searchsorted(known, ids), len(known) - 1)
    return places, known[places] == ids
