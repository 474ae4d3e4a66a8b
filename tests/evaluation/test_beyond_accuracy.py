"""Beyond-accuracy metrics against plain sets, and against every order of the ties."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics.pairwise import cosine_similarity

from m6rec_lite.evaluation.beyond_accuracy import (
    coverage,
    diversity,
    expected_satisfaction,
    item_features,
    novelty,
    overlap,
    popularity_lift,
    satisfaction,
    self_information,
    unknown_share,
)
from m6rec_lite.evaluation.lists import TopKLists, top_lists

FEATURES = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 1], [0, 0, 2], [0, 0, 0], [3, 0, 1]], float)
COUNTS = np.array([9, 5, 3, 2, 1, 0])
SEEN = np.array([0, 1, 0, 1, 0, 0])


def possible_lists(scores: np.ndarray, k: int) -> list[tuple[int, ...]]:
    """The first k of every order of the finite scores that the scores allow."""
    able = [item for item in range(len(scores)) if scores[item] > -np.inf]
    return [
        order[:k]
        for order in itertools.permutations(able)
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))
    ]


def mean_over(lists: list[tuple[int, ...]], value) -> float:
    return float(np.mean([value(list(each)) for each in lists]))


levels = st.lists(st.sampled_from([0.0, 0.0, 1.0, -np.inf]), min_size=6, max_size=6)


@settings(max_examples=60, deadline=None)
@given(levels, st.integers(1, 8))
def test_ties_are_the_mean_over_all_orders(row, k):
    scores = np.array(row)
    lists = top_lists(scores[None], k)[k]
    every = possible_lists(scores, k)
    length = len(every[0])
    assert lists.lengths[0] == length
    if not length:
        assert np.isnan(novelty(lists, self_information(COUNTS, 10))[0])
        return
    information = self_information(COUNTS, 10)
    wanted = mean_over(every, lambda items: information[items].mean())
    assert novelty(lists, information)[0] == pytest.approx(wanted)
    wanted = mean_over(every, lambda items: 1 - SEEN[items].mean())
    assert unknown_share(lists, sparse.csr_array(SEEN[None]))[0] == pytest.approx(wanted)
    chances = np.array([[0.3, 0.2, 0.1, 0.1, 0.05, 0.0]])
    wanted = mean_over(every, lambda items: chances[0, items].sum())
    assert expected_satisfaction(lists, chances)[0] == pytest.approx(wanted)
    if length < 2:
        assert np.isnan(diversity(lists, FEATURES)[0])
        return
    distance = 1 - cosine_similarity(FEATURES)
    wanted = mean_over(
        every, lambda items: np.mean([distance[a, b] for a, b in itertools.combinations(items, 2)])
    )
    assert diversity(lists, FEATURES)[0] == pytest.approx(wanted, abs=1e-12)
    expected = diversity(lists, similarity=cosine_similarity(FEATURES))
    assert expected[0] == pytest.approx(wanted, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(0, 1), min_size=4, max_size=4), min_size=2, max_size=3))
def test_coverage_is_the_mean_over_all_orders_of_all_users(rows):
    scores = np.array(rows, dtype=float)
    every = [possible_lists(row, 2) for row in scores]
    wanted = np.mean([len(set().union(*choice)) / 4 for choice in itertools.product(*every)])
    lists = top_lists(scores, 2)[2]
    assert coverage(lists) == pytest.approx(wanted)
    halves = [top_lists(scores[:1], 2)[2], top_lists(scores[1:], 2)[2]]
    assert coverage(halves) == pytest.approx(wanted)


def test_lists_without_ties_are_the_best_items():
    scores = np.random.default_rng(0).standard_normal((30, 40))
    lists = top_lists(scores, (3, 10, 100))
    for k in (3, 10, 40):
        result = lists[100 if k == 40 else k]
        assert not result.tied.nnz
        for row, wanted in enumerate(np.argsort(-scores, axis=1)[:, :k]):
            assert set(result.sure[[row]].indices) == set(wanted)


def test_a_drawn_list_settles_ties_fairly():
    scores = np.array([[5.0, 1, 1, 1, 1, 0]])
    lists = top_lists(np.repeat(scores, 4000, axis=0), 3)[3]
    drawn = lists.draw(np.random.default_rng(0)).sure.toarray()
    assert (drawn.sum(axis=1) == 3).all()
    np.testing.assert_array_equal(drawn[:, 0], 1)
    np.testing.assert_array_equal(drawn[:, 5], 0)
    np.testing.assert_allclose(drawn[:, 1:5].mean(axis=0), 0.5, atol=0.04)


def test_overlap_is_the_mean_jaccard_of_all_pairs():
    plain = [[0, 1, 2], [1, 2, 3], [4, 5], [0, 1, 2], []]
    pairs = itertools.combinations([set(each) for each in plain if each], 2)
    wanted = np.mean([len(a & b) / len(a | b) for a, b in pairs])
    assert overlap(TopKLists.from_lists(plain, 6)) == pytest.approx(wanted)


def test_overlap_knows_equal_and_disjoint_lists():
    assert overlap(TopKLists.from_lists([[0, 1]] * 4, 4)) == 1.0
    assert overlap(TopKLists.from_lists([[0], [1], [2]], 4)) == 0.0
    assert np.isnan(overlap(TopKLists.from_lists([[0], []], 4)))


def test_overlap_of_drawn_pairs_estimates_that_of_all():
    rng = np.random.default_rng(1)
    lists = TopKLists.from_lists([rng.choice(20, 5, replace=False) for _ in range(200)], 20)
    exact = overlap(lists)
    assert overlap(lists, max_pairs=5000, seed=3) == pytest.approx(exact, abs=0.01)
    assert overlap(lists, max_pairs=500, seed=3) == overlap(lists, max_pairs=500, seed=3)


def test_novelty_counts_bits():
    information = self_information(np.array([8, 4, 1, 0]), 8)
    np.testing.assert_allclose(information, [0, 1, 3, 3])
    lists = TopKLists.from_lists([[0, 1], [2, 3], []], 4)
    np.testing.assert_allclose(novelty(lists, information), [0.5, 3.0, np.nan])


def test_popularity_lift_is_the_relative_gap_of_group_averages():
    popularity = np.array([0.8, 0.4, 0.2, 0.1])
    profile = np.array([0.2, 0.4, np.nan])
    lists = TopKLists.from_lists([[0, 1], [2, 3], [0]], 4)
    lift = popularity_lift(lists, popularity, profile)
    lists_gap, profiles_gap = (0.6 + 0.15) / 2, 0.3
    assert np.nanmean(lift) == pytest.approx((lists_gap - profiles_gap) / profiles_gap)
    assert np.isnan(lift[2])
    same = popularity_lift(TopKLists.from_lists([[1], [3]], 4), popularity, np.array([0.4, 0.1]))
    np.testing.assert_allclose(same, 0.0, atol=1e-12)


def test_unlike_items_are_diverse_and_like_ones_are_not():
    table = pd.DataFrame(
        {
            "item_id": [7, 3, 5, 9],
            "domain": ["shop", "shop", "music", "music"],
            "category": ["boots", "boots", "jazz", None],
            "tags": [["hiking"], ["hiking"], ["live", "sax"], None],
        }
    )
    features = item_features(table, np.array([3, 5, 7, 9]))
    lists = TopKLists.from_lists([[0, 2], [0, 1], [1, 3]], 4)
    same, other, part = diversity(lists, features)
    assert same == pytest.approx(0.0, abs=1e-12)
    assert other == pytest.approx(1.0)
    assert part == pytest.approx(1 - 1 / 2)  # 1 shared of (4, 1) features: 1 / (2 * 1)


def test_item_features_say_what_is_missing():
    table = pd.DataFrame({"item_id": [1, 2], "category": ["a", "b"]})
    with pytest.raises(ValueError, match=r"lacks 1 items, first \[3\]"):
        item_features(table, np.array([1, 2, 3]))
    with pytest.raises(ValueError, match="domain, category, tags"):
        item_features(table[["item_id"]], np.array([1]))


def test_diversity_wants_one_of_features_and_similarity():
    lists = TopKLists.from_lists([[0, 1]], 2)
    with pytest.raises(ValueError, match="either"):
        diversity(lists)
    with pytest.raises(ValueError, match="either"):
        diversity(lists, np.eye(2), similarity=np.eye(2))


def test_satisfaction_is_the_log_likelihood_of_what_users_did():
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.02, 0.98, 5000)
    accepted = rng.random(5000) < truth
    assert satisfaction(accepted, truth) == pytest.approx(-sklearn_log_loss(accepted, truth))
    for wrong in (truth**2, np.full(5000, accepted.mean()), np.clip(truth + 0.1, 0, 1)):
        assert satisfaction(accepted, truth) > satisfaction(accepted, wrong)


def test_satisfaction_does_not_pay_for_certainty_of_the_wrong_answer():
    skipped = np.zeros(10)
    careful, certain = np.full(10, 0.1), np.full(10, 0.999)
    assert satisfaction(skipped, careful) > satisfaction(skipped, certain)

    def slipped(z):  # as a loss, with the second sign wrong: the worse forecast has the lower loss
        return float(np.mean(-skipped * np.log(z) + (1 - skipped) * np.log(1 - z)))

    assert slipped(certain) < slipped(careful)
