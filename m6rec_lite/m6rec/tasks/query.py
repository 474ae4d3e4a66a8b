"""Search query: what a user will type next, from what they did.

    known      [USER]A woman … [EVENT]clicked a product … 3 minutes ago
    written    the user now searches| canvas sketch walks

The search is never in the known region: a row ends a second before it, whatever ``queries=`` of
``BehaviourText`` takes in. In the bazaar the search before an event names the intent that the event
serves, so a good guess at it is a good guess at what comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import pandas as pd

from m6rec_lite.data import Dataset, Histories, Split
from m6rec_lite.data.ids import as_ids, is_id, no_id
from m6rec_lite.language.text.corpora import held_out
from m6rec_lite.language.text.document import Document, clean
from m6rec_lite.m6rec.prompts import PromptBuilder
from m6rec_lite.m6rec.tasks.data import TaskData, first_events
from m6rec_lite.m6rec.tasks.generation import Generation, GenerationTask
from m6rec_lite.m6rec.tasks.rows import Row, examples_of, people
from m6rec_lite.m6rec.tasks.task import Examples
from m6rec_lite.m6rec.tasks.truth import interests_in

#: Which searches: before training rows, before the targets, and of users held out.
PARTS = ("train", "validation", "test", "people")
#: A search is for what its user met within so many seconds after it.
SOON = 60


class Query(GenerationTask):
    """Searches; see ``GenerationTask`` for the arguments."""

    name: ClassVar[str] = "query"
    parts: ClassVar[tuple[str, ...]] = PARTS
    table: ClassVar[str] = "queries"
    max_new_tokens: ClassVar[int] = 24

    def _examples(
        self, data: TaskData, prompts: PromptBuilder, part: str, limit: int | None, fit: bool
    ) -> Examples:
        """Return a row for each search of a part.

        ``train`` has the searches up to a user's latest training row; ``validation`` and ``test``
        those that the target follows next; ``people`` those of ``train`` by users held out.

        Returns:
            ``about`` has ``user_id``, ``timestamp``, ``text``, ``item_id`` (what was met within
            ``SOON`` seconds; -1: nothing in the split), ``last_item`` (-1: none) and
            ``last_search`` ("": none).
        """
        split = data.split
        table = _searches(data.dataset)
        if part in ("train", "people"):
            histories, rows, found = _before_rows(split, table)
            away = held_out(table["user_id"].to_numpy()[found], data.held_out, data.seed)
            kept = away == (part == "people")
            rows, found = rows[kept], found[kept]
            follows = _follows(histories)
        else:
            holdout = getattr(split, part)
            histories, rows, found = _before_targets(holdout.histories, table)
            targets = dict(zip(holdout.target_rows.tolist(), holdout.targets.tolist(), strict=True))
            follows = {
                row: (np.array([histories.at[row]]), np.array([targets[row]]))
                for row in rows.tolist()
            }
        some = data.draw(len(rows), limit)
        rows, found = rows[some], found[some]
        when = table["timestamp"].to_numpy()[found]
        lengths = np.array(
            [int((_times(histories, row) < t).sum()) for row, t in zip(rows, when, strict=True)],
            dtype=np.int64,
        )
        searches = table.iloc[found].to_dict("records")
        cut = first_events(histories, rows, lengths, when - 1)
        rests = [Document(((None, f" {one['said']}"),)) for one in searches]
        begun = Document(((None, self.phrases["begun"]),))
        known = people(prompts, cut, [begun], rests)
        made = []
        for i, (row, one) in enumerate(zip(rows.tolist(), searches, strict=True)):
            about = {key: one[key] for key in ("user_id", "timestamp", "text", "last_search")}
            times, items = follows[row]
            place = int(np.searchsorted(times, one["timestamp"]))
            soon = place < len(times) and times[place] == one["next_at"]
            ids, nothing = histories.item_ids, no_id(histories.item_ids)
            about["item_id"] = ids[items[place]].item() if soon else nothing
            before = histories.items[histories.offsets[row] + lengths[i] - 1] if lengths[i] else 0
            about["last_item"] = ids[before].item() if lengths[i] else nothing
            made.append(Row(known[i], begun, rests[i], about=about))
        return examples_of(prompts, made)

    def per_example(
        self, outputs: Sequence[Generation], examples: Examples, data: TaskData
    ) -> dict[str, np.ndarray]:
        """Return ``exact``; with the truth ``target`` and ``taste``.

        ``exact`` is whether it was typed so, but for case and spaces; ``target``, whether it names
        an interest of what was met next, where that is known; ``taste``, one of the user's
        (``Truth.tastes``).
        """
        about, texts = examples.about, self.texts(outputs)
        pairs = zip(texts, about["text"], strict=True)
        found = {"exact": np.array([_plain(text) == _plain(gold) for text, gold in pairs], float)}
        if data.truth is not None:
            named = [interests_in(text) for text in texts]
            items = zip(named, about["item_id"].tolist(), strict=True)
            users = zip(named, about["user_id"].tolist(), strict=True)
            found["target"] = np.array([bool(data.truth.interests(item) & some)
                                        if is_id(item) else np.nan
                                        for some, item in items], float)  # fmt: skip
            found["taste"] = np.array([bool(some & data.truth.tastes(u)) for some, u in users],
                                      float)  # fmt: skip
        return found

    def _baselines(
        self, train: Examples, examples: Examples, data: TaskData
    ) -> dict[str, list[Generation]]:
        """Return searches that need no model.

        Returns:
            ``most frequent`` of the training searches; ``last item``, its title; ``last search``
            of the same user. Where there is none, the most frequent.
        """
        most = str(train.about["text"].mode()[0])
        items = examples.about["last_item"].tolist()
        titles = [data.text.title(item).lower() if is_id(item) else "" for item in items]
        found = {
            "most frequent": [most] * len(examples),
            "last item": [title or most for title in titles],
            "last search": [text or most for text in examples.about["last_search"]],
        }
        return {name: [Generation.of((None, t)) for t in some] for name, some in found.items()}


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def _searches(dataset: Dataset) -> pd.DataFrame:
    """The searches by user and time, with the one before each."""
    table = dataset.queries.sort_values(["user_id", "timestamp"], kind="stable")
    said = [clean(str(text), "queries, text", quoted=True) for text in table["text"]]
    before = table.groupby("user_id")["text"].shift(fill_value="")
    table = table.assign(said=said, last_search=before, next_at=_next_at(dataset, table))
    return table[table["said"] != ""].reset_index(drop=True)


def _next_at(dataset: Dataset, table: pd.DataFrame) -> np.ndarray:
    """When each search was followed by an event, if by ``SOON``; else -1.

    Of all events: a split leaves some out (repeats, rare items), and what follows next among the
    rest is not what was searched for.
    """
    rows = dataset.interactions
    both = as_ids(pd.concat([rows["user_id"], table["user_id"]]), "user_id")
    user = np.unique(both, return_inverse=True)[1] * (1 << 40)
    events = np.sort(user[: len(rows)] + rows["timestamp"].to_numpy())
    typed = user[len(rows) :] + table["timestamp"].to_numpy()
    place = np.searchsorted(events, typed)
    there = events[np.minimum(place, len(events) - 1)]
    soon = (place < len(events)) & (there - typed <= SOON)  # another user's lie years away
    return np.where(soon, table["timestamp"].to_numpy() + there - typed, -1)


def _times(histories: Histories, row: int) -> np.ndarray:
    return histories.timestamps[histories.offsets[row] : histories.offsets[row + 1]]


def _follows(histories: Histories) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """The times and items of each row's events."""
    parts = zip(histories.offsets[:-1].tolist(), histories.offsets[1:].tolist(), strict=True)
    return {
        row: (histories.timestamps[a:b], histories.items[a:b]) for row, (a, b) in enumerate(parts)
    }


