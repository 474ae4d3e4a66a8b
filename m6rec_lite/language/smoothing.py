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
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np

from m6rec_lite.language.counts import NONE, Counts, Matches

Base = Literal["uniform", "unigram"]


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
            p = np.where(context == NONE, p, alpha[entry] + gamma[context] * lower)
        return p

    def rows(self, counts: Counts, contexts: np.ndarray) -> np.ndarray:
        """``(n, n_words)`` probability of every word after each context; see ``probs``.

        Args:
            counts: the tables that the numbers belong to.
            contexts: ``(order, n)`` of ``Counts.contexts``.
        """
        n, v = contexts.shape[1], counts.n_words
        p = np.full((n, v), self.floor)
        for k, (alpha, gamma, context) in enumerate(
            zip(self.alphas, self.gammas, contexts, strict=True), start=1
        ):
            asked = np.flatnonzero(context != NONE)
            if not self.recursive:
                p[asked] = self.floor
            if k == 1:
                p = p * gamma[0] + alpha[:v]
                continue
            p[asked] *= gamma[context[asked], None]
            row = np.flatnonzero(context >= 0)
            first = np.searchsorted(counts.keys[k - 2], context[row] * v)
            last = np.searchsorted(counts.keys[k - 2], (context[row] + 1) * v)
            length = last - first  # followers of each context, which lie side by side
            entry = np.arange(length.sum()) + np.repeat(last - np.cumsum(length), length)
            p[np.repeat(row, length), counts.keys[k - 2][entry] % v] += alpha[entry]
        return p


@dataclass(frozen=True)
class Smoothing(ABC):
    """A way to estimate; subclasses give ``alpha`` for one order at a time.

    Args (of those that take it):
        base: what the order of single words rests on: ``"uniform"`` gives every word of the
            vocabulary a share, so that none has probability 0; ``"unigram"`` gives none, and a word
            that training lacks is impossible (so do NLTK's models).
    """

    needs_held_out: ClassVar[bool] = False

    @abstractmethod
    def alpha(
        self, counts: Counts, order: int, details: dict[str, Any]
    ) -> tuple[np.ndarray, np.ndarray]:
        """``alpha`` of each entry of an order, and ``gamma`` of each context."""

    def estimate(self, counts: Counts, held_out: Matches | None = None) -> Estimate:
        """Estimate all orders.

        Args:
            counts: of the training text.
            held_out: a text that is not among ``counts``, where ``needs_held_out``.
        """
        details: dict[str, Any] = {}
        alphas, gammas = [], []
        for order in range(1, counts.order + 1):
            if order == 1 and getattr(self, "base", "uniform") == "unigram":
                c = self.counted(counts, 1)[0]
                alpha, gamma = c / c.sum(), np.zeros(1)
            else:
                alpha, gamma = self.alpha(counts, order, details)
            alpha = np.pad(alpha, (0, counts.size(order) - len(alpha)))  # the mark of a start: 0
            alphas.append(np.append(alpha, 0.0))
            gammas.append(np.append(gamma, 1.0))
        arrays = {key: np.array(value) for key, value in details.items()}
        return Estimate(alphas, gammas, 1 / counts.n_words, details=arrays)

    def counted(self, counts: Counts, order: int) -> tuple[np.ndarray, np.ndarray, int]:
        """The counts that an order works with: ``Counts.level``, unless a method changes them."""
        return counts.level(order)


def _sums(values: np.ndarray, prefix: np.ndarray, n: int) -> np.ndarray:
    return np.bincount(prefix, values, minlength=n)


def _over(numerator: np.ndarray, total: np.ndarray, empty: float) -> np.ndarray:
    """The quotient, and ``empty`` for a context that nothing followed."""
    return np.where(total > 0, numerator / np.where(total > 0, total, 1.0), empty)


def _check_base(base: str) -> None:
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

    def alpha(
        self, counts: Counts, order: int, details: dict[str, Any]
    ) -> tuple[np.ndarray, np.ndarray]:
        """``c(h, w) / c(h)``."""
        c, prefix, n = counts.level(order)
        total = _sums(c, prefix, n)
        return c / total[prefix], np.where(total > 0, 0.0, 1.0)

    def estimate(self, counts: Counts, held_out: Matches | None = None) -> Estimate:
        """As every method; ``unseen="zero"`` rests every order on 0."""
        full = super().estimate(counts)
        if self.unseen == "shorten":
            return full
        return Estimate(full.alphas, full.gammas, floor=0.0, recursive=False)


