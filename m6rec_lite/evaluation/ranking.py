"""Ranking metrics of a full ranking: HR, recall, precision, F1, NDCG, MRR, MAP.

Items with equal scores have no order. A metric that chooses one (file order, the target first, the
average rank) can be biased: with 19 items tied at the top the average rank of the target is 10,
and HR@10 would be 1, although a random order puts it into the list about half the time. Here every
metric is its exact expectation over all orders of the tied items, each order equally likely.

The metrics need only the ``TargetRanks``: how many items are scored strictly above a target
(``above``) and how many share its score, itself included (``tied``). Its rank is then uniform over
``above + 1 … above + tied``. Both are counts, so a row with one target is not sorted.

Several targets in one group of ties are drawn without replacement, so their number in the list is
hypergeometric. Recall, precision, F1, NDCG and MAP are sums over positions, so their expectations
have a closed form; HR and MRR depend only on the first target, which is in the best group.

Conventions: A row without targets has the value NaN and is left out of means. A target scored -inf
is never recommended and is a miss at every k. ``k`` above the number of items is cut to it; ``k``
below 1 raises. Definitions follow Järvelin and Kekäläinen (2002) for NDCG with binary
gains, and trec_eval for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np


def check_k(k: int | Iterable[int]) -> tuple[int, ...]:
    """Return list lengths as an ascending tuple without repeats.

    Raises:
        ValueError: if there is none, or one is not an integer of at least 1.
    """
    ks = list(k) if np.iterable(k) else [k]
    for length in ks:
        if isinstance(length, bool) or not isinstance(length, int | np.integer) or length < 1:
            raise ValueError(f"k must be a whole number of at least 1, such as 10; got {length!r}")
    if not ks:
        raise ValueError("k is empty; give at least one list length, such as k=(5, 10, 20)")
    return tuple(sorted({int(length) for length in ks}))


def check_scores(scores: np.ndarray, shape: tuple[int, int], source: str = "scores") -> np.ndarray:
    """Return ``scores`` as a float array; check its shape and that no score is NaN or +inf.

    float32 and float64 are not converted; integers become float64, float16 becomes float32.

    Raises:
        ValueError: if the shape is wrong, or a score is NaN or +inf.
    """
    scores = np.asarray(scores)
    if scores.shape != shape:
        raise ValueError(
            f"{source} must have shape {shape} (one row per history, one column per item); "
            f"got {scores.shape}"
        )
    if scores.dtype not in (np.float32, np.float64):
        scores = scores.astype(np.float32 if scores.dtype == np.float16 else np.float64)
    highest = scores.max(axis=1, initial=-np.inf)  # NaN propagates: one pass detects both
    bad = np.flatnonzero(~(highest < np.inf))
    if len(bad):
        row = bad[0]
        column = np.flatnonzero(np.isnan(scores[row]) | np.isposinf(scores[row]))[0]
        raise ValueError(
            f"{source} must be finite, or -inf for an item never to recommend; got "
            f"{scores[row, column]} in row {row}, column {column} ({len(bad)} of {len(scores)} "
            f"rows are affected). A division by zero or a diverged fit is the usual cause"
        )
    return scores


@dataclass(frozen=True, eq=False)
class TargetRanks:
    """Ranks of the targets of ``n_rows`` rankings, with ties unresolved.

    Attributes:
        rows: ``(total,)`` int64, the row of each target.
        above: ``(total,)`` int64, items of the row scored strictly above the target; ``n_items``
            for a target that is never recommended.
        tied: ``(total,)`` int64, items with the target's score, itself included; ``n_items`` too
            for a target that is never recommended.
        n_rows: number of rankings, including those without a target.
        n_items: number of items, an upper bound of ``k``.
    """

    rows: np.ndarray
    above: np.ndarray
    tied: np.ndarray
    n_rows: int
    n_items: int

    @classmethod
    def from_scores(cls, scores: np.ndarray, rows: np.ndarray, targets: np.ndarray) -> TargetRanks:
        """Count for each target the items with a higher and with an equal score.

        Rows with one target are counted in two passes; rows with several targets are sorted once.

        Args:
            scores: ``(n_rows, n_items)`` float, -inf for items that may not be ranked.
            rows: ``(total,)`` row of each target, ascending.
            targets: ``(total,)`` column of each target, without repeats in a row.
        """
        n_rows, n_items = scores.shape
        rows, targets = np.asarray(rows, dtype=np.int64), np.asarray(targets, dtype=np.int64)
        values = scores[rows, targets]
        above, tied = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
        counts = np.bincount(rows, minlength=n_rows)
        starts = np.cumsum(counts) - counts
        single = np.flatnonzero(counts == 1)
        if len(single):
            table = scores if len(single) == n_rows else scores[single]
            target_scores = values[starts[single], None]
            above[starts[single]] = np.count_nonzero(table > target_scores, axis=1)
            tied[starts[single]] = np.count_nonzero(table == target_scores, axis=1)
        for row in np.flatnonzero(counts > 1):
            part = slice(starts[row], starts[row] + counts[row])
            ordered = np.sort(scores[row])
            left = np.searchsorted(ordered, values[part], side="left")
            right = np.searchsorted(ordered, values[part], side="right")
            above[part], tied[part] = n_items - right, right - left
        excluded = np.isneginf(values)
        above[excluded], tied[excluded] = n_items, n_items  # outside every list
        return cls(rows, above, tied, n_rows, n_items)

    @classmethod
    def concatenate(cls, parts: Sequence[TargetRanks]) -> TargetRanks:
        """Join the rankings of several batches over one catalogue, in order."""
        starts = np.cumsum([0, *(part.n_rows for part in parts)])
        rows = [part.rows + start for part, start in zip(parts, starts[:-1], strict=True)]
        return cls(
            np.concatenate(rows),
            np.concatenate([part.above for part in parts]),
            np.concatenate([part.tied for part in parts]),
            int(starts[-1]),
            parts[0].n_items,
        )

    @cached_property
    def n_targets(self) -> np.ndarray:
        """Number of targets of each row, ``(n_rows,)`` int64."""
        return np.bincount(self.rows, minlength=self.n_rows)

    @cached_property
    def groups(self) -> Groups:
        """The targets grouped by row and score, highest score first within a row."""
        order = np.lexsort((self.above, self.rows))
        rows, above, tied = self.rows[order], self.above[order], self.tied[order]
        new = np.ones(len(rows), dtype=bool)
        new[1:] = (rows[1:] != rows[:-1]) | (above[1:] != above[:-1])
        starts = np.flatnonzero(new)
        relevant = np.diff(np.append(starts, len(rows)))
        rows, above, tied = rows[starts], above[starts], tied[starts]
        first = np.ones(len(rows), dtype=bool)
        first[1:] = rows[1:] != rows[:-1]
        row_starts = np.maximum.accumulate(np.where(first, np.arange(len(rows)), 0))
        before = np.cumsum(relevant) - relevant
        return Groups(rows, above, tied, relevant, before - before[row_starts], first)

    def cut(self, k: int) -> int:
        """Return ``k``, or the number of items if ``k`` is larger."""
        return min(check_k(k)[0], self.n_items)

    def per_row(self, values: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Sum ``values`` over the targets of each row: ``(n_rows,)``, NaN without targets."""
        rows = self.rows if rows is None else rows
        sums = np.bincount(rows, weights=values, minlength=self.n_rows)
        return np.where(self.n_targets > 0, sums, np.nan)


