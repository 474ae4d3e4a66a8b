"""Bandits: their indices, what they learn, and a peer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m6rec_lite.feedback import UCB, Answers, EpsilonGreedy, LinUCB, ThompsonSampling
from m6rec_lite.feedback.bandits import best_slates
from tests.feedback.worlds import features

ONE = np.ones(1)


def answers(slates, rewards, *, m=4, examination=None, x=None):
    slates, rewards = np.asarray(slates), np.asarray(rewards, float)
    examination = np.ones(slates.shape[1]) if examination is None else np.asarray(examination)
    return Answers(features(len(slates), m) if x is None else x, slates, rewards, examination)


@given(seed=st.integers(0, 10**6), k=st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_a_slate_holds_the_highest_indices(seed, k):
    rng = np.random.default_rng(seed)
    index = rng.choice([0.0, 0.5, 1.0], size=(3, rng.integers(k, 8)))
    slates = best_slates(index, k, rng)
    assert all(len(set(row)) == k for row in slates.tolist())
    chosen = np.take_along_axis(index, slates, axis=1)
    np.testing.assert_array_equal(chosen, -np.sort(-index, axis=1)[:, :k])


def test_ties_come_in_random_order():
    slates = best_slates(np.zeros((6000, 3)), 2, np.random.default_rng(0))
    pairs, counts = np.unique(slates, axis=0, return_counts=True)
    assert len(pairs) == 6
    assert (abs(counts - 1000) < 150).all()


def test_rates_divide_by_examinations_and_not_by_showings():
    bandit = EpsilonGreedy(4)
    bandit.update(answers([[0, 1], [0, 2]], [[1, 0], [0, 1]], examination=[1.0, 0.25]))
    np.testing.assert_allclose(bandit.trials, [2, 0.25, 0.25, 0])
    np.testing.assert_allclose(bandit.rates, [0.5, 0, 4, 0])


def test_epsilon_is_the_share_of_random_slates():
    bandit = EpsilonGreedy(4, epsilon=0.4)
    bandit.update(answers([[3]], [[1]]))
    slates = bandit.select(features(8000, 4), 1, np.random.default_rng(0))
    assert abs((slates == 3).mean() - (0.6 + 0.4 / 4)) < 0.02
    greedy = EpsilonGreedy(4, epsilon=0)
    greedy.update(answers([[3]], [[1]]))
    assert (greedy.select(features(50, 4), 1, np.random.default_rng(0)) == 3).all()


def test_ucb_is_worked_out_by_hand():
    bandit = UCB(3, c=0.5)
    bandit.update(answers([[0], [0], [1]], [[1], [0], [1]], m=3))
    index = bandit._index(1, np.random.default_rng(0))[0]
    expected = [0.5 + 0.5 * np.sqrt(2 * np.log(3) / 2), 1 + 0.5 * np.sqrt(2 * np.log(3)), np.inf]
    np.testing.assert_allclose(index, expected)


def test_thompson_draws_from_the_posterior():
    bandit = ThompsonSampling(2, a=2, b=3)
    bandit.update(answers([[0]] * 10, [[1]] * 4 + [[0]] * 6, m=2))
    draws = bandit._index(40_000, np.random.default_rng(0))
    np.testing.assert_allclose(draws.mean(axis=0), [6 / 15, 2 / 5], atol=0.01)
    a, b = 6, 9
    np.testing.assert_allclose(draws[:, 0].var(), a * b / (a + b) ** 2 / (a + b + 1), rtol=0.05)


def test_linucb_is_ridge_regression_with_a_bound():
    rng = np.random.default_rng(0)
    x, slates = features(30, 4, 3), np.argsort(rng.random((30, 4)), axis=1)[:, :2]
    rewards, examination = rng.integers(0, 2, (30, 2)).astype(float), np.array([1.0, 0.5])
    bandit = LinUCB(3, alpha=0.7, l2=2.0)
    for rows in (slice(0, 10), slice(10, 30)):
        bandit.update(Answers(x[rows], slates[rows], rewards[rows], examination))
    shown = np.stack([x[i, slates[i]] for i in range(30)]).astype(float)  # (30, 2, 3)
    design = (shown * examination[:, None]).reshape(-1, 3)
    a = design.T @ design + 2.0 * np.eye(3)
    w = np.linalg.solve(a, design.T @ rewards.ravel())
    np.testing.assert_allclose(bandit.weights, w, atol=1e-8)
    one = x[0, 0].astype(float)
    index = one @ w + 0.7 * np.sqrt(one @ np.linalg.solve(a, one))
    np.testing.assert_allclose(bandit.index(x[:1])[0, 0], index, rtol=1e-6)


@pytest.mark.parametrize(
    "make", [lambda: EpsilonGreedy(5, 0.2), lambda: UCB(5, 0.3), lambda: ThompsonSampling(5)]
)
def test_a_bandit_finds_the_best_candidates(make):
    rng, rates = np.random.default_rng(0), np.array([0.1, 0.6, 0.1, 0.5, 0.1])
    bandit, x = make(), features(1, 5)
    last = []
    for _ in range(1500):
        slates = bandit.select(x, 2, rng)
        rewards = (rng.random((1, 2)) < rates[slates] * [1.0, 0.6]).astype(float)
        bandit.update(Answers(x, slates, rewards, np.array([1.0, 0.6])))
        last.append(set(slates[0].tolist()) == {1, 3})
    assert np.mean(last[-300:]) > 0.6


def test_linucb_learns_whom_an_item_suits():
    rng, bandit = np.random.default_rng(0), LinUCB(3, alpha=0.5)
    w, hits = np.array([0.3, 0.25, -0.2]), []
    for _ in range(800):
        x = rng.uniform(-1, 1, (1, 6, 3))
        x[..., 0] = 1
        slate = bandit.select(x, 1, rng)
        hits.append(slate[0, 0] == (x[0] @ w).argmax())
        reward = (rng.random((1, 1)) < x[0, slate] @ w).astype(float)
        bandit.update(Answers(x, slate, reward, ONE))
    assert np.mean(hits[-300:]) > np.mean(hits[:100])
    np.testing.assert_allclose(bandit.weights, w, atol=0.12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rewards": np.array([[np.nan, 0.0]])}, "NaN or infinite"),
        ({"rewards": np.array([[np.inf, 0.0]])}, "NaN or infinite"),
        ({"rewards": np.zeros((1, 3))}, "one reward"),
        ({"slates": np.array([[0, 4]])}, r"unknown in a slate: \[4\]"),
        ({"slates": np.array([[2, 2]])}, "repeats one"),
        ({"slates": np.zeros((1, 0), int), "rewards": np.zeros((1, 0))}, "k at least 1"),
        ({"examination": np.array([1.0, 0.0])}, "above 0"),
        ({"examination": np.array([1.0, np.nan])}, "above 0"),
        ({"examination": np.ones(3)}, "each of 2 positions"),
    ],
)
def test_answers_that_would_spoil_a_policy_are_refused(changes, message):
    good = {"slates": np.array([[0, 1]]), "rewards": np.zeros((1, 2)), "examination": np.ones(2)}
    with pytest.raises(ValueError, match=message):
        Answers(features=features(1, 4), **good | changes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EpsilonGreedy(4, 1.5), "epsilon"),
        (lambda: EpsilonGreedy(0), "n_candidates"),
        (lambda: UCB(4, -1), "c"),
        (lambda: ThompsonSampling(4, a=0), "a"),
        (lambda: LinUCB(3, alpha=-1), "alpha"),
        (lambda: LinUCB(3, l2=0), "l2"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.extra
def test_epsilon_greedy_and_thompson_sampling_equal_mabwiser():
    """On slates of one item, with the same seed.

    Thompson sampling draws the same numbers. Epsilon-greedy has the same rates and explores at the
    same requests; which item is then shown cannot be compared, since mabwiser draws an expectation
    for each item and ours breaks ties at random.
    """
    mab = pytest.importorskip("mabwiser.mab")
    rng = np.random.default_rng(0)
    n, m = 60, 4
    arms, rewards = rng.integers(0, m, n), rng.integers(0, 2, n)
    seen = answers(arms[:, None], rewards[:, None])

    def peer(policy, seed):
        bandit = mab.MAB([0, 1, 2, 3], policy, seed=seed)
        bandit.fit(arms, rewards)
        expected = bandit.predict_expectations()
        return [expected[arm] for arm in range(m)]

    thompson, greedy = ThompsonSampling(m), EpsilonGreedy(m, 0.3)
    thompson.update(seen)
    greedy.update(seen)
    explored = []
    for seed in range(20):
        theirs = peer(mab.LearningPolicy.ThompsonSampling(), seed)
        ours = thompson._index(1, np.random.default_rng(seed))[0]
        np.testing.assert_allclose(ours, theirs)
        theirs = peer(mab.LearningPolicy.EpsilonGreedy(epsilon=0.3), seed)
        index = greedy._index(1, np.random.default_rng(seed))[0]
        explored.append(not index.any())
        assert np.allclose(theirs, greedy.rates) == (not explored[-1])
        if not explored[-1]:
            np.testing.assert_allclose(index, theirs)
    assert 0 < sum(explored) < 20


@pytest.mark.extra
def test_ucb_and_linucb_equal_mabwiser():
    """On slates of one item, and with one model a candidate."""
    mab = pytest.importorskip("mabwiser.mab")
    rng = np.random.default_rng(0)
    n, m, d = 60, 4, 3
    context = rng.normal(size=(n, d))
    arms, rewards = rng.integers(0, m, n), rng.integers(0, 2, n)

    peer = mab.MAB([0, 1, 2, 3], mab.LearningPolicy.UCB1(alpha=0.8))
    peer.fit(arms, rewards)
    ours = UCB(m, c=0.8)
    ours.update(answers(arms[:, None], rewards[:, None]))
    index = ours._index(1, rng)[0]
    theirs = peer.predict_expectations()
    np.testing.assert_allclose(index, [theirs[arm] for arm in range(m)])

    one_model_an_arm = np.einsum("ab,nd->nabd", np.eye(m), context).reshape(n, m, m * d)
    linear = LinUCB(m * d, alpha=0.8, l2=1.5)
    linear.update(answers(arms[:, None], rewards[:, None], x=one_model_an_arm))
    policy = mab.LearningPolicy.LinUCB(alpha=0.8, l2_lambda=1.5)
    peer = mab.MAB([0, 1, 2, 3], policy)
    peer.fit(arms, rewards, context)
    theirs = peer.predict_expectations(context[:5])
    expected = [[row[arm] for arm in range(m)] for row in theirs]
    np.testing.assert_allclose(linear.index(one_model_an_arm[:5]), expected, rtol=1e-6)
