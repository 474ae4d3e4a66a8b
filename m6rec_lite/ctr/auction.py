"""Second-price auctions for single impressions, and a budget that lasts for a whole period."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Bought:
    """What a bidder bought at ``n`` auctions.

    Attributes:
        won: ``(n,)`` bool.
        paid: ``(n,)`` float64, 0 where the auction was lost.
    """

    won: np.ndarray
    paid: np.ndarray

    def profit(self, worth: np.ndarray) -> np.ndarray:
        """Return ``(n,)``: what each impression was worth to the bidder, less what was paid.

        Args:
            worth: ``(n,)``, such as the value of a click where there was one, else 0.
        """
        return np.where(self.won, np.asarray(worth, dtype=np.float64) - self.paid, 0.0)


def second_price(bids: np.ndarray, others: np.ndarray) -> Bought:
    """Return what a bidder buys if the highest bid wins and pays the second-highest one.

    Since the price does not depend on the bidder's own bid, no bid earns more than what the
    impression is worth in expectation: value of a click times *true* click probability. Source:
    Vickrey, *Counterspeculation, auctions, and competitive sealed tenders*, 1961.

    Args:
        bids: ``(n,)`` bids, at least 0; an equal bid loses.
        others: ``(n,)`` the highest bid of all others.

    Raises:
        ValueError: if the shapes differ, or a bid is negative or not finite.
    """
    bids, others = np.asarray(bids, dtype=np.float64), np.asarray(others, dtype=np.float64)
    if bids.shape != others.shape or bids.ndim != 1:
        raise ValueError(
            f"bids and others must be two arrays (n,) of one length; got {bids.shape} and "
            f"{others.shape}"
        )
    for name, values in (("bids", bids), ("others", others)):
        if not (np.isfinite(values) & (values >= 0)).all():
            raise ValueError(f"{name} must be finite and at least 0")
    won = bids > others
    return Bought(won, np.where(won, others, 0.0))


def buy_within_budget(
    bids: np.ndarray,
    others: np.ndarray,
    period: np.ndarray,
    budget: float,
    *,
    step: float = 0.2,
) -> tuple[Bought, np.ndarray]:
    """Bid under a budget, with all bids multiplied by a factor that follows the spending.

    After a period that spent more than its equal share of the budget the factor is multiplied by
    ``exp(-step)``, otherwise by ``exp(step)``, and it is at most 1. When the budget is spent, no
    more bids are made. ``step=0`` does not pace: the factor stays 1. Source: after Balseiro and
    Gur, *Learning in repeated auctions with budgets*, 2019.

    Args:
        bids: ``(n,)`` bids without a budget, in the order of time.
        others: ``(n,)`` the highest bid of all others.
        period: ``(n,)`` number of the period of each auction, ascending, such as the day.
        budget: for all periods, above 0.
        step: size of one correction, at least 0.

    Returns:
        What was bought, and the factor of each period, ``(n_periods,)``.

    Raises:
        ValueError: if an argument is out of range, or the periods are not ascending.
    """
    period = np.asarray(period)
    if not budget > 0 or step < 0:
        raise ValueError(f"wanted budget > 0 and step >= 0, got {budget!r} and {step!r}")
    if period.shape != np.shape(bids) or (np.diff(period) < 0).any():
        raise ValueError("period must have one number for each bid, ascending: sort by time first")
    _, starts = np.unique(period, return_index=True)
    ends = np.append(starts[1:], len(period))
    won, paid = np.zeros(len(period), dtype=bool), np.zeros(len(period))
    factor, left, factors = 1.0, float(budget), []
    for start, end in zip(starts, ends, strict=True):
        rows = slice(start, end)
        bought = second_price(factor * np.asarray(bids)[rows], np.asarray(others)[rows])
        affordable = np.cumsum(bought.paid) <= left
        won[rows], paid[rows] = bought.won & affordable, bought.paid * affordable
        spent = paid[rows].sum()
        left -= spent
        factors.append(factor)
        factor = min(1.0, factor * np.exp(-step if spent > budget / len(starts) else step))
    return Bought(won, paid), np.array(factors)
