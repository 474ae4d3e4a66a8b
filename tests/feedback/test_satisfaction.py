"""Satisfaction: the objective, its wrong forms, and the ranker that is trained on it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from m6rec_lite.data import DataError, NotFittedError
from m6rec_lite.evaluation import satisfaction
from m6rec_lite.feedback import SATISFACTIONS, Feedback, SatisfactionRanker


def log(n: int = 4000, seed: int = 0, examined: bool = True):
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    e = rng.choice([1.0, 0.5, 0.2], n) if examined else np.ones(n)
    w = np.array([-1.0, 0.8, -0.5])
    return x, (rng.random(n) < e * expit(x @ w)).astype(float), e, w


def test_what_counts_as_accepted():
    clicked = np.array([[True, True, False]])
    feedback = Feedback(clicked, np.array([[True, False, False]]), np.array([[False, True, False]]))
    found = {name: function(feedback).tolist() for name, function in SATISFACTIONS.items()}
    assert found == {"clicks": [[1, 1, 0]], "purchases": [[1, 0, 0]], "ratings": [[0, 1, 0]]}


def test_the_numbers_of_the_error_hunt():
    """Four in a hundred accepted: the sign slip, and the true objective at its best constant."""
    y = np.array([1] * 4 + [0] * 96)

    def slip(z):
        return (-y * np.log(z) + (1 - y) * np.log(1 - z)).mean()

    assert slip(0.04) == pytest.approx(0.0896, abs=1e-3)
    assert slip(0.999) == pytest.approx(-6.63, abs=0.01)
    assert satisfaction(y, np.full(100, 0.04)) > satisfaction(y, np.full(100, 0.03))
    assert satisfaction(y, np.full(100, 0.04)) > satisfaction(y, np.full(100, 0.05))


def test_where_all_is_examined_it_is_logistic_regression():
    x, y, e, _ = log(examined=False)
    ours = SatisfactionRanker(l2=3.0).fit(x, y, e)
    peer = LogisticRegression(C=1 / 3.0, tol=1e-8).fit(x[:, 1:], y)
    np.testing.assert_allclose(ours.weights_[1:], peer.coef_[0], atol=2e-3)
    np.testing.assert_allclose(ours.weights_[0], peer.intercept_[0], atol=2e-3)


def test_it_finds_the_weights_behind_positions():
    x, y, e, w = log(40_000)
    ranker = SatisfactionRanker(l2=0.1).fit(x, y, e)
    np.testing.assert_allclose(ranker.weights_, w, atol=0.1)
    ignored = SatisfactionRanker(l2=0.1).fit(x, y, np.ones(len(y)))
    assert ignored.weights_[0] < w[0] - 0.3  # not examined is taken for refused
    np.testing.assert_allclose(ranker.predict(x[:3]), expit(x[:3] @ ranker.weights_))


def test_no_other_weights_have_a_higher_satisfaction():
    x, y, e, _ = log()
    weights = SatisfactionRanker(l2=1e-6).fit(x, y, e).weights_

    def mean(w):
        return satisfaction(y, e * expit(x @ w))

    np.testing.assert_allclose(approx_fprime(weights, mean, 1e-6), 0, atol=1e-4)


def test_labels_from_its_own_predictions_teach_nothing():
    """``fit(x, model.predict(x))``: the gradient of the loss is zero whatever the weights."""
    x, _, _, w = log()
    z = expit(x @ w)
    soft_labels = z
    gradient = x.T @ (z - soft_labels) / len(z)
    assert not gradient.any()


@pytest.mark.parametrize("labels", [np.zeros(9), np.ones(9), np.full(9, 0.5), np.full(9, np.nan)])
def test_labels_that_teach_nothing_are_refused(labels):
    with pytest.raises(DataError, match=r"accepted \(1\) and refused \(0\)"):
        SatisfactionRanker().fit(np.ones((9, 2)), labels, np.ones(9))


@pytest.mark.parametrize("value", [0.0, -0.1, 1.1, np.nan])
def test_an_impossible_examination_is_refused(value):
    with pytest.raises(ValueError, match="above 0"):
        SatisfactionRanker().fit(np.ones((2, 2)), np.array([0, 1]), np.array([1.0, value]))


def test_it_asks_for_a_fit_and_for_a_penalty():
    with pytest.raises(NotFittedError, match="call fit first"):
        SatisfactionRanker().predict(np.ones((1, 2)))
    with pytest.raises(ValueError, match="l2"):
        SatisfactionRanker(l2=0)
