"""Smoothing: estimate probabilities from counts, with some probability for unseen n-grams.

Every method is an instance of one recursion (Chen and Goodman, *An empirical study of smoothing
techniques for language modeling*, 1998; section and equation numbers below are those of the
report). With ``h`` the context and ``h'`` the context without its first word,

``P(w | h) = alpha(h, w) + gamma(h) * P(w | h')``

where ``alpha`` is 0 for an unseen n-gram, ``gamma`` is 1 for an unseen context, and the lower
distribution of the empty context is uniform. Methods differ in ``alpha``; ``gamma(h)`` is 1 minus
the sum of ``alpha``, so the probabilities sum to one.
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
    """Parameters of the recursion.

    Attributes:
        alphas: one array per order, by entry; its last value, 0, is for ``UNSEEN`` (index -1).
        gammas: one array per order, by context; its last value, 1, is for ``UNSEEN``.
        floor: probability of each word below the empty context.
        recursive: False if the lower distribution of every order is ``floor``.
        details: other estimated parameters: ``discounts``, ``weights``.
    """

    alphas: list[np.ndarray]
    gammas: list[np.ndarray]
    floor: float
    recursive: bool = True
    details: dict[str, np.ndarray] = field(default_factory=dict)

    def probs(self, matches: Matches) -> np.ndarray:
        """Return the probability of each word after its longest context, ``(m,)``."""
        p = np.full(matches.entries.shape[1], self.floor)
        for alpha, gamma, entry, context in zip(
            self.alphas, self.gammas, matches.entries, matches.contexts, strict=True
        ):
            lower = p if self.recursive else self.floor
            backoff = gamma[np.maximum(context, UNSEEN)]
            p = np.where(context == NO_CONTEXT, p, alpha[entry] + backoff * lower)
        return p

    def rows(self, counts: Counts, contexts: np.ndarray) -> np.ndarray:
        """Return the probability of every word after each context, ``(n, n_words)``.

        Args:
            counts: the tables from which the parameters were estimated.
            contexts: ``(order, n)`` from ``Counts.contexts``.
        """
        n, v = contexts.shape[1], counts.n_words
        p = np.tile(self.alphas[0][:v] + self.gammas[0][0] * self.floor, (n, 1))
        for k in range(2, counts.order + 1):
            alpha, gamma, context = self.alphas[k - 1], self.gammas[k - 1], contexts[k - 1]
            if not self.recursive:
                p[context != NO_CONTEXT] = self.floor
            backoff = gamma[np.maximum(context, UNSEEN)]
            p *= np.where(context == NO_CONTEXT, 1.0, backoff)[:, None]
            row = np.flatnonzero(context >= 0)
            keys = counts.keys[k - 2]
            first = np.searchsorted(keys, context[row] * v)
            length = np.searchsorted(keys, (context[row] + 1) * v) - first
            entry = ranges(first, length)  # n-grams with the same prefix are adjacent
            p[np.repeat(row, length), keys[entry] % v] += alpha[entry]
        return p


@dataclass(frozen=True)
class Smoothing(ABC):
    """Base class of the smoothing methods; subclasses implement ``alpha`` for one order.

    The argument ``base`` of some methods is the lower distribution of single words: ``"uniform"``
    gives every word of the vocabulary a positive probability; with ``"unigram"`` a word that does
    not occur in training has probability 0 (as in NLTK's models).
    """

    @abstractmethod
    def alpha(self, counts: Counts, order: int, details: Details) -> tuple[np.ndarray, np.ndarray]:
        """Return ``alpha`` of each entry of an order and ``gamma`` of each context.

        Other estimated parameters are added to ``details``.
        """

    @property
    def needs_held_out(self) -> bool:
        """Whether ``estimate`` requires held-out text."""
        return False

    @property
    def recursive(self) -> bool:
        """Whether the lower distribution is that of the next lower order; if not, ``floor``."""
        return True

    def floor(self, n_words: int) -> float:
        """Return the probability of each word below the empty context: uniform."""
        return 1 / n_words

    def counted(self, counts: Counts, order: int) -> tuple[np.ndarray, np.ndarray, int]:
        """Return the counts of an order: ``Counts.level``, unless a method changes them."""
        return counts.level(order)

    def prepare(self, counts: Counts, held_out: Matches | None) -> Details:
        """Estimate parameters that are needed before the first order; by default none."""
        return {}

    def estimate(self, counts: Counts, held_out: Matches | None = None) -> Estimate:
        """Estimate all orders.

        Args:
            counts: counts of the training text.
            held_out: a text that is not part of ``counts``; required if ``needs_held_out``.
        """
        details = self.prepare(counts, held_out)
        alphas, gammas = [], []
        for order in range(1, counts.order + 1):
            if order == 1 and getattr(self, "base", "uniform") == "unigram":
                c = self.counted(counts, 1)[0]
                alpha, gamma = c / c.sum(), np.zeros(1)
            else:
                alpha, gamma = self.alpha(counts, order, details)
            unseen = counts.size(order) - len(alpha) + 1  # at order 1 also the start of a sentence
            alphas.append(np.append(alpha, np.zeros(unseen)))
            gammas.append(np.append(gamma, 1.0))
        arrays = {key: np.array(value) for key, value in details.items()}
        return Estimate(alphas, gammas, self.floor(counts.n_words), self.recursive, arrays)


def sums(values: np.ndarray, prefix: np.ndarray, n: int) -> np.ndarray:
    """Sum values by prefix, ``(n,)``."""
    return np.bincount(prefix, values, minlength=n)


def quotient(numerator: np.ndarray, total: np.ndarray, empty: float) -> np.ndarray:
    """Return ``numerator / total``, and ``empty`` where the total is 0."""
    return np.where(total > 0, numerator / np.where(total > 0, total, 1.0), empty)


def check_base(base: str) -> None:
    """Raise ``ValueError`` unless ``base`` is valid."""
    if base not in ("uniform", "unigram"):
        raise ValueError(f'base must be "uniform" or "unigram", got {base!r}')


@dataclass(frozen=True)
class MaximumLikelihood(Smoothing):
    """Relative frequencies: ``P(w | h) = c(h, w) / c(h)``; unseen n-grams have probability 0.

    Args:
        unseen: what to do for an unseen context, where the quotient is 0/0: ``"shorten"`` uses a
            shorter context; ``"zero"`` returns 0 for every word, as NLTK does.
    """

    unseen: Literal["shorten", "zero"] = "shorten"
    base: ClassVar[Base] = "unigram"

    def __post_init__(self) -> None:
        if self.unseen not in ("shorten", "zero"):
            raise ValueError(f'unseen must be "shorten" or "zero", got {self.unseen!r}')

    def alpha(self, counts: Counts, order: int, details: Details) -> tuple[np.ndarray, np.ndarray]:
        """Return ``c(h, w) / c(h)``; see ``Smoothing.alpha``."""
        c, prefix, n = counts.level(order)
        total = sums(c, prefix, n)
        return c / total[prefix], np.where(total > 0, 0.0, 1.0)

    @property
    def recursive(self) -> bool:
        """Whether unseen contexts are shortened."""
        return self.unseen == "shorten"

    def floor(self, n_words: int) -> float:
        """Return 0."""
        return 0.0


@dataclass(frozen=True)
class AddK(Smoothing):
    """Add ``k`` to every count (Laplace for 1, else Lidstone; §2.1), without lower orders.

    ``P(w | h) = (c(h, w) + k) / (c(h) + k V)``, uniform after an unseen context.
    """

    k: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.k < np.inf:
            raise ValueError(
                f"k must be above 0 and finite, got {self.k!r}; 0 is MaximumLikelihood"
            )

    def alpha(self, counts: Counts, order: int, details: Details) -> tuple[np.ndarray, np.ndarray]:
        """Return ``c(h, w) / (c(h) + k V)``; see ``Smoothing.alpha``."""
        c, prefix, n = counts.level(order)
        added = self.k * counts.n_words
        total = sums(c, prefix, n) + added
        return c / total[prefix], added / total

    @property
    def recursive(self) -> bool:
        """False: the lower distribution is uniform."""
        return False


@dataclass(frozen=True)
class JelinekMercer(Smoothing):
    """Interpolate the orders (§2.3): ``P(w | h) = l c(h, w) / c(h) + (1 - l) P(w | h')``.

    The weights maximise the likelihood of held-out text, found by EM: the E step computes the share
    of each order in the probability of each held-out word, the M step the mean share of each order.
    A pseudo-count of one for either outcome keeps the weights away from 0 and 1.

    Args:
        weights: one weight per order, in [0, 1]; None estimates them from ``held_out``.
        bins: number of weights per order, for contexts that occurred 1, 2–3, 4–7, … times, because
            counts of frequent contexts are more reliable.
        iterations: maximum number of EM iterations; it stops earlier on convergence.
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
        """Whether the weights are estimated."""
        return self.weights is None

    def alpha(self, counts: Counts, order: int, details: Details) -> tuple[np.ndarray, np.ndarray]:
        """Return ``l c(h, w) / c(h)``; see ``Smoothing.alpha``."""
        c, prefix, n = counts.level(order)
        total = sums(c, prefix, n)
        weight = np.where(total > 0, details["weights"][order - 1][self._bin(total)], 0.0)
        return weight[prefix] * c / total[prefix], 1 - weight

    def prepare(self, counts: Counts, held_out: Matches | None) -> Details:
        """Return the weights, ``(order, bins)``."""
        if self.weights is None:
            return {"weights": self._fit_weights(counts, held_out)}
        if len(self.weights) != counts.order:
            raise ValueError(
                f"{len(self.weights)} weights for a model of order {counts.order}: give one per "
                "order, from single words up"
            )
        return {"weights": np.repeat(np.array(self.weights)[:, None], self.bins, axis=1)}

    def _bin(self, total: np.ndarray) -> np.ndarray:
        power = np.floor(np.log2(np.maximum(total, 1.0))).astype(np.int64)
        return np.minimum(power, self.bins - 1)

    def _fit_weights(self, counts: Counts, held_out: Matches | None) -> np.ndarray:
        """Estimate the weights by EM on the held-out words; return ``(order, bins)``."""
        if held_out is None or held_out.entries.shape[1] == 0:
            raise ValueError(
                "Jelinek-Mercer smoothing estimates its weights from held-out text: give "
                "fit(…, held_out=sentences), or the weights themselves"
            )
        order, m = held_out.entries.shape
        known = held_out.contexts >= 0  # contexts that occur in training
        frequency = np.zeros((order, m))  # c(h, w) / c(h) of each order
        bin_ = np.zeros((order, m), dtype=np.int64)  # index of the weight
        for k in range(1, order + 1):
            at = np.flatnonzero(known[k - 1])
            c, prefix, n = counts.level(k)
            total = sums(c, prefix, n)[held_out.contexts[k - 1, at]]
            count = np.append(c, 0)[held_out.entries[k - 1, at]]
            frequency[k - 1, at] = quotient(count, total, 0.0)
            bin_[k - 1, at] = self._bin(total)
            known[k - 1, at] = total > 0
        weights = np.full((order, self.bins), 0.5)
        for _ in range(self.iterations):
            left = np.ones(m)  # probability that no higher order was chosen
            joint = np.empty((order + 1, m))  # row 0: the uniform distribution
            for k in range(order, 0, -1):
                chosen = np.where(known[k - 1], weights[k - 1, bin_[k - 1]], 0.0)
                if k == 1 and self.base == "unigram":
                    chosen = np.ones(m)
                joint[k] = left * chosen * frequency[k - 1]
                left = left * (1 - chosen)
            joint[0] = left / counts.n_words
            total = joint.sum(axis=0)
            share = quotient(joint, np.broadcast_to(total, joint.shape), 0.0)
            reached = np.cumsum(share, axis=0)  # this order or a lower one
            before = weights.copy()
            for k in range(1, order + 1):
                at = bin_[k - 1][known[k - 1]]
                hits = sums(share[k][known[k - 1]], at, self.bins)
                tries = sums(reached[k][known[k - 1]], at, self.bins)
                pooled = hits.sum() / tries.sum() if tries.sum() else 0.5
                weights[k - 1] = np.where(tries > 0, (hits + 1) / (tries + 2), pooled)
            if np.abs(weights - before).max() < 1e-9:
                break
        return weights


@dataclass(frozen=True)
class WittenBell(Smoothing):
    """Weight the lower order by the number of distinct words after a context (§2.5).

    With T(h) the number of distinct words after ``h``: ``alpha = c(h, w) / (c(h) + T(h))``,
    ``gamma = T(h) / (c(h) + T(h))``.
    """

    base: Base = "uniform"

    def __post_init__(self) -> None:
        check_base(self.base)

    def alpha(self, counts: Counts, order: int, details: Details) -> tuple[np.ndarray, np.ndarray]:
        """Return ``c(h, w) / (c(h) + T(h))``; see ``Smoothing.alpha``."""
        c, prefix, n = counts.level(order)
        distinct = sums(c > 0, prefix, n)
        total = sums(c, prefix, n) + distinct
        return c / np.where(total > 0, total, 1.0)[prefix], quotient(distinct, total, 1.0)
