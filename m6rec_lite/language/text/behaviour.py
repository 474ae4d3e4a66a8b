"""Behaviour as plain text: who somebody is, what they did, and when, in words (M6-Rec, 2022).

    [USER]A woman, 25 to 34 years old, engineer, Oslo. Saturday. March. Snow, -3 degrees.
    [EVENT]searched “winter boots” 23 minutes ago
    [EVENT]clicked a product of category hiking boot named “Alpine Trek Boots” 19 minutes ago

``BehaviourText`` reads a data set's tables and a set of templates. An item's words are put
together once, so that a hundred thousand events take a second. What people wrote (titles, queries)
stands between “ and ”, which nothing inside can close, and events are told apart by a special
token, which no text can be.
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
from m6rec_lite.language.text.facts import Items, People, Ratings, Searches, Standing, Weather
from m6rec_lite.language.text.templates import Templates
from m6rec_lite.language.text.tokenizer import Tokenizer

__all__ = ["BehaviourText", "Document", "Templates", "encode_document", "encode_documents"]

#: All that can be said of an item.
ALL_PARTS = ("domain", "category", "title", "creator", "price", "tags", "description")
#: What is said of a person and of the moment.
CONTEXT = ("gender", "age_band", "occupation", "city", "locale", "weekday", "month", "weather")
#: In place of a rating that was not given.
NONE = -np.inf


class BehaviourText:
    """The behaviour, items and people of a data set as text.

    Args:
        dataset: its items; and its users, weather and queries where it has them.
        templates: a name, or ``Templates``.
        parts: what an event says of its item, of ``ALL_PARTS``; what an item lacks is left out.
            None takes those of the templates.
        context: what the user's piece says, of ``CONTEXT``; what is not known is left out.
        times: ``"ago"``, seen from now; ``"later"``, seen from the event before, so that an
            event's text does not depend on what follows it (training on every event needs that);
            or None.
        queries: ``"history"`` takes in the searches up to a row's latest event; ``"now"`` those
            up to ``at`` too, and **in the bazaar the search just before the target names it**: that
            is another task than the leaderboard's. ``"none"`` leaves all out.
        ratings: say how a rated item was rated: the user's first rating of it in the data set.
        max_chars: titles, descriptions and queries beyond so many characters are cut at a word.
        train: rows for ``statistics``.

    Where histories have no times (``Histories.has_time``), the order of events takes their place:
    ``"ago"`` counts events, ``"later"`` says nothing, and neither weekday, month nor weather is
    named.

    Raises:
        DataError: if a text holds a lone surrogate, or no item has any text at all.
        ValueError: if a setting is none of those above.
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
        _among("parts", parts or (), ALL_PARTS)
        _among("context", context, CONTEXT)
        _among("times", [times], ("ago", "later", None))
        _among("queries", [queries], ("history", "now", "none"))
        if max_chars < 2:
            raise ValueError(f"max_chars must be at least 2, got {max_chars!r}")
        ready = isinstance(templates, Templates)
        self.templates = templates if ready else Templates.load(templates)
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
        self._standing = None if train is None else Standing(train)
        self._said: dict[tuple[int, int, float], str] = {}  # (item, event, rating) to words

    # Items

    def item(self, item_id: Id, *, parts: Sequence[str] | None = None) -> str:
        """An item in words, such as "a product of category boots named “Alpine Trek Boots”".

        Args:
            item_id: the item.
            parts: of ``ALL_PARTS``; by default those of the constructor.

        Raises:
            DataError: if there is no such item.
        """
        _among("parts", parts or (), ALL_PARTS)
        return self._item(int(self.items.places(np.array([item_id]))[0]), parts or self.parts)

    def title(self, item_id: Id) -> str:
        """An item's title as it stands in the text (cleaned and cut); "" where it has none."""
        return self.items.fields[int(self.items.places(np.array([item_id]))[0])].get("title", "")

    def statistics(self, item_id: Id, events: Sequence[str] = ("any",)) -> str:
        """How an item stands among all, such as "among the top 5 % by clicks".

        Args:
            item_id: the item.
            events: names of events, or ``"any"``; a phrase for each, joined by commas.

        Raises:
            ValueError: without training rows to count in.
            DataError: if there is no such item.
        """
        if self._standing is None:
            raise ValueError("statistics need rows to count: BehaviourText(…, train=split.train)")
        self.items.places(np.array([item_id]))
        words = self.templates.statistics
        _among("events", events, tuple(words["names"]))
        phrases = []
        for event in events:
            share = self._standing.share(item_id, event)
            levels = (level for level in words["levels"] if share is not None)
            text = next((lv["text"] for lv in levels if share <= lv["share"]), words["none"])
            phrases.append(text.format(events=words["names"][event]))
        return ", ".join(phrases)

    # People

    def user(self, user_id: Id | None, *, at: int | None = None) -> str:
        """Who somebody is, and what the day is like.

        Args:
            user_id: the user. Of None, and of one whom the table lacks, nothing is said.
            at: now, unix seconds (read in UTC); without it the moment is left out.

        Returns:
            Sentences such as "A woman, 25 to 34 years old, Oslo. March. Snow, -3 degrees."; "" if
            there is nothing to say.
        """
        sentences = [self.people.words(user_id)]
        if at is not None:
            sentences.append(self.templates.moment(at, self._moment))
            if "weather" in self.context:
                sentences.append(self._weather.words(self.people.city(user_id), at))
        return " ".join(sentence for sentence in sentences if sentence)

    # Behaviour

    def events(self, history: Histories) -> list[str]:
        """One sentence an event of one row, oldest first; searches are among them.

        Raises:
            ValueError: if there is more than one row, or none.
            DataError: as ``documents``.
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
        """One row as a document; see ``documents``."""
        return self.documents(histories[row], tokenizer=tokenizer, max_tokens=max_tokens)[0]

    def documents(
        self,
        histories: Histories,
        *,
        tokenizer: Tokenizer | None = None,
        max_tokens: int | None = None,
    ) -> list[Document]:
        """Every row as a document: a ``[USER]`` piece, then an ``[EVENT]`` piece an event.

        An event's time is a piece of its own that goes on with the event's, so that equal events
        at different times share their words (see ``encode_documents``).

        Args:
            histories: ``n`` rows.
            tokenizer: needed for ``max_tokens``.
            max_tokens: keep the user's piece and the latest events, whole ones, so that the
                document has at most so many tokens; ``Document.truncated`` says how many events
                fell out. What ``wrapped`` adds is not counted.

        Raises:
            DataError: if a row names an item that the data set lacks, or its events are not in
                the order of time, or one lies after ``at``.
            ValueError: if the user's piece and the latest event alone are longer than that.
        """
        rows, phrases, times = self._lines(histories)
        ends = np.searchsorted(rows, np.arange(len(histories)), side="right").tolist()
        moments = zip(histories.user_ids.tolist(), histories.at.tolist(), strict=True)
        found, start = [], 0
        for (user, at), end in zip(moments, ends, strict=True):
            now = at if histories.has_time else None
            pieces: list[Piece] = [("[USER]", self.user(user, at=now))]
            for line in range(start, end):
                pieces.append(("[EVENT]", phrases[line]))
                if times[line]:
                    pieces.append((None, times[line]))
            found.append(Document(tuple(pieces)))
            start = end
        return found if max_tokens is None else keep_latest(found, tokenizer, max_tokens)

    # Within

    def _item(self, place: int, parts: Sequence[str]) -> str:
        """An item's phrases, joined in the order of the templates."""
        fields, words = self.items.fields[place], self.templates
        phrases = []
        for part in (part for part in words.item if part in parts):
            if part in fields or part == "domain":
                phrases.append(words.item[part].format(**fields))
            elif part == "title":
                phrases.append(words.untitled)
        return " ".join(phrases) or words.nothing

    def _words(self, place: int, event: int, rating: float) -> str:
        """What an event says but for its time; put together the first time it is asked for."""
        key = (place, event, rating)
        if key not in self._said:
            name, values = EVENTS[event], {"item": self._item(place, self.parts)}
            if rating > NONE:
                name, values = "rate with value", values | {"value": f"{rating:g}"}
            self._said[key] = self.templates.events[name].format(**values)
        return self._said[key]

    def _lines(self, histories: Histories) -> tuple[np.ndarray, list[str], list[str]]:
        """The row, the words and the time's words of every event and search, in order."""
        rows, when = histories.rows, histories.timestamps
        last = np.full(len(histories), np.iinfo(np.int64).min)
        np.maximum.at(last, rows, when)
        self._require_order(histories, last)
        used, inverse = np.unique(histories.items, return_inverse=True)
        places = self.items.places(histories.item_ids[used])[inverse]
        ratings = np.full(len(rows), NONE)
        if self.ratings:  # a NaN would not be found in a dict again
            ratings = np.nan_to_num(self._ratings.of(histories), nan=NONE)
        keys = zip(places.tolist(), histories.events.tolist(), ratings.tolist(), strict=True)
        words = np.empty(len(rows), dtype=object)
        words[:] = [self._words(*key) for key in keys]
        if self.queries != "none":
            limits = histories.at if self.queries == "now" else last
            extra = self._searches.until(histories.user_ids, limits)
            both = np.concatenate([extra[0], rows]), np.concatenate([extra[1], when])
            order = np.lexsort((both[1], both[0]))  # stable: a search before an event of its second
            rows, when = both[0][order], both[1][order]
            words = np.concatenate([extra[2], words])[order]
        return rows, words.tolist(), self._times(rows, when, histories)

    def _times(self, rows: np.ndarray, when: np.ndarray, histories: Histories) -> list[str]:
        """Each line's time in words, with a space before it; "" where it has none."""
        times = np.full(len(rows), "", dtype=object)
        if not histories.has_time:
            if self.times == "ago":
                last = np.searchsorted(rows, rows, side="right") - 1
                times = " " + self.templates.elapsed(last - np.arange(len(rows)), "order")
        elif self.times == "ago":
            times = " " + self.templates.elapsed(histories.at[rows] - when, "ago")
        elif self.times == "later" and len(rows):
            follows = np.append(False, rows[1:] == rows[:-1])
            gaps = np.diff(when, prepend=when[:1])[follows]
            times[follows] = " " + self.templates.elapsed(gaps, "later")
        return times.tolist()

    def _require_order(self, histories: Histories, last: np.ndarray) -> None:
        same = np.diff(histories.rows) == 0
        back = np.flatnonzero(same & (np.diff(histories.timestamps) < 0))
        if len(back):
            user = histories.user_ids[histories.rows[back[0]]]
            raise DataError(f"the events of user {user} are not in the order of time; sort them")
        late = np.flatnonzero(last > histories.at)
        if len(late):
            user, now = histories.user_ids[late[0]], histories.at[late[0]]
            raise DataError(
                f"user {user} ({len(late)} rows in all) has an event at {last[late[0]]}, later "
                f"than now (at={now}); a history must end by then"
            )


def _among(name: str, given: Sequence[str | None], known: Sequence[str | None]) -> None:
    """Raise unless every value given for a setting is one of those known."""
    if isinstance(given, str):
        raise TypeError(f"{name} must be several names, such as a tuple; got {given!r}")
    if strange := [value for value in given if value not in known]:
        raise ValueError(f"{name}: {strange[0]!r} is none of {', '.join(map(str, known))}")
