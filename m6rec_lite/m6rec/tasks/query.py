"""Search query: predict the user's next search from the user's history.

    known      [USER]A woman … [EVENT]clicked a product … 3 minutes ago
    written    the user now searches| canvas sketch walks

The known region never holds the search itself: it ends a second before the search, even where
``queries=`` of ``BehaviourText`` includes searches. In the bazaar a search names the intent of the
event that follows, so predicting the search helps to predict the event.
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
from m6rec_lite.m6rec.tasks.data import TaskData
from m6rec_lite.m6rec.tasks.generation import Generation, GenerationTask
from m6rec_lite.m6rec.tasks.rows import Row, examples_of, people
from m6rec_lite.m6rec.tasks.task import Examples

#: Searches before training rows, before the targets, and of held-out users.
PARTS = ("train", "validation", "test", "people")
#: Seconds within which an event must follow a search to be attributed to it.
SOON = 60


class Query(GenerationTask):
    """Prediction of searches; see ``GenerationTask`` for the arguments."""

    name: ClassVar[str] = "query"
    parts: ClassVar[tuple[str, ...]] = PARTS
    table: ClassVar[str] = "queries"
    max_new_tokens: ClassVar[int] = 24

    def _examples(
        self, data: TaskData, prompts: PromptBuilder, part: str, limit: int | None, fit: bool
    ) -> Examples:
        """Return a row for each search of a part.

        ``train`` has the searches up to a user's latest training row; ``validation`` and ``test``
        those whose next event is the target; ``people`` those of ``train`` by held-out users.

        Returns:
            ``about`` has ``user_id``, ``timestamp``, ``text``, ``item_id`` (of the event within
            ``SOON`` seconds; -1: none in the split), ``last_item`` (-1: none) and ``last_search``
            ("": none).
        """
        split = data.split
        table = _searches(data.dataset)
        if part in ("train", "people"):
            histories, rows, indices = _before_rows(split, table)
            is_held_out = held_out(table["user_id"].to_numpy()[indices], data.held_out, data.seed)
            selected = is_held_out == (part == "people")
            rows, indices = rows[selected], indices[selected]
            follows = _follows(histories)
        else:
            holdout = getattr(split, part)
            histories, rows, indices = _before_targets(holdout.histories, table)
            targets = dict(zip(holdout.target_rows.tolist(), holdout.targets.tolist(), strict=True))
            follows = {
                row: (np.array([histories.at[row]]), np.array([targets[row]]))
                for row in rows.tolist()
            }
        sample = data.draw(len(rows), limit)
        rows, indices = rows[sample], indices[sample]
        when = table["timestamp"].to_numpy()[indices]
        lengths = np.array(
            [int((_times(histories, row) < t).sum()) for row, t in zip(rows, when, strict=True)],
            dtype=np.int64,
        )
        searches = table.iloc[indices].to_dict("records")
        cut = histories.first_events(rows, lengths, when - 1)
        rests = [Document(((None, f" {search['said']}"),)) for search in searches]
        begun = Document(((None, self.phrases["begun"]),))
        known = people(prompts, cut, [begun], rests)
        examples = []
        ids, no_item = histories.item_ids, no_id(histories.item_ids)
        for i, (row, search) in enumerate(zip(rows.tolist(), searches, strict=True)):
            about = {key: search[key] for key in ("user_id", "timestamp", "text", "last_search")}
            times, items = follows[row]
            event = int(np.searchsorted(times, search["timestamp"]))
            soon = event < len(times) and times[event] == search["next_at"]
            about["item_id"] = ids[items[event]].item() if soon else no_item
            last = histories.items[histories.offsets[row] + lengths[i] - 1] if lengths[i] else 0
            about["last_item"] = ids[last].item() if lengths[i] else no_item
            examples.append(Row(known[i], begun, rests[i], about=about))
        return examples_of(prompts, examples)

    def per_example(
        self, outputs: Sequence[Generation], examples: Examples, data: TaskData
    ) -> dict[str, np.ndarray]:
        """Return ``exact``; with the truth ``target`` and ``taste``.

        ``exact`` is whether it equals the user's search, up to case and spaces; ``target``, whether
        it names an interest of the next item, where that is known; ``taste``, whether it names an
        interest of the user (``Truth.tastes``).
        """
        about, texts = examples.about, self.texts(outputs)
        pairs = zip(texts, about["text"], strict=True)
        metrics = {
            "exact": np.array([_plain(text) == _plain(target) for text, target in pairs], float)
        }
        if data.truth is not None:
            taste, target = data.truth.agreement(texts, about)
            metrics |= {"target": target, "taste": taste}
        return metrics

    def _baselines(
        self, train: Examples, examples: Examples, data: TaskData
    ) -> dict[str, list[Generation]]:
        """Return searches that are chosen without a model.

        Returns:
            ``most frequent`` training search; ``last item``, the title of the user's last item;
            ``last search`` of the user. Where there is none, the most frequent search.
        """
        most_frequent = str(train.about["text"].mode()[0])
        items = examples.about["last_item"].tolist()
        titles = [data.text.title(item).lower() if is_id(item) else "" for item in items]
        answers = {
            "most frequent": [most_frequent] * len(examples),
            "last item": [title or most_frequent for title in titles],
            "last search": [text or most_frequent for text in examples.about["last_search"]],
        }
        return {key: [Generation.of((None, t)) for t in row] for key, row in answers.items()}


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def _searches(dataset: Dataset) -> pd.DataFrame:
    """Return the searches by user and time, each with the user's previous search."""
    assert dataset.queries is not None  # build_examples refuses a dataset without
    table = dataset.queries.sort_values(["user_id", "timestamp"], kind="stable")
    cleaned = [clean(str(text), "queries, text", quoted=True) for text in table["text"]]
    before = table.groupby("user_id")["text"].shift(fill_value="")
    table = table.assign(said=cleaned, last_search=before, next_at=_next_at(dataset, table))
    return table[table["said"] != ""].reset_index(drop=True)


