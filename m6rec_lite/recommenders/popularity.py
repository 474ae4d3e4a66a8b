"""Popularity: recommend the items with the most interactions, overall or recently."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np

from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.data.tables import DataError
from m6rec_lite.recommenders.base import Recommender
from m6rec_lite.recommenders.params import check_in_range

DAY = 86_400  # seconds


class Popularity(Recommender):
    """Score an item by the number of its training rows, all of them or weighted by age.

    With ``t`` the time of a row and ``now`` the reference time, the weight of a row is

    * by default: 1;
    * with ``window_days=w``: 1 if ``now - w <= t < now``, else 0;
    * with ``half_life_days=h``: ``0.5 ** ((now - t) / h)`` if ``t < now``, else 0.

    ``relative_to="train_end"`` uses the second after the last training row as ``now``.
    ``relative_to="at"`` uses the time ``at`` of each history and only counts earlier rows. Under
    leave-one-out, where training rows of some users are later than the target of others, this is
    the popularity at the time of the query. Such a model is time-aware: compare it with time-aware
    models.

    Args:
        window_days: length of the window in days; None counts all rows.
        half_life_days: half-life of the weight of a row in days; None applies no decay.
        relative_to: ``"train_end"`` or ``"at"``.
    """

    falls_back: ClassVar[bool] = False  # the overall popularity includes rows later than ``at``

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
        timed = self.window_days or self.half_life_days or self.relative_to == "at"
        if timed and not train.has_time:
            raise DataError(
                f"{self!r} counts days, and the data have no times (timestamp='row' numbers the "
                "rows): use Popularity(), or add timestamps"
            )
        order = np.argsort(train.timestamps, kind="stable")
        items, times = train.items[order], train.timestamps[order]
        if self.relative_to == "at":
            self.items_, self.times_ = items, times
        else:
            self.item_scores_ = self._scores_at(times[-1:] + 1, items, times)[0]  # (n_items,)

    def _score(self, histories: Histories) -> np.ndarray:
        if self.relative_to == "at":
            return self._scores_at(histories.at, self.items_, self.times_)
        return np.tile(self.item_scores_, (len(histories), 1))

    def _scores_at(self, at: np.ndarray, items: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Compute the ``(len(at), n_items)`` scores at each time, in one pass over the rows."""
        n_items = len(self.popularity_)
        scores = np.empty((len(at), n_items))
        current = np.zeros(n_items)
        entered = left = 0  # number of rows that have entered and left the window
        previous = 0
        for i in np.argsort(at, kind="stable"):
            now = at[i]
            until = int(np.searchsorted(times, now, side="left"))
            weights = None
            if self.half_life_days is not None:
                half_life = self.half_life_days * DAY
                current *= 0.5 ** ((now - previous) / half_life)
                weights = 0.5 ** ((now - times[entered:until]) / half_life)
            current += np.bincount(items[entered:until], weights, minlength=n_items)
            if self.window_days is not None:
                first = int(np.searchsorted(times, now - self.window_days * DAY, side="left"))
                current -= np.bincount(items[left:first], minlength=n_items)
                left = first
            entered, previous = until, now
            scores[i] = current
        return scores