@dataclass(frozen=True, eq=False)
class Groups:
    """Groups of targets of one row with one score; six arrays of equal length.

    Attributes:
        rows: the row.
        above: items strictly above the group, g.
        tied: items in the group, t.
        relevant: targets in the group, r.
        before: targets of the row in groups above this one, h.
        first: whether this is the first group of its row.
    """

    rows: np.ndarray
    above: np.ndarray
    tied: np.ndarray
    relevant: np.ndarray
    before: np.ndarray
    first: np.ndarray


def _shown(ranks: TargetRanks, k: int) -> np.ndarray:
    """Return the probability that each target is among the first ``k``: ``(total,)``."""
    return np.clip(ranks.cut(k) - ranks.above, 0, ranks.tied) / ranks.tied


def _gain(above: np.ndarray, tied: np.ndarray, k: int, discount: np.ndarray) -> np.ndarray:
    """Sum ``discount`` over the positions ``above + 1 … above + tied`` that are at most ``k``."""
    total = np.concatenate(([0.0], np.cumsum(discount)))
    return total[np.minimum(above + tied, k)] - total[np.minimum(above, k)]


def hr(ranks: TargetRanks, k: int) -> np.ndarray:
    """Return the hit rate: the probability that the first ``k`` items contain a target.

    It depends only on the best group (g above, t tied, r of them targets): s = clip(k - g, 0, t)
    of its positions are in the list, and they contain no target with probability
    C(t - r, s) / C(t, s) = prod over j < r of (t - s - j) / (t - j).

    Returns:
        ``(n_rows,)`` in [0, 1]; NaN for a row without targets.
    """
    groups = ranks.groups
    tied, relevant = groups.tied[groups.first], groups.relevant[groups.first]
    shown = np.clip(ranks.cut(k) - groups.above[groups.first], 0, tied)
    miss = np.ones(len(tied))
    for j in range(relevant.max(initial=0)):
        factor = np.maximum(tied - shown - j, 0) / np.maximum(tied - j, 1)
        miss *= np.where(j < relevant, factor, 1.0)
    return ranks.per_row(1.0 - miss, groups.rows[groups.first])


def recall(ranks: TargetRanks, k: int) -> np.ndarray:
    """Return the share of the targets among the first ``k``: ``(n_rows,)``, NaN without targets."""
    return ranks.per_row(_shown(ranks, k)) / np.maximum(ranks.n_targets, 1)


