"""Scores from a graph: what friends took, and which items share attributes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse

from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.data.tables import DataError
from m6rec_lite.recommenders.params import check_in_range


def friend_scores(
    train: Interactions, friends: pd.DataFrame, user_ids: np.ndarray, *, prior: float = 10.0
) -> np.ndarray:
    """Return the share of each user's friends who took each item, smoothed by all users.

    ``(takers among the friends + prior * share of all users) / (friends + prior)``. Nothing of the
    user's own history enters, so a user without events has scores too; without friends they are the
    popularity of the items.

    Args:
        train: training rows.
        friends: ``user_id`` and ``friend_id``, one row for each pair, in either order.
        user_ids: ``(n,)`` users to score for.
        prior: number of average users who are added to the friends, above 0.

    Returns:
        ``(n, n_items)`` float64 in [0, 1], in the order of ``train.item_ids``.

    Raises:
        DataError: if ``friends`` lacks a column.
    """
    check_in_range("prior", prior, 0, open_low=True)
    if missing := {"user_id", "friend_id"} - set(friends):
        raise DataError(f"friends lack {sorted(missing)}; got columns {list(friends.columns)}")
    known = pd.Index(train.user_ids)
    users = pd.Index(user_ids)
    pairs = friends[["user_id", "friend_id"]].to_numpy()
    both = np.concatenate([pairs, pairs[:, ::-1]])
    rows, columns = users.get_indexer(both[:, 0]), known.get_indexer(both[:, 1])
    inside = (rows >= 0) & (columns >= 0)
    shape = (len(users), len(known))
    ones = np.ones(int(inside.sum()))
    graph = sparse.coo_array((ones, (rows[inside], columns[inside])), shape=shape).tocsr()
    graph.data[:] = 1.0  # a pair that is listed twice counts once
    taken = train.matrix()
    popularity = taken.mean(axis=0)
    counts = (graph @ taken).toarray() + prior * popularity
    return counts / (graph.sum(axis=1)[:, None] + prior)


def follow_scores(
    train: Interactions,
    histories: Histories,
    links: sparse.sparray | np.ndarray,
    *,
    strength: float,
) -> np.ndarray:
    """Return the probability of each item after the last one, with a graph of items as prior.

    ``(follows(i, j) + strength * link(i, j)) / (follows(i) + strength)``, where a row of links is
    divided by its sum: the graph counts as ``strength`` more events after each item. The more
    events an item has, the less the graph matters.

    Args:
        train: training rows, from which the pairs of consecutive items are counted.
        histories: ``n`` rows, of which the last item is used.
        links: ``(n_items, n_items)``, at least 0; the diagonal is not used.
        strength: weight of the prior, at least 0.

    Returns:
        ``(n, n_items)`` float64; a row of zeros for an empty history, or an item without follower
        and link.

    Raises:
        ValueError: if ``links`` has another shape.
    """
    check_in_range("strength", strength, 0)
    n_items = train.n_items
    if links.shape != (n_items, n_items):
        raise ValueError(f"links must be ({n_items}, {n_items}), got {links.shape}")
    graph = sparse.csr_array(links, dtype=np.float64)
    graph.setdiag(0.0)
    follows = np.flatnonzero(np.diff(train.users) == 0)
    pairs = (train.items[follows], train.items[follows + 1])
    counts = sparse.coo_array((np.ones(len(follows)), pairs), shape=graph.shape).tocsr()
    total = graph.sum(axis=1)
    weight = np.divide(strength, total, out=np.zeros(n_items), where=total > 0)
    both = counts + sparse.diags_array(weight) @ graph
    mass = both.sum(axis=1)
    both = sparse.diags_array(np.divide(1.0, mass, out=np.zeros(n_items), where=mass > 0)) @ both
    scores = np.zeros((len(histories), n_items))
    present = np.flatnonzero(histories.lengths)
    last = histories.items[histories.offsets[1:][present] - 1]
    scores[present] = both.tocsr()[last].toarray()
    return scores
