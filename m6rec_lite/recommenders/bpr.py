"""Matrix factorization with sampled negatives: BPR, WARP and logistic matrix factorization.

The notation, the gradients with respect to U, V and b, and the training loop are in ``sampled``.
This module has the derivatives of the three losses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from m6rec_lite.recommenders.params import check_in_range, check_whole
from m6rec_lite.recommenders.sampled import SampledFactors, Sampler


class BPR(SampledFactors):
    """Bayesian personalised ranking: score the items of a user above the other items.

    Minimises ``-ln sigmoid(s_ui - s_uj)`` over triples of a user u, an item i that u has, and a
    uniformly drawn negative j that u does not have. Source: Rendle et al., *BPR: Bayesian
    personalized ranking from implicit feedback*, 2009, section 4 (there without biases and with
    SGD, here with AdaGrad).

    Args:
        factors: length of the vectors u and v.
        lr: learning rate of AdaGrad.
        regularization: L2 penalty on u, v and b, applied for each sampled pair.
        epochs: passes over the training rows.
        batch_size: rows per step; reduced if an epoch would have fewer than about fifty steps.
        decay: factor on the weight of an event for each step back in the history, in (0, 1]; used
            for scoring, not for training.
        seed: seed of the initial factors, the order of the rows and the negatives.

    Attributes:
        user_factors_: ``(n_users, factors)``, U of the training users.
        item_factors_: ``(n_items, factors)``, V; 0 for items without training rows.
        item_biases_: ``(n_items,)``, b.
        encoder_: ``(2 * factors + 1, factors)``, W (see ``SampledFactors``).
    """

    def _slopes(
        self, model: Sampler, users: np.ndarray, items: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        negatives, valid = model.draw(users)
        users, items, negatives = users[valid], items[valid], negatives[valid]
        difference = model.score(users, items) - model.score(users, negatives)
        slope = expit(-difference)  # the derivative of -ln sigmoid(x) at x = difference is -slope
        loss = float(np.logaddexp(0, -difference).sum())
        pairs = np.concatenate([users, users]), np.concatenate([items, negatives])
        return *pairs, np.concatenate([-slope, slope]), loss


@dataclass(eq=False, repr=False)
class WARP(SampledFactors):
    """Weighted approximate-rank pairwise loss, which emphasises the top of the list.

    For each training pair (u, i), negatives are drawn until one violates the margin,
    ``s_uj > s_ui - 1``. If that takes N draws, the rank of item i is about ``(n_items - 1) / N``,
    and the hinge loss ``1 - s_ui + s_uj`` is weighted by ``1 + 1/2 + ... + 1/rank`` (about 5 for
    rank 100). Source: Weston, Bengio and Usunier, *WSABIE*, 2011, section 3 and algorithm 1.

    Args:
        lr: learning rate of AdaGrad. The arguments not listed are those of ``BPR``.
        max_draws: maximum number of draws; a row without a violation by then has no gradient.

    Attributes: see ``BPR``.
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
        pending = np.arange(len(users))  # rows without a violation so far
        violations = []  # of each draw: rows, negatives, number of the draw, hinge
        for n in range(1, self.max_draws + 1):
            candidates, valid = model.draw(users[pending])
            excess = 1 - score[pending] + model.score(users[pending], candidates)
            hit = valid & (excess > 0)
            number = np.full(int(hit.sum()), n)
            violations.append((pending[hit], candidates[hit], number, excess[hit]))
            pending = pending[~hit]
            if len(pending) == 0:
                break
        rows, negatives, draws, hinge = map(np.concatenate, zip(*violations, strict=True))
        harmonic = np.cumsum(1 / np.arange(1, model.n_items + 1))
        rank = np.maximum((model.n_items - 1) // draws, 1)
        weight = harmonic[rank - 1].astype(np.float32)
        loss = float((weight * hinge).sum())
        pairs = np.tile(users[rows], 2), np.concatenate([items[rows], negatives])
        return *pairs, np.concatenate([-weight, weight]), loss


@dataclass(eq=False, repr=False)
class LogisticMF(SampledFactors):
    """Logistic matrix factorization: model the probability of an interaction as ``sigmoid(s_ui)``.

    Minimises ``-alpha ln sigmoid(s_ui)`` for each training pair (u, i) and
    ``-ln(1 - sigmoid(s_uj))`` for negatives j. Source: Johnson, *Logistic matrix factorization for
    implicit feedback data*, 2014, equation 4, which sums over all negatives; here ``negatives`` of
    them are drawn for each training pair.

    Args:
        negatives: number of items drawn for each training pair.
        alpha: weight of the training pairs. The arguments not listed are those of ``BPR``.

    Attributes: see ``BPR``.
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
        negatives, valid = model.draw(repeated)
        repeated, negatives = repeated[valid], negatives[valid]
        negative_score = model.score(repeated, negatives)
        loss = self.alpha * np.logaddexp(0, -score).sum() + np.logaddexp(0, negative_score).sum()
        pairs = np.concatenate([users, repeated]), np.concatenate([items, negatives])
        slopes = np.concatenate([-self.alpha * expit(-score), expit(negative_score)])
        return *pairs, slopes, float(loss)
