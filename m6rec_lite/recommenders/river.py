"""A streaming baseline of the package ``river``, which learns one event at a time."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from scipy import sparse

from m6rec_lite.data.holdout import Holdout
from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.recommenders.base import Recommender
from m6rec_lite.recommenders.online import events_of, period_of
from m6rec_lite.recommenders.params import check_in_range, check_whole


class RiverNextItem(Recommender):
    """Multinomial naive Bayes of the next item, from decayed counts of the latest ones.

    ``river`` learns one event at a time; all histories are scored at once from its counts. The
    model cannot be saved: ``river`` keeps its counts in objects.

    Args:
        decay: factor on the weight of an event for each step back, in (0, 1].
        latest: number of latest events that are read.
    """

    def __init__(self, decay: float = 0.7, latest: int = 5) -> None:
        check_in_range("decay", decay, 0, 1, open_low=True)
        self.decay, self.latest = decay, check_whole("latest", latest)

    def _fit(self, train: Interactions, **extras: Any) -> None:
        try:
            from river.naive_bayes import MultinomialNB
        except ImportError as error:
            raise ImportError(
                'RiverNextItem needs river: pip install "m6rec-lite[stream]"'
            ) from error
        self.bayes_ = MultinomialNB()
        self._learn(events_of(train, period_of(train)))

    def update(self, events: Holdout) -> Self:
        """Learn events once, in the given order."""
        self._require_fitted()
        self._require_same_catalogue(events.histories.item_ids)
        self._learn(events)
        return self

    def _learn(self, events: Holdout) -> None:
        for counts, target in zip(self._counts(events.histories), events.targets, strict=True):
            self.bayes_.learn_one(counts, int(target))

    def _score(self, histories: Histories) -> np.ndarray:
        """Return river's ``joint_log_likelihood`` of each history, from its counts.

        With N the decayed count of an input item among the events of a target, smoothed by alpha,
        the log of N + alpha is that of alpha plus ``log1p(N / alpha)``, which is sparse.
        """
        bayes, n = self.bayes_, histories.n_items
        scores = np.full((len(histories), n), -1e9)
        if not (targets := list(bayes.class_counts)):
            return scores
        counts = np.array([bayes.class_counts[t] for t in targets])
        total = np.array([bayes.class_totals[t] for t in targets])
        cells = [(i, t, c) for i, row in bayes.feature_counts.items() for t, c in row.items()]
        inputs, outputs, together = (np.array(column) for column in zip(*cells, strict=True))
        logs = np.log1p(together / bayes.alpha)
        table = sparse.csr_array((logs, (inputs, outputs)), shape=(n, n))
        recent = histories.last(self.latest)
        x = recent.matrix(self.decay**recent.steps_back)
        weights = x.sum(axis=1)[:, None]
        floor = np.log(bayes.alpha) - np.log(total + bayes.alpha * bayes.n_terms)
        known = (x @ table).toarray()[:, targets]
        scores[:, targets] = np.log(counts / counts.sum()) + known + weights * floor
        return scores

    def _counts(self, histories: Histories) -> list[dict[int, float]]:
        recent = histories.last(self.latest)
        weights = self.decay**recent.steps_back
        rows: list[dict[int, float]] = [{} for _ in range(len(recent))]
        for row, item, weight in zip(recent.rows, recent.items.tolist(), weights, strict=True):
            rows[row][item] = rows[row].get(item, 0.0) + weight
        return rows
