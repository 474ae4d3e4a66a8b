"""What the server answers, without HTTP: recommendations, similar items, reasons, new models."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from m6rec_lite.data.ids import Id, index_of_ids, no_id
from m6rec_lite.data.interactions import Histories
from m6rec_lite.data.ragged import offsets_of
from m6rec_lite.data.tables import EVENTS, DataError, Dataset
from m6rec_lite.recommenders.base import Recommender
from m6rec_lite.serving.event_store import EventStore, UserEvents
from m6rec_lite.serving.monitoring import DriftMonitor
from m6rec_lite.serving.search import SearchMethod
from m6rec_lite.serving.served_model import Answer, CanaryRelease, Query, Reason, ServedModel

log = logging.getLogger("m6rec_lite.serving")
log.addHandler(logging.NullHandler())  # silent, unless the program that serves sets up logging

#: Number of users whose lists are the reference of the drift monitor.
REFERENCE_USERS = 500

#: Number of latest events that an explanation reads.
MOST_EXPLAINED = 50

CLICK = EVENTS.index("click")


class RecommendationService:
    """A model with histories, titles and monitors.

    One thread may call it at a time, except ``events.add`` and the load of a new model.

    Args:
        path: see ``ServedModel``.
        events: histories of the users; by default an empty store in memory.
        items: table with ``item_id`` and ``title``, for the page; None shows the ids.
        dataset: see ``ServedModel``.
        expect: see ``ServedModel``.
        search: see ``ServedModel``.

    Attributes:
        current: the model that answers.
        release: a new model that answers for a share of the users, or None.
        drift: monitor of history lengths, scores and the popularity of what is recommended, with
            the stored users at the start as reference.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        events: EventStore | None = None,
        items: pd.DataFrame | None = None,
        dataset: Dataset | None = None,
        expect: str | None = None,
        search: SearchMethod = "exact",
    ) -> None:
        self.path, self.search, self.dataset = Path(path), search, dataset
        self.events = EventStore() if events is None else events
        self.titles = {} if items is None or "title" not in items else _titles(items)
        self.current = ServedModel(path, dataset=dataset, expect=expect, search=search)
        self.release: CanaryRelease | None = None
        self.drift = DriftMonitor(self._reference())

    def recommend(self, queries: Sequence[Query]) -> list[Answer | DataError]:
        """Answer queries in one batch for each model; a faulty query gets its error."""
        release, current = self.release, self.current  # of this batch, whatever is replaced now
        if release is None:
            return self._ranked(current, queries)
        answers: dict[int, Answer | DataError] = {}
        for served in (current, release.candidate):
            rows = [i for i, query in enumerate(queries) if release.model_of(query) is served]
            ranked = self._ranked(served, [queries[i] for i in rows])
            answers |= dict(zip(rows, ranked, strict=True))
        for i, query in enumerate(queries):
            release.shown(query, answers[i])
        return [answers[i] for i in range(len(queries))]

    def similar(self, item_id: Id, k: int = 10) -> Answer:
        """Return the items most similar to an item; see ``Recommender.similar_items``.

        Raises:
            DataError: if the item is not in the catalogue, or the model does not compare items.
        """
        served = self.current
        served.check([item_id])
        try:
            table = served.model.similar_items(item_id, k)
        except TypeError as error:
            raise DataError(str(error)) from error
        ids, similarity = table["item_id"].tolist(), table["similarity"].tolist()
        return Answer(ids, similarity, served.version)

    def explain(self, query: Query, item_ids: Sequence[Id], *, most: int = 2) -> list[Reason]:
        """Return for each item the events of the history without which it scores lower.

        Raises:
            DataError: if an item is not in the catalogue.
        """
        from m6rec_lite.trust import deletion

        served = self.current
        wanted = index_of_ids(list(item_ids), served.item_ids, "item_id")
        served.check(query.items)
        history = self._histories(served, [query]).last(MOST_EXPLAINED)
        events = served.item_ids[history.items]
        if len(events) < 2:  # nothing to compare with: a single event is the reason
            effects = np.ones((len(wanted), len(events)))
        else:
            copies = history[np.zeros(len(wanted), dtype=np.int64)]
            logits = _scores_are_logits(served.model)
            effects = deletion(served.model, copies, wanted, log_softmax=logits)
            effects = effects.reshape(len(wanted), len(events))
        reasons = []
        for item, own in zip(item_ids, effects, strict=True):
            best = [i for i in np.argsort(-own, kind="stable")[:most] if own[i] > 0]
            reasons.append(Reason(item, events[best].tolist(), own[best].tolist()))
        return reasons

    def add_event(self, user: Id, item: Id, time: int, event: str = "click") -> bool:
        """Store an event, return whether it is new; a canary that is worse is removed.

        Raises:
            DataError: if the item is not in the catalogue, or the store refuses the event.
        """
        self.current.check([item])
        is_new = self.events.add(user, item, time, event)
        release = self.release
        if is_new and release is not None:
            release.record(user, item)
            if release.test.alarm:
                self.release = None
                log.error("canary %s is worse: removed", release.candidate.version)
        return is_new

    def load_new(self, *, expect: str | None = None) -> ServedModel:
        """Read the model folder again and let the model score; nothing is changed yet."""
        try:
            served = ServedModel(self.path, dataset=self.dataset, expect=expect, search=self.search)
        except FileNotFoundError as error:
            raise DataError(str(error)) from error
        served.rank(self._histories(served, [Query()]), 1)  # a model that cannot score stops here
        return served

    def replace(self, served: ServedModel, *, share: float = 1.0) -> None:
        """Let a new model answer: for all users, or for a share of them as a canary."""
        if share < 1:
            self.release = CanaryRelease(self.current, served, share)
        else:
            self.current, self.release = served, None
        log.info("model %s answers for %.0f %% of the users", served.version, 100 * share)

    def find(self, text: str, limit: int = 20) -> list[Id]:
        """Return ids of items whose title contains a text, in the order of the catalogue."""
        text, ids = text.casefold(), list(self.current.index)
        matching = (item for item in ids if text in self.title(item).casefold())
        return [item for item, _ in zip(matching, range(limit), strict=False)]

    def title(self, item_id: Id) -> str:
        """Return the title of an item, or its id."""
        return self.titles.get(item_id) or str(item_id)

    def _ranked(self, served: ServedModel, queries: Sequence[Query]) -> list[Answer | DataError]:
        faults = [_fault(served, query) for query in queries]
        sound = [query for query, fault in zip(queries, faults, strict=True) if fault is None]
        answers: list[Answer] = []
        if sound:
            histories = self._histories(served, sound)
            indices, scores = served.rank(histories, max(query.k for query in sound))
            self._observe(served, histories, indices, scores)
            for query, row, values in zip(sound, indices, scores, strict=True):
                found = row[: query.k] >= 0
                best, own = row[: query.k][found], values[: query.k][found]
                answers.append(Answer(served.item_ids[best].tolist(), own.tolist(), served.version))
        pending = iter(answers)
        return [next(pending) if fault is None else fault for fault in faults]

    def _histories(self, served: ServedModel, queries: Sequence[Query]) -> Histories:
        """Return the stored events of each user, then the items of the query as clicks.

        Stored events of items that the model does not know are left out.
        """
        nobody = no_id(np.asarray(self.events.users(1)))
        users: list[Id] = []
        rows: list[list[tuple[int, int, int]]] = []  # index of the item, time, code of the event
        for query in queries:
            stored = UserEvents() if query.user is None else self.events.history(query.user)
            users.append(query.user if query.user is not None and stored.items else nobody)
            row = [
                (served.index[item], time, code)
                for item, time, code in zip(stored.items, stored.times, stored.events, strict=True)
                if item in served.index
            ]
            after = stored.times[-1] + 1 if stored.times else 0
            row += [(served.index[i], after + n, CLICK) for n, i in enumerate(query.items)]
            rows.append(row)
        columns = np.array([event for row in rows for event in row], dtype=np.int64).reshape(-1, 3)
        return Histories(
            item_ids=served.item_ids,
            user_ids=np.asarray(users),
            at=np.array([row[-1][1] + 1 if row else 0 for row in rows], dtype=np.int64),
            offsets=offsets_of(np.array([len(row) for row in rows], dtype=np.int64)),
            items=columns[:, 0].astype(np.int32),
            events=columns[:, 2].astype(np.int8),
            timestamps=columns[:, 1],
        )

    def _reference(self) -> dict[str, np.ndarray]:
        """Return what the monitor compares with: the current model on the stored users."""
        users = self.events.users(REFERENCE_USERS)
        if not users:
            return {}
        histories = self._histories(self.current, [Query(user) for user in users])
        return _signals(self.current, histories, *self.current.rank(histories, 10))

    def _observe(
        self, served: ServedModel, histories: Histories, indices: np.ndarray, scores: np.ndarray
    ) -> None:
        for name, values in _signals(served, histories, indices, scores).items():
            self.drift.observe(name, values)


def _signals(
    served: ServedModel, histories: Histories, indices: np.ndarray, scores: np.ndarray
) -> dict[str, np.ndarray]:
    """Return numbers to watch, one for each history that has a recommendation."""
    popularity = np.log1p(served.model.popularity_)[indices[:, 0]]
    found = indices[:, 0] >= 0
    return {
        "history_length": histories.lengths[found],
        "top_score": scores[found, 0],
        "popularity": popularity[found],
    }


def _fault(served: ServedModel, query: Query) -> DataError | None:
    """Return the error of a query whose items the model does not know."""
    try:
        served.check(query.items)
    except DataError as error:
        return error
    return None


def _scores_are_logits(model: Recommender) -> bool:
    from m6rec_lite.recommenders.sequential.sequence_recommender import SequenceRecommender

    return isinstance(model, SequenceRecommender)


def _titles(items: pd.DataFrame) -> dict[Id, str]:
    pairs: Iterable[tuple[Id, str]] = zip(items["item_id"], items["title"].fillna(""), strict=True)
    return {item: str(title) for item, title in pairs}
