"""Active selection: whom to ask for further events, given a few events of everybody.

Sources: Settles, *Active learning literature survey*, 2009 (uncertainty, committees); Sener and
Savarese, *Active learning for convolutional neural networks: a core-set approach*, 2018
(diversity).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from scipy.special import entr, softmax

from m6rec_lite.data.interactions import Histories
from m6rec_lite.recommenders.base import Recommender

Selection = Literal["random", "entropy", "disagreement", "diversity"]


def choose_users(
    how: Selection, models: Sequence[Recommender], histories: Histories, n: int, *, seed: int = 0
) -> np.ndarray:
    """Return the indices of ``n`` histories whose users are to be asked.

    * ``random``: drawn without replacement.
    * ``entropy``: the least certain prediction of the first model.
    * ``disagreement``: the largest Jensen-Shannon divergence between the models, of which there
      must be two or more.
    * ``diversity``: one after the other, whoever is farthest from all that are chosen; the
      distance is that of the histories as unit vectors of items.

    Args:
        how: the rule.
        models: fitted models, whose scores are log probabilities.
        histories: what is known of each user.
        n: number of users, at most the number of histories.
        seed: seed of the random rule, and of the first user of ``diversity``.

    Returns:
        ``(n,)`` int64, in the order of the choice.

    Raises:
        ValueError: if the rule is unknown, ``n`` is out of range, or a model is missing.
    """
    if how not in get_args(Selection):
        raise ValueError(f"how must be one of {', '.join(get_args(Selection))}, got {how!r}")
    if not 1 <= n <= len(histories):
        raise ValueError(f"n must be between 1 and {len(histories)} histories, got {n!r}")
    needed = {"entropy": 1, "disagreement": 2}.get(how, 0)
    if len(models) < needed:
        raise ValueError(f"{how} needs {needed} fitted model(s), got {len(models)}")
    rng = np.random.default_rng(seed)
    if how == "random":
        return rng.permutation(len(histories))[:n]
    if how == "diversity":
        return _farthest(histories, n, int(rng.integers(len(histories))))
    used = models[:1] if how == "entropy" else models
    probabilities = np.stack([softmax(m.score(histories).astype(float), axis=1) for m in used])
    value = entr(probabilities.mean(axis=0)).sum(axis=1)  # (n_histories,)
    if how == "disagreement":
        value -= entr(probabilities).sum(axis=2).mean(axis=0)
    return np.argsort(-value, kind="stable")[:n]


def _farthest(histories: Histories, n: int, first: int) -> np.ndarray:
    """Choose greedily the history that is least similar to the nearest chosen one."""
    vectors = histories.matrix().tocsr()
    norms = np.sqrt(vectors.multiply(vectors).sum(axis=1))
    chosen = [first]
    nearest = np.full(len(histories), -1.0)  # cosine with the nearest chosen history
    while len(chosen) < n:
        last = chosen[-1]
        products = (vectors @ vectors[[last]].T).toarray()[:, 0]
        nearest = np.maximum(nearest, products / np.maximum(norms * norms[last], 1e-12))
        nearest[last] = np.inf
        chosen.append(int(np.argmin(nearest)))
    return np.array(chosen, dtype=np.int64)
