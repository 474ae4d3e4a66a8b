"""The bootstrap over users for the difference of two AUCs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from m6rec_lite.evaluation.ctr import auc
from m6rec_lite.evaluation.ctr_compare import compare_auc, weighted_auc

rows = st.lists(
    st.tuples(st.booleans(), st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=30
)


@settings(max_examples=100, deadline=None)
@given(rows)
def test_weighted_auc_equals_scikit_learn_and_repeating_rows(case):
    clicked, score, weight = (np.array(each) for each in zip(*case, strict=True))
    result = weighted_auc(clicked, score, np.stack([weight, np.ones(len(weight))]))
    assert result[1] == pytest.approx(auc(clicked, score), nan_ok=True)
    repeated = np.repeat(np.arange(len(weight)), weight)
    if len(repeated):
        assert result[0] == pytest.approx(auc(clicked[repeated], score[repeated]), nan_ok=True)
    if clicked[weight > 0].any() and not clicked[weight > 0].all():
        assert result[0] == pytest.approx(roc_auc_score(clicked, score, sample_weight=weight))
    else:
        assert np.isnan(result[0])


def world(n_users=150, gain=0.0, seed=0):
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(n_users), 20)
    truth = rng.normal(size=len(user))
    clicked = rng.random(len(user)) < 1 / (1 + np.exp(2 - truth))
    noise = rng.normal(size=(2, len(user)))
    return clicked, truth + (1 - gain) * noise[0], truth + noise[1], user


def test_a_real_gain_is_distinguished_from_none():
    better = compare_auc(*world(gain=0.5), n_resamples=300)
    assert better.mean_difference > 0.03
    assert better.low > 0
    assert better.p_value < 0.01
    assert better.n == 150
    same = compare_auc(*world(), n_resamples=300)
    assert same.low < 0 < same.high
    assert same.p_value > 0.05
    swapped = compare_auc(*(world(gain=0.5)[i] for i in (0, 2, 1, 3)), n_resamples=300)
    assert swapped.mean_difference == pytest.approx(-better.mean_difference)
    assert (swapped.low, swapped.high) == pytest.approx((-better.high, -better.low))


def test_the_interval_is_that_of_users_drawn_again():
    clicked, first, second, user = world(60, gain=0.3, seed=3)
    result = compare_auc(clicked, first, second, user, n_resamples=400)
    rng = np.random.default_rng(9)
    own = [np.flatnonzero(user == u) for u in range(60)]
    draws = []
    for _ in range(400):
        take = np.concatenate([own[u] for u in rng.integers(60, size=60)])
        draws.append(auc(clicked[take], first[take]) - auc(clicked[take], second[take]))
    width = np.subtract(*np.quantile(draws, [0.975, 0.025]))
    assert result.high - result.low == pytest.approx(width, rel=0.2)
    assert result.low < np.mean(draws) < result.high


def test_rows_copied_within_their_user_make_nothing_surer():
    """Drawing rows one by one would take each copy for news and shorten the interval by half."""
    clicked, first, second, user = world(80, gain=0.3, seed=4)
    once = compare_auc(clicked, first, second, user)
    four = (np.tile(each, 4) for each in (clicked, first, second, user))
    again = compare_auc(*four)
    assert again.mean_difference == pytest.approx(once.mean_difference)
    assert again.high - again.low == pytest.approx(once.high - once.low, rel=1e-9)


def test_equal_models_do_not_differ():
    clicked, first, _, user = world(30)
    result = compare_auc(clicked, first, 3 * first + 1, user)  # the same order
    assert (result.mean_difference, result.low, result.high, result.p_value) == (0, 0, 0, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clicked": np.ones(600)}, "rows of both labels.*600 of 600 rows clicked"),
        ({"group": np.zeros(600)}, "two users at least; got 1 users"),
        ({"group": np.zeros(3)}, "one group per row"),
        ({"level": 1.0}, "level must lie between 0 and 1"),
        ({"n_resamples": 0}, "n_resamples be at least 1"),
        ({"first": np.full(600, np.nan)}, "finite"),
    ],
)
def test_bad_input_says_what_is_wrong(change, message):
    inputs = dict(zip(("clicked", "first", "second", "group"), world(30), strict=True))
    with pytest.raises(ValueError, match=message):
        compare_auc(**(inputs | change))
