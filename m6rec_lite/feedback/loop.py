"""The loop: a policy shows slates, shoppers answer, the policy learns, and shows the next ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from m6rec_lite.feedback.bandits import Answers, Policy, best_slates
from m6rec_lite.feedback.environment import SlateEnvironment
from m6rec_lite.feedback.satisfaction import SatisfactionRanker
from m6rec_lite.recommenders.params import Params, check_in_range, check_whole


@dataclass(frozen=True, eq=False)
class LoopLog:
    """What happened in a loop of ``n`` requests.

    Attributes:
        slates: ``(n, k)`` indices of the candidates that were shown.
        accepted: ``(n, k)`` 1 for accepted, else 0.
        expected: ``(n,)`` true expected number of accepted items of each slate.
        best: ``(n,)`` the same of each request's best slate (the oracle's).
        best_fixed: ``(n,)`` the same of the one slate that is best for all requests.
        n_candidates: number of candidates.
    """

    slates: np.ndarray
    accepted: np.ndarray
    expected: np.ndarray
    best: np.ndarray
    best_fixed: np.ndarray
    n_candidates: int

    def __len__(self) -> int:
        return len(self.slates)

    @property
    def regret(self) -> np.ndarray:
        """``(n,)``: expected acceptances lost against the oracle, up to each request."""
        return np.cumsum(self.best - self.expected)

    def rate(self, last: float = 1.0) -> float:
        """Return the mean expected acceptances of a slate over the last share of the requests."""
        return float(self.expected[-max(1, round(last * len(self))) :].mean())

    def never_shown(self) -> float:
        """Return the share of candidates that no slate showed."""
        return 1.0 - len(np.unique(self.slates)) / self.n_candidates


def run_loop(
    environment: SlateEnvironment, policy: Policy, *, batch: int = 1, seed: int = 0
) -> LoopLog:
    """Show a slate at each request, in order, and let the policy learn from the answers.

    The features of a request are those of the old log: an item that is accepted here never enters
    its shopper's record. ``run_rounds`` adds the clicks to the log (lesson 26, section 6).

    Args:
        environment: requests and their answers.
        policy: chooses the slates; it is changed by its ``update``.
        batch: number of requests that are answered before the policy learns from them.
        seed: seed of the answers and of the policy's random choices, which are independent: two
            policies with one seed meet the same random numbers of the shoppers.
    """
    batch, n, k = check_whole("batch", batch), len(environment), environment.slate_size
    shoppers, choices = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1])
    slates, accepted = np.zeros((n, k), dtype=np.int64), np.zeros((n, k))
    for start in range(0, n, batch):
        rows = np.arange(start, min(start + batch, n))
        features = environment.requests.features[rows]
        slates[rows] = policy.select(features, k, choices)
        feedback = environment.respond(rows, slates[rows], shoppers)
        accepted[rows] = environment.satisfaction(feedback)
        policy.update(Answers(features, slates[rows], accepted[rows], environment.examination))
    rows = np.arange(n)
    return LoopLog(
        slates=slates,
        accepted=accepted,
        expected=environment.expected(rows, slates),
        best=environment.expected(rows, environment.best_slates(rows)),
        best_fixed=environment.expected(rows, np.tile(environment.best_fixed_slate(), (n, 1))),
        n_candidates=environment.n_candidates,
    )


class RetrainedRanker(Params):
    """A satisfaction ranker that is trained again and again on the log of its own slates.

    What it does not show leaves no data.

    Args:
        warmup: number of requests with random slates before the first fit.
        every: number of requests between fits.
        epsilon: probability of a random slate after the warm-up.
        l2: penalty of the ``SatisfactionRanker``.
    """

    def __init__(
        self, warmup: int = 200, every: int = 200, epsilon: float = 0.0, l2: float = 10.0
    ) -> None:
        self.warmup, self.every = check_whole("warmup", warmup), check_whole("every", every)
        check_in_range("epsilon", epsilon, 0, 1)
        self.epsilon, self.l2 = epsilon, l2
        self.ranker = SatisfactionRanker(l2)
        self._rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._n, self._due = 0, warmup

    def select(self, features: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
        """Return ``(n, k)`` slates, see ``Policy``."""
        if self.ranker.weights_ is None:
            return best_slates(np.zeros(features.shape[:2]), k, rng)
        explores = rng.random((len(features), 1)) < self.epsilon
        return best_slates(np.where(explores, 0.0, self.ranker.predict(features)), k, rng)

    def update(self, answers: Answers) -> None:
        """Keep the answers, and fit the ranker when it is due, see ``Policy``."""
        x = answers.shown.reshape(-1, answers.features.shape[2])
        e = np.tile(answers.examination, len(answers.slates))
        self._rows.append((x, answers.rewards.ravel(), e))
        self._n += len(answers.slates)
        if self._n >= self._due:
            x, y, e = (np.concatenate(parts) for parts in zip(*self._rows, strict=True))
            if y.min() < y.max():  # else wait for both kinds of answers
                self.ranker.fit(x, y, e)
                self._due = self._n + self.every
