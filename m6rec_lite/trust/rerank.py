"""Re-ranking: lists that trade some of a model's score for diversity, calibration or exposure.

Scores ``(n, n_items)``, with -inf for items that may not be shown, become lists ``(n, k)``.
``fixed_lists`` makes a model of them for ``evaluate``, which states the price.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.data.interactions import Histories
from m6rec_lite.evaluation.protocol import FixedScores
from m6rec_lite.recommenders.ranking import top_k
from m6rec_lite.trust.fairness import miscalibration


def mmr(
    scores: np.ndarray, similarity: np.ndarray, k: int, trade_off: float, *, candidates: int = 50
) -> np.ndarray:
    """Return lists by maximal marginal relevance: next comes the best item unlike those chosen.

    Each step takes the candidate with the highest ``(1 - t) score - t max similarity`` to the
    items of the list; scores are scaled to [0, 1] among the candidates of a row.

    Source: Carbonell and Goldstein, *The use of MMR*, 1998.

    Args:
        scores, similarity: ``(n, n_items)``, and ``(n_items, n_items)`` in [0, 1].
        k: length of the lists.
        trade_off: t in [0, 1]; 0 keeps the order of the scores.
        candidates: number of best items of a row to choose from.

    Raises:
        ValueError: if ``trade_off`` is out of range, or a row has fewer than ``k`` candidates.
    """

    def likeness(pool: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        if not chosen.shape[1]:
            return np.zeros(pool.shape)
        return similarity[pool[:, :, None], chosen[:, None, :]].max(axis=2)

    return _greedy(scores, k, trade_off, candidates, likeness)


def calibrated_lists(
    scores: np.ndarray,
    categories: np.ndarray,
    wanted: np.ndarray,
    k: int,
    trade_off: float,
    *,
    candidates: int = 50,
) -> np.ndarray:
    """Return lists whose categories have the shares that each user wants.

    Each step takes the candidate with the highest ``(1 - t) score - t KL``, where KL is the
    ``miscalibration`` of the list with that candidate (Steck, 2018).

    Args:
        categories: ``(n_items, n_categories)``, rows sum to 1.
        wanted: ``(n, n_categories)``, rows sum to 1, such as those of each history.

    The other arguments, and the errors, are those of ``mmr``.
    """

    def distance(pool: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        total = categories[chosen].sum(axis=1)[:, None] + categories[pool]
        return miscalibration(wanted[:, None], total / (chosen.shape[1] + 1))

    return _greedy(scores, k, trade_off, candidates, distance)


def fixed_lists(lists: np.ndarray, histories: Histories, name: str = "lists") -> FixedScores:
    """Return a model that recommends these lists, for ``evaluate``.

    The ``n`` histories are those for which the lists ``(n, k)`` were made, one for each user.
    """
    scores = np.full((len(lists), histories.n_items), -np.inf)
    np.put_along_axis(scores, lists, -np.arange(lists.shape[1], dtype=np.float64), axis=1)
    return FixedScores(histories.item_ids, histories.user_ids, scores, name)


def _greedy(
    scores: np.ndarray,
    k: int,
    trade_off: float,
    candidates: int,
    cost: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> np.ndarray:
    """Build lists item by item; ``cost`` maps the pool and the chosen items to a cost of each."""
    if not 0 <= trade_off <= 1:
        raise ValueError(f"trade_off is from 0 (the score alone) to 1, got {trade_off}")
    pool = top_k(scores, candidates)  # (n, candidates)
    value = np.take_along_axis(scores, pool, axis=1).astype(np.float64)
    if k < 1 or pool.shape[1] < k or np.isneginf(value[:, :k]).any():
        raise ValueError(f"a list of {k} items needs as many that may be shown among {candidates}")
    open_ = np.isfinite(value)
    lowest = np.where(open_, value, np.inf).min(axis=1, keepdims=True)
    value = (value - lowest) / np.maximum(value.max(axis=1, keepdims=True) - lowest, 1e-12)
    value[~open_] = 0.0
    rows, chosen = np.arange(len(pool)), np.zeros((len(pool), 0), dtype=np.int64)
    for _ in range(k):
        gain = (1 - trade_off) * value - trade_off * cost(pool, chosen)
        best = np.where(open_, gain, -np.inf).argmax(axis=1)
        chosen = np.column_stack([chosen, pool[rows, best]])
        open_[rows, best] = False
    return chosen
