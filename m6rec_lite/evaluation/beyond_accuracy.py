"""What a list is worth besides hitting: coverage, novelty, diversity, overlap, popularity lift.

Every metric is an exact expectation over the orders of tied items (see ``lists``), users being
independent of one another; only ``overlap`` is not linear in the lists, and is computed on one
order drawn from a seed.

A list may be shorter than ``k`` where too few items may be ranked; an empty one has no value (NaN).
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
    """Surprise of an item in bits: -log2 of the share of users who met it.

    An item that nobody met would be infinitely surprising; it counts as met by one user.
    (Zhou et al., 2010, "Solving the apparent diversity-accuracy dilemma".)

    Args:
        counts: ``(n_items,)`` users who met each item.
        n_users: users in all.
    """
    return -np.log2(np.clip(counts, 1, None) / max(n_users, 1))


def novelty(lists: TopKLists, information: np.ndarray) -> np.ndarray:
    """``(n,)`` mean self-information, in bits, of the items of each list."""
    return lists.mean(information)


def unknown_share(lists: TopKLists, seen: sparse.csr_array) -> np.ndarray:
    """``(n,)`` the share of each list that its user has not met; 1 where seen items are excluded.

    Args:
        lists: of ``n`` users.
        seen: ``(n, n_items)`` 1 where the user met the item.
    """
    known = lists.inclusion.multiply(seen != 0).sum(axis=1)
    return ratio(lists.lengths - known, lists.lengths)


def coverage(lists: TopKLists | Sequence[TopKLists]) -> float:
    """The expected share of the catalogue that stands in at least one user's list.

    An item is missed by all with probability prod over users of (1 - its chance to be in the
    user's list). Several ``TopKLists`` (batches of users) count as one.
    """
    batches = [lists] if isinstance(lists, TopKLists) else list(lists)
    missed = np.zeros(batches[0].sure.shape[1])
    for batch in batches:
        missed += log_missed(batch)
    return float(1.0 - np.exp(missed).mean())


def log_missed(lists: TopKLists) -> np.ndarray:
    """``(n_items,)`` log of the probability that no list of the batch holds the item."""
    chance = lists.inclusion.tocoo()
    with np.errstate(divide="ignore"):
        logs = np.log1p(-np.minimum(chance.data, 1.0))
    return np.bincount(chance.coords[1], weights=logs, minlength=chance.shape[1])


def item_features(items: pd.DataFrame, item_ids: np.ndarray) -> sparse.csr_array:
    """Rows of unit length from an items table: its domain, category and tags, one column a value.

    A missing value adds nothing; an item of which nothing is known has a row of zeros, and is
    unlike every other.

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
    """The rows scaled to length 1; rows of zeros stay as they are."""
    matrix = sparse.csr_array(features, dtype=np.float64)
    length = np.sqrt(matrix.multiply(matrix).sum(axis=1))
    return (sparse.diags_array(1.0 / np.where(length > 0, length, 1.0)) @ matrix).tocsr()


def diversity(
    lists: TopKLists,
    features: np.ndarray | sparse.sparray | None = None,
    *,
    similarity: np.ndarray | None = None,
) -> np.ndarray:
    """Intra-list diversity: mean over the pairs of a list of 1 - similarity.

    Smyth and McClave (2001). Under ties a pair is in the list with probability 1 (both sure),
    s / t (one tied) or s (s - 1) / (t (t - 1)) (both tied), and sums over pairs close through
    sums of feature vectors: sum over i < j of f_i . f_j = (|sum f|^2 - sum |f|^2) / 2.

    Args:
        lists: of ``n`` users.
        features: ``(n_items, n_features)``; similarity is the cosine of two rows.
        similarity: ``(n_items, n_items)`` symmetric, instead of features; its diagonal is unused.

    Returns:
        ``(n,)``; NaN for lists of fewer than two items.

    Raises:
        ValueError: unless exactly one of features and similarity is given.
    """
    if (features is None) == (similarity is None):
        raise ValueError("give either features or similarity, one of the two")
    if features is not None:
        right = left = unit_rows(features)
        own = right.multiply(right).sum(axis=1)
    else:
        left, right = np.asarray(similarity, dtype=np.float64), sparse.eye_array(len(similarity))
        own = np.diag(left)

    def pairs(one: sparse.csr_array, other: sparse.csr_array) -> np.ndarray:
        """Sum of similarity over one × other, row by row."""
        return np.asarray((sparse.csr_array(one @ left)).multiply(other @ right).sum(axis=1))

    sure, tied = lists.sure, lists.tied
    alike = (pairs(sure, sure) - sure @ own) / 2
    if tied.nnz:
        both = lists.share * (lists.slots - 1) / np.maximum(lists.n_tied - 1, 1)
        alike += lists.share * pairs(tied, sure) + both * (pairs(tied, tied) - tied @ own) / 2
    return 1.0 - ratio(alike, lists.lengths * (lists.lengths - 1) / 2)


def overlap(lists: TopKLists, *, max_pairs: int = 50_000, seed: int = 0) -> float:
    """Jaccard overlap |A and B| / |A or B| of two users' lists, mean over pairs of users.

    All pairs where there are at most ``max_pairs``, else that many drawn with replacement; ties at
    the edge are settled once a user, at random. 1 means that everybody gets the same list.

    Returns:
        a number in [0, 1]; NaN with fewer than two users whose list holds anything.
    """
    rng = np.random.default_rng(seed)
    drawn = lists.draw(rng).sure
    length = np.diff(drawn.indptr)
    users = np.flatnonzero(length > 0)
    n = len(users)
    if n < 2:
        return float("nan")
    if n * (n - 1) // 2 <= max_pairs:
        one, other = np.triu_indices(n, k=1)
    else:
        one = rng.integers(n, size=max_pairs)
        other = (one + rng.integers(1, n, size=max_pairs)) % n
    one, other = users[one], users[other]
    common = drawn[one].multiply(drawn[other]).sum(axis=1)
    return float(np.mean(common / (length[one] + length[other] - common)))


def popularity_lift(
    lists: TopKLists, popularity: np.ndarray, profile: np.ndarray, mean_profile: float | None = None
) -> np.ndarray:
    """How much more popular the lists are than what their users chose themselves.

    Abdollahpouri et al. (2020): (GAP of the lists - GAP of the profiles) / GAP of the profiles,
    where GAP is the mean over users of the mean popularity of their items. Given a user as
    (list mean - profile mean) / GAP of the profiles, so that the mean over users is that figure;
    0 means neither more nor less popular, 1 twice as popular.

    Args:
        lists: of ``n`` users.
        popularity: ``(n_items,)`` the share of users who met each item.
        profile: ``(n,)`` mean popularity of each user's own items; NaN for an empty history.
        mean_profile: GAP of the profiles over all users, where ``lists`` are one batch of many.

    Returns:
        ``(n,)``; NaN for a user without a history or without a list.
    """
    if mean_profile is None:
        mean_profile = np.nanmean(profile) if np.isfinite(profile).any() else np.nan
    return (lists.mean(popularity) - profile) / mean_profile


def satisfaction(accepted: np.ndarray, probability: np.ndarray, *, eps: float = 1e-12) -> float:
    """How well predicted acceptance fits what users accepted and skipped: mean log-likelihood.

    The mean over shown items of y log z + (1 - y) log(1 - z), with y = 1 for accepted and 0 for
    skipped, and z the predicted probability of acceptance: the log loss with its sign turned. It
    is at most 0, higher is better, and it is a proper score: the expected value is highest where
    z is the true probability. Both terms must carry the same sign; written as
    -y log z + (1 - y) log(1 - z) the second term pays for certainty of the wrong answer.

    Args:
        accepted: ``(n,)`` 0/1 or bool.
        probability: ``(n,)`` in [0, 1], kept at least ``eps`` from both ends.
        eps: that distance.

    Raises:
        ValueError: on other values or shapes.
    """
    return -log_loss(accepted, probability, eps=eps)


def expected_satisfaction(lists: TopKLists, probability: np.ndarray) -> np.ndarray:
    """The chance that a user finds what they wanted in the list: the sum of its true probabilities.

    Needs the truth, which only a simulated world has; there it is what HR estimates, without the
    luck of the one target that was drawn.

    Args:
        lists: of ``n`` users.
        probability: ``(n, n_items)`` true probability of each item to be the user's next.
    """
    chance = lists.inclusion.tocoo()
    rows, items = chance.coords
    return np.bincount(
        rows, weights=chance.data * probability[rows, items], minlength=chance.shape[0]
    )


class BeyondAccuracy:
    """Measures the lists of an evaluation batch by batch.

    Args:
        split: popularity is counted on its training rows.
        questions: the users to come.
        items: an items table, or ``(n_items, n_features)`` features, or None for no diversity.
        ks: the list lengths.
        seed: of the pairs of users behind ``overlap``.
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
        n_users = max(np.count_nonzero(np.bincount(train.users)), 1)
        self.popularity = counts / n_users
        self.information = self_information(counts, n_users)
        past = questions.holdout.histories
        total = np.bincount(past.rows, weights=self.popularity[past.items], minlength=len(past))
        self.profile = ratio(total, past.lengths)
        known = self.profile[past.lengths > 0]
        self.mean_profile = float(known.mean()) if len(known) else float("nan")
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
        self.kept: dict[int, list[TopKLists]] = {k: [] for k in ks}
        self.rng = np.random.default_rng([seed, 2])

    def measure(
        self, scores: np.ndarray, batch: Batch, start: int, truth: np.ndarray | None
    ) -> dict[str, np.ndarray]:
        """The figures of one batch of users, ``{"novelty@10": (n,) array, …}``.

        Args:
            scores: ``(n, n_items)``, -inf for what may not be ranked.
            batch: its questions.
            start: place of its first user among all.
            truth: ``(n, n_items)`` true probabilities of the next item, where known.
        """
        found: dict[str, np.ndarray] = {}
        profile = self.profile[start : start + len(scores)]
        for k, lists in top_lists(scores, k=self.ks).items():
            found[f"novelty@{k}"] = novelty(lists, self.information)
            found[f"unknown@{k}"] = unknown_share(lists, batch.histories.matrix())
            if self.features is not None:
                found[f"diversity@{k}"] = diversity(lists, self.features)
            lift = popularity_lift(lists, self.popularity, profile, self.mean_profile)
            found[f"popularity_lift@{k}"] = lift
            if truth is not None:
                found[f"satisfaction@{k}"] = expected_satisfaction(lists, truth)
            self.missed[k] += log_missed(lists)
            if start * k < 2**23:  # overlap looks at a bounded number of lists
                self.kept[k].append(lists.draw(self.rng))
        return found

    def overall(self) -> dict[str, float]:
        """Coverage and overlap, which belong to all users together."""
        found = {}
        for k in self.ks:
            found[f"coverage@{k}"] = float(1.0 - np.exp(self.missed[k]).mean())
            sure = sparse.vstack([each.sure for each in self.kept[k]], format="csr")
            lists = TopKLists(sure, sparse.csr_array(sure.shape), np.zeros(sure.shape[0]))
            pairs = int(np.clip(4_000_000 // k, 1000, 50_000))
            found[f"overlap@{k}"] = overlap(lists, max_pairs=pairs, seed=self.seed)
        return found
