"""Popularity: recommend to everybody what most people took, overall or of late."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np

from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.data.tables import DataError
from m6rec_lite.recommenders.base import Recommender
from m6rec_lite.recommenders.params import check_in_range

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
        timed = self.window_days or self.half_life_days or self.relative_to == "at"
        if timed and not train.has_time:
            raise DataError(
                f"{self!r} counts days, and the data have no times (timestamp='row' numbers the "
                "rows): use Popularity(), or bring timestamps"
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
        """``(len(at), n_items)``: the scores at each moment, in one walk through time."""
        n_items = len(self.popularity_)
        scores = np.empty((len(at), n_items))
        current = np.zeros(n_items)
        entered = left = 0  # rows counted so far, and those that have left the window again
        before = 0
        for place in np.argsort(at, kind="stable"):
            now = at[place]
            until = int(np.searchsorted(times, now, side="left"))
            weights = None
            if self.half_life_days is not None:
                half_life = self.half_life_days * DAY
                current *= 0.5 ** ((now - before) / half_life)
                weights = 0.5 ** ((now - times[entered:until]) / half_life)
            current += np.bincount(items[entered:until], weights, minlength=n_items)
            if self.window_days is not None:
                first = int(np.searchsorted(times, now - self.window_days * DAY, side="left"))
                current -= np.bincount(items[left:first], minlength=n_items)
                left = first
            entered, before = until, now
            scores[place] = current
        return scores