def _next_at(dataset: Dataset, table: pd.DataFrame) -> np.ndarray:
    """Return the time of the event that follows each search within ``SOON``; -1 if there is none.

    All events of the dataset count: a split leaves some out (repeats, rare items), and the next
    event of the split need not be the one that was searched for.
    """
    rows = dataset.interactions
    users = as_ids(pd.concat([rows["user_id"], table["user_id"]]), "user_id")
    user = np.unique(users, return_inverse=True)[1] * (1 << 40)
    events = np.sort(user[: len(rows)] + rows["timestamp"].to_numpy())
    searches = user[len(rows) :] + table["timestamp"].to_numpy()
    index = np.searchsorted(events, searches)
    following = events[np.minimum(index, len(events) - 1)]
    soon = (index < len(events)) & (following - searches <= SOON)  # other users are years away
    return np.where(soon, table["timestamp"].to_numpy() + following - searches, -1)


def _times(histories: Histories, row: int) -> np.ndarray:
    return histories.timestamps[histories.offsets[row] : histories.offsets[row + 1]]


def _follows(histories: Histories) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Return the times and items of each row's events."""
    parts = zip(histories.offsets[:-1].tolist(), histories.offsets[1:].tolist(), strict=True)
    return {
        row: (histories.timestamps[a:b], histories.items[a:b]) for row, (a, b) in enumerate(parts)
    }


def _before_rows(split: Split, table: pd.DataFrame) -> tuple[Histories, np.ndarray, np.ndarray]:
    """Return training histories, and rows and table indices of searches up to their last events."""
    histories = split.train.histories()
    row_of = {user: row for row, user in enumerate(histories.user_ids.tolist())}
    rows = np.array([row_of.get(user, -1) for user in table["user_id"]], dtype=np.int64)
    latest = np.full(len(histories) + 1, np.iinfo(np.int64).min)  # the last entry is for row -1
    np.maximum.at(latest, histories.rows, histories.timestamps)
    indices = np.flatnonzero((rows >= 0) & (table["timestamp"].to_numpy() <= latest[rows]))
    return histories, rows[indices], indices


def _before_targets(
    histories: Histories, table: pd.DataFrame
) -> tuple[Histories, np.ndarray, np.ndarray]:
    """Return the targets' histories, and rows and table indices of the searches before them."""
    users, times = table["user_id"].to_numpy(), table["timestamp"].to_numpy()
    follows = table["next_at"].to_numpy()
    rows, indices = [], []
    for row, (user, at) in enumerate(
        zip(histories.user_ids.tolist(), histories.at.tolist(), strict=True)
    ):
        start, stop = (np.searchsorted(users, user, side=side) for side in ("left", "right"))
        index = start + int(np.searchsorted(times[start:stop], at, side="right")) - 1
        if index >= start and at == follows[index]:
            past = _times(histories, row)
            if not len(past) or times[index] > past[-1]:
                rows.append(row)
                indices.append(index)
    return histories, np.array(rows, dtype=np.int64), np.array(indices, dtype=np.int64)