@dataclass(frozen=True)
class AddK(Smoothing):
    """Add ``k`` to every count (Laplace at 1, Lidstone else; §2.1): no order helps another.

    ``P(w | h) = (c(h, w) + k) / (c(h) + k V)``, uniform after a context never seen.
    """

    k: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.k < np.inf:
            raise ValueError(f"k must be above 0 and finite, got {self.k!r}; 0 is MaximumLikelihood")

    def alpha(
        self, counts: Counts, order: int, details: dict[str, Any]
    ) -> tuple[np.ndarray, np.ndarray]:
        """``c(h, w) / (c(h) + k V)``; the added part rests on the uniform distribution."""
        c, prefix, n = counts.level(order)
        added = self.k * counts.n_words
        total = _sums(c, prefix, n) + added
        return c / total[prefix], added / total

    def estimate(self, counts: Counts, held_out: Matches | None = None) -> Estimate:
        """As every method, but each order rests on the uniform distribution."""
        full = super().estimate(counts)
        return Estimate(full.alphas, full.gammas, full.floor, recursive=False)


@dataclass(frozen=True)
class JelinekMercer(Smoothing):
    """A weighted mean of the orders (§2.3): ``P(w | h) = l c(h, w) / c(h) + (1 - l) P(w | h')``.

    The weights are those under which a held-out text is likeliest, found by EM: in turn, the share
    of each order in the probability of each held-out word, and the mean share an order had.

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
        _check_base(self.base)
        if self.bins < 1:
            raise ValueError(f"bins must be at least 1, got {self.bins!r}")
        if self.weights is not None:
            object.__setattr__(self, "weights", tuple(float(w) for w in self.weights))
            if not all(0 <= weight <= 1 for weight in self.weights):
                raise ValueError(f"weights must lie between 0 and 1, got {self.weights}")

    @property
    def needs_held_out(self) -> bool:  # type: ignore[override]
        """Whether the weights are to be learnt."""
        return self.weights is None

    def alpha(
        self, counts: Counts, order: int, details: dict[str, Any]
    ) -> tuple[np.ndarray, np.ndarray]:
        """``l c(h, w) / c(h)``."""
        c, prefix, n = counts.level(order)
        total = _sums(c, prefix, n)
        weight = np.where(total > 0, details["weights"][order - 1][self._bin(total)], 0.0)
        return weight[prefix] * c / total[prefix], 1 - weight

    def estimate(self, counts: Counts, held_out: Matches | None = None) -> Estimate:
        """As every method, the weights first."""
        if self.weights is None:
            weights = self._learn(counts, held_out)
        elif len(self.weights) != counts.order:
            raise ValueError(
                f"{len(self.weights)} weights for a model of order {counts.order}: give one an "
                "order, from single words up"
            )
        else:
            weights = np.repeat(np.array(self.weights)[:, None], self.bins, axis=1)
        details = {"weights": weights}
        parts = [self.alpha(counts, order, details) for order in range(1, counts.order + 1)]
        if self.base == "unigram":
            c = counts.level(1)[0]
            parts[0] = (c / c.sum(), np.zeros(1))
        alphas = [np.append(alpha, 0.0) for alpha, _ in parts]
        alphas[0] = np.append(alphas[0], 0.0)  # the mark of a start
        return Estimate(
            alphas, [np.append(gamma, 1.0) for _, gamma in parts], 1 / counts.n_words, True, details
        )

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
        single = np.ones((order, m)), np.zeros((order, m), dtype=np.int64)
        likelihood, place = single  # P(w | h) of each order alone, and its weight's bin
        known = held_out.contexts >= 0
        for k in range(1, order + 1):
            c, prefix, n = counts.level(k)
            total = np.append(_sums(c, prefix, n), 0.0)[np.maximum(held_out.contexts[k - 1], -1)]
            known[k - 1] &= total > 0
            share = np.append(c, np.zeros(counts.size(k) - len(c) + 1))[held_out.entries[k - 1]]
            likelihood[k - 1] = _over(share, total, 0.0)
            place[k - 1] = self._bin(total)
        weights = np.full((order, self.bins), 0.5)
        for _ in range(self.iterations):
            left = np.ones(m)  # probability that no higher order was chosen
            joint = np.empty((order + 1, m))  # row 0: the uniform distribution
            for k in range(order, 0, -1):
                chosen = np.where(known[k - 1], weights[k - 1, place[k - 1]], 0.0)
                if k == 1 and self.base == "unigram":
                    chosen = np.ones(m)
                joint[k] = left * chosen * likelihood[k - 1]
                left = left * (1 - chosen)
            joint[0] = left / counts.n_words
            total = joint.sum(axis=0)
            share = _over(joint, np.broadcast_to(total, joint.shape), 0.0)
            reached = np.cumsum(share, axis=0)  # this order or one below
            before = weights.copy()
            for k in range(1, order + 1):
                at = place[k - 1][known[k - 1]]
                hits = _sums(share[k][known[k - 1]], at, self.bins)
                tries = _sums(reached[k][known[k - 1]], at, self.bins)
                weights[k - 1] = _over(hits, tries, 0.5)
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
        _check_base(self.base)

    def alpha(
        self, counts: Counts, order: int, details: dict[str, Any]
    ) -> tuple[np.ndarray, np.ndarray]:
        """``c(h, w) / (c(h) + T(h))``."""
        c, prefix, n = counts.level(order)
        kinds = _sums(c > 0, prefix, n)
        total = _sums(c, prefix, n) + kinds
        return c / np.where(total > 0, total, 1.0)[prefix], _over(kinds, total, 1.0)


@dataclass(frozen=True)
class AbsoluteDiscounting(Smoothing):
    """Take the same discount from every count and give it to the order below (§2.6).

    ``alpha = max(c(h, w) - D, 0) / c(h)``. Without a given ``D`` each order takes Ney, Essen and
    Kneser's (1994) estimate ``n1 / (n1 + 2 n2)``, with ``n1``, ``n2`` the n-grams seen once and
    twice; where that estimate fails (there are none), 0.75.

    Args:
        discount: in [0, 1], for every order; None estimates it.
        base: see ``Smoothing``.
    """

    discount: float | None = None
    base: Base = "uniform"

    def __post_init__(self) -> None:
        _check_base(self.base)
        if self.discount is not None and not 0 <= self.discount <= 1:
            raise ValueError(f"discount must lie between 0 and 1, got {self.discount!r}")

    def alpha(
        self, counts: Counts, order: int, details: dict[str, Any]
    ) -> tuple[np.ndarray, np.ndarray]:
        """``(c(h, w) - D) / c(h)``, never below 0."""
        c, prefix, n = self.counted(counts, order)
        discounts = self._discounts(c)
        details.setdefault("discounts", []).append(discounts)
        seen = np.minimum(np.ceil(c), len(discounts)).astype(np.int64)  # 0, 1, 2, … or more
        taken = np.minimum(c, np.append(0.0, discounts)[seen])
        total = _sums(c, prefix, n)
        return _over(c - taken, total[prefix], 0.0), _over(_sums(taken, prefix, n), total, 1.0)

    def _discounts(self, c: np.ndarray) -> np.ndarray:
        """``(1,)`` discount of every count; Kneser-Ney's second form returns three."""
        if self.discount is not None:
            return np.array([self.discount])
        _, n1, n2, *_ = _counts_of_counts(c)
        return np.array([n1 / (n1 + 2 * n2) if n1 and n2 else 0.75])


