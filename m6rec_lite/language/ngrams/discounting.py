"""Discounting: take a little from every count, and let the order below spend it.

Absolute discounting, and Kneser and Ney's two forms of it. Sections and equations are those of
Chen and Goodman's report (see ``smoothing``).
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
    """Take the same discount from every count and give it to the order below (§2.6).

    ``alpha = max(c(h, w) - D, 0) / c(h)``. Without a given ``D`` each order takes Ney, Essen and
    Kneser's (1994) estimate ``n1 / (n1 + 2 n2)``, with ``n1``, ``n2`` the n-grams seen once and
    twice; where that estimate fails (there are none), 0.75.

    Args:
        discount: in [0, 1], for every order; None estimates it.
        base: see ``Smoothing``.
    """

    discount: float | None = None
    base: Base = "uniform"

    def __post_init__(self) -> None:
        check_base(self.base)
        if self.discount is not None and not 0 <= self.discount <= 1:
            raise ValueError(f"discount must lie between 0 and 1, got {self.discount!r}")

    def alpha(self, counts: Counts, order: int, details: Details) -> tuple[np.ndarray, np.ndarray]:
        """``(c(h, w) - D) / c(h)``, never below 0."""
        c, prefix, n = self.counted(counts, order)
        discounts = self._discounts(c)
        details.setdefault("discounts", []).append(discounts)
        seen = np.minimum(np.ceil(c), len(discounts)).astype(np.int64)  # 0, 1, 2, … or more
        taken = np.minimum(c, np.append(0.0, discounts)[seen])
        total = sums(c, prefix, n)
        return quotient(c - taken, total[prefix], 0.0), quotient(sums(taken, prefix, n), total, 1.0)

    def _discounts(self, c: np.ndarray) -> np.ndarray:
        """``(1,)`` discount of every count; Kneser-Ney's second form returns three."""
        if self.discount is not None:
            return np.array([self.discount])
        _, n1, n2, *_ = _counts_of_counts(c)
        return np.array([n1 / (n1 + 2 * n2) if n1 and n2 else 0.75])


def _counts_of_counts(c: np.ndarray) -> np.ndarray:
    """How many entries were counted 0, 1, 2, 3, 4 and more times (a fraction rounds up)."""
    return np.bincount(np.minimum(np.ceil(c), 5).astype(np.int64), minlength=6)


@dataclass(frozen=True)
class KneserNey(AbsoluteDiscounting):
    """Absolute discounting whose lower orders count contexts, not occurrences (§2.7).

    "Francisco" is frequent, but only after "San"; so below the highest order the count of an
    n-gram is the number of different words that came before it (Kneser and Ney, 1995;
    interpolated, as in Chen and Goodman).

    Args:
        discount: in [0, 1], for every order; None estimates it, an order at a time.
        base: see ``Smoothing``.
    """

    def counted(self, counts: Counts, order: int) -> tuple[np.ndarray, np.ndarray, int]:
        """Below the highest order, the number of different words before each n-gram."""
        c, prefix, n = counts.level(order)
        return (c if order == counts.order else counts.continuations(order)), prefix, n


@dataclass(frozen=True)
class ModifiedKneserNey(Smoothing):
    """Kneser-Ney with three discounts, for counts of 1, 2, and 3 or more (§3, eq. 26).

    ``D_i = i - (i + 1) Y n_{i+1} / n_i`` with ``Y = n1 / (n1 + 2 n2)``, an order at a time. Where
    there is too little text for that (an ``n`` is 0, or a ``D_i`` lies outside ``[0, i]``), 0.5, 1
    and 1.5, as KenLM does.
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
        found = np.array([i - (i + 1) * y * n[i] / n[i - 1] for i in (1, 2, 3)])
        return found if ((found >= 0) & (found <= [1, 2, 3])).all() else fallback


#: Every way to smooth, by the name that ``NGram`` accepts, with its default settings.
SMOOTHINGS: dict[str, type[Smoothing]] = {
    "maximum-likelihood": MaximumLikelihood,
    "add-k": AddK,
    "jelinek-mercer": JelinekMercer,
    "witten-bell": WittenBell,
    "absolute-discounting": AbsoluteDiscounting,
    "kneser-ney": KneserNey,
    "modified-kneser-ney": ModifiedKneserNey,
}