def precision(ranks: TargetRanks, k: int) -> np.ndarray:
    """Return the share of the first ``k`` items that are targets: ``(n_rows,)``.

    NaN without targets. A list with fewer than ``k`` items is still divided by ``k``.
    """
    return ranks.per_row(_shown(ranks, k)) / ranks.cut(k)


def f1(ranks: TargetRanks, k: int) -> np.ndarray:
    """Return the harmonic mean of precision and recall at ``k``: ``(n_rows,)``.

    NaN without targets. With H hits, P = H / k and R = H / m, so
    2PR / (P + R) = 2H / (k + m). This is linear in H, so the expectation under ties is exact.
    """
    hits = ranks.per_row(_shown(ranks, k))
    return 2 * hits / (ranks.cut(k) + ranks.n_targets)


def ndcg(ranks: TargetRanks, k: int) -> np.ndarray:
    """Return the normalised discounted cumulative gain, with gain 1 / log2(rank + 1) per target.

    Järvelin and Kekäläinen (2002), binary gains; the ideal list starts with min(m, k) targets.

    Returns:
        ``(n_rows,)`` in [0, 1]; NaN for a row without targets.
    """
    cut = ranks.cut(k)
    discount = 1.0 / np.log2(np.arange(2, cut + 2))
    gain = ranks.per_row(_gain(ranks.above, ranks.tied, cut, discount) / ranks.tied)
    ideal = np.cumsum(discount)[np.clip(ranks.n_targets, 1, cut) - 1]
    return gain / ideal


def mrr(ranks: TargetRanks, k: int) -> np.ndarray:
    """Return the reciprocal rank of the first target, 0 if it is beyond ``k``.

    In the best group (g above, t tied, r targets) the first target is at position i of the group
    with probability C(t - i, r - 1) / C(t, r), computed by a recurrence:
    P(1) = r / t and P(i + 1) = P(i) (t - i - r + 1) / (t - i).

    Returns:
        ``(n_rows,)`` in [0, 1]; NaN for a row without targets.
    """
    groups, cut = ranks.groups, ranks.cut(k)
    above, tied = groups.above[groups.first], groups.tied[groups.first]
    relevant = groups.relevant[groups.first]
    value = _gain(above, tied, cut, 1.0 / np.arange(1, cut + 1)) / tied  # correct if r = 1
    several = np.flatnonzero((relevant > 1) & (above < cut))
    if len(several):
        above, tied, relevant = above[several], tied[several], relevant[several]
        last = np.minimum(tied - relevant + 1, cut - above)
        prob, expected = relevant / tied, np.zeros(len(several))
        for i in range(1, last.max() + 1):
            expected += np.where(i <= last, prob / (above + i), 0.0)
            prob = prob * np.maximum(tied - i - relevant + 1, 0) / np.maximum(tied - i, 1)
        value[several] = expected
    return ranks.per_row(value, groups.rows[groups.first])


def map(ranks: TargetRanks, k: int) -> np.ndarray:
    """Return the mean over the row's m targets of the precision at their rank, 0 beyond ``k``.

    Divided by m, as in trec_eval and ranx (some divide by min(m, k)). In a group with g items
    above, h of them targets, t tied and r of those targets, position p is a target with probability
    r / t, and then h + 1 + (p - 1)(r - 1) / (t - 1) targets are at or above it on average. This is
    summed over the s positions in the list with weight 1 / (g + p), where
    sum (p - 1) / (g + p) = s - (g + 1) sum 1 / (g + p).

    Returns:
        ``(n_rows,)`` in [0, 1]; NaN for a row without targets.
    """
    groups, cut = ranks.groups, ranks.cut(k)
    above, tied, relevant = groups.above, groups.tied, groups.relevant
    shown = np.clip(cut - above, 0, tied)
    reciprocal = _gain(above, tied, cut, 1.0 / np.arange(1, cut + 1))
    others = (relevant - 1) / np.maximum(tied - 1, 1) * (shown - (above + 1) * reciprocal)
    value = relevant / tied * ((groups.before + 1) * reciprocal + others)
    return ranks.per_row(value, groups.rows) / np.maximum(ranks.n_targets, 1)


#: The accuracy metrics by their names in reports and leaderboards.
ACCURACY: dict[str, Callable[[TargetRanks, int], np.ndarray]] = {
    "hr": hr,
    "recall": recall,
    "precision": precision,
    "f1": f1,
    "ndcg": ndcg,
    "mrr": mrr,
    "map": map,
}


def accuracy(ranks: TargetRanks, k: int | Sequence[int] = (5, 10, 20)) -> dict[str, np.ndarray]:
    """Return every accuracy metric at every ``k``: ``{"hr@10": (n_rows,) array, …}``."""
    ks = check_k(k)
    return {f"{name}@{length}": metric(ranks, length)
            for length in ks for name, metric in ACCURACY.items()}  # fmt: skip
