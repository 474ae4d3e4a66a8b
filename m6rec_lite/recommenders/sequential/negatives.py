"""Items to compare the right one with: drawn at random, by a power of their popularity."""

from __future__ import annotations

import numpy as np

from m6rec_lite.recommenders.params import check_in_range, check_whole


class Negatives:
    """Draws items with chances ``q`` proportional to ``(popularity + 1) ** power``.

    With power 0 every item is as likely; with 1 they come as often as in the data, which asks for
    fine distinctions among the popular. Between lies word2vec's 0.75 (Mikolov et al., 2013) and
    GRU4Rec's 0.5 to 1 (Hidasi and Karatzoglou, 2018). One is added, so that none is impossible.

    Args:
        popularity: ``(n_items,)`` at least 0.
        k: draws a time.
        power: 0 or more.

    Attributes:
        log_expected: ``(n_items,)`` float32: the log of how often an item comes among k draws, on
            average: ``ln(k q)``.
    """

    def __init__(self, popularity: np.ndarray, k: int, power: float) -> None:
        self.k = check_whole("negatives", k)
        check_in_range("power", power, 0)
        q = (np.asarray(popularity, dtype=np.float64) + 1) ** power
        self._sums = np.cumsum(q / q.sum())
        self._sums[-1] = 1.0  # rounding must not leave a gap at the end
        self.log_expected = np.log(k * q / q.sum()).astype(np.float32)

    def draw(self, rng: np.random.Generator, *shape: int) -> np.ndarray:
        """``(*shape, k)`` int64 places of items, with repeats."""
        return np.searchsorted(self._sums, rng.random((*shape, self.k)), side="right")
