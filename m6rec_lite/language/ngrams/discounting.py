"""Discounting: subtract from every count and give the difference to the lower order.

Absolute discounting, Kneser-Ney and modified Kneser-Ney. Sections and equations are those of Chen
and Goodman's report (see ``smoothing``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from m6rec_lite.language.ngrams.counts import Counts
from m6rec_lite.language.ngrams.smoothing import (
    AddK,
    Base,
    Details,
    JelinekMercer,
    MaximumLikelihood,
    Smoothing,
    WittenBell,
    check_base,
    quotient,
    sums,
)


@dataclass(frozen=True)
class AbsoluteDiscounting(Smoothing):
    """Subtract the same discount from every count (§2.6).

    ``alpha = max(c(h, w) - D, 0) / c(h)``. By default ``D`` is the estimate of Ney, Essen and
    Kneser (1994) for each order, ``n1 / (n1 + 2 n2)``, with ``n1`` and ``n2`` the number of n-grams
    that occur once and twice; 0.75 if one of them is 0.

    Args:
        discount: discount of all orders, in [0, 1]; None estimates it.
        base: see ``Smoothing``.
    """

    discount: float | None = None
    base: Base = "uniform"

    def __post_init__(self) -> None:
        check_base(self.base)
        if self.discount is not None and not 0 <= self.discount <= 1:
            raise ValueError(f"discount must lie between 0 and 1, got {self.discount!r}")

    def alpha(self, counts: Counts, order: int, details: Details) -> tuple[np.ndarray, np.ndarray]:
        """Return ``max(c(h, w) - D, 0) / c(h)``; see ``Smoothing.alpha``."""
        c, prefix, n = self.counted(counts, order)
        discounts = self._discounts(c)
        details.setdefault("discounts", []).append(discounts)
        index = np.minimum(np.ceil(c), len(discounts)).astype(np.int64)  # 0, 1, 2, … or more
        discount = np.minimum(c, np.append(0.0, discounts)[index])
        total = sums(c, prefix, n)
        gamma = quotient(sums(discount, prefix, n), total, 1.0)
        return quotient(c - discount, total[prefix], 0.0), gamma

    def _discounts(self, c: np.ndarray) -> np.ndarray:
        """Return the discount, ``(1,)``; modified Kneser-Ney returns three."""
        if self.discount is not None:
            return np.array([self.discount])
        _, n1, n2, *_ = _counts_of_counts(c)
        return np.array([n1 / (n1 + 2 * n2) if n1 and n2 else 0.75])


def _counts_of_counts(c: np.ndarray) -> np.ndarray:
    """Return the number of entries with counts 0, 1, 2, 3, 4 and more (fractions round up)."""
    return np.bincount(np.minimum(np.ceil(c), 5).astype(np.int64), minlength=6)


@dataclass(frozen=True)
class KneserNey(AbsoluteDiscounting):
    """Absolute discounting in which lower orders count contexts, not occurrences (§2.7).

    "Francisco" is frequent, but only after "San". Below the highest order the count of an n-gram
    is therefore the number of distinct words before it (Kneser and Ney, 1995; interpolated, as in
    Chen and Goodman).

    Args:
        discount: discount of all orders, in [0, 1]; None estimates it for each order.
        base: see ``Smoothing``.
    """

    def counted(self, counts: Counts, order: int) -> tuple[np.ndarray, np.ndarray, int]:
        """Return the counts of an order; distinct words before each n-gram for lower orders."""
        c, prefix, n = counts.level(order)
        return (c if order == counts.order else counts.continuations(order)), prefix, n


@dataclass(frozen=True)
class ModifiedKneserNey(Smoothing):
    """Kneser-Ney with three discounts, for counts of 1, 2, and 3 or more (§3, eq. 26).

    ``D_i = i - (i + 1) Y n_{i+1} / n_i`` with ``Y = n1 / (n1 + 2 n2)``, for each order. If there is
    too little text (an ``n`` is 0, or a ``D_i`` is outside ``[0, i]``), the discounts are 0.5, 1
    and 1.5, as in KenLM.
    """

    base: Base = "uniform"

    def __post_init__(self) -> None:
        check_base(self.base)

    counted = KneserNey.counted
    alpha = AbsoluteDiscounting.alpha

    def _discounts(self, c: np.ndarray) -> np.ndarray:
        _, *n, _ = _counts_of_counts(c).astype(float)
        fallback = np.array([0.5, 1.0, 1.5])
        if not all(n):
            return fallback
        y = n[0] / (n[0] + 2 * n[1])
        discounts = np.array([i - (i + 1) * y * n[i] / n[i - 1] for i in (1, 2, 3)])
        valid = (discounts >= 0) & (discounts <= [1, 2, 3])
        return discounts if valid.all() else fallback


#: Smoothing methods by the names that ``NGram`` accepts.
SMOOTHINGS: dict[str, type[Smoothing]] = {
    "maximum-likelihood": MaximumLikelihood,
    "add-k": AddK,
    "jelinek-mercer": JelinekMercer,
    "witten-bell": WittenBell,
    "absolute-discounting": AbsoluteDiscounting,
    "kneser-ney": KneserNey,
    "modified-kneser-ney": ModifiedKneserNey,
}