def _before_rows(split: Split, table: pd.DataFrame) -> tuple[Histories, np.ndarray, np.ndarray]:
    """Training histories, and the rows and places of the searches up to their latest events."""
    histories = split.train.histories()
    row_of = {user: row for row, user in enumerate(histories.user_ids.tolist())}
    rows = np.array([row_of.get(user, -1) for user in table["user_id"]], dtype=np.int64)
    latest = np.full(len(histories) + 1, np.iinfo(np.int64).min)  # the last one is of no user
    np.maximum.at(latest, histories.rows, histories.timestamps)
    found = np.flatnonzero((rows >= 0) & (table["timestamp"].to_numpy() <= latest[rows]))
    return histories, rows[found], found


def _before_targets(
    histories: Histories, table: pd.DataFrame
) -> tuple[Histories, np.ndarray, np.ndarray]:
    """The histories of questions, and the rows and places of the searches just before these."""
    users, times = table["user_id"].to_numpy(), table["timestamp"].to_numpy()
    follows = table["next_at"].to_numpy()
    rows, found = [], []
    for row, (user, at) in enumerate(
        zip(histories.user_ids.tolist(), histories.at.tolist(), strict=True)
    ):
        start, stop = np.searchsorted(users, [user, user + 1])
        place = start + int(np.searchsorted(times[start:stop], at, side="right")) - 1
        if place >= start and at == follows[place]:
            past = _times(histories, row)
            if not len(past) or times[place] > past[-1]:
                rows.append(row)
                found.append(place)
    return histories, np.array(rows, dtype=np.int64), np.array(found, dtype=np.int64)
