"""A next-item model that can be trained further, event by event.

The model is a softmax over the catalogue. With ``x`` the decayed counts of the items of a history,

    s = (x E) F' + b,    p = softmax(s),    loss = -log p[target].

With ``g = p - onehot(target)`` the gradients are ``g`` (b), ``g (x E)'`` (F) and ``x (g F)'`` (E).
Steps are those of AdaGrad (Duchi et al., 2011): the more a weight has been moved, the shorter its
steps. After ``fit``, ``memory`` says how much of that is kept: all, and updates change little; or
nothing, and they change much, old knowledge included.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy import sparse
from scipy.special import softmax

from m6rec_lite.data.holdout import Holdout
from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.data.tables import DataError
from m6rec_lite.recommenders.base import Recommender, recency_weights
from m6rec_lite.recommenders.params import check_in_range, check_whole

FIRST_SQUARE = 1e-4  #: first value of AdaGrad's sums


def next_events(rows: Interactions, since: int = 0, until: int = 1 << 40) -> Holdout:
    """Return each event of a period, in order of time, with its user's history before it.

    Args:
        rows: all events; earlier ones are read as histories only. A user's first event has no
            history and is left out.
        since: first second of the period.
        until: first second after the period.

    Raises:
        DataError: if the period has no such event.
    """
    index = period_of(rows, since, until)
    if not len(index):
        raise DataError(f"no event with a history from {since} until {until} (unix seconds)")
    return events_of(rows, index)


def period_of(rows: Interactions, since: int = 0, until: int = 1 << 40) -> np.ndarray:
    """Return the indices of the rows of ``next_events``; there may be none."""
    has_history = np.append(False, rows.users[1:] == rows.users[:-1])[: len(rows)]
    index = np.flatnonzero((rows.timestamps >= since) & (rows.timestamps < until) & has_history)
    return index[np.argsort(rows.timestamps[index], kind="stable")]


def events_of(rows: Interactions, index: np.ndarray) -> Holdout:
    """Return events by their row, repeats allowed, with the histories before them."""
    past = rows.histories()
    before = index - past.offsets[rows.users[index]]
    histories = past.first_events(rows.users[index], before, rows.timestamps[index])
    return Holdout(histories, rows.items[index], np.arange(len(index) + 1))


@dataclass(frozen=True, eq=False)
class WeightAnchor:
    """Weights to stay near, and how much each matters (the diagonal Fisher information)."""

    weights: tuple[np.ndarray, ...]
    importance: tuple[np.ndarray, ...]
    penalty: float


class OnlineNextItem(Recommender):
    """Softmax over the catalogue from decayed counts of the history; ``update`` goes on training.

    Args:
        n_factors: length of the vectors.
        decay: factor on the weight of an event for each step back, in (0, 1].
        lr: step size of AdaGrad.
        epochs: passes over the training events in ``fit``.
        batch_size: events a step.
        seed: seed of the initial weights and of the order of events in ``fit``.
        memory: share of AdaGrad's sums that is kept after ``fit``, in [0, 1].

    Attributes:
        inputs_: E, ``(n_items, n_factors)``.
        outputs_: F, ``(n_items, n_factors)``.
        bias_: b, ``(n_items, 1)``.
    """

    def __init__(
        self,
        n_factors: int = 16,
        decay: float = 0.7,
        lr: float = 0.2,
        epochs: int = 5,
        batch_size: int = 32,
        seed: int = 0,
        memory: float = 1.0,
    ) -> None:
        check_in_range("decay", decay, 0, 1, open_low=True)
        check_in_range("lr", lr, 0, open_low=True)
        check_in_range("memory", memory, 0, 1)
        self.n_factors = check_whole("n_factors", n_factors)
        self.decay, self.lr, self.seed, self.memory = decay, lr, seed, memory
        self.epochs, self.batch_size = (
            check_whole("epochs", epochs),
            check_whole("batch_size", batch_size),
        )

    def _fit(self, train: Interactions, **extras: Any) -> None:
        rng, n = np.random.default_rng(self.seed), train.n_items
        self.inputs_, self.outputs_ = rng.normal(0, 0.1, (2, n, self.n_factors))
        self.bias_ = np.zeros((n, 1))
        self.squares_inputs_, self.squares_outputs_, self.squares_bias_ = (
            np.full_like(weights, FIRST_SQUARE) for weights in self._weights()
        )
        events = events_of(train, period_of(train))
        for _ in range(self.epochs):
            self._pass(events[rng.permutation(len(events))], None)
        for squares in (self.squares_inputs_, self.squares_outputs_, self.squares_bias_):
            squares *= self.memory
            squares += (1 - self.memory) * FIRST_SQUARE

    def _score(self, histories: Histories) -> np.ndarray:
        return self._counts(histories) @ self.inputs_ @ self.outputs_.T + self.bias_.T

    def update(self, events: Holdout, *, anchor: WeightAnchor | None = None) -> Self:
        """Train on events once, in the given order.

        Args:
            events: of ``next_events``, with the model's catalogue.
            anchor: adds the penalty of elastic weight consolidation.

        Raises:
            NotFittedError: before ``fit``.
            DataError: if the events have another catalogue.
        """
        self._require_fitted()
        self._require_same_catalogue(events.histories.item_ids)
        self._pass(events, anchor)
        return self

    def anchor(self, events: Holdout, penalty: float) -> WeightAnchor:
        """Return the current weights with their importance for some events.

        Args:
            events: events that must not be forgotten; the importance of a weight is the mean of
                its squared gradient over them.
            penalty: factor on the importance, 0 or more.
        """
        self._require_fitted()
        check_in_range("penalty", penalty, 0)
        sums = [np.zeros_like(weights) for weights in self._weights()]
        for x, targets in self._batches(events):
            users, slope = self._slopes(x, targets)
            inner = slope @ self.outputs_
            for total, squared in zip(
                sums,
                (x.power(2).T @ inner**2, (slope**2).T @ users**2, (slope**2).sum(0)[:, None]),
                strict=True,
            ):
                total += squared
        importance = tuple(total / len(events) for total in sums)
        return WeightAnchor(tuple(w.copy() for w in self._weights()), importance, penalty)

    def _pass(self, events: Holdout, anchor: WeightAnchor | None) -> None:
        squares = (self.squares_inputs_, self.squares_outputs_, self.squares_bias_)
        for x, targets in self._batches(events):
            users, slope = self._slopes(x, targets)
            n = len(targets)
            gradients = [x.T @ (slope @ self.outputs_), slope.T @ users, slope.sum(0)[:, None]]
            for i, (weights, total) in enumerate(zip(self._weights(), squares, strict=True)):
                gradient = gradients[i] / n
                if anchor is not None:
                    away = weights - anchor.weights[i]
                    gradient = gradient + anchor.penalty * anchor.importance[i] * away
                total += gradient**2
                weights -= self.lr * gradient / np.sqrt(total)

    def _count_params(self) -> int:
        return int(sum(np.count_nonzero(weights) for weights in self._weights()))

    def _weights(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.inputs_, self.outputs_, self.bias_

    def _slopes(self, x: sparse.csr_array, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return ``x E`` and the slope of each event's loss in its scores."""
        users = x @ self.inputs_  # (batch, n_factors)
        slope = softmax(users @ self.outputs_.T + self.bias_.T, axis=1)  # (batch, n_items)
        slope[np.arange(len(targets)), targets] -= 1.0
        return users, slope

    def _counts(self, histories: Histories) -> sparse.csr_array:
        return histories.matrix(recency_weights(histories, self.decay))

    def _batches(self, events: Holdout) -> Iterator[tuple[sparse.csr_array, np.ndarray]]:
        counts = self._counts(events.histories)
        for start in range(0, len(events), self.batch_size):
            rows = slice(start, start + self.batch_size)
            yield counts[rows], events.targets[rows]
