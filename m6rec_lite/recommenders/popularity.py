"""Popularity: recommend to everybody what most people took, overall or of late."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np

from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.recommenders.base import Recommender, check_in_range

DAY = 86_400  # seconds


class Popularity(Recommender):
    """Scores an item by how many training rows it has: all, recent ones, or fading ones.

    With ``t`` the time of a row and "now" the reference,

    * plain: every row counts 1;
    * ``window_days=w``: rows with ``now - w <= t < now`` count 1, others 0;
    * ``half_life_days=h``: rows with ``t < now`` count ``0.5 ** ((now - t) / h)``.

    ``relative_to="train_end"`` takes as now the second after the last training row, one moment for
    everybody. ``relative_to="at"`` takes each history's own ``at`` and counts only rows before it:
    under leave-one-out, where the training rows of some users lie in the future of others, this is
    the popularity that could have been known. It is time-aware, so compare it with its like.
    An item nobody took scores 0; so do all items where no row lies before ``at``.

    Args:
        window_days: length of the window, in days; None counts all rows.
        half_life_days: days in which a row loses half of its weight; None does not fade.
        relative_to: ``"train_end"`` or ``"at"``.
    """

    falls_back: ClassVar[bool] = False  # overall popularity would look into the future of ``at``

    def __init__(
        self,
        window_days: float | None = None,
        half_life_days: float | None = None,
        relative_to: Literal["train_end", "at"] = "train_end",
    ) -> None:
        for name, value in (("window_days", window_days), ("half_life_days", half_life_days)):
            if value is not None:
                check_in_range(name, value, 0, open_low=True)
        if window_days is not None and half_life_days is not None:
            raise ValueError("give window_days or half_life_days, not both")
        if relative_to not in ("train_end", "at"):
            raise ValueError(f"relative_to must be 'train_end' or 'at', got {relative_to!r}")
        self.window_days = window_days
        self.half_life_days = half_life_days
        self.relative_to = relative_to

    def _fit(self, train: Interactions, **extras: Any) -> None:
        order = np.argsort(train.timestamps, kind="stable")
        self._items, self._times = train.items[order], train.timestamps[order]
        self._n_items = train.n_items
        self.item_scores_ = np.zeros(0)
        if self.relative_to == "train_end":
            now = self._times[-1:] + 1
            self.item_scores_ = self._scores_at(now)[0]  # (n_items,)

    def _score(self, histories: Histories) -> np.ndarray:
        if self.relative_to == "train_end":
            return np.tile(self.item_scores_, (len(histories), 1))
        return self._scores_at(histories.at)

    def _scores_at(self, at: np.ndarray) -> np.ndarray:
        """``(len(at), n_items)``: the scores at each moment, in one walk through time."""
        scores = np.empty((len(at), self._n_items))
        current = np.zeros(self._n_items)
        entered = left = 0  # rows counted so far, and those that have left the window again
        before = 0
        for place in np.argsort(at, kind="stable"):
            now = at[place]
            until = int(np.searchsorted(self._times, now, side="left"))
            new_items, new_times = self._items[entered:until], self._times[entered:until]
            if self.half_life_days is None:
                current += np.bincount(new_items, minlength=self._n_items)
            else:
                life = self.half_life_days * DAY
                current *= 0.5 ** ((now - before) / life)
                weights = 0.5 ** ((now - new_times) / life)
                current += np.bincount(new_items, weights, minlength=self._n_items)
            if self.window_days is not None:
                first = np.searchsorted(self._times, now - self.window_days * DAY, side="left")
                current -= np.bincount(self._items[left:first], minlength=self._n_items)
                left = int(first)
            entered, before = until, now
            scores[place] = current
        return scores
