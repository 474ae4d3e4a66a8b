"""Beyond-accuracy metrics: coverage, novelty, diversity, overlap, popularity lift, satisfaction.

Every metric is an exact expectation over the orders of tied items (see ``lists``), independent
between users; only ``overlap`` is not linear in the lists and is computed on one random order.

A list may be shorter than ``k`` if too few items may be ranked; an empty list has the value NaN.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import sparse

from m6rec_lite.data.holdout import Split
from m6rec_lite.evaluation.ctr import log_loss
from m6rec_lite.evaluation.lists import TopKLists, incidence, ratio, top_lists
from m6rec_lite.evaluation.questions import Batch, Questions


def self_information(counts: np.ndarray, n_users: int) -> np.ndarray:
    """Return the self-information of items in bits: -log2 of the share of users who met it.

    An item without users would have infinite information; it counts as met by one user.
    (Zhou et al., 2010, "Solving the apparent diversity-accuracy dilemma".)

    Args:
        counts: ``(n_items,)`` number of users who met each item.
        n_users: number of all users.
    """
    return -np.log2(np.clip(counts, 1, None) / max(n_users, 1))


def novelty(lists: TopKLists, information: np.ndarray) -> np.ndarray:
    """Return the mean self-information, in bits, of the items of each list: ``(n,)``."""
    return lists.mean(information)


def unknown_share(lists: TopKLists, seen: sparse.csr_array) -> np.ndarray:
    """Return the share of each list that its user has not met: ``(n,)``.

    It is 1 if seen items are excluded.

    Args:
        lists: lists of ``n`` users.
        seen: ``(n, n_items)``, nonzero where the user met the item.
    """
    known = lists.inclusion.multiply(seen != 0).sum(axis=1)
    return ratio(lists.lengths - known, lists.lengths)


def coverage(lists: TopKLists | Sequence[TopKLists]) -> float:
    """Return the expected share of the catalogue that is in at least one user's list.

    The probability that an item is in no list is the product over users of (1 - its probability
    to be in the user's list). Several ``TopKLists`` (batches of users) are combined.
    """
    batches = [lists] if isinstance(lists, TopKLists) else list(lists)
    missed = np.zeros(batches[0].sure.shape[1])
    for batch in batches:
        missed += log_missed(batch)
    return float(1.0 - np.exp(missed).mean())


def log_missed(lists: TopKLists) -> np.ndarray:
    """Return the log probability that no list of the batch contains the item: ``(n_items,)``."""
    inclusion = lists.inclusion.tocoo()
    with np.errstate(divide="ignore"):
        logs = np.log1p(-np.minimum(inclusion.data, 1.0))
    return np.bincount(inclusion.coords[1], weights=logs, minlength=inclusion.shape[1])


def item_features(items: pd.DataFrame, item_ids: np.ndarray) -> sparse.csr_array:
    """Return one-hot features of domain, category and tags of an items table, in rows of length 1.

    Missing values are ignored; an item without any value has a row of zeros and similarity 0 to
    every other item.

    Returns:
        ``(len(item_ids), n_features)``; the product of two rows is their cosine.

    Raises:
        ValueError: if the table lacks ``item_id``, an item, or all three of the columns.
    """
    columns = [name for name in ("domain", "category", "tags") if name in items]
    if "item_id" not in items or not columns:
        raise ValueError(
            "diversity needs an items table with item_id and at least one of domain, category, "
            f"tags; got columns {list(items.columns)}"
        )
    absent = np.setdiff1d(item_ids, items["item_id"])
    if len(absent):
        raise ValueError(f"the items table lacks {len(absent)} items, first {absent[:5].tolist()}")
    table = items.drop_duplicates("item_id").set_index("item_id").loc[item_ids]
    rows, words = [], []
    for name in columns:
        values = table[name].reset_index(drop=True).explode().dropna()
        rows.append(values.index.to_numpy())
        words.append(f"{name}=" + values.astype(str))
    codes, vocabulary = pd.factorize(pd.concat(words), sort=True)
    matrix = incidence(np.concatenate(rows), codes, (len(item_ids), max(len(vocabulary), 1)))
    matrix.data[:] = 1.0
    return unit_rows(matrix)


def unit_rows(features: np.ndarray | sparse.sparray) -> sparse.csr_array:
    """Scale rows to length 1; rows of zeros are not changed."""
    matrix = sparse.csr_array(features, dtype=np.float64)
    length = np.sqrt(matrix.multiply(matrix).sum(axis=1))
    return (sparse.diags_array(1.0 / np.where(length > 0, length, 1.0)) @ matrix).tocsr()


def diversity(
    lists: TopKLists,
    features: np.ndarray | sparse.sparray | None = None,
    *,
    similarity: np.ndarray | None = None,
) -> np.ndarray:
    """Return the intra-list diversity, the mean of 1 - similarity over the pairs of a list.

    Smyth and McClave (2001). Under ties a pair is in the list with probability 1 (both sure),
    s / t (one tied) or s (s - 1) / (t (t - 1)) (both tied). Sums over pairs follow from sums of
    feature vectors: sum over i < j of f_i . f_j = (|sum f|^2 - sum |f|^2) / 2.

    Args:
        lists: lists of ``n`` users.
        features: ``(n_items, n_features)``; similarity is the cosine of two rows.
        similarity: ``(n_items, n_items)`` symmetric, in place of features; its diagonal is not
            used.

    Returns:
        ``(n,)``; NaN for lists of fewer than two items.

    Raises:
        ValueError: unless exactly one of features and similarity is given.
    """
    if (features is None) == (similarity is None):
        raise ValueError("give either features or similarity, one of the two")
    if features is not None:
        right = left = unit_rows(features)
        diagonal = right.multiply(right).sum(axis=1)
    else:
        left = np.asarray(similarity, dtype=np.float64)
        right = sparse.eye_array(len(left))
        diagonal = np.diag(left)

    def pairs(a: sparse.csr_array, b: sparse.csr_array) -> np.ndarray:
        """Sum the similarity of the items of a and b, row by row."""
        return np.asarray((sparse.csr_array(a @ left)).multiply(b @ right).sum(axis=1))

    sure, tied = lists.sure, lists.tied
    total = (pairs(sure, sure) - sure @ diagonal) / 2
    if tied.nnz:
        both = lists.share * (lists.slots - 1) / np.maximum(lists.n_tied - 1, 1)
        total += lists.share * pairs(tied, sure) + both * (pairs(tied, tied) - tied @ diagonal) / 2
    return 1.0 - ratio(total, lists.lengths * (lists.lengths - 1) / 2)


def overlap(lists: TopKLists, *, max_pairs: int = 50_000, seed: int = 0) -> float:
    """Return the mean Jaccard overlap |A and B| / |A or B| over pairs of users.

    Uses all pairs if there are at most ``max_pairs``, otherwise that many drawn with replacement.
    Ties at the boundary are broken once per user at random. 1 means equal lists for all users.

    Returns:
        A number in [0, 1]; NaN if fewer than two users have a non-empty list.
    """
    rng = np.random.default_rng(seed)
    drawn = lists.draw(rng).sure
    length = np.diff(drawn.indptr)
    users = np.flatnonzero(length > 0)
    n = len(users)
    if n < 2:
        return float("nan")
    if n * (n - 1) // 2 <= max_pairs:
        a, b = np.triu_indices(n, k=1)
    else:
        a = rng.integers(n, size=max_pairs)
        b = (a + rng.integers(1, n, size=max_pairs)) % n
    a, b = users[a], users[b]
    common = drawn[a].multiply(drawn[b]).sum(axis=1)
    return float(np.mean(common / (length[a] + length[b] - common)))


def popularity_lift(
    lists: TopKLists, popularity: np.ndarray, profile: np.ndarray, mean_profile: float | None = None
) -> np.ndarray:
    """Return how much more popular the lists are than the items of their users' histories.

    Abdollahpouri et al. (2020): (GAP of the lists - GAP of the profiles) / GAP of the profiles,
    where GAP is the mean over users of the mean popularity of their items. The value per user is
    (list mean - profile mean) / GAP of the profiles, so that the mean over users is that number;
    0 means equally popular, 1 twice as popular.

    Args:
        lists: lists of ``n`` users.
        popularity: ``(n_items,)`` share of users who met each item.
        profile: ``(n,)`` mean popularity of the items of each history; NaN if it is empty.
        mean_profile: GAP of the profiles over all users, if ``lists`` are one of several batches.

    Returns:
        ``(n,)``; NaN for a user without a history or without a list.
    """
    if mean_profile is None:
        mean_profile = float(np.nanmean(profile)) if np.isfinite(profile).any() else np.nan
    return (lists.mean(popularity) - profile) / mean_profile


def satisfaction(accepted: np.ndarray, probability: np.ndarray, *, eps: float = 1e-12) -> float:
    """Return the mean log-likelihood of accepted and skipped items.

    The mean over shown items of y log z + (1 - y) log(1 - z), with y = 1 for accepted and 0 for
    skipped, and z the predicted probability of acceptance: the negative log loss. It is at most 0,
    higher is better, and it is a proper scoring rule. Both terms must have the same sign: with
    -y log z + (1 - y) log(1 - z) a confident wrong prediction would raise the value.

    Args:
        accepted: ``(n,)`` 0/1 or bool.
        probability: ``(n,)`` in [0, 1], clipped to ``[eps, 1 - eps]``.
        eps: distance from 0 and 1.

    Raises:
        ValueError: if the values or shapes are invalid.
    """
    return -log_loss(accepted, probability, eps=eps)


def expected_satisfaction(lists: TopKLists, probability: np.ndarray) -> np.ndarray:
    """Return the probability that a list contains the user's next item.

    It is the sum of the true probabilities of the items, which only a simulated world provides. HR
    estimates the same quantity from one sampled target per user.

    Args:
        lists: lists of ``n`` users.
        probability: ``(n, n_items)`` true probability of each item to be the user's next.
    """
    inclusion = lists.inclusion.tocoo()
    rows, items = inclusion.coords
    weights = inclusion.data * probability[rows, items]
    return np.bincount(rows, weights=weights, minlength=inclusion.shape[0])


class BeyondAccuracy:
    """Compute the metrics of the lists of an evaluation batch by batch.

    Args:
        split: provides the training rows, on which popularity is counted.
        questions: all questions of the evaluation.
        items: an items table, or ``(n_items, n_features)`` features, or None for no diversity.
        ks: the list lengths.
        seed: seed of the user pairs of ``overlap``.
    """

    def __init__(
        self,
        split: Split,
        questions: Questions,
        items: pd.DataFrame | np.ndarray | sparse.sparray | None,
        ks: tuple[int, ...],
        seed: int,
    ) -> None:
        self.ks, self.seed = ks, seed
        n_items, train = len(split.item_ids), split.train
        counts = train.matrix().sum(axis=0)
        n_users = max(int(np.count_nonzero(np.bincount(train.users))), 1)
        self.popularity = counts / n_users
        self.information = self_information(counts, n_users)
        histories = questions.holdout.histories
        weights = self.popularity[histories.items]
        total = np.bincount(histories.rows, weights=weights, minlength=len(histories))
        self.profile = ratio(total, histories.lengths)
        profiles = self.profile[histories.lengths > 0]
        self.mean_profile = float(profiles.mean()) if len(profiles) else float("nan")
        self.features = None
        if isinstance(items, pd.DataFrame):
            self.features = item_features(items, split.item_ids)
        elif items is not None:
            self.features = unit_rows(items)
            if self.features.shape[0] != n_items:
                raise ValueError(
                    f"item features need one row for each of the {n_items} items of the split, in "
                    f"its order; got {self.features.shape[0]} rows"
                )
        self.missed = {k: np.zeros(n_items) for k in ks}
        self.drawn_lists: dict[int, list[TopKLists]] = {k: [] for k in ks}
        self.rng = np.random.default_rng([seed, 2])

    def measure(
        self, scores: np.ndarray, batch: Batch, start: int, truth: np.ndarray | None
    ) -> dict[str, np.ndarray]:
        """Return the metrics of one batch of users, ``{"novelty@10": (n,) array, …}``.

        Args:
            scores: ``(n, n_items)``, -inf for items that may not be ranked.
            batch: the questions of the batch.
            start: index of the first user of the batch among all users.
            truth: ``(n, n_items)`` true probabilities of the next item, or None.
        """
        metrics: dict[str, np.ndarray] = {}
        profile = self.profile[start : start + len(scores)]
        for k, lists in top_lists(scores, k=self.ks).items():
            metrics[f"novelty@{k}"] = novelty(lists, self.information)
            metrics[f"unknown@{k}"] = unknown_share(lists, batch.histories.matrix())
            if self.features is not None:
                metrics[f"diversity@{k}"] = diversity(lists, self.features)
            lift = popularity_lift(lists, self.popularity, profile, self.mean_profile)
            metrics[f"popularity_lift@{k}"] = lift
            if truth is not None:
                metrics[f"satisfaction@{k}"] = expected_satisfaction(lists, truth)
            self.missed[k] += log_missed(lists)
            if start * k < 2**23:  # bounds the number of lists for overlap
                self.drawn_lists[k].append(lists.draw(self.rng))
        return metrics

    def overall(self) -> dict[str, float]:
        """Return coverage and overlap, which are computed over all users."""
        metrics: dict[str, float] = {}
        for k in self.ks:
            metrics[f"coverage@{k}"] = float(1.0 - np.exp(self.missed[k]).mean())
            sure = sparse.vstack([part.sure for part in self.drawn_lists[k]], format="csr")
            lists = TopKLists(sure, sparse.csr_array(sure.shape), np.zeros(sure.shape[0]))
            pairs = int(np.clip(4_000_000 // k, 1000, 50_000))
            metrics[f"overlap@{k}"] = overlap(lists, max_pairs=pairs, seed=self.seed)
        return metrics
