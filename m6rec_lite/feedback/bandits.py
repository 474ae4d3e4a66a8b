"""Bandits on slates: epsilon-greedy, UCB, Thompson sampling and LinUCB.

A bandit sees the answers to the items that it showed, and to no others, so it must explore. Each
bandit gives an index to every candidate, and the slate holds the k highest, ties in random order.
An item at a lower position is examined less often, so an item's number of *trials* is the sum of
the examination probabilities of the positions where it was shown, and its rate is accepted / trials
(the position-based model of Lagrée, Vernade and Cappé, *Multiple-play bandits in the position-based
model*, 2016).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from m6rec_lite.feedback.environment import check_slates
from m6rec_lite.recommenders.params import Params, check_in_range, check_whole
from m6rec_lite.recommenders.ranking import top_k


@dataclass(frozen=True, eq=False)
class Answers:
    """What a policy learns from: ``n`` slates of ``k`` items, and a reward for each item.

    Attributes:
        features: ``(n, m, d)`` features of all candidates.
        slates: ``(n, k)`` indices of the candidates that were shown, top position first.
        rewards: ``(n, k)``, finite; 1 for accepted and 0 for refused in the course.
        examination: ``(k,)`` probability that each position is examined, in (0, 1].

    Raises:
        ValueError: if a slate is empty, has an unknown candidate or repeats one, a reward is NaN or
            infinite, a shape differs, or an examination probability is out of range.
    """

    features: np.ndarray
    slates: np.ndarray
    rewards: np.ndarray
    examination: np.ndarray

    def __post_init__(self) -> None:
        slates = check_slates(self.slates, self.features.shape[1])
        if self.rewards.shape != slates.shape:
            raise ValueError(f"{slates.shape} items need one reward each; got {self.rewards.shape}")
        if not np.isfinite(self.rewards).all():
            raise ValueError("a reward is NaN or infinite; leave such slates out")
        is_probability = (self.examination > 0) & (self.examination <= 1)
        if self.examination.shape != slates.shape[1:] or not is_probability.all():
            raise ValueError(
                f"examination must be a probability above 0 for each of {slates.shape[1]} "
                f"positions; got {self.examination}"
            )

    @property
    def shown(self) -> np.ndarray:
        """``(n, k, d)``: features of the shown candidates."""
        return np.take_along_axis(self.features, self.slates[..., None], axis=1)


class Policy(Protocol):
    """What ``run_loop`` needs of a policy."""

    def select(self, features: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
        """Return ``(n, k)`` slates for the ``(n, m, d)`` features of n requests."""

    def update(self, answers: Answers) -> None:
        """Learn from the answers to slates."""


def best_slates(index: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Return the ``(n, k)`` candidates of the highest index ``(n, m)``, ties in random order."""
    shuffled = rng.permuted(np.tile(np.arange(index.shape[1]), (len(index), 1)), axis=1)
    best = top_k(np.take_along_axis(index, shuffled, axis=1), k)
    return np.take_along_axis(shuffled, best, axis=1)


