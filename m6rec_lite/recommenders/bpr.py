"""Factors learnt from samples of what was met and what was not: BPR, WARP, logistic factorization.

What they share, the letters and the gradients by U, V and b included, is in ``sampled``. Here are
the three losses, each by its derivative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from m6rec_lite.recommenders.params import check_in_range, check_whole
from m6rec_lite.recommenders.sampled import SampledFactors, Sampler


class BPR(SampledFactors):
    """Bayesian personalised ranking: what was met should score above what was not.

    Minimises ``-ln sigmoid(s_ui - s_uj)`` over triples of a user, an item i met, and an item j not
    met, drawn evenly. Source: Rendle et al., *BPR: Bayesian personalized ranking from implicit
    feedback*, 2009, section 4 (there without biases, and by plain SGD; here by AdaGrad).

    Args:
        factors: length of u and v.
        lr: AdaGrad's learning rate.
        regularization: L2 penalty of the rows of each pair.
        epochs: passes over the training rows.
        batch_size: rows a step; fewer where there are fewer than fifty batches.
        decay: at the asking, weight lost with each step back in the history, in (0, 1].
        seed: of the start, the order and the negatives.

    Attributes:
        user_factors_: ``(n_users, factors)``, U of the training users.
        item_factors_: ``(n_items, factors)``, V; 0 for items without training rows.
        item_biases_: ``(n_items,)``, b.
        encoder_: ``(2 factors + 1, factors)``, W.
    """

    def _slopes(
        self, model: Sampler, users: np.ndarray, items: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        others, fair = model.draw(users)
        users, items, others = users[fair], items[fair], others[fair]
        ahead = model.score(users, items) - model.score(users, others)
        slope = expit(-ahead)  # -d/dx ln sigmoid(x) at x = ahead is -slope
        loss = float(np.logaddexp(0, -ahead).sum())
        pairs = np.concatenate([users, users]), np.concatenate([items, others])
        return *pairs, np.concatenate([-slope, slope]), loss


@dataclass(eq=False, repr=False)
class WARP(SampledFactors):
    """Weighted approximate-rank pairwise loss: mistakes at the top of the list cost most.

    For an item met, items are drawn until one violates the margin, ``s_uj > s_ui - 1``. If that
    took N draws the item's rank is about ``(n_items - 1) / N``, and the hinge
    ``1 - s_ui + s_uj`` is weighted by ``1 + 1/2 + ... + 1/rank``: a rank of 100 costs about 5, so
    that the first places are fought for. Source: Weston, Bengio and Usunier, *WSABIE*, 2011,
    section 3 and algorithm 1. All rows of a batch draw at once, and those that found their
    violation drop out.

    Args:
        lr: AdaGrad's learning rate; the others as of ``BPR``.
        max_draws: after so many draws without a violation the row is left as it is.

    Attributes: as of ``BPR``.
    """

    lr: float = 0.1
    max_draws: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        self.max_draws = check_whole("max_draws", self.max_draws)

    def _slopes(
        self, model: Sampler, users: np.ndarray, items: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        score = model.score(users, items)
        open_ = np.arange(len(users))  # rows still without a violation
        found, wrong, draws, hinge = [], [], [], []
        for n in range(1, self.max_draws + 1):
            others, fair = model.draw(users[open_])
            excess = 1 - score[open_] + model.score(users[open_], others)
            hit = fair & (excess > 0)
            found.append(open_[hit])
            wrong.append(others[hit])
            draws.append(np.full(int(hit.sum()), n))
            hinge.append(excess[hit])
            open_ = open_[~hit]
            if len(open_) == 0:
                break
        rows, others, n = np.concatenate(found), np.concatenate(wrong), np.concatenate(draws)
        harmonic = np.cumsum(1 / np.arange(1, model.n_items + 1))
        rank = np.maximum((model.n_items - 1) // n, 1)
        weight = harmonic[rank - 1].astype(np.float32)
        loss = float((weight * np.concatenate(hinge)).sum())
        pairs = np.tile(users[rows], 2), np.concatenate([items[rows], others])
        return *pairs, np.concatenate([-weight, weight]), loss


@dataclass(eq=False, repr=False)
class LogisticMF(SampledFactors):
    """Logistic matrix factorization: the chance that a user meets an item, ``sigmoid(s_ui)``.

    Minimises ``-alpha ln sigmoid(s_ui)`` for each row met and ``-ln(1 - sigmoid(s_uj))`` for
    items j not met. Johnson, *Logistic matrix factorization for implicit feedback data*, 2014,
    equation 4, sums over all of those; here ``negatives`` of them are drawn for each row.

    Args:
        negatives: items drawn for each row.
        alpha: weight of a row met; the others as of ``BPR``.

    Attributes: as of ``BPR``.
    """

    negatives: int = 4
    alpha: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.negatives = check_whole("negatives", self.negatives)
        check_in_range("alpha", self.alpha, 0, open_low=True)

    def _slopes(
        self, model: Sampler, users: np.ndarray, items: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        score = model.score(users, items)
        repeated = np.repeat(users, self.negatives)
        others, fair = model.draw(repeated)
        repeated, others = repeated[fair], others[fair]
        other_score = model.score(repeated, others)
        loss = self.alpha * np.logaddexp(0, -score).sum() + np.logaddexp(0, other_score).sum()
        pairs = np.concatenate([users, repeated]), np.concatenate([items, others])
        slopes = np.concatenate([-self.alpha * expit(-score), expit(other_score)])
        return *pairs, slopes, float(loss)
