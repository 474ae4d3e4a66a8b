"""Scores from friends, and from a graph of items as prior."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from m6rec_lite.data import DataError, Histories, Interactions
from m6rec_lite.recommenders import Bigram, follow_scores, friend_scores

ITEMS = np.array([10, 20, 30])


def log(rows: list[tuple[int, int]]) -> Interactions:
    """Rows of (user, item), one second apart."""
    table = pd.DataFrame(rows, columns=["user_id", "item_id"])
    return Interactions.from_frame(table.assign(timestamp=np.arange(len(rows))), item_ids=ITEMS)


def pairs(*rows: tuple[int, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["user_id", "friend_id"])


def test_friends_by_hand():
    train = log([(1, 10), (2, 10), (2, 20), (3, 30)])
    scores = friend_scores(train, pairs((1, 2), (3, 1)), np.array([1, 2, 9]), prior=3.0)
    popularity = np.array([2, 1, 1]) / 3
    assert np.allclose(scores[0], (np.array([1, 1, 1]) + 3 * popularity) / 5)
    assert np.allclose(scores[1], (np.array([1, 0, 0]) + 3 * popularity) / 4)
    assert np.allclose(scores[2], popularity)  # a stranger without friends


def test_the_order_of_a_pair_and_its_repeats_do_not_matter():
    train = log([(1, 10), (2, 20), (3, 30)])
    users = np.array([1, 2, 3])
    once = friend_scores(train, pairs((1, 2)), users)
    assert np.array_equal(once, friend_scores(train, pairs((2, 1), (1, 2), (1, 2)), users))


def test_own_events_and_unknown_friends_do_not_count():
    train = log([(1, 10), (2, 20)])
    alone = friend_scores(train, pairs((1, 77)), np.array([1]))
    assert np.allclose(alone, [[0.5, 0.5, 0.0]])


def test_without_a_prior_follow_scores_rank_as_bigram_counts():
    rng = np.random.default_rng(0)
    train = log([(u, int(i)) for u in range(60) for i in rng.permutation(ITEMS)])
    histories = Histories.from_lists([[10], [30, 20], [20, 10]], item_ids=ITEMS)
    scores = follow_scores(train, histories, np.zeros((3, 3)), strength=0.0)
    counts = np.zeros((3, 3))
    for row in train.items.reshape(60, 3):
        for a, b in pairwise(row):
            counts[a, b] += 1
    last = np.array([0, 1, 0])
    assert np.allclose(scores, (counts / counts.sum(axis=1, keepdims=True))[last])
    bigram = Bigram().fit(train, progress=False).score(histories)
    assert np.array_equal(bigram.argmax(axis=1), scores.argmax(axis=1))


def test_the_graph_counts_as_strength_more_events():
    train = log([(1, 10), (1, 20)])
    histories = Histories.from_lists([[10], [20], []], item_ids=ITEMS)
    links = np.array([[9.0, 1.0, 3.0], [0.0, 0.0, 2.0], [0.0, 0.0, 0.0]])
    scores = follow_scores(train, histories, links, strength=2.0)
    assert np.allclose(scores, [[0, (1 + 0.5) / 3, 1.5 / 3], [0, 0, 1], [0, 0, 0]])


def test_bad_input_is_refused():
    train = log([(1, 10), (2, 20)])
    with pytest.raises(DataError, match="friends lack"):
        friend_scores(train, pd.DataFrame({"user_id": [1]}), np.array([1]))
    with pytest.raises(ValueError, match="prior"):
        friend_scores(train, pairs((1, 2)), np.array([1]), prior=0.0)
    histories = Histories.from_lists([[10]], item_ids=ITEMS)
    with pytest.raises(ValueError, match=r"links must be \(3, 3\)"):
        follow_scores(train, histories, np.zeros((2, 2)), strength=1.0)
