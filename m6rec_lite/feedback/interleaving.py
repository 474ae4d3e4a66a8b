"""Team-draft interleaving: one list from two rankings, whose clicks are votes.

In each turn both rankings add their best item that is not in the list yet; a coin decides which
goes first. A click counts for the ranking that added the item (Radlinski, Kurup and Joachims, *How
does clickthrough data reflect retrieval quality?*, 2008). Every user compares both rankings, so
fewer users are needed than in an A/B test (Chapelle et al., 2012). The result is a preference, not
the number of clicks that each ranking would have alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from m6rec_lite.data import DataError


@dataclass(frozen=True, eq=False)
class Interleaved:
    """Interleaved lists.

    Attributes:
        items: ``(n, k)`` item ids, top position first.
        first_team: ``(n, k)`` bool, True where the first ranking added the item.
    """

    items: np.ndarray
    first_team: np.ndarray

    def credit(self, clicked: np.ndarray) -> np.ndarray:
        """Return ``(n,)``: clicks on items of the first ranking less those of the second.

        Raises:
            DataError: if ``clicked`` is not finite or not of shape ``(n, k)``.
        """
        clicked = np.asarray(clicked, dtype=np.float64)
        if clicked.shape != self.items.shape or not np.isfinite(clicked).all():
            raise DataError(
                f"credit wants finite clicks of shape {self.items.shape}; got {clicked.shape}"
            )
        return np.where(self.first_team, clicked, -clicked).sum(axis=1)


def team_draft(
    first: np.ndarray, second: np.ndarray, k: int, rng: np.random.Generator
) -> Interleaved:
    """Interleave two rankings of each of ``n`` users.

    Args:
        first: ``(n, m)`` item ids, best first, without repeats in a row.
        second: ``(n, m)`` the same of the other ranking.
        k: length of the lists, from 1 to m.
        rng: source of the coins, one a turn.

    Raises:
        DataError: if shapes differ, a row repeats an item, or k is not from 1 to m.
    """
    first, second = np.asarray(first), np.asarray(second)
    if first.ndim != 2 or first.shape != second.shape or not 1 <= k <= first.shape[1]:
        raise DataError(
            "team_draft wants two rankings of one shape (n, m) and k from 1 to m; got "
            f"{first.shape}, {second.shape} and k = {k}"
        )
    if any((np.diff(np.sort(ranking, axis=1)) == 0).any() for ranking in (first, second)):
        raise DataError("a ranking repeats an item within a row; leave repeats out")
    items = np.empty((len(first), k), dtype=first.dtype)
    teams = np.empty((len(first), k), dtype=bool)
    coins = rng.random((len(first), (k + 1) // 2)) < 0.5
    for row, rankings in enumerate(zip(second.tolist(), first.tolist(), strict=True)):
        used: set[int] = set()
        remaining = [iter(ranking) for ranking in rankings]
        for position in range(k):
            team = bool(coins[row, position // 2]) != (position % 2 == 1)
            item = next(item for item in remaining[team] if item not in used)
            used.add(item)
            items[row, position], teams[row, position] = item, team
    return Interleaved(items, teams)
