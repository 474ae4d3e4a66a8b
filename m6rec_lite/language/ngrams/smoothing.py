"""Smoothing: from counts to probabilities that leave something for what was never seen.

Every method here is one recursion (Chen and Goodman, *An empirical study of smoothing techniques
for language modeling*, 1998; section and equation numbers below are those of the report). With
``h`` the context, ``h'`` the context without its first word,

``P(w | h) = alpha(h, w) + gamma(h) * P(w | h')``

where ``alpha`` is 0 for an n-gram never seen, ``gamma`` is 1 for a context never seen, and below
the empty context stands the uniform distribution. Methods differ in ``alpha``; ``gamma(h)`` is
what ``alpha`` leaves, so that the probabilities sum to one by construction.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np

from m6rec_lite.data.ragged import ranges
from m6rec_lite.language.ngrams.counts import NO_CONTEXT, UNSEEN, Counts, Matches

Base = Literal["uniform", "unigram"]
Details = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Estimate:
    """The numbers of the recursion, ready to look up.

    Attributes:
        alphas: one array an order, by entry; a last 0 answers for ``UNSEEN``, which is index -1.
        gammas: one array an order, by context; a last 1 answers for ``UNSEEN``.
        floor: what stands below the empty context.
        recursive: False if every order rests on ``floor`` rather than on the order below.
        details: what was estimated on the way: ``discounts``, ``weights``.
    """

    alphas: list[np.ndarray]
    gammas: list[np.ndarray]
    floor: float
    recursive: bool = True
    details: dict[str, np.ndarray] = field(default_factory=dict)

    def probs(self, matches: Matches) -> np.ndarray:
        """``(m,)`` probability of each word after the longest context it has."""
        p = np.full(matches.entries.shape[1], self.floor)
        for alpha, gamma, entry, context in zip(
            self.alphas, self.gammas, matches.entries, matches.contexts, strict=True
        ):
            lower = p if self.recursive else self.floor
            left = gamma[np.maximum(context, UNSEEN)]
            p = np.where(context == NO_CONTEXT, p, alpha[entry] + left * lower)
        return p

    def rows(self, counts: Counts, contexts: np.ndarray) -> np.ndarray:
        """``(n, n_words)`` probability of every word after each context; see ``probs``.

        Args:
            counts: the tables that the numbers belong to.
            contexts: ``(order, n)`` of ``Counts.contexts``.
        """
        n, v = contexts.shape[1], counts.n_words
        p = np.tile(self.alphas[0][:v] + self.gammas[0][0] * self.floor, (n, 1))
        for k in range(2, counts.order + 1):
            alpha, gamma, context = self.alphas[k - 1], self.gammas[k - 1], contexts[k - 1]
            if not self.recursive:
                p[context != NO_CONTEXT] = self.floor
            left = gamma[np.maximum(context, UNSEEN)]
            p *= np.where(context == NO_CONTEXT, 1.0, left)[:, None]
            row = np.flatnonzero(context >= 0)
            keys = counts.keys[k - 2]
            first = np.searchsorted(keys, context[row] * v)
            length = np.searchsorted(keys, (context[row] + 1) * v) - first  # followers of each
            place = ranges(first, length)
            p[np.repeat(row, length), keys[place] % v] += alpha[place]  # they lie side by side
        return p


@dataclass(frozen=True)
class Smoothing(ABC):
    """A way to estimate; subclasses give ``alpha`` for one order at a time.

    Those that take ``base`` say by it what the order of single words rests on: ``"uniform"`` gives
    every word of the vocabulary a share, so that none has probability 0; ``"unigram"`` gives none,
    and a word that training lacks is impossible (so do NLTK's models).
    """

    @abstractmethod
    def alpha(self, counts: Counts, order: int, details: Details) -> tuple[np.ndarray, np.ndarray]:
        """``alpha`` of each entry of an order, and ``gamma`` of each context.

        What is estimated on the way goes into ``details``.
        """

    @property
    def needs_held_out(self) -> bool:
        """Whether ``estimate`` wants a text that is not among the counts."""
        return False

    @property
    def recursive(self) -> bool:
        """Whether an order rests on the one below; if not, on what stands below them all."""
        return True

    def floor(self, n_words: int) -> float:
        """What stands below the empty context: the uniform distribution."""
        return 1 / n_words

    def counted(self, counts: Counts, order: int) -> tuple[np.ndarray, np.ndarray, int]:
        """The counts that an order works with: ``Counts.level``, unless a method changes them."""
        return counts.level(order)

    def prepare(self, counts: Counts, held_out: Matches | None) -> Details:
        """What must be known before the first order is estimated: by default nothing."""
        return {}

    def estimate(self, counts: Counts, held_out: Matches | None = None) -> Estimate:
        """Estimate all orders.

        Args:
            counts: of the training text.
            held_out: a text that is not among ``counts``, where ``needs_held_out``.
        """
        details = self.prepare(counts, held_out)
        alphas, gammas = [], []
        for order in range(1, counts.order + 1):
            if order == 1 and getattr(self, "base", "uniform") == "unigram":
                c = self.counted(counts, 1)[0]
                alpha, gamma = c / c.sum(), np.zeros(1)
            else:
                alpha, gamma = self.alpha(counts, order, details)
            unseen = counts.size(order) - len(alpha) + 1  # at order 1 a start's mark has 0 too
            alphas.append(np.append(alpha, np.zeros(unseen)))
            gammas.append(np.append(gamma, 1.0))
        found = {key: np.array(value) for key, value in details.items()}
        return Estimate(alphas, gammas, self.floor(counts.n_words), self.recursive, found)


def sums(values: np.ndarray, prefix: np.ndarray, n: int) -> np.ndarray:
    """Sums of the values of each of ``n`` prefixes."""
    return np.bincount(prefix, values, minlength=n)


def quotient(numerator: np.ndarray, total: np.ndarray, empty: float) -> np.ndarray:
    """The quotient, and ``empty`` where the total is 0: a context that nothing followed."""
    return np.where(total > 0, numerator / np.where(total > 0, total, 1.0), empty)


def check_base(base: str) -> None:
    """Raise ``ValueError`` unless it is one of the two."""
    if base not in ("uniform", "unigram"):
        raise ValueError(f'base must be "uniform" or "unigram", got {base!r}')


@dataclass(frozen=True)
class MaximumLikelihood(Smoothing):
    """Relative frequencies: ``P(w | h) = c(h, w) / c(h)``; what was never seen is impossible.

    Args:
        unseen: after a context never seen the quotient is 0/0. ``"shorten"`` asks again with a
            shorter context; ``"zero"`` answers 0 for every word, as NLTK does.
    """

    unseen: Literal["shorten", "zero"] = "shorten"
    base: ClassVar[Base] = "unigram"

    def __post_init__(self) -> None:
        if self.unseen not in ("shorten", "zero"):
            raise ValueError(f'unseen must be "shorten" or "zero", got {self.unseen!r}')

    def alpha(self, counts: Counts, order: int, details: Details) -> tuple[np.ndarray, np.ndarray]:
        """``c(h, w) / c(h)``."""
        c, prefix, n = counts.level(order)
        total = sums(c, prefix, n)
        return c / total[prefix], np.where(total > 0, 0.0, 1.0)

    @property
    def recursive(self) -> bool:
        """Only to shorten the context."""
        return self.unseen == "shorten"

    def floor(self, n_words: int) -> float:
        """0: nothing is kept for the unseen."""
        return 0.0


@dataclass(frozen=True)
class AddK(Smoothing):
    """Add ``k`` to every count (Laplace at 1, Lidstone else; §2.1): no order helps another.

    ``P(w | h) = (c(h, w) + k) / (c(h) + k V)``, uniform after a context never seen.
    """

    k: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.k < np.inf:
            raise ValueError(
                f"k must be above 0 and finite, got {self.k!r}; 0 is MaximumLikelihood"
            )

    def alpha(self, counts: Counts, order: int, details: Details) -> tuple[np.ndarray, np.ndarray]:
        """``c(h, w) / (c(h) + k V)``; the added part rests on the uniform distribution."""
        c, prefix, n = counts.level(order)
        added = self.k * counts.n_words
        total = sums(c, prefix, n) + added
        return c / total[prefix], added / total

    @property
    def recursive(self) -> bool:
        """No: every order rests on the uniform distribution."""
        return False


@dataclass(frozen=True)
class JelinekMercer(Smoothing):
    """A weighted mean of the orders (§2.3): ``P(w | h) = l c(h, w) / c(h) + (1 - l) P(w | h')``.

    The weights are those under which a held-out text is likeliest, found by EM: in turn, the share
    of each order in the probability of each held-out word, and the mean share an order had. One
    imaginary held-out word each way keeps every weight off 0 and 1.

    Args:
        weights: one weight an order, in [0, 1]; None learns them from ``held_out``.
        bins: how many weights an order is given: contexts seen 1, 2–3, 4–7, … times each their own,
            as the more often a context was seen, the more it can be trusted; 1 shares one weight.
        iterations: of EM, at most; it stops earlier when nothing moves.
        base: see ``Smoothing``.
    """

    weights: tuple[float, ...] | None = None
    bins: int = 1
    iterations: int = 200
    base: Base = "uniform"

    def __post_init__(self) -> None:
        check_base(self.base)
        if self.bins < 1:
            raise ValueError(f"bins must be at least 1, got {self.bins!r}")
        if self.weights is not None:
            object.__setattr__(self, "weights", tuple(float(w) for w in self.weights))
            if not all(0 <= weight <= 1 for weight in self.weights):
                raise ValueError(f"weights must lie between 0 and 1, got {self.weights}")

    @property
    def needs_held_out(self) -> bool:
        """Whether the weights are to be learnt."""
        return self.weights is None

    def alpha(self, counts: Counts, order: int, details: Details) -> tuple[np.ndarray, np.ndarray]:
        """``l c(h, w) / c(h)``."""
        c, prefix, n = counts.level(order)
        total = sums(c, prefix, n)
        weight = np.where(total > 0, details["weights"][order - 1][self._bin(total)], 0.0)
        return weight[prefix] * c / total[prefix], 1 - weight

    def prepare(self, counts: Counts, held_out: Matches | None) -> Details:
        """The weights, ``(order, bins)``."""
        if self.weights is None:
            return {"weights": self._learn(counts, held_out)}
        if len(self.weights) != counts.order:
            raise ValueError(
                f"{len(self.weights)} weights for a model of order {counts.order}: give one an "
                "order, from single words up"
            )
        return {"weights": np.repeat(np.array(self.weights)[:, None], self.bins, axis=1)}

    def _bin(self, total: np.ndarray) -> np.ndarray:
        place = np.floor(np.log2(np.maximum(total, 1.0))).astype(np.int64)
        return np.minimum(place, self.bins - 1)

    def _learn(self, counts: Counts, held_out: Matches | None) -> np.ndarray:
        """EM over the held-out words; ``(order, bins)`` weights."""
        if held_out is None or held_out.entries.shape[1] == 0:
            raise ValueError(
                "Jelinek-Mercer smoothing learns its weights from text that training lacks: give "
                "fit(…, held_out=sentences), or the weights themselves"
            )
        order, m = held_out.entries.shape
        known = held_out.contexts >= 0  # contexts that were seen
        alone = np.zeros((order, m))  # c(h, w) / c(h) of each order by itself
        place = np.zeros((order, m), dtype=np.int64)  # the bin of its weight
        for k in range(1, order + 1):
            at = np.flatnonzero(known[k - 1])
            c, prefix, n = counts.level(k)
            total = sums(c, prefix, n)[held_out.contexts[k - 1, at]]
            alone[k - 1, at] = quotient(np.append(c, 0)[held_out.entries[k - 1, at]], total, 0.0)
            place[k - 1, at] = self._bin(total)
            known[k - 1, at] = total > 0
        weights = np.full((order, self.bins), 0.5)
        for _ in range(self.iterations):
            left = np.ones(m)  # probability that no higher order was chosen
            joint = np.empty((order + 1, m))  # row 0: the uniform distribution
            for k in range(order, 0, -1):
                chosen = np.where(known[k - 1], weights[k - 1, place[k - 1]], 0.0)
                if k == 1 and self.base == "unigram":
                    chosen = np.ones(m)
                joint[k] = left * chosen * alone[k - 1]
                left = left * (1 - chosen)
            joint[0] = left / counts.n_words
            total = joint.sum(axis=0)
            share = quotient(joint, np.broadcast_to(total, joint.shape), 0.0)
            reached = np.cumsum(share, axis=0)  # this order or one below
            before = weights.copy()
            for k in range(1, order + 1):
                at = place[k - 1][known[k - 1]]
                hits = sums(share[k][known[k - 1]], at, self.bins)
                tries = sums(reached[k][known[k - 1]], at, self.bins)
                pooled = hits.sum() / tries.sum() if tries.sum() else 0.5
                weights[k - 1] = np.where(tries > 0, (hits + 1) / (tries + 2), pooled)
            if np.abs(weights - before).max() < 1e-9:
                break
        return weights


@dataclass(frozen=True)
class WittenBell(Smoothing):
    """The more different words followed a context, the likelier another new one (§2.5).

    With T(h) the number of different words after ``h``: ``alpha = c(h, w) / (c(h) + T(h))``,
    ``gamma = T(h) / (c(h) + T(h))``.
    """

    base: Base = "uniform"

    def __post_init__(self) -> None:
        check_base(self.base)

    def alpha(self, counts: Counts, order: int, details: Details) -> tuple[np.ndarray, np.ndarray]:
        """``c(h, w) / (c(h) + T(h))``."""
        c, prefix, n = counts.level(order)
        kinds = sums(c > 0, prefix, n)
        total = sums(c, prefix, n) + kinds
        return c / np.where(total > 0, total, 1.0)[prefix], quotient(kinds, total, 1.0)