class CountingBandit(Params, ABC):
    """Base of bandits that treat all shoppers alike.

    ``trials`` and ``accepted``, ``(m,)`` each, count expected examinations and acceptances.
    """

    def __init__(self, n_candidates: int) -> None:
        self.n_candidates = check_whole("n_candidates", n_candidates)
        self.trials, self.accepted = np.zeros(n_candidates), np.zeros(n_candidates)

    @property
    def rates(self) -> np.ndarray:
        """``(m,)``: acceptances per trial; 0 for a candidate without trials."""
        return np.divide(
            self.accepted, self.trials, out=np.zeros(self.n_candidates), where=self.trials > 0
        )

    def select(self, features: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
        """Return ``(n, k)`` slates, see ``Policy``."""
        return best_slates(self._index(len(features), rng), k, rng)

    def update(self, answers: Answers) -> None:
        """Count trials and acceptances, see ``Policy``."""
        slates = check_slates(answers.slates, self.n_candidates)
        np.add.at(self.trials, slates, np.broadcast_to(answers.examination, slates.shape))
        np.add.at(self.accepted, slates, answers.rewards)

    @abstractmethod
    def _index(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return the ``(n, m)`` index of each candidate for n requests."""


class EpsilonGreedy(CountingBandit):
    """Show the highest rates; with probability ``epsilon``, a random slate."""

    def __init__(self, n_candidates: int, epsilon: float = 0.1) -> None:
        super().__init__(n_candidates)
        check_in_range("epsilon", epsilon, 0, 1)
        self.epsilon = epsilon

    def _index(self, n: int, rng: np.random.Generator) -> np.ndarray:
        explores = rng.random((n, 1)) < self.epsilon
        return np.where(explores, 0.0, self.rates)  # equal indices give a random slate


class UCB(CountingBandit):
    """Upper confidence bound: ``rate + c sqrt(2 ln T / trials)``, T all trials so far.

    A candidate without trials comes first. Source: Auer, Cesa-Bianchi and Fischer, *Finite-time
    analysis of the multiarmed bandit problem*, 2002 (UCB1 has c = 1).
    """

    def __init__(self, n_candidates: int, c: float = 1.0) -> None:
        super().__init__(n_candidates)
        check_in_range("c", c, 0)
        self.c = c

    def _index(self, n: int, rng: np.random.Generator) -> np.ndarray:
        log_total = np.log(max(self.trials.sum(), 1.0))
        seen = self.trials > 0
        width = np.sqrt(2 * log_total / np.where(seen, self.trials, 1.0))
        return np.tile(np.where(seen, self.rates + self.c * width, np.inf), (n, 1))


class ThompsonSampling(CountingBandit):
    """Draw a rate for each candidate from its posterior, and show the highest draws.

    The posterior is Beta(a + accepted, b + trials - accepted); a and b are the prior acceptances
    and refusals. Source: Chapelle and Li, *An empirical evaluation of Thompson sampling*, 2011.
    """

    def __init__(self, n_candidates: int, a: float = 1.0, b: float = 1.0) -> None:
        super().__init__(n_candidates)
        check_in_range("a", a, 0, open_low=True)
        check_in_range("b", b, 0, open_low=True)
        self.a, self.b = a, b

    def _index(self, n: int, rng: np.random.Generator) -> np.ndarray:
        refused = np.maximum(self.trials - self.accepted, 0.0)
        return rng.beta(self.a + self.accepted, self.b + refused, size=(n, self.n_candidates))


class LinUCB(Params):
    """Linear upper confidence bound: one linear model of the acceptance for all candidates.

    An item at a position with examination probability e is accepted with probability ``e w x``.
    Ridge regression of the answers on ``e x`` gives w and the matrix A; the index of a candidate is
    ``w x + alpha sqrt(x' A^-1 x)``. Source: Li, Chu, Langford and Schapire, *A contextual-bandit
    approach to personalized news article recommendation*, 2010.

    Args:
        n_features: d, the number of features.
        alpha: width of the bound, at least 0; 0 never explores.
        l2: strength of the ridge penalty, above 0.

    Attributes:
        weights: ``(d,)`` w.
        covariance: ``(d, d)`` the inverse of A.
    """

    def __init__(self, n_features: int, alpha: float = 1.0, l2: float = 1.0) -> None:
        self.n_features = check_whole("n_features", n_features)
        check_in_range("alpha", alpha, 0)
        check_in_range("l2", l2, 0, open_low=True)
        self.alpha, self.l2 = alpha, l2
        self._a, self._b = l2 * np.eye(n_features), np.zeros(n_features)
        self.weights: np.ndarray = np.zeros(n_features)
        self.covariance: np.ndarray = np.eye(n_features) / l2

    def index(self, features: np.ndarray) -> np.ndarray:
        """Return the ``(n, m)`` index of the candidates with ``(n, m, d)`` features."""
        x = np.asarray(features, np.float64)
        variance = ((x @ self.covariance) * x).sum(axis=-1)
        return x @ self.weights + self.alpha * np.sqrt(np.maximum(variance, 0.0))

    def select(self, features: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
        """Return ``(n, k)`` slates, see ``Policy``."""
        return best_slates(self.index(features), k, rng)

    def update(self, answers: Answers) -> None:
        """Add the answers to the regression, see ``Policy``."""
        x = (answers.shown * answers.examination[:, None]).reshape(-1, self.n_features)
        self._a += x.T @ x
        self._b += x.T @ answers.rewards.ravel()
        self.covariance = np.linalg.inv(self._a)
        self.weights = self.covariance @ self._b
