"""Verbalize behaviour: users, their events and the times of events as plain text (M6-Rec, 2022).

    [USER]A woman, 25 to 34 years old, engineer, Oslo. Saturday. March. Snow, -3 degrees.
    [EVENT]searched “winter boots” 23 minutes ago
    [EVENT]clicked a product of category hiking boot named “Alpine Trek Boots” 19 minutes ago

``BehaviourText`` combines the tables of a data set with a set of templates. The text of each item
and event is cached, so that a hundred thousand events take a second. Titles and queries are quoted
with “ and ”, which are replaced inside them, and events are separated by a special token, which no
text can contain.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from m6rec_lite.data import EVENTS, DataError, Dataset, Histories, Interactions
from m6rec_lite.data.ids import Id
from m6rec_lite.language.text.document import (
    Document,
    Piece,
    encode_document,
    encode_documents,
    keep_latest,
)
from m6rec_lite.language.text.facts import Items, People, Popularity, Ratings, Searches, Weather
from m6rec_lite.language.text.templates import Templates
from m6rec_lite.language.text.tokenizer import Tokenizer

__all__ = ["BehaviourText", "Document", "Templates", "encode_document", "encode_documents"]

#: Parts that the text of an item can have.
ALL_PARTS = ("domain", "category", "title", "creator", "price", "tags", "description")
#: Attributes of the user and of the query time.
CONTEXT = ("gender", "age_band", "occupation", "city", "locale", "weekday", "month", "weather")
#: Replaces a missing rating in cache keys.
NO_RATING = -np.inf


class BehaviourText:
    """Verbalize the behaviour, items and users of a data set.

    Args:
        dataset: its items; and users, weather and queries if it has them.
        templates: a name, or ``Templates``. ``"compact"`` takes few tokens an event, so that a
            context of the same length holds more events; it does not quote titles and queries.
        parts: parts of the item in an event's text, from ``ALL_PARTS``; missing values are left
            out. None: those of the templates.
        context: attributes in the user's piece, from ``CONTEXT``; missing values are left out.
        times: ``"ago"``: time from an event to the query time. ``"later"``: time since the
            previous event, which does not depend on later events, as training on every event
            requires. None: no times.
        queries: ``"history"``: include searches up to a row's latest event. ``"now"``: include
            searches up to ``at``; **in the bazaar the search just before the target names it**, so
            this is a different task from the leaderboard's. ``"none"``: no searches.
        ratings: include the rating in the text of ``rate`` events: the user's first rating of the
            item in the data set.
        max_chars: maximum length of titles, descriptions and queries in characters; longer texts
            are cut at a word boundary.
        train: rows from which ``statistics`` counts.

    Without timestamps (``Histories.has_time`` is False) the order of events replaces them:
    ``"ago"`` counts events, ``"later"`` adds no text, and weekday, month and weather are left out.

    Raises:
        DataError: if a text contains a lone surrogate, or no item has any text.
        ValueError: if a setting has an unknown value.
    """

    def __init__(
        self,
        dataset: Dataset,
        templates: str | Templates = "default",
        *,
        parts: Sequence[str] | None = None,
        context: Sequence[str] = CONTEXT,
        times: str | None = "ago",
        queries: str = "history",
        ratings: bool = True,
        max_chars: int = 300,
        train: Interactions | None = None,
    ) -> None:
        _check_names("parts", parts or (), ALL_PARTS)
        _check_names("context", context, CONTEXT)
        _check_names("times", [times], ("ago", "later", None))
        _check_names("queries", [queries], ("history", "now", "none"))
        if max_chars < 2:
            raise ValueError(f"max_chars must be at least 2, got {max_chars!r}")
        if not isinstance(templates, Templates):
            templates = Templates.load(templates)
        self.templates = templates
        self.parts = tuple(self.templates.parts if parts is None else parts)
        self.context, self.max_chars = tuple(context), max_chars
        self.times, self.queries, self.ratings = times, queries, ratings
        self._moment = tuple(name for name in context if name in ("weekday", "month"))
        self.items = Items(dataset, self.templates, max_chars)
        self.items.require_text()
        self.people = People(dataset, self.templates, self.context)
        self._weather = Weather(dataset, self.templates)
        self._searches = Searches(dataset, self.templates, max_chars)
        self._ratings = Ratings(dataset)
        self._popularity = None if train is None else Popularity(train)
        self._event_texts: dict[tuple[int, int, float], str] = {}  # by item, event and rating

    # Items

    def item(self, item_id: Id, *, parts: Sequence[str] | None = None) -> str:
        """Return the text of an item.

        Args:
            item_id: the item.
            parts: from ``ALL_PARTS``; by default those of the constructor.

        Returns:
            Text such as "a product of category boots named “Alpine Trek Boots”".

        Raises:
            DataError: if there is no such item.
        """
        _check_names("parts", parts or (), ALL_PARTS)
        return self._item(int(self.items.indices(np.array([item_id]))[0]), parts or self.parts)

    def event(self, item_id: Id, event: str = "click") -> str:
        """Return the sentence of an event without its time, such as "clicked a product …".

        Args:
            item_id: the item.
            event: one of ``EVENTS``; the sentence of ``rate`` has no rating.

        Raises:
            DataError: if there is no such item.
        """
        _check_names("event", [event], EVENTS)
        index = int(self.items.indices(np.array([item_id]))[0])
        return self._event(index, EVENTS.index(event), NO_RATING)

    def title(self, item_id: Id) -> str:
        """Return an item's title as used in the text (cleaned and cut); "" if it is missing."""
        return self.items.fields[int(self.items.indices(np.array([item_id]))[0])].get("title", "")

    def statistics(self, item_id: Id, events: Sequence[str] = ("any",)) -> str:
        """Return an item's popularity as text, such as "among the top 5 % by clicks".

        Args:
            item_id: the item.
            events: names of events, or ``"any"``; one phrase each, joined by commas.

        Raises:
            ValueError: if ``train`` was not given to the constructor.
            DataError: if there is no such item.
        """
        if self._popularity is None:
            raise ValueError("statistics need rows to count: BehaviourText(…, train=split.train)")
        self.items.indices(np.array([item_id]))
        words = self.templates.statistics
        _check_names("events", events, tuple(words["names"]))
        phrases = []
        for event in events:
            share = self._popularity.share(item_id, event)
            levels = [] if share is None else [lv for lv in words["levels"] if share <= lv["share"]]
            text = levels[0]["text"] if levels else words["none"]
            phrases.append(text.format(events=words["names"][event]))
        return ", ".join(phrases)

    # Users

    def user(self, user_id: Id | None, *, at: int | None = None) -> str:
        """Return the text of a user and of the query time.

        Args:
            user_id: the user; None and users that are not in the table have no text.
            at: query time in unix seconds (UTC); None leaves weekday, month and weather out.

        Returns:
            Sentences such as "A woman, 25 to 34 years old, Oslo. March. Snow, -3 degrees."; "" if
            nothing is known.
        """
        sentences = [self.people.words(user_id)]
        if at is not None:
            sentences.append(self.templates.moment(at, self._moment))
            if "weather" in self.context:
                sentences.append(self._weather.words(self.people.city(user_id), at))
        return " ".join(sentence for sentence in sentences if sentence)

    # Behaviour

    def events(self, history: Histories) -> list[str]:
        """Return one sentence per event and search of a single row, oldest first.

        Raises:
            ValueError: if ``history`` does not have exactly one row.
            DataError: as in ``documents``.
        """
        if len(history) != 1:
            raise ValueError(f"events wants one row of histories, got {len(history)}")
        return [words + time for words, time in zip(*self._lines(history)[1:], strict=True)]

    def history(
        self,
        histories: Histories,
        row: int,
        *,
        tokenizer: Tokenizer | None = None,
        max_tokens: int | None = None,
    ) -> Document:
        """Return one row as a document; see ``documents``."""
        return self.documents(histories[row], tokenizer=tokenizer, max_tokens=max_tokens)[0]

    def documents(
        self,
        histories: Histories,
        *,
        tokenizer: Tokenizer | None = None,
        max_tokens: int | None = None,
    ) -> list[Document]:
        """Return each row as a document: a ``[USER]`` piece, then one ``[EVENT]`` piece per event.

        The time of an event is a separate piece without a special token, so that equal events at
        different times share their tokenization (see ``encode_documents``).

        Args:
            histories: ``n`` rows.
            tokenizer: required for ``max_tokens``.
            max_tokens: maximum length of a document; the oldest events are dropped and counted in
                ``Document.truncated``. Tokens that ``wrapped`` adds are not counted.

        Raises:
            DataError: if an item is not in the data set, the events of a row are not in the order
                of time, or one is later than ``at``.
            ValueError: if the user's piece and the latest event exceed ``max_tokens``.
        """
        rows, phrases, times = self._lines(histories)
        ends = np.searchsorted(rows, np.arange(len(histories)), side="right").tolist()
        queries = zip(histories.user_ids.tolist(), histories.at.tolist(), strict=True)
        documents, start = [], 0
        for (user, at), end in zip(queries, ends, strict=True):
            now = at if histories.has_time else None
            pieces: list[Piece] = [("[USER]", self.user(user, at=now))]
            for line in range(start, end):
                pieces.append(("[EVENT]", phrases[line]))
                if times[line]:
                    pieces.append((None, times[line]))
            documents.append(Document(tuple(pieces)))
            start = end
        if max_tokens is None:
            return documents
        return keep_latest(documents, tokenizer, max_tokens)

    # Internals

    def _item(self, index: int, parts: Sequence[str]) -> str:
        """Join an item's phrases in the order of the templates."""
        fields, words = self.items.fields[index], self.templates
        phrases = []
        for part in (part for part in words.item if part in parts):
            if part in fields or part == "domain":
                phrases.append(words.item[part].format(**fields))
            elif part == "title":
                phrases.append(words.untitled)
        return " ".join(phrases) or words.nothing

    def _event(self, item: int, event: int, rating: float) -> str:
        """Return the text of an event without its time, from the cache if possible."""
        key = (item, event, rating)
        if key not in self._event_texts:
            name, values = EVENTS[event], {"item": self._item(item, self.parts)}
            if rating > NO_RATING:
                name, values = "rate with value", values | {"value": f"{rating:g}"}
            self._event_texts[key] = self.templates.events[name].format(**values)
        return self._event_texts[key]

    def _lines(self, histories: Histories) -> tuple[np.ndarray, list[str], list[str]]:
        """Return row, text and time text of all events and searches, ordered by row and time."""
        rows, timestamps = histories.rows, histories.timestamps
        last = np.full(len(histories), np.iinfo(np.int64).min)
        np.maximum.at(last, rows, timestamps)
        self._require_order(histories, last)
        used, inverse = np.unique(histories.items, return_inverse=True)
        items = self.items.indices(histories.item_ids[used])[inverse]
        ratings = np.full(len(rows), NO_RATING)
        if self.ratings:  # NaN cannot be looked up in a dict
            ratings = np.nan_to_num(self._ratings.of(histories), nan=NO_RATING)
        keys = zip(items.tolist(), histories.events.tolist(), ratings.tolist(), strict=True)
        texts = np.empty(len(rows), dtype=object)
        texts[:] = [self._event(*key) for key in keys]
        if self.queries != "none":
            limits = histories.at if self.queries == "now" else last
            search_rows, search_times, search_texts = self._searches.until(
                histories.user_ids, limits
            )
            rows = np.concatenate([search_rows, rows])
            timestamps = np.concatenate([search_times, timestamps])
            # stable: a search precedes an event of the same second
            order = np.lexsort((timestamps, rows))
            rows, timestamps = rows[order], timestamps[order]
            texts = np.concatenate([search_texts, texts])[order]
        return rows, texts.tolist(), self._times(rows, timestamps, histories)

    def _times(self, rows: np.ndarray, timestamps: np.ndarray, histories: Histories) -> list[str]:
        """Return the time text of each event, with a leading space; "" if it has none."""
        times = np.full(len(rows), "", dtype=object)
        if not histories.has_time:
            if self.times == "ago":
                last = np.searchsorted(rows, rows, side="right") - 1
                times = " " + self.templates.elapsed(last - np.arange(len(rows)), "order")
        elif self.times == "ago":
            times = " " + self.templates.elapsed(histories.at[rows] - timestamps, "ago")
        elif self.times == "later" and len(rows):
            follows = np.append(False, rows[1:] == rows[:-1])
            gaps = np.diff(timestamps, prepend=timestamps[:1])[follows]
            times[follows] = " " + self.templates.elapsed(gaps, "later")
        return times.tolist()

    def _require_order(self, histories: Histories, last: np.ndarray) -> None:
        same_row = np.diff(histories.rows) == 0
        unordered = np.flatnonzero(same_row & (np.diff(histories.timestamps) < 0))
        if len(unordered):
            user = histories.user_ids[histories.rows[unordered[0]]]
            raise DataError(f"the events of user {user} are not in the order of time; sort them")
        late = np.flatnonzero(last > histories.at)
        if len(late):
            user, now = histories.user_ids[late[0]], histories.at[late[0]]
            raise DataError(
                f"user {user} ({len(late)} rows in all) has an event at {last[late[0]]}, later "
                f"than now (at={now}); a history must end by then"
            )


def _check_names(name: str, values: Sequence[str | None], known: Sequence[str | None]) -> None:
    """Raise unless every value of a setting is known."""
    if isinstance(values, str):
        raise TypeError(f"{name} must be several names, such as a tuple; got {values!r}")
    if unknown := [value for value in values if value not in known]:
        raise ValueError(f"{name}: {unknown[0]!r} is none of {', '.join(map(str, known))}")