def _counts_of_counts(c: np.ndarray) -> np.ndarray:
    """How many entries were counted 0, 1, 2, 3, 4 and more times (a fraction rounds up)."""
    return np.bincount(np.minimum(np.ceil(c), 5).astype(np.int64), minlength=6)


@dataclass(frozen=True)
class KneserNey(AbsoluteDiscounting):
    """Absolute discounting whose lower orders count contexts, not occurrences (§2.7).

    "Francisco" is frequent, but only after "San"; so below the highest order the count of an
    n-gram is the number of different words that came before it (Kneser and Ney, 1995;
    interpolated, as in Chen and Goodman).

    Args:
        discount: in [0, 1], for every order; None estimates it, an order at a time.
        base: see ``Smoothing``.
    """

    def counted(self, counts: Counts, order: int) -> tuple[np.ndarray, np.ndarray, int]:
        """Below the highest order, the number of different words before each n-gram."""
        c, prefix, n = counts.level(order)
        return (c if order == counts.order else counts.continuations(order)), prefix, n


@dataclass(frozen=True)
class ModifiedKneserNey(Smoothing):
    """Kneser-Ney with three discounts, for counts of 1, 2, and 3 or more (§3, eq. 26).

    ``D_i = i - (i + 1) Y n_{i+1} / n_i`` with ``Y = n1 / (n1 + 2 n2)``, an order at a time. Where
    there is too little text for that (an ``n`` is 0, or a ``D_i`` lies outside ``[0, i]``), 0.5, 1
    and 1.5, as KenLM does.
    """

    base: Base = "uniform"

    def __post_init__(self) -> None:
        _check_base(self.base)

    counted = KneserNey.counted
    alpha = AbsoluteDiscounting.alpha

    def _discounts(self, c: np.ndarray) -> np.ndarray:
        _, *n, _ = _counts_of_counts(c).astype(float)
        fallback = np.array([0.5, 1.0, 1.5])
        if not all(n):
            return fallback
        y = n[0] / (n[0] + 2 * n[1])
        found = np.array([i - (i + 1) * y * n[i] / n[i - 1] for i in (1, 2, 3)])
        return found if ((found >= 0) & (found <= [1, 2, 3])).all() else fallback


#: By the name that ``NGram`` accepts, with default settings.
SMOOTHINGS: dict[str, type[Smoothing]] = {
    "maximum-likelihood": MaximumLikelihood,
    "add-k": AddK,
    "jelinek-mercer": JelinekMercer,
    "witten-bell": WittenBell,
    "absolute-discounting": AbsoluteDiscounting,
    "kneser-ney": KneserNey,
    "modified-kneser-ney": ModifiedKneserNey,
}


def describe(smoothing: Smoothing) -> dict[str, Any]:
    """The method's name and settings, as JSON can hold them."""
    name = next(key for key, kind in SMOOTHINGS.items() if kind is type(smoothing))
    return {"name": name, **asdict(smoothing)}
