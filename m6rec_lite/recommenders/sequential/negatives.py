"""Sampling of negatives with probabilities by a power of the popularity."""

from __future__ import annotations

import numpy as np

from m6rec_lite.recommenders.params import check_in_range, check_whole


class Negatives:
    """Draw items with probabilities ``q`` proportional to ``(popularity + 1) ** power``.

    Power 0 is the uniform distribution, power 1 that of the data. word2vec uses 0.75 (Mikolov et
    al., 2013), GRU4Rec 0.5 to 1 (Hidasi and Karatzoglou, 2018). The added 1 gives every item a
    positive probability.

    Args:
        popularity: ``(n_items,)`` counts, at least 0.
        k: number of items per draw.
        power: exponent, 0 or more.

    Attributes:
        log_expected: ``(n_items,)`` float32, the log of the expected number of occurrences of an
            item among k draws, ``ln(k q)``.
    """

    def __init__(self, popularity: np.ndarray, k: int, power: float) -> None:
        self.k = check_whole("negatives", k)
        check_in_range("power", power, 0)
        q = (np.asarray(popularity, dtype=np.float64) + 1) ** power
        self._sums = np.cumsum(q / q.sum())
        self._sums[-1] = 1.0  # despite rounding
        self.log_expected = np.log(k * q / q.sum()).astype(np.float32)

    def draw(self, rng: np.random.Generator, *shape: int) -> np.ndarray:
        """Return ``(*shape, k)`` int64 item indices, drawn with replacement."""
        return np.searchsorted(self._sums, rng.random((*shape, self.k)), side="right")
